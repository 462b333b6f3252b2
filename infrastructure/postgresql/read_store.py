"""The read store on PostgreSQL: the read tables stand beside the events, in the same database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ...projections.fold import Fold
from ...projections.projection import Kind, Projection, Row, Table
from ..errors import CheckpointMoved, ProjectionFailed
from ..read_store import Batch, Checkpoint, ReadStore, batches_of, statements_of
from ..sql import for_psycopg, statements
from .connections import Connections

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/read_store.sql").items()}


def _same(value: Any) -> Any:
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


def _jsonb(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value, _dumps)


ENCODERS: dict[Kind, Callable[[Any], Any]] = {kind: _jsonb if kind is Kind.JSON else _same for kind in Kind}


class PostgreSQLReadStore(ReadStore):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def checkpoint(self, projection: str) -> Checkpoint | None:
        with self._connections.using() as connection:
            row = connection.execute(SQL["checkpoint"], {"projection": projection}).fetchone()
        return None if row is None else Checkpoint(*row)

    def apply(self, projection: str, before: Checkpoint | None, folds: Sequence[Fold], after: Checkpoint) -> None:
        values = after._asdict() | {"projection": projection}
        with self._connections.using() as connection, connection.transaction(), connection.cursor() as cursor:
            if before is None:
                moved = cursor.execute(SQL["first_checkpoint"], values).fetchone() is None
            else:
                row = cursor.execute(SQL["lock_checkpoint"], values).fetchone()
                moved = row is None or Checkpoint(*row) != before
            if moved:
                raise CheckpointMoved(f"the checkpoint of {projection} has moved", projection=projection)
            for fold in folds:
                for batch in batches_of(fold, ENCODERS, "%s"):
                    _write(cursor, batch)
            if before is not None:
                cursor.execute(SQL["move_checkpoint"], values)

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

    def close(self) -> None:
        self._connections.close()


_REFUSED = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded)


def _write(cursor: psycopg.Cursor[Any], batch: Batch) -> None:
    try:
        cursor.executemany(batch.statement, batch.parameters)
    except _REFUSED as error:  # its detail repeats values, which may be personal
        reason = error.diag.constraint_name or error.diag.message_primary or type(error).__name__
        raise ProjectionFailed(f"the database refuses a row of {batch.table}: {reason}", table=batch.table) from None
    batch.check(cursor.rowcount)
