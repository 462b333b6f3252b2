"""Subscriptions on SQLite: their checkpoints, in the file of the events, and transactions that move them there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..errors import CheckpointMoved, TransactionRefused
from ..sql import statements
from ..subscriptions import Mark, Subscribed, Subscriptions, Transactions, lease_name
from .connections import Connections, open_database, translated
from .leases import SQLiteLeases
from .values import time_of, time_text

SQL = statements("sqlite/subscriptions.sql")
LEASES_SQL = statements("sqlite/subscription_leases.sql")


class SQLiteSubscriptions(Subscriptions):
    def __init__(self, connections: Connections, lease_seconds: float) -> None:
        self._connections = connections
        self.leases = SQLiteLeases(connections.path, connections, lease_seconds, LEASES_SQL)

    def all(self) -> list[Subscribed]:
        return [_subscribed(row) for row in self._rows("all")]

    def find(self, name: str) -> Subscribed | None:
        return next(map(_subscribed, self._rows("find", name=name)), None)

    def create(self, name: str, topics: Sequence[str] | None, mark: Mark) -> None:
        self._do("create", name=name, topics=json.dumps(topics), **_values(mark))

    def take_topics(self, name: str, topics: Sequence[str] | None, fence: int) -> None:
        self._do("take_topics", name=name, topics=json.dumps(topics), fence=fence)

    def move(self, name: str, before: Mark, after: Mark) -> bool:
        return self._do("move", **_moving(name, before, after)) == 1

    def remove(self, name: str) -> bool:
        return self._do("remove", name=name) == 1

    def transactions(self, name: str) -> Transactions:
        return SQLiteTransactions(self._connections, name)

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._connections.reading() as connection:
            return connection.execute(SQL[statement], values).fetchall()

    def _do(self, statement: str, **values: Any) -> int:
        with self._connections.writing() as connection:
            return connection.execute(SQL[statement], {**values, "now": _now()}).rowcount


class SQLiteTransactions:
    """On a connection of its own: whatever is set on it, appends go on. Nobody else writes to the file meanwhile."""

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections = connections
        self._name = name
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def moving(self, before: Mark, after: Mark) -> Iterator[sqlite3.Connection]:
        with self._connections.turn():
            connection = self._opened()
            with translated(self._connections.path):
                connection.execute("BEGIN IMMEDIATE")
            try:
                self._move(connection, before, after)
                connection.set_authorizer(_keep_transaction)
                try:
                    yield connection
                finally:
                    connection.set_authorizer(None)
                if not connection.in_transaction:
                    raise TransactionRefused(f"the transaction of {self._name} was rolled back within")
                with translated(self._connections.path):
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _move(self, connection: sqlite3.Connection, before: Mark, after: Mark) -> None:
        with translated(self._connections.path):
            moved = connection.execute(SQL["move"], {**_moving(self._name, before, after), "now": _now()}).rowcount
        if moved != 1:
            raise CheckpointMoved(f"the checkpoint of {lease_name(self._name)} has moved", name=self._name)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self._connections.path, timeout=self._connections.timeout)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _keep_transaction(action: int, *_: str | None) -> int:
    """Let nothing but its end end the transaction: `connection.commit()`, or `with connection`, would."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK


def _now() -> str:
    return time_text(datetime.now(UTC))


def _values(mark: Mark) -> dict[str, Any]:
    return {**mark._asdict(), "epoch": str(mark.epoch)}


def _moving(name: str, before: Mark, after: Mark) -> dict[str, Any]:
    return {"name": name, **_values(after), **{f"{key}_before": value for key, value in _values(before).items()}}


def _subscribed(row: tuple[Any, ...]) -> Subscribed:
    name, topics, epoch, position, event_hash, fence, created_at, moved_at = row
    mark = Mark(UUID(epoch), position, event_hash, fence)
    return Subscribed(name, json.loads(topics), mark, time_of(created_at), time_of(moved_at))
