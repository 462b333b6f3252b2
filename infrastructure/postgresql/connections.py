"""Connections to one PostgreSQL database: a bounded pool, and single ones for those that wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ..errors import StoreUnavailable
from ..sql import statements

Connection = psycopg.Connection[Any]

CONNECT_SECONDS = 10
SQL = statements("postgresql/connections.sql")
_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "claude-tiu",
}
MAX_POOL_SIZE = 5
"""With the listener, one embedding process holds six connections at most."""


def shown(url: str) -> str:
    """Return the URL of where a connection string leads, without its password and options."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "postgresql://(not a connection string)"
    host, port, user, name = (str(parts.get(key) or "") for key in ("host", "port", "user", "dbname"))
    socket = f"?host={quote(host, safe='')}" if host.startswith("/") else ""
    place = ("" if socket else host or "localhost") + (f":{port}" if port else "")
    return f"postgresql://{quote(user)}{'@' if user else ''}{place}/{quote(name)}{socket}"


def connect(url: str) -> Connection:
    """Return a connection in autocommit mode. Raises StoreUnavailable."""
    try:
        connection = psycopg.connect(url, **_OPTIONS)
        _configure(connection)
    except psycopg.Error as error:
        raise unavailable(url, error) from None
    return connection


def _configure(connection: Connection) -> None:
    connection.execute(SQL["configure"])


def unavailable(url: str, error: Exception) -> StoreUnavailable:
    reason = " ".join(str(error).split()) or type(error).__name__
    return StoreUnavailable(f"{shown(url)}: {reason}", database=shown(url))


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what a lost or failing database raises into StoreUnavailable; broken constraints and faults of ours pass."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, PoolTimeout, PoolClosed) as error:
        raise unavailable(url, error) from error


class Connections:
    """The pooled connections of one process. Thread-safe."""

    def __init__(self, url: str, *, max_size: int, timeout: float, recycle: float) -> None:
        self.url = url
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=1,
            max_size=max_size,
            timeout=timeout,
            max_lifetime=recycle,
            kwargs=_OPTIONS,
            configure=_configure,
            open=True,
        )

    @contextmanager
    def using(self) -> Iterator[Connection]:
        """Give a connection in autocommit mode."""
        with translated(self.url):
            try:
                with self._pool.connection() as connection:
                    yield connection
            except psycopg.OperationalError:
                self._pool.check()  # what cut this connection cut others: the next caller should not meet them
                raise

    def close(self) -> None:
        self._pool.close()
