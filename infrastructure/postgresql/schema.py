"""Migrating a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from ...projections.projection import Table
from ..migration import Migration, failed, way_back
from ..read_store import empty_statement
from ..sql import statements
from .connections import Connection, connect, shown, translated

SQL = statements("postgresql/migrations.sql")


class PostgreSQLDatabase:
    """A PostgreSQL database: the schema that comes first in its search path; of it what is ours, or a projection's."""

    def __init__(
        self, url: str, migrations: Sequence[Migration], *, owner: str = "", tables: Sequence[Table] = ()
    ) -> None:
        self.url = url
        self.migrations = migrations
        self.owner = owner
        self._tables = tables

    def recorded(self) -> dict[str, tuple[str, str, str]]:
        rows = self._select("recorded")
        return {version: (applied, description, checksum) for version, applied, description, checksum in rows}

    def rollbacks(self) -> dict[str, str]:
        return dict(self._select("rollbacks"))

    def _select(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connect() as connection:
            if not connection.execute(SQL["exists"]).fetchone():
                return []
            found = connection.execute(SQL[statement]).fetchall()
        return [row for row in found if row[0].rpartition("/")[0] == self.owner]

    def up(self, migration: Migration) -> bool:
        with self._connect() as connection, connection.transaction():
            connection.execute(SQL["create_schema_migrations"])
            connection.execute(SQL["create_migration_rollbacks"])
            if connection.execute(SQL["is_recorded"], (migration.version,)).fetchone():
                return False
            self._run(connection, migration.version, "applied", migration.up)
            connection.execute(SQL["record"], (migration.version, migration.description, migration.checksum))
            connection.execute(SQL["record_rollback"], (migration.version, migration.down))
        return True

    def down(self, version: str) -> None:
        with self._connect() as connection, connection.transaction():
            rollback = connection.execute(SQL["rollback"], (version,)).fetchone()
            self._run(connection, version, "undone", way_back(version, rollback and rollback[0]))
            connection.execute(SQL["forget_rollback"], (version,))
            connection.execute(SQL["forget"], (version,))
            if self.owner:
                self._empty(connection)

    def _empty(self, connection: Connection) -> None:
        """Empty what is left of a projection's tables, so that they are filled again from the first event."""
        connection.execute(SQL["lock_checkpoints"])
        connection.execute(SQL["delete_checkpoint"], (self.owner,))
        for table in reversed(self._tables):
            if connection.execute(SQL["is_table"], (table.name,)).fetchone():
                connection.execute(empty_statement(table).encode())

    def _run(self, connection: Connection, version: str, what: str, script: str) -> None:
        try:
            connection.execute(script.encode())  # as bytes: several statements, and no placeholder in them
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            raise failed(shown(self.url), version, what, error) from error

    def is_empty(self) -> bool:
        """Whether the schema has no table or view, ours or others' (those of extensions apart)."""
        with self._connect() as connection:
            return connection.execute(SQL["any_table"]).fetchone() is None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one session at a time migrate: by a lock on the server, waited for."""
        with self._connect() as connection:
            connection.execute(SQL["lock"])
            yield

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with translated(self.url), connect(self.url) as connection:
            yield connection
