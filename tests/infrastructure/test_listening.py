"""The event store's contract, push: a listener wakes on the appends of any process, and outlives its connection."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.event_store import EventStore, Listener
from claude_tiu.infrastructure.postgresql.connections import Connection, connect
from tests.support.stores import (
    Backend,
    PostgreSQLBackend,
    append,
    append_from_elsewhere,
    event,
    in_other_processes,
    place_of,
)

SOON = 30.0
"""Within this a wait that was woken has returned, on a busy machine too; one that was not waits four times as long."""
LONG = 120.0


@contextmanager
def waiting(listener: Listener, timeout: float = LONG) -> Iterator[list[float]]:
    """Wait in a thread while the block runs, then join; gives how long after the block's end the wait returned."""
    took: list[float] = []
    thread = threading.Thread(target=lambda: listener.wait(timeout))
    thread.start()
    time.sleep(0.1)  # it is waiting by now; if not, the test is easier, never false
    yield took
    begun = time.monotonic()
    thread.join()
    took.append(time.monotonic() - begun)


@pytest.fixture
def listener(events: EventStore) -> Iterator[Listener]:
    with closing(events.listen()) as made:
        yield made


def test_an_append_of_this_store_wakes_it(events: EventStore, listener: Listener) -> None:
    with waiting(listener) as took:
        append(events, event())
    assert took[0] < SOON


def test_an_append_of_another_store_wakes_it(backend: Backend, listener: Listener) -> None:
    other = backend.events()
    with waiting(listener) as took:
        append(other, event())
    assert took[0] < SOON


def test_an_append_of_another_process_wakes_it(backend: Backend, listener: Listener) -> None:
    with waiting(listener) as took:
        in_other_processes(append_from_elsewhere, (backend.name, place_of(backend), 1))
    assert took[0] < SOON


def test_what_was_appended_before_the_wait_is_not_slept_through(events: EventStore, listener: Listener) -> None:
    append(events, event())
    begun = time.monotonic()
    listener.wait(LONG)
    assert time.monotonic() - begun < SOON


def test_a_wait_that_nothing_wakes_ends_with_its_time(listener: Listener) -> None:
    for _ in range(2):
        begun = time.monotonic()
        listener.wait(0.2)
        assert 0.15 < time.monotonic() - begun < SOON


def test_waking_it_ends_its_wait_from_another_thread(listener: Listener) -> None:
    with waiting(listener) as took:
        listener.wake()
    assert took[0] < SOON


def test_a_refused_append_tells_nobody(events: EventStore, listener: Listener) -> None:
    stream = event()
    append(events, stream)
    listener.wait(LONG)
    append(events, stream._replace(version=2), guards={stream.stream_id: 7})
    begun = time.monotonic()
    listener.wait(0.3)
    assert time.monotonic() - begun < SOON  # at once or after its time: never an error


def test_each_listener_is_woken(events: EventStore) -> None:
    listeners = [events.listen() for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        waits = [pool.submit(one.wait, LONG) for one in listeners]
        time.sleep(0.1)
        begun = time.monotonic()
        append(events, event())
        for wait in waits:
            wait.result()
    assert time.monotonic() - begun < SOON
    for one in listeners:
        one.close()


def test_closing_twice_and_waking_what_is_closed_are_nothing(listener: Listener) -> None:
    listener.close()
    listener.close()
    listener.wake()


def test_listeners_may_come_and_go_while_others_append(events: EventStore) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            events.listen().close()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(50):
            append(events, event())
    finally:
        stop.set()
        thread.join()


class TestPostgreSQLsConnection:
    def test_a_killed_one_ends_no_wait_in_an_error_and_is_made_anew(self, postgresql: PostgreSQLBackend) -> None:
        store, other = postgresql.events(), postgresql.events()
        with closing(store.listen()) as listener:
            with waiting(listener) as took:
                assert postgresql.terminate_connections(listening=True) == 1
            assert took[0] < SOON
            listener.wait(0)  # connects again
            with waiting(listener) as took:
                append(other, event())
            assert took[0] < SOON

    def test_what_was_appended_while_nobody_listened_is_not_slept_through(self, postgresql: PostgreSQLBackend) -> None:
        store, other = postgresql.events(), postgresql.events()
        with closing(store.listen()) as listener:
            postgresql.terminate_connections(listening=True)
            append(other, event())
            begun = time.monotonic()
            listener.wait(LONG)
            assert time.monotonic() - begun < SOON

    def test_waking_ends_a_wait_while_the_server_is_away(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from claude_tiu.infrastructure.postgresql import event_store

        def gone(url: str) -> None:
            raise StoreUnavailable("gone")

        with closing(postgresql.events().listen()) as listener:
            monkeypatch.setattr(event_store, "connect", gone)
            postgresql.terminate_connections(listening=True)
            listener.wait(0.1)
            begun = time.monotonic()
            listener.wait(0.2)
            assert 0.15 < time.monotonic() - begun < SOON  # a pause, not a busy loop
            with waiting(listener) as took:
                listener.wake()
            assert took[0] < SOON

    def test_one_that_is_killed_before_it_listens_is_told_as_a_store_that_is_away(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from claude_tiu.infrastructure.postgresql import event_store

        kills, made = [True], list[Connection]()

        def made_and_killed(url: str) -> Connection:
            made.append(connect(url))
            if kills[0]:
                postgresql.on_events("SELECT pg_terminate_backend(?, 10000)", made[-1].info.backend_pid)
            return made[-1]

        monkeypatch.setattr(event_store, "connect", made_and_killed)
        store = postgresql.events()
        with pytest.raises(StoreUnavailable, match="terminating connection"):
            store.listen()
        assert made[0].closed
        kills[0] = False
        with closing(store.listen()) as listener:
            assert isinstance(listener, event_store.PostgreSQLListener)
            kills[0] = True
            made[-1].close()
            with pytest.raises(StoreUnavailable, match="terminating connection"), listener.session():
                pytest.fail("there is no session")
            assert made[-1].closed
            kills[0] = False
            with listener.session() as connection:
                assert not connection.closed

    def test_it_works_in_a_process_with_very_many_open_files(self, postgresql: PostgreSQLBackend) -> None:
        """select() takes no file number above 1,023."""
        store, held = postgresql.events(), list[int]()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4_096), hard))
        try:
            while not held or held[-1] < 1_100:
                held.append(os.open(os.devnull, os.O_RDONLY))
            with closing(store.listen()) as listener:
                with waiting(listener) as took:
                    append(store, event())
                assert took[0] < SOON
        finally:
            for number in held:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
