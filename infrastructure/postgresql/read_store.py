"""The read store on PostgreSQL: the read tables stand beside the events, in the same database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ...projections.fold import Fold, Step
from ...projections.projection import Kind, Projection, Row, Table
from ..errors import CheckpointMoved, ProjectionFailed
from ..operations import take
from ..read_store import Batch, Checkpoint, ReadStore, batches_of, statements_of
from ..sql import for_psycopg, statements
from ..words import plain_words
from .connections import Connections

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/read_store.sql").items()}
SEARCH = statements("postgresql/search.sql")


def _same(value: Any) -> Any:
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


def _jsonb(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value, _dumps)


ENCODERS: dict[Kind, Callable[[Any], Any]] = {kind: _jsonb if kind is Kind.JSON else _same for kind in Kind}


class Preparing(Protocol):
    """What is told before stored rows are looked for: tables that are being loaded have no index until they need it."""

    def will_change(self, cursor: psycopg.Cursor[Any], table: str) -> None:
        """Rows of a table that are stored are about to be updated or deleted by their keys."""

    def will_operate(self, cursor: psycopg.Cursor[Any]) -> None:
        """A set operation is about to read and to change tables."""


class PostgreSQLReadStore(ReadStore):
    def __init__(self, connections: Connections, preparing: Preparing | None = None) -> None:
        self._connections = connections
        self._preparing = preparing

    def checkpoint(self, projection: str) -> Checkpoint | None:
        with self._connections.using() as connection:
            row = connection.execute(SQL["checkpoint"], {"projection": projection}).fetchone()
        return None if row is None else Checkpoint(*row)

    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        values = after._asdict() | {"projection": projection}
        with self._connections.using() as connection, connection.transaction(), connection.cursor() as cursor:
            if before is None:
                moved = cursor.execute(SQL["first_checkpoint"], values).fetchone() is None
            else:
                row = cursor.execute(SQL["lock_checkpoint"], values).fetchone()
                moved = row is None or Checkpoint(*row) != before
            if moved:
                raise CheckpointMoved(f"the checkpoint of {projection} has moved", projection=projection)
            writing = _Writing(cursor, self._preparing)
            for step in steps:
                take(step, writing)
            if before is not None:
                cursor.execute(SQL["move_checkpoint"], values)

    def rehearse(self, steps: Sequence[Step], statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.using() as connection, connection.transaction(force_rollback=True):
            with connection.cursor() as cursor:
                writing = _Writing(cursor)
                for step in steps:
                    take(step, writing)
            with connection.cursor(row_factory=dict_row) as found:
                return found.execute(for_psycopg(statement), parameters).fetchall()

    def reset(self, projection: Projection) -> None:
        with self._connections.using() as connection, connection.transaction():
            connection.execute(SQL["lock_checkpoints"])  # there may be no row yet, and a first batch about to write it
            for table in reversed(projection.tables):
                connection.execute(statements_of(table, "%s").empty)
            connection.execute(SQL["delete_checkpoint"], {"projection": projection.name})

    def row(self, table: Table, key: UUID) -> Row | None:
        rows = self._rows(table, statements_of(table, "%s").select, key)
        return rows[0] if rows else None

    def children(self, table: Table, parent: UUID) -> list[Row]:
        return self._rows(table, statements_of(table, "%s").children, parent)

    def _rows(self, table: Table, statement: str, id_: UUID) -> list[Row]:
        exact = [column for column, kind in table.columns.items() if kind is Kind.EXACT]
        with self._connections.using() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, (id_,)).fetchall()
        return [{**row, **{column: _whole(row[column]) for column in exact}} for row in rows]

    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.using() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(for_psycopg(statement), parameters).fetchall()

    def search(self, name: str, text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.query(SEARCH[name], {**parameters, "text": plain_words(text)})

    def close(self) -> None:
        self._connections.close()


_REFUSED = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded)


def _reason(error: psycopg.Error) -> str:
    """Its detail repeats values, which may be personal."""
    return error.diag.constraint_name or error.diag.message_primary or type(error).__name__


class _Writing:
    """Satisfies `Writing`."""

    def __init__(self, cursor: psycopg.Cursor[Any], preparing: Preparing | None = None) -> None:
        self._cursor = cursor
        self._preparing = preparing

    def write(self, fold: Fold) -> None:
        if self._preparing:
            for table, deletes, updates, _ in fold:
                if deletes or updates:
                    self._preparing.will_change(self._cursor, table.name)
        for batch in batches_of(fold, ENCODERS, "%s"):
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        try:
            self._cursor.executemany(batch.statement, batch.parameters)
        except _REFUSED as error:
            message = f"the database refuses a row of {batch.table}: {_reason(error)}"
            raise ProjectionFailed(message, table=batch.table) from None
        batch.check(self._cursor.rowcount)

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        self._will_operate()
        try:
            self._cursor.execute(for_psycopg(statement), parameters)
        except _REFUSED as error:
            raise ProjectionFailed(f"the database refuses it: {_reason(error)}") from None

    def rows(self, columns: Mapping[str, Kind], statement: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        self._will_operate()
        for row in self._cursor.stream(for_psycopg(statement), parameters):
            yield dict(zip(columns, row, strict=True))

    def _will_operate(self) -> None:
        if self._preparing:
            self._preparing.will_operate(self._cursor)
