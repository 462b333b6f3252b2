"""The event store's contract, the rows: times never fall, Python can check the hash chain, values may hold anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import EventRow, EventStore, NewEvent, Stored, Unit
from claude_tiu.infrastructure.postgresql import event_store as postgresql_event_store
from claude_tiu.infrastructure.sqlite import event_store as sqlite_event_store
from claude_tiu.infrastructure.sqlite.values import time_text
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS, Backend, PostgreSQLBackend, SQLiteBackend, append, event, new_backend


def verify(rows: Sequence[EventRow], previous: bytes = NO_EVENT) -> None:
    """Check the chain as an auditor would: by Python, from the rows alone."""
    for row in rows:
        assert row.previous_hash == previous
        assert row.hash == event_hash(row.previous_hash, *row[:-2])
        previous = row.hash


# What a column can hold: text is stored as PostgreSQL's is, without NUL and lone surrogates.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
any_bytes = st.binary(max_size=60)
new_events = st.builds(
    NewEvent,
    stream_id=st.uuids(),
    version=st.just(1),
    topic=texts,
    state=any_bytes,
    command_id=st.none() | st.uuids(),
    command_digest=st.none() | any_bytes,
    correlation_id=st.none() | texts,
    causation_id=st.none() | texts,
    actor=st.none() | texts,
    project_id=st.none() | st.uuids(),
    key_id=st.none() | st.uuids(),
)


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    """One store for all examples of a property: they append to the same log."""
    place: Path | str = tmp_path_factory.mktemp("rows") / "tiu.db"
    if request.param == "postgresql":
        place = request.getfixturevalue("pg_module_url")
    with new_backend(request.param, place) as backend:
        yield backend.events()


@pytest.fixture(scope="module")
def pg_module_url(pg_server: str, pg_template: str) -> Iterator[str]:
    """The database of this module's own, not of each test."""
    with new_database(pg_server, "rows", template=pg_template) as name:
        yield database_url(pg_server, name)


@settings(max_examples=60)
@given(st.lists(new_events, min_size=1, max_size=4, unique_by=lambda new: new.stream_id))
def test_rows_hold_any_bytes_and_text_and_chain_as_python_computes(shared: EventStore, new: list[NewEvent]) -> None:
    last = shared.max_notification_id() or 0
    fresh = [one._replace(stream_id=uuid4(), command_id=one.command_id and uuid4()) for one in new]  # on one log
    assert append(shared, *fresh) == Stored(last + 1)

    rows = shared.read_rows(last, 10)
    assert [row.position for row in rows] == list(range(last + 1, last + 1 + len(fresh)))
    assert [(*row[1:5], *row[6:13]) for row in rows] == fresh
    verify(rows, shared.hash_at(last) or NO_EVENT)
    assert [row.state for row in shared.load(fresh[0].stream_id)] == [fresh[0].state]


OPTIONAL: dict[str, Any] = {
    "command_id": UUID(int=7),
    "command_digest": b"\xff" * 32,
    "correlation_id": "Ünïcödé ☃ 𝄞",
    "causation_id": "",
    "actor": "agent/7",
    "project_id": UUID(int=8),
    "key_id": UUID(int=9),
}


def test_each_column_is_chained_whether_it_is_null_or_not(events: EventStore) -> None:
    for column, value in OPTIONAL.items():
        last = events.max_notification_id() or 0
        without = {name: other for name, other in OPTIONAL.items() if name not in (column, "command_id")}
        append(events, event(**{column: value}), event(**without), event())
        rows = events.read_rows(last, 10)
        assert getattr(rows[0], column) == value
        assert getattr(rows[1], column) is None
        verify(rows, events.hash_at(last) or NO_EVENT)


def test_the_chain_goes_on_across_units_calls_and_processes(backend: Backend) -> None:
    one, other = backend.events(), backend.events()
    one.append([Unit([event(), event()]), Unit([event()], {uuid4(): 5}), Unit([event()])])
    append(other, event())
    append(one, event(state=b"x" * 1_000_000))
    rows = one.read_rows(0, 10)
    assert [row.position for row in rows] == [1, 2, 3, 4, 5]
    verify(rows)


def test_no_two_rows_encode_alike() -> None:
    """A byte that moves from one column to the next gives another hash, and NULL is not empty."""
    row: list[Any] = [NO_EVENT, 1, UUID(int=1), 1, "t", b"s", datetime(2026, 1, 1, tzinfo=UTC)]
    optional: list[list[Any]] = [
        [None, None, "ab", "c", None, None, None],
        [None, None, "a", "bc", None, None, None],
        [None, None, "abc", None, None, None, None],
        [None, None, "abc", "", None, None, None],
        [None, b"abc", "", None, None, None, None],
        [None, None, None, None, None, UUID(int=1), None],
        [None, None, None, None, None, None, UUID(int=1)],
        [UUID(int=1), None, None, None, None, None, None],
    ]
    assert len({event_hash(*row, *rest) for rest in optional}) == len(optional)


def test_recorded_at_is_the_stores_time_in_utc(events: EventStore) -> None:
    before = datetime.now(UTC)
    append(events, event(), event())
    after = datetime.now(UTC)
    rows = events.read_rows(0, 10)
    for row in rows:
        assert row.recorded_at.utcoffset() == timedelta(0)
        assert before <= row.recorded_at <= after
    assert len({row.recorded_at for row in rows}) == 1  # one append, one time


class SteppingClock(datetime):
    """A clock that is set back an hour each time it is read."""

    reads = 0

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        cls.reads += 1
        return datetime(2030, 1, 1, tzinfo=tz) - timedelta(hours=cls.reads)


def test_recorded_at_stays_when_sqlites_clock_steps_back(
    sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_event_store, "datetime", SteppingClock)
    store = sqlite.events()
    for _ in range(3):
        append(store, event())
    rows = store.read_rows(0, 10)
    assert {row.recorded_at for row in rows} == {datetime(2029, 12, 31, 23, tzinfo=UTC)}
    verify(rows)


def test_recorded_at_stays_when_postgresqls_clock_was_ahead(postgresql: PostgreSQLBackend) -> None:
    """Its clock cannot be set here, but a row can be put in that a clock which was ahead would have left."""
    postgresql.on_events(
        """
        INSERT INTO events SELECT (jsonb_populate_record(row, jsonb_build_object('hash', event_hash(row)))).*
        FROM (SELECT ROW(1, gen_random_uuid(), 1, 't', ''::bytea, '2999-12-31 23:59:59.999999+00'::timestamptz,
                         NULL, NULL, NULL, NULL, NULL, NULL, NULL, decode(repeat('00', 32), 'hex'), NULL)::events
             ) AS r (row)
        """
    )
    store = postgresql.events()
    append(store, event())
    append(store, event())
    rows = store.read_rows(0, 10)
    assert [row.recorded_at for row in rows] == [datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)] * 3
    verify(rows)


def test_sqlites_times_sort_as_text() -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=n) for n in (0, 1, 10, 999_999, 1_000_000)]
    assert sorted(map(time_text, times)) == list(map(time_text, times))


def test_a_row_that_was_tampered_with_does_not_verify(events: EventStore) -> None:
    append(events, event(**OPTIONAL), event())
    first, second = events.read_rows(0, 10)
    changed: dict[str, Any] = {
        "topic": "other",
        "state": b"other",
        "actor": None,
        "command_digest": b"",
        "project_id": uuid4(),
        "recorded_at": first.recorded_at + timedelta(microseconds=1),
    }
    for column, value in changed.items():
        with pytest.raises(AssertionError):
            verify([first._replace(**{column: value}), second])
    with pytest.raises(AssertionError):
        verify([second])


def test_the_rows_of_a_project_and_of_a_stream_are_read_page_by_page(events: EventStore) -> None:
    project, stream, other = uuid4(), uuid4(), uuid4()
    for version in range(1, 6):
        append(events, event(stream, version, project_id=project), event(other, version), event(project_id=project))
    rows = events.read_rows(0, 100)
    of_project = [row for row in rows if row.project_id == project]
    of_stream = [row for row in rows if row.stream_id == stream]

    assert len(of_project) == 10
    assert events.read_rows_of_project(project, 0, 100) == of_project
    assert events.read_rows_of_project(project, 0, 3) == of_project[:3]
    assert events.read_rows_of_project(project, of_project[2].position, 100) == of_project[3:]
    assert events.read_rows_of_project(project, of_project[-1].position, 100) == []
    assert events.read_rows_of_stream(stream, 0, 100) == of_stream
    assert events.read_rows_of_stream(stream, 0, 2) == of_stream[:2]
    assert events.read_rows_of_stream(stream, 2, 100) == of_stream[2:]
    assert events.read_rows_of_stream(uuid4(), 0, 100) == []
    assert events.read_rows_of_project(uuid4(), 0, 100) == []


def test_no_page_of_rows_is_larger_than_memory_has_room_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the event that exceeds the bound, which may itself be larger."""
    for store in (postgresql_event_store, sqlite_event_store):
        monkeypatch.setattr(store, "READ_BYTES", 1_000)
    events, project, stream = backend.events(), uuid4(), uuid4()
    append(events, *(event(stream, version, state=b"x" * 400, project_id=project) for version in range(1, 6)))
    for read, id_ in ((events.read_rows_of_project, project), (events.read_rows_of_stream, stream)):
        assert [row.version for row in read(id_, 0, 100)] == [1, 2, 3]
        assert [row.version for row in read(id_, 3, 100)] == [4, 5]


@pytest.mark.parametrize("read", ["read_rows_of_project", "read_rows_of_stream"])
def test_the_rows_of_one_among_many_are_found_through_an_index(backend: Backend, read: str) -> None:
    column = "project_id" if read == "read_rows_of_project" else "stream_id"
    events = backend.events()
    for _ in range(20):
        append(events, *(event(project_id=uuid4()) for _ in range(100)))
    assert column in plan_of(backend, read, {column: uuid4(), "after": 0, "limit": 100, "bytes": 1 << 20})


def plan_of(backend: Backend, name: str, parameters: dict[str, Any]) -> str:
    """Return the columns that a statement of the event store searches by, through an index."""
    if isinstance(backend, SQLiteBackend):
        values = {name: str(value) if isinstance(value, UUID) else value for name, value in parameters.items()}
        with closing(sqlite3.connect(backend.path)) as connection:
            statement = f"EXPLAIN QUERY PLAN {sqlite_event_store.SQL[name]}"
            (step,) = [row[3] for row in connection.execute(statement, values)]
        assert step.startswith("SEARCH events USING INDEX"), step
        return str(step)
    backend.on_events("ANALYZE events")
    with psycopg.connect(backend.url) as connection:
        statement = f"EXPLAIN (FORMAT TEXT) {postgresql_event_store.SQL[name]}"
        steps = "\n".join(row[0] for row in connection.execute(statement.encode(), parameters))
    assert "Seq Scan" not in steps, steps
    return "".join(line for line in steps.splitlines() if "Index Cond" in line)
