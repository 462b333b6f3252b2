"""The read store on PostgreSQL: the read tables stand beside the events, in the same database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any, Protocol, cast
from uuid import UUID

import psycopg
from psycopg.pq.abc import PGresult
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ...projections.fold import Step, Writes
from ...projections.projection import Kind, Operation, Projection, Row, Table
from ..errors import CheckpointMoved, InvalidQuery, ProjectionFailed
from ..operations import take
from ..read_store import (
    Batch,
    Checkpoint,
    ReadStore,
    batches_of,
    copy_statement,
    delete_statement,
    empty_statement,
    merge_statement,
    select_statement,
    staging_statement,
    unstaging_statement,
)
from ..sql import for_psycopg, numbered, statements
from ..words import plain_words
from .connections import Connection, Connections
from .wire import Pipeline, Statement, encoded

STATEMENTS = statements("postgresql/read_store.sql")
SQL = {name: for_psycopg(statement) for name, statement in STATEMENTS.items()}
SEARCH = statements("postgresql/search.sql")
Cursor = psycopg.Cursor[Any]


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


ENCODERS: dict[Kind, Callable[[Any], Any]] = {Kind.JSON: Jsonb}
BULK_ROWS = 100
"""From how many rows of a batch on they are copied: fewer are faster as plain statements."""
BINARY_TYPES = frozenset({"uuid", "text", "varchar", "int2", "int4", "int8", "float8", "bool", "jsonb", "timestamptz"})
"""The types that Python's values of their kind are copied to in binary form; a table of any other is copied as text."""


class Preparing(Protocol):
    """What is told before stored rows are looked for: tables that are being loaded have no index until they need it."""

    def will_change(self, cursor: psycopg.Cursor[Any], table: str) -> None:
        """Rows of a table that are stored are about to be updated or deleted by their keys."""

    def will_operate(self, cursor: psycopg.Cursor[Any]) -> None:
        """A set operation is about to read and to change tables."""


class PostgreSQLReadStore(ReadStore):
    waits = True

    def __init__(self, connections: Connections, preparing: Preparing | None = None) -> None:
        self._connections = connections
        self._types: dict[str, dict[str, str]] = {}
        self._preparing = preparing

    def checkpoint(self, projection: str) -> Checkpoint | None:
        with self._connections.using() as connection:
            row = connection.execute(SQL["checkpoint"], {"projection": projection}).fetchone()
        return None if row is None else Checkpoint(*row)

    def fence(self, projection: str) -> int:
        with self._connections.using() as connection:
            row = connection.execute(SQL["fence"], {"projection": projection}).fetchone()
        return row[0] if row else 0

    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        values = after._asdict() | {"projection": projection}
        if before is not None:
            values |= {f"{name}_before": value for name, value in before._asdict().items()}
        with self._connections.using() as connection:
            if self._preparing is None and _few(steps):
                with suppress(*_REFUSED, *_TO_DO_PLAINLY):  # the plain way tells which table it was
                    _apply_few(connection, steps, values)
                    return
            with connection.transaction(), connection.cursor() as cursor:
                operates = any(isinstance(step, Operation) for step in steps)
                cursor.execute(SQL["commit_without_waiting" if operates else "write_by_keys"], values)
                _require_moved(cursor.execute(SQL[_move_name(values)], values).rowcount, values)
                self._take(cursor, steps)

    def _take(self, cursor: Cursor, steps: Sequence[Step]) -> None:
        writing = _Writing(cursor, self._types, self._preparing)
        for step in steps:
            take(step, writing)

    def rehearse(self, steps: Sequence[Step], statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.using() as connection, connection.transaction(force_rollback=True):
            with connection.cursor() as cursor:
                self._take(cursor, steps)
            with connection.cursor(row_factory=dict_row) as found:
                return found.execute(for_psycopg(statement), parameters).fetchall()

    def reset(self, projection: Projection) -> None:
        with self._connections.using() as connection, connection.transaction():
            connection.execute(SQL["lock_checkpoints"])  # there may be no row yet, and a first batch about to write it
            for table in reversed(projection.tables):
                connection.execute(empty_statement(table))
            connection.execute(SQL["delete_checkpoint"], {"projection": projection.name})

    def rows(self, table: Table, keys: Collection[UUID]) -> list[Row]:
        return self._rows(table, select_statement(table, table.key, "= ANY (%s)"), list(keys))

    def children(self, table: Table, parent: UUID) -> list[Row]:
        return self._rows(table, select_statement(table, table.parent, "= %s"), parent)

    def _rows(self, table: Table, statement: str, parameter: UUID | list[UUID]) -> list[Row]:
        exact = [column for column, kind in table.columns.items() if kind is Kind.EXACT]
        with self._connections.using() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, (parameter,)).fetchall()
        return [{**row, **{column: _whole(row[column]) for column in exact}} for row in rows]

    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.using() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(for_psycopg(statement), parameters).fetchall()

    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connections.using() as connection:
            connection.read_only = True  # of the next transaction
            try:
                with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
                    return cursor.execute(for_psycopg(statement).encode(), parameters).fetchall()
            except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError, *_READ_ONLY) as error:
                raise InvalidQuery(f"cannot be asked: {error.diag.message_primary or error}") from None
            finally:
                if not connection.closed:
                    connection.read_only = None

    def search(self, name: str, text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.query(SEARCH[name], {**parameters, "text": plain_words(text)})

    def close(self) -> None:
        self._connections.close()


_REFUSED = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded)


_TO_DO_PLAINLY = (TypeError, psycopg.errors.InvalidSqlStatementName)
"""A value of a type that the quick way does not know; prepared statements that were let go."""


_READ_ONLY = (psycopg.errors.ReadOnlySqlTransaction,)


def _reason(error: psycopg.Error) -> str:
    """Its detail repeats values, which may be personal."""
    return error.diag.constraint_name or error.diag.message_primary or type(error).__name__


def _move_name(values: Mapping[str, Any]) -> str:
    return "move_checkpoint" if "position_before" in values else "first_checkpoint"


def _require_moved(moved: int, values: Mapping[str, Any]) -> None:
    if moved != 1:
        projection = values["projection"]
        raise CheckpointMoved(f"the checkpoint of {projection} has moved", projection=projection)


def _few(steps: Sequence[Step]) -> bool:
    """Whether plain statements are the fastest way to write."""
    rows = 0
    for step in steps:
        if isinstance(step, Operation):
            return False
        rows += sum(len(writes.deletes) + len(writes.updates) + len(writes.inserts) for writes in step)
    return rows < BULK_ROWS


def _apply_few(connection: Connection, steps: Sequence[Step], values: Mapping[str, Any]) -> None:
    """Write a few rows and their checkpoint in two round trips: all of it, and its end. Raises TypeError where the rows
    hold values of a type that is not known here."""
    batches = [batch for step in steps for batch in batches_of(cast(list[Writes], step))]
    first = [_BEGIN, _statement("write_by_keys", values), _statement(_move_name(values), values)]
    rows = [
        Statement(_with_numbers(batch.statement("%s")), *encoded(row))
        for batch in batches
        for row in batch.encoded(ENCODERS)
    ]
    with Pipeline(connection) as pipeline:
        try:
            answers = iter(pipeline.execute([*first, *rows]))
            next(answers), next(answers)
            _require_moved(_affected(next(answers)), values)
            for batch in batches:
                batch.check(sum(_affected(next(answers)) for _ in batch.rows))
        except Exception:
            pipeline.execute([_ROLLBACK])
            raise
        pipeline.execute([_COMMIT])


def _affected(result: PGresult) -> int:
    return result.command_tuples or 0


_BEGIN, _COMMIT, _ROLLBACK = (Statement(text, (), (), prepared=False) for text in ("BEGIN", "COMMIT", "ROLLBACK"))


def _statement(name: str, values: Mapping[str, Any]) -> Statement:
    text, names = numbered(STATEMENTS[name])
    return Statement(text, *encoded([values[name] for name in names]))


@cache
def _with_numbers(statement: str) -> str:
    """Return a statement with $1 … in place of its placeholders."""
    first, *rest = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


class _Writing:
    """Satisfies `Writing`."""

    def __init__(self, cursor: Cursor, types: dict[str, dict[str, str]], preparing: Preparing | None) -> None:
        self._cursor = cursor
        self._types = types
        self._preparing = preparing

    def write(self, writes: Sequence[Writes]) -> None:
        for batch in batches_of(writes):
            if self._preparing and batch.verb != "insert":
                self._preparing.will_change(self._cursor, batch.table.name)
            try:
                matched = self._write(batch)
            except _REFUSED as error:
                message = f"the database refuses a row of {batch.table.name}: {_reason(error)}"
                raise ProjectionFailed(message, table=batch.table.name) from None
            batch.check(matched)

    def _write(self, batch: Batch) -> int:
        """Write a batch in the form that is fastest for its size; return how many rows were there."""
        if len(batch.rows) < BULK_ROWS:
            self._cursor.executemany(batch.statement("%s"), batch.encoded(ENCODERS))
        elif batch.verb == "insert":
            self._copy(batch, batch.table.name)
        elif batch.verb == "delete":
            keys = [key for (key,) in batch.rows]
            self._cursor.execute(delete_statement(batch.table, "= ANY (%s)"), (keys,))
        else:
            staged = f"staged_{batch.table.name}"
            self._cursor.execute(staging_statement(batch.table))
            self._copy(batch, staged)
            self._cursor.execute(merge_statement(batch.table.name, batch.columns))
            matched = self._cursor.rowcount
            self._cursor.execute(unstaging_statement(batch.table))
            return matched
        return self._cursor.rowcount

    def _copy(self, batch: Batch, name: str) -> None:
        types = self._types_of(batch.table)
        wanted = [types[column] for column in batch.columns]
        binary = BINARY_TYPES.issuperset(wanted)
        with self._cursor.copy(copy_statement(name, batch.columns, binary=binary)) as copy:
            if binary:
                copy.set_types(wanted)
            for row in batch.rows if binary else batch.encoded(ENCODERS):
                copy.write_row(row)

    def _types_of(self, table: Table) -> dict[str, str]:
        if table.name not in self._types:
            self._types[table.name] = dict(self._cursor.execute(SQL["column_types"], {"table": table.name}).fetchall())
        return self._types[table.name]

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
