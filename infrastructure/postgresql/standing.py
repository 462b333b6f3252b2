"""Tables as they stand at one moment, on PostgreSQL: inside a transaction that reads as of its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from ...projections.projection import Kind, Projection, Table
from ..comparable import DIGEST, LONG_BYTES, ComparableRow, json_columns, with_one_json
from ..comparison import Forms, row_statement, rows_statement
from ..read_store import Checkpoint
from ..sql import for_psycopg, statements
from ..standing import PIECE, StandingTables
from .connections import Connection, connect, translated
from .read_store import SQL as READ_STORE

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/standing.sql").items()}

LONG = b"long"
"""Stands for JSON that may be long: no JSON looks so."""
STORED_BYTES = 1_000
"""How much room JSON takes that is short. It may be compressed, to a ninetieth at most."""
_JSON = "{0}::text"
FORMS: Forms = {
    Kind.UUID: "{0}::text",
    Kind.TEXT: (
        f"CASE WHEN octet_length({{0}}) > {LONG_BYTES} OR starts_with({{0}}, '{DIGEST.decode()}') "
        f"THEN '{DIGEST.decode()}' || encode(sha256(convert_to({{0}}, 'UTF8')), 'hex') ELSE {{0}}::text END"
    ),
    Kind.INTEGER: "{0}::bigint",
    Kind.EXACT: "{0}::text",
    Kind.DOUBLE: "{0}::double precision",
    Kind.FLAG: "{0}::integer",
    Kind.JSON: f"CASE WHEN pg_column_size({{0}}) > {STORED_BYTES} THEN '{LONG.decode()}' ELSE {_JSON} END",
    Kind.TIME: (
        "CASE WHEN {0} >= '0001-01-01 00:00Z' AND {0} < 'infinity' "
        """THEN to_char({0}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE {0}::text END"""
    ),
}
WHOLE: Forms = {**FORMS, Kind.JSON: _JSON}


class PostgreSQLTables(StandingTables):
    """Of the schema that comes first, over a connection inside a transaction."""

    keeps_json_text = False

    def __init__(self, connection: Connection, projection: Projection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        row = connection.execute(READ_STORE["checkpoint"], {"projection": projection.name}).fetchone()
        self.checkpoint = None if row is None else Checkpoint(*row)

    def pieces(self, table: Table) -> Iterator[list[ComparableRow]]:
        indexes = json_columns(table)
        key = [*table.columns].index(table.key)
        with self._connection.cursor(name="rows", binary=True) as cursor:
            _give_bytes(cursor)
            cursor.execute(for_psycopg(rows_statement(table, FORMS)).encode())
            while rows := cursor.fetchmany(PIECE):
                for number, row in enumerate(rows):
                    if LONG in row:
                        rows[number] = self._whole(table, row[key]) or row
                yield with_one_json(rows, indexes)

    def _whole(self, table: Table, key: Any) -> ComparableRow | None:
        """Return a row by itself: one at a time is as long as it likes."""
        return row_of(self._connection, table, key.decode(), self._schema)


def row_of(connection: Connection, table: Table, key: Any, schema: str) -> ComparableRow | None:
    """Return a row of a schema's table, if there is one."""
    with connection.cursor(binary=True) as cursor:
        _give_bytes(cursor)
        cursor.execute(for_psycopg(row_statement(table, WHOLE, schema)).encode(), {"key": key})
        row = cursor.fetchone()
    return None if row is None else with_one_json([row], json_columns(table))[0]


def _give_bytes(cursor: psycopg.Cursor[Any]) -> None:
    cursor.adapters.register_loader("text", ByteaBinaryLoader)


@contextmanager
def live_tables(url: str, projection: Projection) -> Iterator[PostgreSQLTables]:
    """Give the read tables of a database. Whoever would replace them waits meanwhile."""
    with translated(url), connect(url) as connection:
        connection.execute(SQL["unlimited"])
        ((schema, lock),) = connection.execute(SQL["lock"], {"tables": [table.name for table in projection.tables]})
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            connection.execute(lock.encode())  # before anything is read: what is read is of the moment behind it
            yield PostgreSQLTables(connection, projection, schema)
