"""A tailing reader sees every event once, in order, and passes none over, however many write."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.concurrent.clients import Seen, Tail
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


def follow(backend: Backend, count: int, write: Callable[[], list[list[Seen]]]) -> None:
    """Tail the log while `write` writes `count` events, and compare what was seen with what was stored."""
    tails = [Tail(backend.events(), notified=notified) for notified in (True, False)]
    stored = sorted((one for part in write() for one in part), key=lambda one: one[2])
    assert [position for _, _, position in stored] == list(range(1, count + 1))
    for tail in tails:
        assert tail.end(count) == stored


def test_of_writing_threads(backend: Backend) -> None:
    each = 250
    stores = [backend.events() for _ in range(WRITERS)]

    def write() -> list[list[Seen]]:
        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(lambda one: append_many(one[1], each, 1 + one[0] % 3), enumerate(stores)))

    follow(backend, WRITERS * each, write)


def test_of_threads_whose_appends_are_stored_together(backend: Backend) -> None:
    each, threads = 60, 32
    store = backend.events()

    def write() -> list[list[Seen]]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda number: append_many(store, each, 1 + number % 3), range(threads)))

    follow(backend, threads * each, write)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_of_writing_processes(backend: Backend) -> None:
    each = 3_000
    place = place_of(backend)

    def write() -> list[list[Seen]]:
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

            def write() -> list[list[Seen]]:
                work = [(restored.name, place, 500, 1 + number % 3) for number in range(WRITERS)]
                return [first, *in_other_processes(append_from_elsewhere, *work)]

            follow(restored, 1_000 + WRITERS * 500, write)
            assert_chained(restored.events().read_rows(0, 10_000))
