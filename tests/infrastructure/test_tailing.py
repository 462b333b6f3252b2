"""A tailing reader sees every event once, in order, and passes none over, however many write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from claude_tiu.infrastructure.event_store import EventStore
from tests.support.stores import Backend, append_from_elsewhere, append_many, in_other_processes, place_of

WRITERS = 8
Seen = list[tuple[UUID, int, int]]
Batch = Callable[[EventStore, int], Seen]


def notified(store: EventStore, after: int) -> Seen:
    """The library's way of reading the log."""
    found = store.select_notifications(after, 100, inclusive_of_start=False)
    return [(UUID(str(one.originator_id)), one.originator_version, one.id) for one in found]


def read(store: EventStore, after: int) -> Seen:
    """Our own."""
    return [(row.stream_id, row.version, row.position) for row in store.read(after, 100)]


class Tail(threading.Thread):
    """Follows the log until it has seen `count` events, or until nothing comes any more though the writers are done."""

    def __init__(self, store: EventStore, batch: Batch, count: int, written: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seen: Seen = []
        self._store, self._batch, self._count, self._written = store, batch, count, written

    def run(self) -> None:
        while len(self.seen) < self._count:
            done = self._written.is_set()
            found = self._batch(self._store, self.seen[-1][2] if self.seen else 0)
            self.seen += found
            if not found and done:
                return
            if not found:
                time.sleep(0.001)


def follow(backend: Backend, count: int, write: Callable[[], list[Seen]]) -> None:
    """Tail the log while `write` writes `count` events, and compare what was seen with what was stored."""
    written = threading.Event()
    tails = [Tail(backend.events(), batch, count, written) for batch in (notified, read)]
    for tail in tails:
        tail.start()
    try:
        stored = sorted((one for part in write() for one in part), key=lambda one: one[2])
    finally:
        written.set()
    for tail in tails:
        tail.join(60)
    assert [position for _, _, position in stored] == list(range(1, count + 1))
    for tail in tails:
        assert tail.seen == stored


def test_of_writing_threads(backend: Backend) -> None:
    each = 250
    stores = [backend.events() for _ in range(WRITERS)]

    def write() -> list[Seen]:
        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(lambda one: append_many(one[1], each, 1 + one[0] % 3), enumerate(stores)))

    follow(backend, WRITERS * each, write)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_of_writing_processes(backend: Backend) -> None:
    each = 3_000
    place = place_of(backend)

    def write() -> list[Seen]:
        work = [(backend.name, place, each, 1 + number % 3) for number in range(WRITERS)]
        return in_other_processes(append_from_elsewhere, *work)

    follow(backend, WRITERS * each, write)
