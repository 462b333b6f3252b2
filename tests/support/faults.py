"""What tests of faults have found: each kind is listed here, and what a run came to is a line of JSON if one is asked.

    FAULTS_FILE=faults.jsonl pytest -m long tests/crashes && python -m tests.docs.faults faults.jsonl

The second command makes the table of docs/explanation/faults.md of the lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import pytest

FILE = "FAULTS_FILE"
"""The environment's variable that names the file: lines are added to it."""
BOTH = ("sqlite", "postgresql")
LONG = [pytest.mark.long, pytest.mark.timeout(1_800)]
"""The marks of a long form."""


class Fault(NamedTuple):
    """A kind of fault that tests make."""

    name: str
    made: str
    """How, for the table's reader."""
    stores: tuple[str, ...] = BOTH


FAULTS: dict[str, Fault] = {
    "writer_killed": Fault(
        "a writer dies", "`kill -9` of a process while it appends, others beside it; a replay is compared each time"
    ),
    "projector_killed": Fault(
        "a projector dies, many times", "`kill -9` of the active one; another stands by; a replay is compared each time"
    ),
    "batch_killed": Fault("a projector dies while it catches up", "`kill -9` at a random moment within its batches"),
    "server_crashed": Fault("PostgreSQL crashes", "`pg_ctl stop -m immediate` under load", ("postgresql",)),
    "connections_cut": Fault(
        "connections are cut", "`pg_terminate_backend` of all or some, of writers and projectors", ("postgresql",)
    ),
    "commit_unanswered": Fault(
        "a commit is not answered", "a proxy cuts the connection before, while or after it commits", ("postgresql",)
    ),
    "soak": Fault(
        "a soak", "minutes of mixed load; clients and projectors are killed, connections cut, again and again"
    ),
    "disk_full": Fault("the disk is full", "a small tmpfs is filled under load, and freed"),
    "clients_in_threads": Fault(
        "clients at once, in threads",
        "random commands and named races on the same few ids; threads share a connection, or have several",
    ),
    "clients_in_processes": Fault("clients at once, in processes", "the same, in two processes at once"),
    "hostile_lines": Fault("hostile lines", "commands from their schemas, spoiled and not, and any bytes: `tiu apply`"),
    "active_killed": Fault("the active projector dies", "`kill -9` of it, under load; others stand by"),
    "active_cut": Fault(
        "the active projector is cut off",
        "`pg_terminate_backend` of its sessions, under load, until another is active",
        ("postgresql",),
    ),
    "active_stopped": Fault(
        "the active projector stands still", "`SIGSTOP`, with a lease of 4 s; `SIGCONT` when another is active"
    ),
    "active_ended": Fault("the active projector is told to end", "`SIGTERM` or `SIGINT`, under load"),
    "subscriber_killed": Fault(
        "a subscriber dies",
        "`kill -9` of the active one, under load; another stands by; what comes again within the bound is not counted",
    ),
    "subscriber_killed_exactly_once": Fault(
        "a subscriber dies, exactly once", "the same; what it does is in the transaction of its checkpoint"
    ),
}
"""Every kind, in the order of the table."""


def record(kind: str, store: str, *, tried: int, lost: int, doubled: int, seconds: Sequence[float] = ()) -> None:
    """Note what a test has come to, before it asserts that nothing was lost or doubled.

    `tried`: how often the fault was made; `lost` and `doubled`: of what was acknowledged, how many are not there, or
    more than once; `seconds`: how long it took each time until all was well again, where there is something to recover.
    """
    if store not in FAULTS[kind].stores:
        raise ValueError(f"{kind} is not told of {store}")
    line = {"kind": kind, "store": store, "tried": tried, "lost": lost, "doubled": doubled, "seconds": [*seconds]}
    if path := os.environ.get(FILE):
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - one write a line: several processes add to it
            file.write(json.dumps(line) + "\n")
