"""Changing single values of read tables behind the projector's back, whatever their constraints say, and undoing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

from claude_tiu.projections.projection import Kind, Table
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.stores import TIMEOUT, Backend, SQLiteBackend

COLUMNS = [(table, column) for table in READ_MODEL.tables for column in table.columns]
"""Every column of every table."""
ANOTHER_ID = "ffffffff-ffff-7000-8000-000000000001"

OTHERS: Mapping[Kind, str] = {
    Kind.UUID: f"'{ANOTHER_ID}'",
    Kind.TEXT: "CASE WHEN substr({0}, 1, 1) = '!' THEN '#' ELSE '!' END || substr(coalesce({0}, ''), 2)",
    Kind.INTEGER: "coalesce({0}, 0) + 1",
    Kind.EXACT: "{0} + 1",
    Kind.DOUBLE: "coalesce({0}, 0) + 1e-9",
    Kind.FLAG: "NOT coalesce({0}, false)",
    Kind.JSON: """'{{"changed": 1}}'""",
    Kind.TIME: "'2001-02-03T04:05:06.000007Z'",
}
"""SQL for another value than a column of a kind has, on PostgreSQL; on SQLite:"""
OTHERS_ON_SQLITE = {**OTHERS, Kind.EXACT: "CAST(CAST({0} AS INTEGER) + 1 AS TEXT)", Kind.FLAG: "1 - coalesce({0}, 0)"}


def let_damage_through(backend: Backend) -> None:
    """Keep a copy of every table, to undo damage by; and take away what refuses rows (on SQLite, a connection can be
    told not to check)."""
    for table in READ_MODEL.tables:
        backend.on_reads(f"CREATE TABLE kept_{table.name} AS SELECT * FROM {table.name}")
    if isinstance(backend, SQLiteBackend):
        backend.on_reads("DROP TRIGGER trigger_check_circular_dependency")
        return
    backend.on_reads("DROP TRIGGER trigger_check_circular_dependency ON task_dependencies")
    constraints = backend.on_reads(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype IN ('f', 'c', 'u') AND conrelid::regclass::text = ANY (?) ORDER BY contype <> 'f'",
        [table.name for table in READ_MODEL.tables],
    )
    for name, constraint in constraints:
        backend.on_reads(f'ALTER TABLE {name} DROP CONSTRAINT "{constraint}"')
    for table in READ_MODEL.tables:
        for column in table.columns.keys() - {table.key}:
            backend.on_reads(f"ALTER TABLE {table.name} ALTER COLUMN {column} DROP NOT NULL")


def damage(backend: Backend, statement: str, *parameters: Any) -> None:
    """Run a statement on the read tables, as far as that is possible without checks."""
    if not isinstance(backend, SQLiteBackend):
        backend.on_reads(statement, *parameters)
        return
    values = [str(value) if isinstance(value, UUID) else value for value in parameters]
    with closing(sqlite3.connect(backend.read_path, timeout=TIMEOUT)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)


def another(backend: Backend, table: Table, column: str) -> str:
    """SQL for another value of a column."""
    others = OTHERS_ON_SQLITE if isinstance(backend, SQLiteBackend) else OTHERS
    return others[table.columns[column]].format(column)


def first_key(backend: Backend, table: Table) -> str:
    """The lowest key of a table."""
    return str(backend.on_reads(f"SELECT {table.key} FROM {table.name} ORDER BY {table.key} LIMIT 1")[0][0])


@contextmanager
def changed(backend: Backend, table: Table, column: str, expression: str) -> Iterator[str]:
    """Give a column of one row another value for a while; give the row's key."""
    key = first_key(backend, table)
    now = ANOTHER_ID if column == table.key else key
    damage(backend, f"UPDATE {table.name} SET {column} = {expression} WHERE {table.key} = ?", key)
    try:
        yield key
    finally:
        kept = f"SELECT {column} FROM kept_{table.name} WHERE {table.key} = ?"
        damage(backend, f"UPDATE {table.name} SET {column} = ({kept}) WHERE {table.key} = ?", key, now)


@contextmanager
def deleted(backend: Backend, table: Table) -> Iterator[str]:
    """Take one row out for a while; give its key."""
    key = first_key(backend, table)
    damage(backend, f"DELETE FROM {table.name} WHERE {table.key} = ?", key)
    try:
        yield key
    finally:
        damage(backend, f"INSERT INTO {table.name} SELECT * FROM kept_{table.name} WHERE {table.key} = ?", key)


@contextmanager
def added(backend: Backend, table: Table) -> Iterator[str]:
    """Put in a copy of a row under another key for a while; give that."""
    key = first_key(backend, table)
    unique = {column for columns in table.unique for column in columns}  # SQLite's constraints stay
    values = {column: another(backend, table, column) if column in unique else column for column in table.columns}
    values[table.key] = f"'{ANOTHER_ID}'"
    selected = f"SELECT {', '.join(values.values())} FROM {table.name} WHERE {table.key} = ?"
    damage(backend, f"INSERT INTO {table.name} ({', '.join(values)}) {selected}", key)
    try:
        yield ANOTHER_ID
    finally:
        damage(backend, f"DELETE FROM {table.name} WHERE {table.key} = ?", ANOTHER_ID)
