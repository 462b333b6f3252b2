"""A tailing reader sees every event once, in order, and passes none over, however many write."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from claude_tiu.infrastructure.event_store import EventStore
from tests.support.places import assert_chained
from tests.support.postgres_server import database_url, find_bindir, find_clients, new_database, temporary_server
from tests.support.stores import (
    Backend,
    PostgreSQLBackend,
    append_from_elsewhere,
    append_many,
    in_other_processes,
    place_of,
)

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


def test_of_threads_whose_appends_are_stored_together(backend: Backend) -> None:
    each, threads = 60, 32
    store = backend.events()

    def write() -> list[Seen]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda number: append_many(store, each, 1 + number % 3), range(threads)))

    follow(backend, threads * each, write)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_of_writing_processes(backend: Backend) -> None:
    each = 3_000
    place = place_of(backend)

    def write() -> list[Seen]:
        work = [(backend.name, place, each, 1 + number % 3) for number in range(WRITERS)]
        return in_other_processes(append_from_elsewhere, *work)

    follow(backend, WRITERS * each, write)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_of_writers_after_a_restore_into_a_new_cluster(postgresql: PostgreSQLBackend, tmp_path: Path) -> None:
    """Positions go on where they were, whatever the new cluster counts by itself."""
    first = append_many(postgresql.events(), 1_000)
    bindir = find_bindir()
    assert bindir is not None
    clients, dump = find_clients(postgresql.url), tmp_path / "events.dump"
    subprocess.run([clients / "pg_dump", "--format=custom", f"--file={dump}", postgresql.url], check=True)
    with temporary_server(bindir) as server, new_database(server, "restored") as name:
        url = database_url(server, name)
        subprocess.run([clients / "pg_restore", "--exit-on-error", f"--dbname={url}", dump], check=True)
        with closing(PostgreSQLBackend(url)) as restored:
            place = place_of(restored)

            def write() -> list[Seen]:
                work = [(restored.name, place, 500, 1 + number % 3) for number in range(WRITERS)]
                return [first, *in_other_processes(append_from_elsewhere, *work)]

            follow(restored, 1_000 + WRITERS * 500, write)
            assert_chained(restored.events().read_rows(0, 10_000))
