"""Migrating one file of a SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...projections.projection import Table
from ...projections.read_model import NAME
from ..errors import StoreUnavailable
from ..migration import Migration, failed, says_something, way_back
from ..read_store import empty_statement
from ..sql import statements
from .connections import make_database, open_database, transaction, translated

SQL = statements("sqlite/migrations.sql")


class SQLiteFile:
    """One file of a SQLite database."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Migration],
        timeout: float,
        *,
        owner: str = "",
        tables: Sequence[Table] = (),
    ) -> None:
        self.path = path
        self.migrations = migrations
        self.owner = owner
        self._tables = tables
        self._timeout = timeout

    def recorded(self) -> dict[str, tuple[str, str, str]]:
        rows = self._select("recorded")
        return {version: (applied, description, checksum) for version, applied, description, checksum in rows}

    def rollbacks(self) -> dict[str, str]:
        return dict(self._select("rollbacks"))

    def _select(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            if not self.path.exists():
                return []
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise StoreUnavailable(f"cannot open {self.path}: {error.strerror}", path=self.path) from None
        with self._open() as connection:
            if not connection.execute(SQL["exists"]).fetchone():
                return []
            return connection.execute(SQL[statement]).fetchall()

    def up(self, migration: Migration) -> bool:
        make_database(self.path, timeout=self._timeout)
        with self._open() as connection, transaction(connection):
            return self.apply(connection, migration)

    def apply(self, connection: sqlite3.Connection, migration: Migration) -> bool:
        """Do what `up` does, as a part of a transaction."""
        connection.execute(SQL["create_schema_migrations"])
        connection.execute(SQL["create_migration_rollbacks"])
        if connection.execute(SQL["is_recorded"], (migration.version,)).fetchone():
            return False
        self._run(connection, migration.version, "applied", migration.up)
        values = {"version": migration.version, "description": migration.description}
        connection.execute(SQL["record"], {**values, "checksum": migration.checksum})
        connection.execute(SQL["record_rollback"], {**values, "rollback_sql": migration.down})
        return True

    def down(self, version: str) -> None:
        with self._open() as connection, transaction(connection):
            rollback = connection.execute(SQL["rollback"], (version,)).fetchone()
            self._run(connection, version, "undone", way_back(version, rollback and rollback[0]))
            connection.execute(SQL["forget_rollback"], (version,))
            connection.execute(SQL["forget"], (version,))
            if self.owner:
                self._empty(connection)

    def _empty(self, connection: sqlite3.Connection) -> None:
        """Empty what is left of a projection's tables, so that they are filled again from the first event."""
        connection.execute(SQL["delete_checkpoint"], (self.owner,))
        for table in reversed(self._tables):
            if connection.execute(SQL["is_table"], (table.name,)).fetchone():
                connection.execute(empty_statement(table))

    def _run(self, connection: sqlite3.Connection, version: str, what: str, script: str) -> None:
        try:
            for statement in split(script):
                connection.execute(statement)
        except sqlite3.Error as error:
            raise failed(self.path, version, what, error) from error

    def read_generation(self, projection: str = NAME) -> int:
        """Return which sibling of an events file holds a projection's tables: the first, where it does not say."""
        if "001" not in self.recorded():
            return 1
        with self._open() as connection:
            return int(connection.execute(SQL["read_generation"], {"projection": projection}).fetchone()[0])

    def is_empty(self) -> bool:
        """Whether the file has no table, ours or others'."""
        with self._open() as connection:
            return connection.execute(SQL["any_table"]).fetchone() is None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = open_database(self.path, timeout=self._timeout)
        try:
            with translated(self.path):
                yield connection
        finally:
            connection.close()


def split(script: str) -> Iterator[str]:
    """Yield the statements of a script: executescript would commit the transaction that they belong to."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if says_something(statement):
        yield statement
