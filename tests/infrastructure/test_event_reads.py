"""The event store's contract, the reads of an auditor: by stream, by project, by command, by correlation, by causation.

Each is answered through an index, where there are 20,000 events.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from claude_tiu.infrastructure.event_store import READ_BYTES, EventRow, EventStore
from claude_tiu.infrastructure.sql import for_psycopg, statements
from tests.support.stores import Backend, SQLiteBackend, append, event

A, B, C, D = (UUID(int=n) for n in range(1, 5))
COMMAND = UUID(int=9)
EVERYTHING = 1_000

Read = Callable[[EventStore, int, int], list[EventRow]]
READS: dict[str, Read] = {
    "stream": lambda store, after, limit: store.read_rows_of_stream(A, after, limit),
    "project": lambda store, after, limit: store.read_rows_of_project(C, after, limit),
    "command": lambda store, after, limit: store.read_rows_related("command", COMMAND, after, limit),
    "correlation": lambda store, after, limit: store.read_rows_related("correlation", "order-1", after, limit),
    "causation": lambda store, after, limit: store.read_rows_related("causation", "cause-1", after, limit),
}
LIKE: dict[str, dict[str, Any]] = {
    "stream": {},
    "project": {"project_id": C},
    "command": {"command_id": COMMAND, "command_digest": b"digest"},
    "correlation": {"correlation_id": "order-1"},
    "causation": {"causation_id": "cause-1"},
}
"""What an event has that each of them finds."""


def positions(rows: list[EventRow]) -> list[int]:
    return [row.position for row in rows]


@pytest.fixture
def store(events: EventStore) -> EventStore:
    """Events 1, 3, 5 of stream A are of everything that is asked for; 2 and 4, of stream B, of something near it."""
    mine: dict[str, Any] = {**LIKE["project"], **LIKE["command"], **LIKE["correlation"], **LIKE["causation"]}
    near: dict[str, Any] = {
        "project_id": D,
        "command_id": uuid4(),
        "correlation_id": "Order-1",
        "causation_id": "cause-1x",
        "command_digest": b"digest",
    }
    append(
        events,
        event(A, 1, **mine, actor="ada", key_id=D),
        event(B, 1, **near),
        event(A, 2, **mine),
        event(B, 2, **near),
        event(A, 3, **mine),
    )
    return events


@pytest.mark.parametrize("read", READS.values(), ids=READS)
class TestEveryRead:
    def test_it_gives_its_own_whole_rows_in_order(self, store: EventStore, read: Read) -> None:
        rows = [row for row in store.read_rows(0, 10) if row.stream_id == A]
        assert read(store, 0, EVERYTHING) == rows
        assert positions(rows) == [1, 3, 5]

    def test_it_goes_on_behind_any_row_and_gives_no_more_than_the_limit(self, store: EventStore, read: Read) -> None:
        found: list[int] = []
        after = 0
        while rows := read(store, after, 1):
            assert len(rows) == 1
            found += positions(rows)
            after = rows[-1].version if read is READS["stream"] else rows[-1].position
        assert found == [1, 3, 5]

    def test_it_gives_nothing_of_an_empty_log(self, events: EventStore, read: Read) -> None:
        assert read(events, 0, EVERYTHING) == []


@pytest.mark.parametrize("name", READS)
def test_bodies_beyond_what_is_read_at_once_wait_for_the_next_read(events: EventStore, name: str) -> None:
    half = b"x" * (READ_BYTES // 2 + 1)
    append(events, *(event(A, version, state=half, **LIKE[name]) for version in (1, 2, 3)))
    assert positions(READS[name](events, 0, EVERYTHING)) == [1, 2]
    assert positions(READS[name](events, 2, EVERYTHING)) == [3]


def test_bodies_of_the_log_beyond_what_is_read_at_once_wait_for_the_next_read(events: EventStore) -> None:
    half = b"x" * (READ_BYTES // 2 + 1)
    append(events, *(event(A, version, state=half) for version in (1, 2, 3)), event(A, 4, state=half + half))
    found = [[event.position for event in events.read(after, EVERYTHING)] for after in (0, 2, 3, 4)]
    assert found == [[1, 2], [3, 4], [4], []], "one at the least, and one that goes beyond it as the last"


def test_events_are_read_at_any_positions_in_order(store: EventStore) -> None:
    assert store.read_at([4, 1, 2]) == [event for event in store.read(0, 10) if event.position in (1, 2, 4)]
    assert store.read_at([]) == store.read_at([6, 99]) == []


def test_bodies_at_positions_beyond_what_is_read_at_once_wait_for_the_next_read(events: EventStore) -> None:
    half = b"x" * (READ_BYTES // 2 + 1)
    append(events, *(event(A, version, state=half) for version in (1, 2, 3)))
    assert [found.position for found in events.read_at([1, 2, 3])] == [1, 2]
    assert [found.position for found in events.read_at([3])] == [3]


def test_positions_are_those_of_a_project_and_of_streams_each_once(store: EventStore) -> None:
    assert store.positions_of(C, ()) == store.positions_of(None, [A]) == store.positions_of(C, [A]) == [1, 3, 5]
    assert store.positions_of(C, [A, B]) == [1, 2, 3, 4, 5]
    assert store.positions_of(None, ()) == store.positions_of(A, [C]) == []


def test_streams_about_a_person_hold_what_is_encrypted_under_their_key(store: EventStore) -> None:
    assert store.streams_about([D, A]) == [A]
    assert store.streams_about([A]) == store.streams_about(()) == []


STATEMENTS: dict[str, dict[str, Any]] = {
    "read_rows_of_stream": {"stream_id": A},
    "read_rows_of_project": {"project_id": C},
    "read_rows_of_command": {"id": COMMAND},
    "read_rows_of_correlation": {"id": "order-1"},
    "read_rows_of_causation": {"id": "cause-1"},
    "read_at": {"positions": [1, 7, 9]},
    "positions_of": {"project_id": C, "stream_ids": [A, B]},
    "streams_about": {"person_ids": [A, B]},
}
INDEXES = {
    "read_rows_of_stream": {"events_stream_id_version_key", "sqlite_autoindex_events_1"},
    "read_rows_of_project": {"events_project_id"},
    "read_rows_of_command": {"events_command_id"},
    "read_rows_of_correlation": {"events_correlation_id"},
    "read_rows_of_causation": {"events_causation_id"},
    "read_at": {"events_pkey", "INTEGER PRIMARY KEY"},
    "positions_of": {"events_project_id"},
    "streams_about": {"events_key_id"},
}
FILL = """
    INSERT INTO events (position, stream_id, version, topic, state, recorded_at, command_id, correlation_id,
                        causation_id, project_id, key_id, previous_hash, hash)
    SELECT n, {id}, n, 'test', {empty}, '2026-03-01T12:00:00.000000Z', {command}, 'order-' || n % 500,
           'cause-' || n % 500, {id}, {id}, {empty}, {empty}
    FROM numbers
"""
"""Of one in five hundred: of one in a few, to walk the log is as good, and PostgreSQL knows that."""
ID = "'00000000-0000-0000-0000-000000000' || substr('00' || n % 500, length('' || n % 500))"
COMMAND_ID = "'00000000-0000-0000-0000-0000000' || substr('0000' || n, length('' || n))"


@pytest.fixture
def full(backend: Backend) -> Backend:
    """20,000 events, put there behind the store's back."""
    if isinstance(backend, SQLiteBackend):
        numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)"
        backend.on_events(numbers + FILL.format(id=ID, command=COMMAND_ID, empty="x''"))
        return backend
    numbers = "WITH numbers (n) AS (SELECT generate_series(1, 20000))"
    fill = FILL.format(id=f"({ID})::uuid", command=f"({COMMAND_ID})::uuid", empty="''::bytea").replace(
        "Z',", "Z'::timestamptz,"
    )
    with psycopg.connect(backend.url, autocommit=True) as session:
        session.execute((numbers + fill).encode())
        session.execute("ANALYZE events")
    return backend


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_is_read_through_its_index(full: Backend, name: str) -> None:
    for plan in _plans(full, name):
        assert any(index in plan for index in INDEXES[name]), plan
        assert "Seq Scan" not in plan, plan
        assert "SCAN events" not in plan, plan


def _json(values: list[Any]) -> str:
    return json.dumps([value if isinstance(value, int) else str(value) for value in values])


def _plans(backend: Backend, name: str) -> list[str]:
    """Return the plans of a statement, as text: on PostgreSQL the one for these parameters, and the one for any."""
    parameters: dict[str, Any] = {**STATEMENTS[name], "after": 100, "limit": 100}
    if isinstance(backend, SQLiteBackend):
        values = {name: _json(value) if isinstance(value, list) else str(value) for name, value in parameters.items()}
        with closing(sqlite3.connect(backend.path)) as connection:
            lines = connection.execute("EXPLAIN QUERY PLAN " + statements("sqlite/events.sql")[name], values)
            return ["\n".join(line[3] for line in lines)]
    text = for_psycopg(statements("postgresql/events.sql")[name])
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for number, parameter in enumerate(names, 1):
        text = text.replace(f"%({parameter})s", f"${number}")
    plans = []
    with psycopg.connect(backend.url) as session:
        session.execute(f"PREPARE asked AS {text}".encode())
        for mode in ("force_custom_plan", "force_generic_plan"):
            session.execute(f"SET plan_cache_mode = {mode}".encode())
            given = [(parameters | {"bytes": READ_BYTES})[parameter] for parameter in names]
            marks = ", ".join(["%s"] * len(names))
            rows = psycopg.ClientCursor(session).execute(f"EXPLAIN EXECUTE asked({marks})".encode(), given).fetchall()
            plans.append("\n".join(str(row[0]) for row in rows))
    return plans
