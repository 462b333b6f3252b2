"""The read store on SQLite: a sibling file of the events', that can be deleted and rebuilt."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from ...domain.name_ids import text_of
from ...projections.fold import Step, Writes
from ...projections.projection import Kind, Projection, Row, Table
from ...projections.read_model import NAME
from ..errors import CheckpointMoved, InvalidQuery, ProjectionFailed
from ..operations import take
from ..read_store import Batch, Checkpoint, ReadStore, batches_of, empty_statement, select_statement
from ..sql import statements
from ..words import match_expression
from .connections import Connections
from .generations import CurrentFile, Files, read_path
from .values import json_text, time_of, time_text, uuid_of

SQL = statements("sqlite/read_store.sql")
SEARCH = statements("sqlite/search.sql")


def _optional(encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else encode(value)


def _same(value: Any) -> Any:
    return value


ENCODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.UUID: text_of,
    Kind.EXACT: str,
    Kind.FLAG: int,
    Kind.JSON: json_text,
    Kind.TIME: time_text,
}
DECODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.UUID: uuid_of,
    Kind.TEXT: _same,
    Kind.INTEGER: _same,
    Kind.EXACT: _optional(int),
    Kind.DOUBLE: _same,
    Kind.FLAG: _optional(bool),
    Kind.JSON: _optional(json.loads),
    Kind.TIME: _optional(time_of),
}


class SQLiteReadStore(ReadStore):
    waits = False

    def __init__(self, files: Files) -> None:
        self.files = self._connections = files

    def checkpoint(self, projection: str) -> Checkpoint | None:
        with self._connections.reading() as connection:
            return checkpoint_of(connection, projection)

    def fence(self, projection: str) -> int:
        with self._connections.reading() as connection:
            return fence_of(connection, projection)

    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        with self._connections.writing() as connection:
            stored = checkpoint_of(connection, projection)
            if stored != before or (stored is None and fence_of(connection, projection) != after.fence):
                raise CheckpointMoved(f"the checkpoint of {projection} has moved", projection=projection)
            for step in steps:
                self._take(connection, step)
            values = after._asdict() | {"projection": projection, "epoch": str(after.epoch)}
            connection.execute(SQL["set_checkpoint"], values)

    def _take(self, connection: sqlite3.Connection, step: Step) -> None:
        take(step, _Writing(connection))

    def rehearse(self, steps: Sequence[Step], statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.writing() as connection:
            for step in steps:
                self._take(connection, step)
            found = _found(connection, statement, parameters)
            connection.execute("ROLLBACK")
            return found

    def reset(self, projection: Projection) -> None:
        with self._connections.writing() as connection:
            for table in reversed(projection.tables):
                connection.execute(empty_statement(table))
            connection.execute(SQL["delete_checkpoint"], {"projection": projection.name})

    def rows(self, table: Table, keys: Collection[UUID]) -> list[Row]:
        statement = select_statement(table, table.key, "IN (SELECT value FROM json_each(?))")
        return self._rows(table, statement, json.dumps([str(key) for key in keys]))

    def children(self, table: Table, parent: UUID) -> list[Row]:
        return self._rows(table, select_statement(table, table.parent, "= ?"), str(parent))

    def _rows(self, table: Table, statement: str, parameter: str) -> list[Row]:
        with self._connections.reading() as connection:
            found = connection.execute(statement, (parameter,)).fetchall()
        return list(decoded(table.columns, found))

    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.reading() as connection:
            return _found(connection, statement, parameters)

    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.reading() as connection:
            connection.execute("PRAGMA query_only = ON")
            try:
                return _found(connection, statement, parameters)
            except (sqlite3.ProgrammingError, sqlite3.Warning, UnicodeError, OverflowError) as error:
                raise InvalidQuery(f"cannot be asked: {error}") from None
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY):
                    raise
                raise InvalidQuery(f"cannot be asked: {error}") from None
            finally:
                connection.execute("PRAGMA query_only = OFF")

    def search(self, name: str, text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        expression = match_expression(text)
        return self.query(SEARCH[name], {**parameters, "text": expression}) if expression else []

    def close(self) -> None:
        self._connections.close()


def current_reads(
    path: Path, generation: Callable[[], int], *, timeout: float, projection: str = NAME
) -> SQLiteReadStore:
    """Return the store of a projection's tables that the events file `path` names, whenever they are used.

    It writes without waiting for the disk at each commit: what a power cut takes is projected again.
    """

    def open_file(file: Path) -> Connections:
        return Connections(file, timeout=timeout, synchronous="NORMAL")

    return SQLiteReadStore(CurrentFile(lambda: read_path(path, generation(), projection), open_file))


class _Writing:
    """Satisfies `Writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def write(self, writes: Sequence[Writes]) -> None:
        for batch in batches_of(writes):
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        name = batch.table.name
        try:
            matched = self._connection.executemany(batch.statement("?"), batch.encoded(ENCODERS)).rowcount
        except sqlite3.IntegrityError as error:  # its message names constraints and columns, and no value
            raise ProjectionFailed(f"the database refuses a row of {name}: {error}", table=name) from None
        batch.check(matched)

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        try:
            self._connection.execute(statement, _parameters(parameters))
        except sqlite3.IntegrityError as error:
            raise ProjectionFailed(f"the database refuses it: {error}") from None

    def rows(self, columns: Mapping[str, Kind], statement: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        return decoded(columns, self._connection.execute(statement, _parameters(parameters)))


def decoded(columns: Mapping[str, Kind], rows: Iterable[Sequence[Any]]) -> Iterator[Row]:
    decoders = [(column, DECODERS[kind]) for column, kind in columns.items()]
    for row in rows:
        yield {column: decode(value) for (column, decode), value in zip(decoders, row, strict=True)}


def _found(connection: sqlite3.Connection, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    cursor = connection.execute(statement, _parameters(parameters))
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def checkpoint_of(connection: sqlite3.Connection, projection: str) -> Checkpoint | None:
    """Return a projection's checkpoint as a connection sees it."""
    row = connection.execute(SQL["checkpoint"], {"projection": projection}).fetchone()
    if row is None:
        return None
    version, epoch, *rest = row
    return Checkpoint(version, UUID(epoch), *rest)


def fence_of(connection: sqlite3.Connection, projection: str) -> int:
    """Return the number of the last tenure of a projection's lease as a connection sees it."""
    row = connection.execute(SQL["fence"], {"projection": projection}).fetchone()
    return row[0] if row else 0


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _parameter(value) for name, value in parameters.items()}


def _parameter(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return time_text(value) if isinstance(value, datetime) else value
