"""The disk is full under load: callers get a clear error, and all goes on by itself when there is space again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from claude_tiu.infrastructure.migrations import migrate_up
from tests.support.arena import Arena
from tests.support.crashing import CrashingServer, crashing_server
from tests.support.faults import LONG, record
from tests.support.ledger import NONE
from tests.support.postgres_server import find_bindir
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stores import BACKENDS, sqlite_at

DISK_MEBIBYTES = 320
SHORT_OF_WAL = ("min_wal_size=32MB", "max_wal_size=64MB")


@contextmanager
def database_on(disk: SmallDisk, store: str) -> Iterator[tuple[str, CrashingServer | None]]:
    """Give the URL of a new database on a disk, and its server, if it has one."""
    if store == "sqlite":
        yield sqlite_at(disk.folder / "tiu.db").url, None
        return
    bindir = find_bindir()
    assert bindir is not None, "no PostgreSQL to fill the disk of: install the test extra, or put pg_ctl on PATH"
    with crashing_server(bindir, *SHORT_OF_WAL, folder=disk.folder) as server:
        migrate_up(server.url)
        yield server.url, server


@pytest.mark.parametrize("store", BACKENDS)
@pytest.mark.parametrize(
    ("mount", "times", "seed"),
    [
        pytest.param(True, 2, 1, id="file system"),
        pytest.param(False, 1, 1, id="limits"),
        *(pytest.param(True, 10, seed, marks=LONG) for seed in range(2, 22)),
    ],
)
def test_all_goes_on_when_there_is_space_again(store: str, mount: bool, times: int, seed: int) -> None:
    seconds, faults = [], NONE
    with (
        small_disk(DISK_MEBIBYTES, mount=mount) as disk,
        database_on(disk, store) as (url, server),
        Arena(url, seed) as arena,
    ):
        for number in range(3):
            arena.add_client(project=number == 0)
        arena.add_projector()
        for _ in range(times):
            arena.wait_until_all_work()
            disk.fill(server.pids() if server else arena.pids())
            arena.wait_until_all_have_failed()
            time.sleep(arena.dice.uniform(0, 1))
            disk.free()
            if server:
                server.require()
            freed = time.monotonic()
            took, found = arena.recover(freed, anew=True)
            seconds.append(took)
            faults |= found
    record("disk_full", store, tried=times, **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"
