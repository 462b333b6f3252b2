"""An embedding service as a whole: the packaged demo from its first command to its last row, and its connections."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from claude_tiu import connect
from claude_tiu.infrastructure.cli.demo import tell
from claude_tiu.infrastructure.demo.facts import Facts, packaged_facts
from claude_tiu.infrastructure.demo.story import project_id
from claude_tiu.infrastructure.migrations import migrate_up
from tests.benchmarks.commands import THREADS, claim_of, our_tasks
from tests.benchmarks.measuring import Goal, Place, Report, in_threads, in_turn

LOOK_SECONDS = 0.005
CONNECTIONS = Goal("connections of one embedding process with its projector, under 32 threads", 6, above=False)
COUNT = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"  # an autovacuum worker is the server's own
)


class DemoSize(NamedTuple):
    """How many revisions of the packaged history are told."""

    rounds: int
    revisions: int


DEMO_SIZES = {"smoke": DemoSize(1, 3), "quick": DemoSize(3, 30), "full": DemoSize(3, 10_000)}


def demo(place: Place, size: DemoSize) -> Report:
    report = Report("demo", size._asdict())
    history = packaged_facts()
    history = replace(history, revisions=history.revisions[: size.revisions])

    def on_sqlite() -> float:
        with place.sqlite() as url:
            return commands_a_second(url, history)

    def on_postgresql() -> float:
        with place.postgresql() as url:
            migrate_up(url)
            return commands_a_second(url, history)

    report.add(in_turn({"SQLite": on_sqlite, "PostgreSQL": on_postgresql}, size.rounds), "commands/s")
    report.notes.append("Units of up to 1,000 commands, one after the other; measured until the last row is visible.")
    return report


def commands_a_second(url: str, history: Facts) -> float:
    """Return how many commands a second the demo tells, its rows included."""
    with connect(url) as tiu:
        started = time.perf_counter()
        tell(tiu, history)
        took = time.perf_counter() - started
        _, commands = tiu.count(project_id(history))
        return commands / took


class ConnectionsSize(NamedTuple):
    rounds: int
    tasks: int


CONNECTIONS_SIZES = {
    "smoke": ConnectionsSize(1, 32),
    "quick": ConnectionsSize(1, 960),
    "full": ConnectionsSize(3, 1_920),
}


def connections(place: Place, size: ConnectionsSize) -> Report:
    """The most connections that the server sees of a process with a projector, while 32 threads give it commands."""
    report = Report("connections", size._asdict())
    with place.postgresql() as url:
        tasks = our_tasks(url, size.tasks)
        with closing(psycopg.connect(url, autocommit=True)) as watching:
            seen = [most_connections(url, tasks, watching) for _ in range(size.rounds)]
    report.add({"connections": seen}, "at most")
    report.hold(CONNECTIONS, seen)
    return report


def most_connections(url: str, tasks: list[UUID], watching: psycopg.Connection[Any]) -> float:
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(LOOK_SECONDS):
            ((count,),) = watching.execute(COUNT).fetchall()
            most = max(most, count)

    with connect(url) as tiu:
        watcher = threading.Thread(target=watch)
        watcher.start()

        def execute(number: int) -> int:
            position = 0
            for task_id in tasks[number::THREADS]:
                position = tiu.execute(claim_of(task_id)).position
            tiu.wait_for(position)
            return position

        try:
            in_threads(THREADS, execute)
        finally:
            done.set()
            watcher.join()
    return float(most)
