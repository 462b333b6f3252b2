"""Databases with a log in them: migrated, with a user and a project, and filled with a workload in bulk.

Filling goes past the store, straight into `events`, with the hash chain that the store would have made. The write-side
tables stay as they are: nothing decides on a filled log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from claude_tiu import CreateProject, CreateUser, connect
from claude_tiu.infrastructure.demo.facts import packaged_facts
from claude_tiu.infrastructure.demo.story import USER_ID, create_user, units
from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import EventRow, NewEvent
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.settings import sqlite_url
from claude_tiu.infrastructure.sqlite.values import time_text
from tests.benchmarks.workloads import START, Setting, events_of, id_of

COLUMNS = ", ".join(EventRow._fields)
CHUNK = 1_000
ALL = 1_000_000
MICROSECOND = timedelta(microseconds=1)


class Filled(NamedTuple):
    """A database with a log: its setting's events, and so many of a workload behind them."""

    url: str
    setting: Setting
    first_position: int
    events: int


def prepare(url: str) -> Setting:
    """Migrate a database, and make the user and the project that the workloads stand on; the read tables have them."""
    if url.startswith("postgresql:"):
        migrate_up(url)
    setting = Setting(id_of("user", 0), id_of("project", 1_000_000))
    user = CreateUser(
        user_id=setting.user_id,
        username="benchmark",
        email="benchmark@example.org",
        password_hash="$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",  # noqa: S106 - nobody's
        occurred_at=START,
    )
    project = CreateProject(project_id=setting.project_id, user_id=setting.user_id, name="W", occurred_at=START)
    with connect(url, project=False) as tiu:
        tiu.execute_all([user, project])
        tiu.projector.catch_up()
    return setting


def fill(url: str, workload: str, count: int) -> Filled:
    """Prepare a new database, and put about `count` events of a workload into its log."""
    setting = prepare(url)
    return append_in_bulk(url, setting, log_of(workload, count, setting))


def log_of(workload: str, count: int, setting: Setting) -> Iterator[NewEvent]:
    """Yield about `count` events of W or W2, or at most so many of the demo's."""
    return islice(demo_events(setting), count) if workload == "demo" else events_of(workload, count, setting)


def demo_events(setting: Setting) -> Iterator[NewEvent]:
    """Yield the events of the packaged demo, as its commands make them, but for its user: that is the setting's."""
    ours = str(setting.user_id).encode()
    for row in _demo_log():
        state = row.state.replace(str(USER_ID).encode(), ours)
        yield new_event(row)._replace(state=_with_microseconds(state))


def new_event(row: EventRow) -> NewEvent:
    """Return what was appended of a row."""
    return NewEvent(**{name: getattr(row, name) for name in NewEvent._fields})


@cache
def _demo_log() -> tuple[EventRow, ...]:
    with TemporaryDirectory() as folder, connect(sqlite_url(Path(folder) / "demo.db"), project=False) as tiu:
        history = packaged_facts()
        tiu.execute(create_user(history))
        for revision in units(history, USER_ID):
            for unit in revision:
                tiu.execute_all(unit)
        return tuple(tiu.events.read_rows(1, ALL))


def _with_microseconds(state: bytes) -> bytes:
    """Return an event's body with its time in one form, which both stores' tables take as a text."""
    _, _, _, time, rest = state.split(b'"', 4)
    moment = datetime.fromisoformat(time.decode()).astimezone(UTC)
    return b'{"occurred_at":"' + time_text(moment).encode() + b'"' + rest


def append_in_bulk(url: str, setting: Setting, events: Iterable[NewEvent]) -> Filled:
    """Put events behind a log's last one, as one transaction."""
    with connect(url, project=False) as tiu:
        last_position = tiu.events.max_notification_id() or 0
        (head,) = tiu.events.read_rows(last_position - 1, 1)
    rows = rows_behind(head, events)
    count = _into_sqlite(url, rows) if url.startswith("sqlite:") else _into_postgresql(url, rows)
    return Filled(url, setting, last_position + 1, count)


def rows_behind(head: EventRow, events: Iterable[NewEvent]) -> Iterator[EventRow]:
    """Yield the rows of events behind the log's last one."""
    position, last_hash, recorded_at = head.position, head.hash, head.recorded_at
    for event in events:
        position += 1
        recorded_at += MICROSECOND
        row = whole_row(event, position, recorded_at)
        last_hash, previous_hash = event_hash(last_hash, *row[:-2]), last_hash
        yield row._replace(previous_hash=previous_hash, hash=last_hash)


def whole_row(event: NewEvent, position: int, recorded_at: datetime) -> EventRow:
    """Return an event's row at a position, its hashes of the right length and of nothing."""
    return EventRow(position, *event[:4], recorded_at, *event[4:], NO_EVENT, NO_EVENT)  # type: ignore[arg-type]


def _into_postgresql(url: str, rows: Iterator[EventRow]) -> int:
    count = 0
    with psycopg.connect(url) as connection, connection.cursor().copy(f"COPY events ({COLUMNS}) FROM STDIN") as copy:
        while batch := list(islice(rows, CHUNK)):
            copy.write("".join("\t".join(map(_copied, row)) + "\n" for row in batch))
            count += len(batch)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE events")  # as autovacuum leaves a log that has grown over days
        connection.execute("CHECKPOINT")
    return count


def _copied(value: Any) -> str:
    """A value in COPY's text form; no text beside the body holds what would need an escape."""
    if value is None:
        return r"\N"
    return r"\\x" + value.hex() if isinstance(value, bytes) else str(value)


def _into_sqlite(url: str, rows: Iterator[EventRow]) -> int:
    count = 0
    statement = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(EventRow._fields))})"
    with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as connection, connection:
        while batch := list(islice(rows, CHUNK)):
            connection.executemany(statement, [tuple(map(_bound, row)) for row in batch])
            count += len(batch)
    return count


def _bound(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    return str(value) if isinstance(value, UUID) else value
