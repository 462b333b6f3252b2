"""Concurrent clients of one database: threads of one connection, of several, and of several processes.

The processes live on from one program to the next and are driven over pipes, so that a program costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import UUID

from claude_tiu import Command, Refused, Tiu, connect
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.mapper import decode
from tests.support.concurrent.linearisable import Call, Entry, Failure, Refusal

Client = Sequence[Sequence[Command]]
"""The units that a client gives, one call after the other."""
Seen = tuple[UUID, int, int]
"""Of an event: its stream, version and position."""
LEAD = 2_000_000
"""How many nanoseconds before they begin clients are told to, so that they begin together."""
PATIENCE = 60.0


class Given(NamedTuple):
    """A client's number, its calls, and when it is to begin (nanoseconds of the host's monotonic clock)."""

    number: int
    client: Client
    begin: int


def call(tiu: Tiu, client: int, unit: Sequence[Command]) -> Call:
    """Execute a unit, and note when, and what came of it."""
    outcome: Any
    invoked = time.monotonic_ns()
    try:
        outcome = tiu.execute_all(unit)
    except Refused as refusal:
        outcome = Refusal(refusal.code, refusal.details)
    except BaseException as error:  # noqa: BLE001 - the history tells of it
        outcome = Failure(f"{type(error).__name__}: {error}")
    return Call(client, unit, invoked, time.monotonic_ns(), outcome)


def perform(works: Sequence[tuple[Tiu, Given]]) -> list[Call]:
    """Run clients, each in a thread of its own, and return all their calls."""
    made: list[Call] = []

    def run(tiu: Tiu, given: Given) -> None:
        while (left := given.begin - time.monotonic_ns()) > 0:
            time.sleep(left / 2e9 if left > 200_000 else 0)
        for unit in given.client:
            made.append(call(tiu, given.number, unit))

    threads = [threading.Thread(target=run, args=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


class Tail(threading.Thread):
    """Follows the log from its beginning, in one of the ways of reading it, until it is told to end."""

    def __init__(self, store: EventStore, *, notified: bool) -> None:
        super().__init__(daemon=True)
        self._store, self._notified = store, notified
        self._seen: list[Seen] = []
        self._ending = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ending.is_set():
            found = self._read(self._seen[-1][2] if self._seen else 0)
            self._seen += found
            if not found:
                time.sleep(0.002)

    def _read(self, after: int) -> list[Seen]:
        if self._notified:  # the library's way of reading the log
            notifications = self._store.select_notifications(after, 10, inclusive_of_start=False)
            return [(UUID(str(one.originator_id)), one.originator_version, one.id) for one in notifications]
        return [(row.stream_id, row.version, row.position) for row in self._store.read(after, 10)]

    def end(self, last: int) -> list[Seen]:
        """Return all that was seen, once it has come to a position, or has long seen nothing."""
        deadline = time.monotonic() + PATIENCE
        while last and not (self._seen and self._seen[-1][2] >= last) and time.monotonic() < deadline:
            time.sleep(0.001)
        self._ending.set()
        self.join()
        return self._seen


def serve(pipe: Any) -> None:
    """Do in a process of its own what comes over a pipe: (what, its arguments), answered each."""
    with ExitStack() as opened:
        tiu: Tiu
        tail: Tail
        while True:
            what, arguments = pipe.recv()
            match what:
                case "open":
                    tiu = opened.enter_context(connect(*arguments, project=False))
                    pipe.send(None)
                case "perform":
                    pipe.send(perform([(tiu, given) for given in arguments]))
                case "tail":
                    reader = opened.enter_context(connect(*arguments, project=False))
                    tail = Tail(reader.events, notified=False)
                    pipe.send(None)
                case "end":
                    pipe.send(tail.end(*arguments))
                case "close":
                    opened.close()
                    pipe.send(None)
                case "leave":
                    return


class Worker:
    """A process that executes what it is told to."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def send(self, what: str, *arguments: Any) -> None:
        self._pipe.send((what, arguments))

    def receive(self) -> Any:
        """Return the answer to the oldest thing sent that has not been asked for. Raises EOFError from a dead one."""
        if not self._pipe.poll(4 * PATIENCE):
            raise TimeoutError("a worker does not answer")
        return self._pipe.recv()

    def ask(self, what: str, *arguments: Any) -> Any:
        self.send(what, *arguments)
        return self.receive()

    def leave(self) -> None:
        self.send("leave")
        self._process.join(PATIENCE)
        self._process.close()


class Clients(ABC):
    """Those that work on one database, wherever they run; a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened = ExitStack()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, clients: Sequence[Client], delays: Sequence[int] = ()) -> list[Call]:
        """Run clients at once, each so many nanoseconds behind the first; return all their calls."""
        begin = time.monotonic_ns() + LEAD
        late = [*delays, *[0] * len(clients)]
        return self._perform([Given(number, client, begin + late[number]) for number, client in enumerate(clients)])

    @abstractmethod
    def _perform(self, given: Sequence[Given]) -> list[Call]: ...


class Threads(Clients):
    """Of one process: all share `connections` connections."""

    def __init__(self, url: str, connections: int) -> None:
        super().__init__(url)
        self._tius = [self._opened.enter_context(connect(url, project=False)) for _ in range(connections)]

    def _perform(self, given: Sequence[Given]) -> list[Call]:
        return perform([(self._tius[one.number % len(self._tius)], one) for one in given])


class Processes(Clients):
    """Of several processes, in each of which they share a connection."""

    def __init__(self, url: str, workers: Sequence[Worker]) -> None:
        super().__init__(url)
        self._workers = workers
        for worker in workers:
            worker.ask("open", url)
            self._opened.callback(worker.ask, "close")

    def _perform(self, given: Sequence[Given]) -> list[Call]:
        count = len(self._workers)
        for number, worker in enumerate(self._workers):
            worker.send("perform", *given[number::count])
        return [one for worker in self._workers for one in worker.receive()]


WAYS: dict[str, Callable[[str, Sequence[Worker]], Clients]] = {
    "threads": lambda url, workers: Threads(url, 1),
    "connections": lambda url, workers: Threads(url, 4),
    "processes": Processes,
}
"""The ways in which clients run at once."""
KINDS = {"threads": "clients_in_threads", "connections": "clients_in_threads", "processes": "clients_in_processes"}
"""What tests/support/faults.py calls each."""


def read_log(store: EventStore, after: int) -> list[Entry]:
    """Return the log behind a position."""
    rows = store.read_rows(after, 1_000_000)
    keys = store.keys({row.key_id for row in rows if row.key_id is not None})
    return [
        Entry(
            row.position,
            row.stream_id,
            row.version,
            row.project_id,
            row.command_id,
            decode(row.topic, row.state, row.stream_id, row.version, keys.get(row.key_id) if row.key_id else None),
            row.key_id is None or row.key_id in keys,
        )
        for row in rows
    ]
