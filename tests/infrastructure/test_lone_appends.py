"""What appends where nobody else does: one bare statement on a connection that is kept for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import UUID

import psycopg
import pytest

from claude_tiu.infrastructure.errors import ConnectionClosed, StoreUnavailable
from claude_tiu.infrastructure.event_store import EventStore, Stored
from claude_tiu.infrastructure.postgresql import appending, event_store
from claude_tiu.infrastructure.postgresql.connections import Connection, Connections
from claude_tiu.infrastructure.postgresql.wire import execute
from tests.support.places import assert_chained
from tests.support.stores import PostgreSQLBackend, append, event, until_waiting

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
TURNSTILE = """
CREATE FUNCTION wait_for_turn() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(42);
    RETURN NEW;
END $$;
CREATE TRIGGER turnstile BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION wait_for_turn()
"""
INTRUDE = """
INSERT INTO events (position, stream_id, version, topic, state, recorded_at, previous_hash, hash)
SELECT position, stream_id, version, topic, state, recorded_at, previous_hash, event_hash(intruder.*::events)
FROM (
    SELECT position + 1 AS position, %s::uuid AS stream_id, %s::integer AS version, topic, state, recorded_at,
           NULL::uuid AS command_id, NULL::bytea AS command_digest, NULL AS correlation_id, NULL AS causation_id,
           NULL AS actor, NULL::uuid AS project_id, NULL::uuid AS key_id, hash AS previous_hash, NULL::bytea AS hash
    FROM events ORDER BY position DESC LIMIT 1
) AS intruder
"""


@pytest.fixture
def connections(postgresql: PostgreSQLBackend) -> Iterator[Connections]:
    with closing(Connections(postgresql.url, max_size=2, timeout=20, recycle=3600)) as made:
        yield made


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that append, as they are executed."""
    names: list[str] = []

    def noting(connection: Connection, name: str, parameters: list[bytes | None]) -> object:
        names.append(name)
        return execute(connection, name, parameters)

    monkeypatch.setattr(appending, "execute", noting)
    return names


def plans(connection: Connection) -> tuple[str, str]:
    ((mode, seqscan),) = connection.execute(
        "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"
    )
    return mode, seqscan


KEPT, ANY = ("force_generic_plan", "off"), ("auto", "on")


class TestTheKeptConnection:
    def test_is_the_same_each_time_and_no_other_has_its_settings(self, connections: Connections) -> None:
        with connections.hot() as kept:
            assert plans(kept) == KEPT
            with connections.hot() as another:
                assert plans(another) == ANY
        with connections.hot() as again:
            assert again is kept
        with connections.using() as one:
            assert one is not kept
            assert plans(one) == ANY

    def test_goes_when_its_time_has_come(self, postgresql: PostgreSQLBackend) -> None:
        with closing(Connections(postgresql.url, max_size=2, timeout=20, recycle=0.2)) as connections:
            with connections.hot() as old:
                pass
            while time.monotonic() <= old.kept_until:
                time.sleep(0.01)
            with connections.hot() as kept, connections.using() as other:
                assert kept is not old
                assert plans(kept) == KEPT
                assert plans(other) == ANY
            assert old.closed

    def test_is_not_kept_where_the_pool_has_no_other(self, postgresql: PostgreSQLBackend) -> None:
        with closing(Connections(postgresql.url, max_size=1, timeout=20, recycle=3600)) as connections:
            with connections.hot() as one:
                assert plans(one) == ANY
            with connections.using():
                pass

    def test_is_replaced_when_it_is_lost(self, postgresql: PostgreSQLBackend) -> None:
        store = postgresql.events()
        append(store, event(A))
        assert postgresql.terminate_connections()
        with pytest.raises(StoreUnavailable):
            append(store, event(A, 2), guards={A: 1})
        assert append(store, event(A, 2), guards={A: 1}) == Stored(2)

    def test_does_not_go_on_with_what_was_left_open(self, connections: Connections) -> None:
        with connections.hot() as kept:
            kept.execute("BEGIN")
        with connections.hot() as another:
            assert another is not kept
            assert plans(another) == KEPT
        assert kept.closed

    def test_is_closed_with_the_pool(self, connections: Connections) -> None:
        with connections.hot() as free:
            pass
        connections.close()
        assert free.closed
        with pytest.raises(ConnectionClosed), connections.hot():
            pass


class TestTheBareStatement:
    @pytest.fixture
    def store(self, postgresql: PostgreSQLBackend) -> EventStore:
        store = postgresql.events()
        append(store, event(A), event(B))
        return store

    def test_stores_what_is_guarded_by_its_own_stream_and_one_more(self, store: EventStore, used: list[str]) -> None:
        assert append(store, event(A, 2), guards={A: 1}) == Stored(3)
        assert append(store, event(A, 3), guards={A: 2, B: 1}) == Stored(4)
        assert used == ["insert_one", "insert_one_guarded"]
        assert_chained(store.read_rows(0, 10))

    def test_is_not_used_for_a_second_after_others_appended(
        self, postgresql: PostgreSQLBackend, store: EventStore, used: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_store, "CROWDED_SECONDS", 3600.0)  # however slow the machine is
        with ThreadPoolExecutor(1) as pool:
            with postgresql.events().exclusive():
                waiting = pool.submit(append, store, event(A, 2), guards={A: 1})
                until_waiting(postgresql)
            assert waiting.result(20) == Stored(3)
        assert append(store, event(A, 3), guards={A: 2}) == Stored(4)
        assert used == ["insert_one", "append_one", "append_one_crowded"]

    @pytest.mark.parametrize(("stream", "version", "stored"), [(C, 1, True), (A, 2, False), (B, 2, False)])
    def test_lets_go_where_something_was_appended_behind_its_snapshot(
        self,
        postgresql: PostgreSQLBackend,
        store: EventStore,
        used: list[str],
        stream: UUID,
        version: int,
        stored: bool,
    ) -> None:
        """Whoever appends holds the lock: here somebody does not, so that the lock cannot tell."""
        postgresql.on_events(TURNSTILE)
        with ThreadPoolExecutor(1) as pool, psycopg.connect(postgresql.url) as intruder:
            intruder.execute("SELECT pg_advisory_xact_lock(42)")
            waiting = pool.submit(append, store, event(A, 2), guards={A: 1, B: 1})
            until_waiting(postgresql)
            intruder.execute(INTRUDE, (stream, version))
            intruder.commit()
            outcome = waiting.result(20)
        assert isinstance(outcome, Stored) is stored
        assert used[:2] == ["insert_one_guarded", "append_one"]
        assert_chained(store.read_rows(0, 10))
