"""Migrated databases under test, reached through the stores and behind their back: what the contract suites run on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.event_store import EventStore, NewEvent, Outcome, Stored, Unit
from claude_tiu.infrastructure.postgresql.connections import Connections
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLEventStore
from claude_tiu.infrastructure.postgresql.read_store import PostgreSQLReadStore
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.schemas import TYPES
from claude_tiu.infrastructure.settings import Database, sqlite_url
from claude_tiu.infrastructure.sqlite.event_store import SQLiteEventStore
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.infrastructure.sqlite.read_store import current_reads
from claude_tiu.projections.projection import Kind, Projection, Row
from tests.support.patience import PATIENCE

BACKENDS = ("sqlite", "postgresql")
VERSIONS = [f"{number:03}" for number in range(1, 16)]
"""Of every migration, in order."""
TIMEOUT = 20.0


class Backend(ABC):
    """One migrated database. Each store it makes is as another process would have it, and is closed with it."""

    name: str
    column_types: Mapping[Kind, str]

    def __init__(self, url: str) -> None:
        self.url = url
        self._made = ExitStack()

    def events(self) -> EventStore:
        """Return a new event store on the database."""
        store = self._events()
        self._made.callback(store.close)
        return store

    def reads(self) -> ReadStore:
        """Return a new read store on the database."""
        store = self._reads()
        self._made.callback(store.close)
        return store

    def close(self) -> None:
        self._made.close()

    @abstractmethod
    def _events(self) -> EventStore: ...

    @abstractmethod
    def _reads(self) -> ReadStore: ...

    @abstractmethod
    def on_events(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement, with ? for a parameter, where the events are; behind the stores' back."""

    @abstractmethod
    def on_reads(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement where the read tables are."""

    @abstractmethod
    def each_on_reads(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        """Run statements where the read tables are, on one connection."""

    def new_identity(self) -> None:
        """Make a copy of a template a log of its own."""
        self.on_events("UPDATE store SET epoch = ?, reservation_key = ?", uuid4(), os.urandom(32))

    def tables(self, projection: Projection) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of a projection's tables, as the database holds them."""
        tables = projection.tables
        found = self.each_on_reads(
            [f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}" for table in tables]
        )
        return {table.name: rows for table, rows in zip(tables, found, strict=True)}

    def rows(self, projection: Projection) -> dict[str, list[Row]]:
        """Return every row of a projection's tables in Python's terms: what the stores can be compared by."""
        tables = projection.tables
        keys = self.each_on_reads([f"SELECT {table.key} FROM {table.name}" for table in tables])
        found = {table.name: list[Row]() for table in tables}
        with closing(self._reads()) as reads:
            for table, some in zip(tables, keys, strict=True):
                if some:
                    found[table.name] = reads.rows(table, [UUID(str(key)) for (key,) in some])
                    found[table.name].sort(key=lambda row: str(row[table.key]))
        return found

    def create_tables(self, projection: Projection) -> None:
        """Make the tables of a projection of a test's own; every column but the key may be NULL."""
        for table in projection.tables:
            columns = [
                f"{name} {self.column_types[kind]} {'PRIMARY KEY NOT NULL' if name == table.key else ''}"
                for name, kind in table.columns.items()
            ]
            self.on_reads(f"CREATE TABLE {table.name} ({', '.join(columns)})")


class SQLiteBackend(Backend):
    name = "sqlite"
    column_types = TYPES["sqlite"]

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite_url(path))
        self.path = path

    def _events(self) -> EventStore:
        return SQLiteEventStore(self.path, timeout=TIMEOUT)

    def _reads(self) -> ReadStore:
        return current_reads(self.path, self._generation, timeout=TIMEOUT)

    def _generation(self) -> int:
        ((generation,),) = self.on_events("SELECT generation FROM read_files WHERE projection = 'read_model'")
        return int(generation)

    @property
    def read_path(self) -> Path:
        """The file of the read tables, as they are named now."""
        return read_path(self.path, self._generation())

    def on_events(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return _on_sqlite(self.path, statement, parameters)

    def on_reads(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return _on_sqlite(self.read_path, statement, parameters)

    def each_on_reads(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        with closing(sqlite3.connect(self.read_path, timeout=TIMEOUT)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements]


def _on_sqlite(path: Path, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    values = [str(value) if isinstance(value, UUID) else value for value in parameters]
    with closing(sqlite3.connect(path, timeout=TIMEOUT)) as connection, connection:
        return connection.execute(statement, values).fetchall()


class PostgreSQLBackend(Backend):
    name = "postgresql"
    column_types = TYPES["postgresql"]

    def _connections(self) -> Connections:
        return Connections(self.url, max_size=5, timeout=TIMEOUT, recycle=3600)

    def _events(self) -> EventStore:
        return PostgreSQLEventStore(self._connections())

    def _reads(self) -> ReadStore:
        return PostgreSQLReadStore(self._connections())

    def on_events(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.replace("?", "%s").encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def on_reads(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.on_events(statement, *parameters)

    def each_on_reads(self, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return [connection.execute(statement.encode()).fetchall() for statement in statements]

    def terminate_connections(self, *, listening: bool | None = None, share: float = 1.0) -> int:
        """Kill the server's end of every other connection to the database (or of those that LISTEN, or do not), or of a
        share of them."""
        listens = "starts_with(query, 'LISTEN')"  # LIKE's % would be taken for a parameter
        chosen = {None: "", True: f"AND {listens}", False: f"AND NOT {listens}"}[listening]
        ((killed,),) = self.on_events(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() <= ? {chosen}",
            share,
        )
        return int(killed)


@contextmanager
def new_backend(name: str, place: Path | str) -> Iterator[Backend]:
    """A backend on a new SQLite file at `place`, or on the migrated PostgreSQL database at that URL."""
    backend = sqlite_at(Path(place)) if name == "sqlite" else PostgreSQLBackend(str(place))
    with closing(backend):
        yield backend


def sqlite_at(path: Path) -> SQLiteBackend:
    """Migrate a new SQLite file."""
    migrations.up(Database(path, sqlite_url(path)))
    return SQLiteBackend(path)


def copy_sqlite(backend: SQLiteBackend, path: Path) -> SQLiteBackend:
    """Return a backend on a copy of a database that nobody writes to now, as a backup would be."""
    for source, target in ((backend.path, path), (backend.read_path, read_path(path, backend._generation()))):
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(source, target)  # with its mode
    return SQLiteBackend(path)


def event(stream_id: UUID | None = None, version: int = 1, **values: Any) -> NewEvent:
    """An event of no meaning."""
    return NewEvent(stream_id or uuid4(), version, values.pop("topic", "test.happened.v1"), **{"state": b"{}"} | values)


def append(store: EventStore, *events: NewEvent, **unit: Any) -> Outcome:
    """Append one unit, and return its outcome."""
    (outcome,) = store.append([Unit(events, **unit)])
    return outcome


def append_many(store: EventStore, count: int, per_unit: int = 1) -> list[tuple[UUID, int, int]]:
    """Append `count` events to a stream of their own; return (stream, version, position) of each."""
    stream_id, stored = uuid4(), []
    for first in range(1, count + 1, per_unit):
        versions = range(first, min(first + per_unit, count + 1))
        outcome = append(store, *(event(stream_id, version) for version in versions), guards={stream_id: first - 1})
        assert isinstance(outcome, Stored)
        stored += [(stream_id, version, outcome.first_position + version - first) for version in versions]
    return stored


def in_other_processes(work: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    """Run `work`, a function of tests.support, once for each arguments tuple, each in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(len(arguments)) as pool:
        try:
            return pool.starmap(work, arguments)
        finally:
            pool.close()
            pool.join()


def append_from_elsewhere(name: str, place: str, count: int, per_unit: int = 1) -> list[tuple[UUID, int, int]]:
    """`append_many` for another process: `place` is a SQLite file or a PostgreSQL URL."""
    backend = SQLiteBackend(Path(place)) if name == "sqlite" else PostgreSQLBackend(place)
    with closing(backend):
        return append_many(backend.events(), count, per_unit)


def place_of(backend: Backend) -> str:
    """Return where `append_from_elsewhere` finds a backend."""
    return str(backend.path) if isinstance(backend, SQLiteBackend) else backend.url


def until_waiting(postgresql: PostgreSQLBackend) -> None:
    """Wait until somebody waits for an advisory lock, as whoever appends does while another has the log's."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )
    deadline = time.monotonic() + PATIENCE
    while postgresql.on_events(waiting) == [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.001)
