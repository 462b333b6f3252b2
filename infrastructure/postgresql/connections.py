"""Connections to one PostgreSQL database: a bounded pool, and single ones for those that wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import postgres, pq
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_dumps
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from pydantic_core import to_json

from ..errors import ConnectionClosed, StoreUnavailable
from ..sql import statements

CONNECT_SECONDS = 10
RECONNECT_SECONDS = 1.0
"""After so long the pool begins anew to connect: by itself it would wait twice as long each time."""
SQL = statements("postgresql/connections.sql")
_SECRETS = ("password", "sslpassword", "passfile")
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "claude-tiu",
    "client_encoding": "UTF8",  # whatever PGCLIENTENCODING says, and with a database in SQL_ASCII too
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_UNUSABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
    PoolTimeout,
)
MAX_POOL_SIZE = 5
"""With the listener, one embedding process holds six connections at most."""


class Connection(psycopg.Connection[Any]):
    """A connection that knows which run of the server it belongs to."""

    incarnation: datetime
    """When the server's statistics were begun anew: at another time after each crash, and on each other server."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.prepared: set[str] = set()
        """The names of statements that were prepared on it, psycopg's own not among them."""
        self.kept_until = 0.0
        """When one that is kept out of the pool goes back to it (time.monotonic()); 0 of all others. The plans of its
        session are made once, by indexes: it is for the statements of hot.sql alone."""


def shown(url: str) -> str:
    """Return the URL of where a connection string leads, without its secrets: --db takes it."""
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if key not in _SECRETS and value}
    except psycopg.ProgrammingError:
        return "postgresql://(not a connection string)"
    user, name, host, port = (parts.pop(key, "") for key in ("user", "dbname", "host", "port"))
    if any(mark in host for mark in "/,:"):  # a folder, several hosts, IPv6: a URL holds them among its options
        parts = {"host": host} | ({"port": port} if port else {}) | parts
        host = port = ""
    elif not host and "host" not in parts:
        host = "localhost"
    place = host + (f":{port}" if port else "")
    options = "&".join(f"{key}={quote(value, safe='')}" for key, value in parts.items())
    return f"postgresql://{quote(user)}{'@' if user else ''}{place}/{quote(name)}{'?' if options else ''}{options}"


def _with_defaults(url: str) -> str:
    """Return a connection string with our defaults for what it does not say: a dead peer is noticed in a minute."""
    given = conninfo_to_dict(url)
    return make_conninfo(url, **{key: value for key, value in _DEFAULTS.items() if key not in given})


def connect(url: str) -> Connection:
    """Return a connection in autocommit mode. Raises StoreUnavailable."""
    try:
        connection = Connection.connect(_with_defaults(url), autocommit=True)
        try:
            _configure(connection)
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise unavailable(url, error) from None
    return connection


class _JsonDumper(Dumper):
    """Gives whatever is copied into a jsonb column in binary form: psycopg's own takes twice as long."""

    format = pq.Format.BINARY
    oid = postgres.types["jsonb"].oid

    def dump(self, obj: Any) -> bytes:
        return b"\1" + to_json(obj)


def _configure(connection: Connection) -> None:
    connection.execute(SQL["configure"])
    adapt(connection)


def adapt(connection: Connection) -> None:
    """Give a connection our forms of JSON, and its incarnation."""
    set_json_dumps(to_json, connection)
    connection.adapters.register_dumper(dict, _JsonDumper)
    ((connection.incarnation,),) = connection.execute(SQL["incarnation"])


def unavailable(url: str, error: Exception) -> StoreUnavailable:
    """What the server says besides its message (detail, context) may hold the values of a statement."""
    said = isinstance(error, psycopg.Error) and error.diag.message_primary
    reason = " ".join((said or str(error)).split()) or type(error).__name__
    return StoreUnavailable(f"{shown(url)}: {reason}", database=shown(url))


def translation(url: str, error: BaseException) -> StoreUnavailable | ConnectionClosed | None:
    """Return what a lost or failing database's error is told as; None of broken constraints and faults of ours."""
    if isinstance(error, PoolClosed):
        return ConnectionClosed(f"{shown(url)}: this connection was closed", database=shown(url))
    return unavailable(url, error) if isinstance(error, _UNUSABLE) else None


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise the translation of what is raised, where it has one."""
    try:
        yield
    except psycopg.Error as error:
        if told := translation(url, error):
            raise told from None
        raise


def _begin_anew(pool: ConnectionPool[Connection]) -> None:
    """Let a pool connect that has given up."""
    if not pool.closed:
        pool.check()


class Connections:
    """The pooled connections of one process. Thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        max_size: int,
        timeout: float,
        recycle: float,
        prepare: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """`prepare` is given each new connection."""

        def configure(connection: Connection) -> None:
            _configure(connection)
            prepare(connection)

        self.url = url
        self.timeout = timeout
        self.incarnation: datetime | None = None
        """That of the connection used last."""
        self._recycle = recycle
        self._kept: deque[Connection | None] = deque([None] if max_size > 1 else [])
        """The one that is kept out of the pool, None before it is made; empty while it is in use."""
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            _with_defaults(url),
            connection_class=Connection,
            min_size=1,
            max_size=max_size,
            timeout=timeout,
            max_lifetime=recycle,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=_begin_anew,
            kwargs={"autocommit": True},
            configure=configure,
            open=True,
        )

    def using(self) -> AbstractContextManager[Connection]:
        """Give a connection in autocommit mode."""
        return Using(self, self.take)

    def hot(self) -> Using:
        """Give a connection for statements of hot.sql: the one that is kept for them, without the pool's cost; one of
        the pool, where another thread has that."""
        return Using(self, self._take_hot)

    def hot_at_once(self) -> Using | None:
        """Give the one that is kept; None where another thread has it, or it would have to be made first."""
        try:
            connection = self._kept.pop()
        except IndexError:
            return None
        if connection is None or connection.kept_until < time.monotonic():
            self._kept.append(connection)
            return None
        self.incarnation = connection.incarnation
        return Using(self, lambda: connection)

    def take(self) -> Connection:
        """Take a connection out of the pool. Raises StoreUnavailable."""
        try:
            connection = self._pool.getconn()
        except psycopg.Error as error:
            raise self.lost(error) or error from None
        self.incarnation = connection.incarnation
        return connection

    def _take_hot(self) -> Connection:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self.take()
        if connection is None or connection.kept_until < time.monotonic():
            connection = self._keep_another(connection)
        self.incarnation = connection.incarnation
        return connection

    def _keep_another(self, old: Connection | None) -> Connection:
        """Keep a connection of the pool, in place of one whose time has come."""
        try:
            with ExitStack() as undo:
                undo.callback(self._kept.append, None)
                if old is not None:
                    old.kept_until = 0.0
                    self._pool.putconn(old)  # which lets it go: it is older than that
                connection = self.take()
                undo.callback(self._keep_no_more, connection)
                connection.execute(SQL["keep_plans"])
                undo.pop_all()
        except psycopg.Error as error:
            raise self.lost(error) or error from None
        connection.kept_until = time.monotonic() + self._recycle
        return connection

    def give_back(self, connection: Connection) -> None:
        if not connection.kept_until:
            self._pool.putconn(connection)
        elif connection.pgconn.transaction_status == pq.TransactionStatus.IDLE and not self._pool.closed:
            self._kept.append(connection)
        else:
            self._keep_no_more(connection)
            self._kept.append(None)

    def _keep_no_more(self, connection: Connection) -> None:
        connection.kept_until = 0.0
        connection.close()
        self._pool.putconn(connection)  # which makes another in its place

    def lost(self, error: BaseException) -> StoreUnavailable | ConnectionClosed | None:
        """Return the translation of what was raised, if it has one: what cut its connection cut others, and the next
        caller should not meet them."""
        if isinstance(error, psycopg.OperationalError):
            self._empty_kept()
            self._pool.check()
        return translation(self.url, error)

    def stats(self) -> dict[str, int]:
        """Return psycopg_pool's figures: `pool_size`, `pool_available`, `requests_waiting` and others."""
        return self._pool.get_stats()

    def _empty_kept(self) -> None:
        """Close the connection that is kept, if nobody has it now."""
        try:
            connection = self._kept.pop()
        except IndexError:
            return
        if connection is not None:
            self._keep_no_more(connection)
        self._kept.append(None)

    def close(self) -> None:
        self._pool.close()
        self._empty_kept()


class Using:
    """A context of `Connections`: a class, since a generator would cost each call as much as the pool does."""

    __slots__ = ("_connection", "_connections", "_take")

    def __init__(self, connections: Connections, take: Callable[[], Connection]) -> None:
        self._connections = connections
        self._take = take

    def __enter__(self) -> Connection:
        self._connection = self._take()
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.give_back(self._connection)
        if error is not None and (told := self._connections.lost(error)):
            raise told from None


class Held:
    """One connection inside a transaction, in place of Connections: what reads and writes through it is part of it."""

    def __init__(self, url: str, connection: Connection) -> None:
        self.url = url
        self.incarnation = connection.incarnation
        self._connection = connection

    @contextmanager
    def using(self) -> Iterator[Connection]:
        yield self._connection

    hot = using

    def close(self) -> None:
        """Do nothing: whoever holds the connection closes it."""
