"""Appending: the events of workload W, each an append of its own, by one client, by threads and by processes."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import count as counting
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from claude_tiu import Tiu, connect
from claude_tiu.infrastructure.event_store import EventRow, NewEvent, Stored, Unit
from tests.benchmarks import bounds, peers
from tests.benchmarks.logs import prepare, whole_row
from tests.benchmarks.measuring import (
    SPAWN,
    Goal,
    Place,
    Ready,
    Report,
    exhaust,
    in_processes,
    in_threads,
    in_turn,
    rate,
)
from tests.benchmarks.workloads import TASK_EVENTS, single_tasks
from tests.support.postgres_server import database_url, find_clients, temporary_server

THREADS, PEER_THREADS, PROCESSES = 32, 8, 8
PAGE = 5_000
TAIL_SECONDS = 0.05
"""How often the reader at the end of the log looks: it is there to check, not to load the machine."""

GOALS = {
    "1 client / peer": Goal("append, 1 client: × eventsourcing", 2.5, 3.0),
    "1 client / bare": Goal("append, 1 client: × bare INSERT and COMMIT", 0.7),
    "32 threads / peer": Goal("append, 32 threads in one process: × eventsourcing with 8 threads", 12.0, 20.0),
    "8 processes / peer": Goal("append, 8 processes: × eventsourcing with 8 processes", 4.0, 6.0),
    "8 processes / bare": Goal("append, 8 processes: × bare unlocked INSERT by 8 processes", 0.45),
    "faults": Goal("events that a tailing reader missed, saw twice or out of order", 0.0, above=False),
    "restored": Goal("the same, read after pg_dump and restore into a new cluster", 0.0, above=False),
}


class Size(NamedTuple):
    """How many tasks (of 11 events each) a measurement writes: in all, or for each thread or process."""

    rounds: int
    processes: int
    tasks: int
    of_thread: int
    of_process: int
    peer_tasks: int
    of_peer: int


SIZES = {
    "smoke": Size(1, 1, 2, 1, 1, 1, 1),
    "quick": Size(7, PROCESSES, 100, 10, 20, 40, 5),
    "full": Size(5, PROCESSES, 600, 60, 120, 200, 20),
}
"""Short turns, as with commands: a machine that is shared is slow for a second or so."""
APART = 10_000
"""How far the numbers of the tasks of processes lie apart."""
_numbers = counting(0)


def fresh_tasks(tasks: int, project_id: UUID) -> list[NewEvent]:
    """Return the events of tasks that this process has not told of yet."""
    return [event for _ in range(tasks) for event in single_tasks(next(_numbers), 1, project_id)]


def append_one_by_one(tiu: Tiu, events: list[NewEvent]) -> int:
    """Ours: the public store, one event a unit, guarded by its stream's version."""
    for event in events:
        (outcome,) = tiu.events.append([Unit([event], {event.stream_id: event.version - 1})])
        assert isinstance(outcome, Stored)
    return len(events)


def run(place: Place, size: Size) -> Report:
    report = Report("append", size._asdict())
    with ExitStack() as stack:
        url, peer_url, bare_url = (stack.enter_context(place.postgresql()) for _ in range(3))
        project_id, _, _ = (prepare(one).project_id for one in (url, peer_url, bare_url))
        bounds.make_bare_events(bare_url)
        with peers.application(peer_url):
            pass  # its tables are made by one, before eight begin
        tail = stack.enter_context(closing(Tail(url)))
        report.add(in_turn(_contestants(url, peer_url, bare_url, project_id, size), size.rounds), "events/s")
        report.add(_on_sqlite(place, size), "events/s")
        report.hold(GOALS["faults"], [tail.stop()])
        if place.bindir is not None:
            report.hold(GOALS["restored"], [_restored(place, place.bindir, url, project_id)])
    for name, ours, other in (
        ("1 client / peer", "1 client: ours", "1 client: eventsourcing"),
        ("1 client / bare", "1 client: ours", "1 client: bare INSERT"),
        ("32 threads / peer", "32 threads: ours", "8 threads: eventsourcing"),
        ("8 processes / peer", "8 processes: ours", "8 processes: eventsourcing"),
        ("8 processes / bare", "8 processes: ours", "8 processes: bare INSERT"),
    ):
        report.compare(GOALS[name], ours, other)
    return report


def _contestants(url: str, peer_url: str, bare_url: str, project_id: UUID, size: Size) -> dict[str, Any]:
    first = counting(1_000_000, 100_000)  # processes make their own events, from a number of their own
    return {
        "1 client: ours": lambda: ours(url, 1, size.tasks, project_id),
        "1 client: eventsourcing": lambda: peer(peer_url, 1, size.peer_tasks, project_id),
        "1 client: bare INSERT": lambda: bare(bare_url, next(first), size.tasks, project_id),
        "32 threads: ours": lambda: ours(url, THREADS, size.of_thread, project_id),
        "8 threads: eventsourcing": lambda: peer(peer_url, PEER_THREADS, size.of_peer, project_id),
        "8 processes: ours": lambda: in_processes(
            size.processes, our_process, url, next(first), size.of_process, project_id
        ),
        "8 processes: eventsourcing": lambda: in_processes(
            size.processes, peer_process, peer_url, next(first), size.of_peer, project_id
        ),
        "8 processes: bare INSERT": lambda: in_processes(
            size.processes, bare_process, bare_url, next(first), size.of_process, project_id
        ),
    }


def ours(url: str, threads: int, tasks: int, project_id: UUID) -> float:
    with connect(url, project=False) as tiu:
        events = [fresh_tasks(tasks, project_id) for _ in range(threads)]
        append_one_by_one(tiu, fresh_tasks(1, project_id))
        if threads == 1:
            return rate(len(events[0]), lambda: append_one_by_one(tiu, events[0]))
        return in_threads(threads, lambda number: append_one_by_one(tiu, events[number]))


def peer(url: str, threads: int, tasks: int, project_id: UUID) -> float:
    with peers.application(url, connections=max(5, threads)) as app:
        events = [fresh_tasks(tasks, project_id) for _ in range(threads)]
        exhaust(peers.save_one_by_one(app, fresh_tasks(1, project_id)))

        def save(number: int) -> int:
            exhaust(peers.save_one_by_one(app, events[number]))
            return len(events[number])

        return rate(len(events[0]), lambda: save(0)) if threads == 1 else in_threads(threads, save)


def bare(url: str, first: int, tasks: int, project_id: UUID) -> float:
    steps = bounds.insert_one_by_one(url, bare_rows(first, tasks, project_id))
    next(steps)
    return rate(tasks * TASK_EVENTS - 1, lambda: exhaust(steps))


def bare_rows(first: int, tasks: int, project_id: UUID) -> list[EventRow]:
    """Return whole rows, at positions of their own."""
    now = datetime.now(UTC)
    events = single_tasks(first, tasks, project_id)
    return [whole_row(event, first * 100 + number, now) for number, event in enumerate(events)]


def our_process(ready: Ready, number: int, url: str, first: int, tasks: int, project_id: UUID) -> int:
    with connect(url, project=False) as tiu:
        events = list(single_tasks(first + number * APART, tasks + 1, project_id))
        append_one_by_one(tiu, events[:TASK_EVENTS])
        ready()
        return append_one_by_one(tiu, events[TASK_EVENTS:])


def peer_process(ready: Ready, number: int, url: str, first: int, tasks: int, project_id: UUID) -> int:
    with peers.application(url, create=False) as app:
        events = list(single_tasks(first + number * APART, tasks + 1, project_id))
        exhaust(peers.save_one_by_one(app, events[:TASK_EVENTS]))
        ready()
        exhaust(peers.save_one_by_one(app, events[TASK_EVENTS:]))
        return tasks * TASK_EVENTS


def bare_process(ready: Ready, number: int, url: str, first: int, tasks: int, project_id: UUID) -> int:
    steps = bounds.insert_one_by_one(url, bare_rows(first + number * APART, tasks, project_id))
    next(steps)
    ready()
    exhaust(steps)
    return tasks * TASK_EVENTS - 1


def _on_sqlite(place: Place, size: Size) -> dict[str, list[float]]:
    """The same on SQLite, for which nothing is asked."""
    with place.sqlite() as url, place.sqlite() as peer_url:
        project_id = prepare(url).project_id
        contestants = {
            "SQLite, 1 client: ours": lambda: ours(url, 1, size.tasks, project_id),
            "SQLite, 1 client: eventsourcing": lambda: peer(peer_url, 1, size.peer_tasks, project_id),
            "SQLite, 32 threads: ours": lambda: ours(url, THREADS, size.of_thread, project_id),
        }
        return in_turn(contestants, size.rounds)


class Tail:
    """Reads a log from its start and as it grows, from a process of its own."""

    def __init__(self, url: str) -> None:
        self._end, self._faults = SPAWN.Value("q", -1), SPAWN.Queue()
        self._url = url
        self._process = SPAWN.Process(target=_read_on, args=(url, self._end, self._faults), daemon=True)
        self._process.start()

    def stop(self) -> int:
        """Let it read to the log's end, and return how many events it missed, saw twice or out of order."""
        with connect(self._url, project=False) as tiu:
            self._end.value = tiu.events.max_notification_id() or 0
        faults: int = self._faults.get(timeout=600)
        return faults

    def close(self) -> None:
        self._process.terminate()
        self._process.join()


def _read_on(url: str, end: Any, answer: Any) -> None:
    reader = Reader()
    with connect(url, project=False) as tiu:
        while not 0 <= end.value <= reader.position:
            if not reader.read(tiu):
                time.sleep(TAIL_SECONDS)
                if end.value >= 0 and not reader.read(tiu):
                    break  # what is missing at the end will not come any more
    answer.put(reader.faults + max(0, end.value - reader.position))


class Reader:
    """Where a reader has come to in a log, and how much of it was not as it should be."""

    def __init__(self) -> None:
        self.position = self.faults = 0
        self._versions: dict[UUID, int] = {}

    def read(self, tiu: Tiu) -> int:
        """Read the next page, and return how many events it had."""
        page = tiu.events.read(self.position, PAGE)
        for event in page:
            in_order = event.position == self.position + 1
            follows = event.version == self._versions.get(event.stream_id, 0) + 1
            self.faults += not (in_order and follows)
            self.position, self._versions[event.stream_id] = event.position, event.version
        return len(page)


def _restored(place: Place, bindir: Path, url: str, project_id: UUID) -> float:
    """Dump the log, restore it into a new cluster, append to it there, and return what a reader finds wrong."""
    clients = find_clients(place.server)
    with TemporaryDirectory(dir=place.folder) as folder, temporary_server(bindir) as server:
        dump, restored = Path(folder) / "dump", database_url(server, "restored")
        subprocess.run([clients / "pg_dump", "-Fc", "-f", dump, url], check=True)
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("CREATE DATABASE restored")
        subprocess.run([clients / "pg_restore", "-d", restored, dump], check=True)
        with connect(restored, project=False) as tiu:
            there = tiu.events.max_notification_id()
            reader = Reader()
            while reader.read(tiu):
                pass
            append_one_by_one(tiu, fresh_tasks(1, project_id))
            while reader.read(tiu):
                pass
            return float(reader.faults + abs(reader.position - (there or 0) - TASK_EVENTS))
