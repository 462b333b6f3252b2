"""The tables as the projections describe them are those that the migrations make, on either store."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from claude_tiu import connect
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.projection import Kind, Table
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES

SPECIFIED = {
    "users",
    "user_sessions",
    "projects",
    "tasks",
    "task_dependencies",
    "project_files",
    "workflows",
    "workflow_steps",
    "step_executions",
    "agents",
    "agent_assignments",
    "agent_metrics",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
    "templates",
    "projects_archive",
    "cleanup_log",
}
OF_A_PROJECT = {
    "tasks",
    "task_dependencies",
    "project_files",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
    "step_executions",
    "agent_assignments",
}
"""An archived project takes its rows of these along."""


class Schema(ABC):
    """A migrated database's own catalogue."""

    types: dict[Kind, str]

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """name -> type."""

    @abstractmethod
    def key(self, table: str) -> list[str]: ...

    @abstractmethod
    def unique(self, table: str) -> set[tuple[str, ...]]:
        """The sets of columns held unique, without the key; each sorted."""

    @abstractmethod
    def parents(self, table: str) -> set[str]:
        """The tables that its foreign keys lead to."""


class SQLiteSchema(Schema):
    types = {  # noqa: RUF012 - never changed
        **dict.fromkeys((Kind.UUID, Kind.TEXT, Kind.EXACT, Kind.JSON, Kind.TIME), "TEXT"),
        **dict.fromkeys((Kind.INTEGER, Kind.FLAG), "INTEGER"),
        Kind.DOUBLE: "REAL",
    }

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> dict[str, str]:
        return dict(self._connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)))

    def key(self, table: str) -> list[str]:
        return [
            name for (name,) in self._connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (table,))
        ]

    def unique(self, table: str) -> set[tuple[str, ...]]:
        indexes = self._connection.execute(
            """SELECT name FROM pragma_index_list(?) WHERE "unique" AND origin <> 'pk'""", (table,)
        )
        return {tuple(sorted(self._indexed(index))) for (index,) in indexes.fetchall()}

    def _indexed(self, index: str) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM pragma_index_info(?)", (index,))]

    def parents(self, table: str) -> set[str]:
        found = self._connection.execute('SELECT "table" FROM pragma_foreign_key_list(?)', (table,))
        return {name for (name,) in found}


class PostgreSQLSchema(Schema):
    types = {  # noqa: RUF012 - never changed
        Kind.UUID: "uuid",
        Kind.TEXT: "character varying|text",
        Kind.INTEGER: "integer|bigint",
        Kind.EXACT: "numeric",
        Kind.DOUBLE: "double precision",
        Kind.FLAG: "boolean",
        Kind.JSON: "jsonb",
        Kind.TIME: "timestamp with time zone",
    }

    def __init__(self, connection: psycopg.Connection[tuple[str, str]]) -> None:
        self._connection = connection

    def columns(self, table: str) -> dict[str, str]:
        return dict(
            self._connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", (table,)
            )
        )

    def key(self, table: str) -> list[str]:
        (columns,) = self._constraints(table, "PRIMARY KEY")
        return list(columns)

    def unique(self, table: str) -> set[tuple[str, ...]]:
        return self._constraints(table, "UNIQUE")

    def _constraints(self, table: str, kind: str) -> set[tuple[str, ...]]:
        """The columns of each constraint of a kind, sorted."""
        rows = self._connection.execute(
            "SELECT k.constraint_name, k.column_name FROM information_schema.key_column_usage k"
            " JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name)"
            " WHERE c.table_name = %s AND c.constraint_type = %s ORDER BY k.column_name",
            (table, kind),
        )
        columns: dict[str, tuple[str, ...]] = {}
        for name, column in rows:
            columns[name] = (*columns.get(name, ()), column)
        return set(columns.values())

    def parents(self, table: str) -> set[str]:
        rows = self._connection.execute(
            "SELECT confrelid::regclass::text, '' FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'",
            (table,),
        )
        return {name for name, _ in rows}


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Schema]:
    path = tmp_path / "tiu.db"
    connect(f"sqlite:///{path}", project=False).close()
    with closing(sqlite3.connect(read_path(path, 1))) as connection:
        yield SQLiteSchema(connection)


@pytest.fixture
def postgresql(pg_url: str) -> Iterator[Schema]:
    with psycopg.connect(pg_url) as connection:
        yield PostgreSQLSchema(connection)


@pytest.fixture(params=["sqlite", "postgresql"])
def schema(request: pytest.FixtureRequest) -> Schema:
    found: Schema = request.getfixturevalue(request.param)
    return found


def test_columns_key_and_unique_sets_agree(schema: Schema) -> None:
    for table in READ_MODEL.tables:
        assert_columns(schema, table)
        assert schema.key(table.name) == [table.key], table.name
        assert schema.unique(table.name) == {tuple(sorted(columns)) for columns in table.unique}, table.name


def assert_columns(schema: Schema, table: Table) -> None:
    found = schema.columns(table.name)
    assert found.keys() == table.columns.keys(), table.name
    wrong = {
        column: (kind, found[column])
        for column, kind in table.columns.items()
        if found[column] not in schema.types[kind].split("|")
    }
    assert not wrong, table.name


def test_parents_stand_before_their_children(schema: Schema) -> None:
    before: set[str] = set()
    for table in READ_MODEL.tables:
        assert schema.parents(table.name) <= before, table.name
        before.add(table.name)


def test_the_tables_are_those_of_the_specification_and_running_state_is_private() -> None:
    assert {table.name for table in READ_TABLES} == SPECIFIED | {f"{name}_archive" for name in OF_A_PROJECT}
    assert not any(table.private for table in READ_TABLES)
    assert all(table.private for table in PRIVATE_TABLES)
    assert READ_MODEL.tables == (*READ_TABLES, *PRIVATE_TABLES)
    assert all(table.parent is None or table.parent in table.columns for table in READ_MODEL.tables)
