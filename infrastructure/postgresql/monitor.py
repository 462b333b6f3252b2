"""What PostgreSQL says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from ..errors import StatisticsUnavailable
from ..monitor import IndexUse, Monitor, PoolUse, SlowStatement, TableSize
from ..sql import for_psycopg, statements
from .connections import Connections, connect, translated

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/monitor.sql").items()}
_UNREADABLE = {
    psycopg.errors.UndefinedTable: (
        "it is not installed: add it to shared_preload_libraries, then CREATE EXTENSION pg_stat_statements"
    ),
    psycopg.errors.ObjectNotInPrerequisiteState: (
        "it is installed but not loaded: add it to shared_preload_libraries, and restart PostgreSQL"
    ),
    psycopg.errors.InsufficientPrivilege: "this role may not read it",
    psycopg.errors.UndefinedColumn: "it is older than 1.8: ALTER EXTENSION pg_stat_statements UPDATE",
}


class PostgreSQLMonitor(Monitor):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def sizes(self, *, limit: int = 1_000) -> list[TableSize]:
        with self._asking() as cursor:
            return [TableSize(**row) for row in cursor.execute(SQL["sizes"], {"limit": limit})]

    def slow(self, *, limit: int = 10) -> list[SlowStatement]:
        with self._asking() as cursor:
            try:
                cursor.execute(SQL["reach_statements"])
                return [SlowStatement(**row) for row in cursor.execute(SQL["slow"], {"limit": limit})]
            except tuple(_UNREADABLE) as error:
                raise _unreadable(error) from None

    def indexes(self, *, limit: int = 1_000) -> list[IndexUse]:
        with self._asking() as cursor:
            return [IndexUse(**row) for row in cursor.execute(SQL["indexes"], {"limit": limit})]

    def pool(self) -> PoolUse:
        stats = self._connections.stats()
        return PoolUse(stats["pool_size"], stats["pool_available"], stats["requests_waiting"])

    @contextmanager
    def _asking(self) -> Iterator[psycopg.Cursor[DictRow]]:
        with (
            self._connections.using() as connection,
            connection.transaction(),
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            yield cursor


def _unreadable(error: BaseException) -> StatisticsUnavailable:
    reason = next(reason for kind, reason in _UNREADABLE.items() if isinstance(error, kind))
    return StatisticsUnavailable(f"no statistics of statements: they are kept by pg_stat_statements, and {reason}")


def facts(url: str) -> dict[str, Any]:
    """Return the server's `version`, the database's `encoding` and `schema`, and the version of `pg_stat_statements`
    (None where it is not installed), over a connection of its own. Raises StoreUnavailable."""
    with translated(url), connect(url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL["facts"]).fetchall()[0]
