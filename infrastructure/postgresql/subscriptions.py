"""Subscriptions on PostgreSQL: their checkpoints, and transactions of the service's that move them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from ..errors import CheckpointMoved, TransactionRefused
from ..sql import for_psycopg, statements
from ..subscriptions import Mark, Subscribed, Subscriptions, Transactions, lease_name
from .connections import Connection, Connections, connect, translated, unavailable
from .leases import SQL as LEASES
from .leases import PostgreSQLLeases

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/subscriptions.sql").items()}
LEASES_SQL = LEASES | {
    name: for_psycopg(statement) for name, statement in statements("postgresql/subscription_leases.sql").items()
}


class PostgreSQLSubscriptions(Subscriptions):
    def __init__(self, connections: Connections, lease_seconds: float) -> None:
        self._connections = connections
        self.leases = PostgreSQLLeases(connections, lease_seconds, LEASES_SQL)

    def all(self) -> list[Subscribed]:
        return [_subscribed(row) for row in self._rows("all")]

    def find(self, name: str) -> Subscribed | None:
        return next(map(_subscribed, self._rows("find", name=name)), None)

    def create(self, name: str, topics: Sequence[str] | None, mark: Mark) -> None:
        self._do("create", name=name, topics=_json(topics), **mark._asdict())

    def take_topics(self, name: str, topics: Sequence[str] | None, fence: int) -> None:
        self._do("take_topics", name=name, topics=_json(topics), fence=fence)

    def move(self, name: str, before: Mark, after: Mark) -> bool:
        return self._do("move", **_moving(name, before, after)) == 1

    def remove(self, name: str) -> bool:
        return self._do("remove", name=name) == 1

    def transactions(self, name: str) -> Transactions:
        return PostgreSQLTransactions(self._connections.url, name)

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._connections.using() as connection:
            return connection.execute(SQL[statement], values).fetchall()

    def _do(self, statement: str, **values: Any) -> int:
        with self._connections.using() as connection:
            return connection.execute(SQL[statement], values).rowcount


class PostgreSQLTransactions:
    """On a connection that is none of the pool's: whatever is set on it, however long it is used, commands go on."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection | None = None

    @contextmanager
    def moving(self, before: Mark, after: Mark) -> Iterator[Connection]:
        connection = self._opened()
        raised: BaseException | None = None
        with suppress(psycopg.Rollback), translated(self._url), connection.transaction():
            self._move(connection, before, after)
            try:
                yield connection
            except BaseException as error:  # noqa: BLE001 - raised again below, behind the rollback
                raised = error
                raise psycopg.Rollback from None
            if connection.pgconn.transaction_status != TransactionStatus.INTRANS:
                raise TransactionRefused(f"the transaction of {self._name} was ended within, or failed")
        if isinstance(raised, psycopg.Error) and connection.closed:
            raise unavailable(self._url, raised) from None
        if raised is not None:
            raise raised

    def _move(self, connection: Connection, before: Mark, after: Mark) -> None:
        with connection.cursor(row_factory=tuple_row) as cursor:  # the service may have set another one
            cursor.execute(SQL["write"], {"name": self._name})
            if cursor.execute(SQL["move"], _moving(self._name, before, after)).rowcount != 1:
                raise CheckpointMoved(f"the checkpoint of {lease_name(self._name)} has moved", name=self._name)

    def _opened(self) -> Connection:
        if self._connection is not None and self._connection.closed:
            self._connection = None
        if self._connection is None:
            self._connection = connect(self._url)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _moving(name: str, before: Mark, after: Mark) -> dict[str, Any]:
    return {"name": name, **after._asdict(), **{f"{key}_before": value for key, value in before._asdict().items()}}


def _json(topics: Sequence[str] | None) -> Jsonb:
    return Jsonb(None if topics is None else list(topics))


def _subscribed(row: tuple[Any, ...]) -> Subscribed:
    name, topics, epoch, position, event_hash, fence, created_at, moved_at = row
    return Subscribed(name, topics, Mark(epoch, position, event_hash, fence), created_at, moved_at)
