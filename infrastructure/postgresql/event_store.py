"""The event store on PostgreSQL: one server call an append, the ordering lock inside it (append_events)."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from psycopg import sql

from ..errors import StoreUnavailable
from ..event_store import (
    READ_BYTES,
    CommandTrace,
    Conflict,
    EventRow,
    EventStore,
    Known,
    Listener,
    LogEvent,
    Outcome,
    Stored,
    StreamEvent,
    Taken,
    Unit,
)
from ..sql import for_psycopg, statements
from .connections import Connection, Connections, connect

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/events.sql").items()}
MAX_VERSION = 2**31 - 1
MAX_POSITION = 2**63 - 1
RECONNECT_SECONDS = 0.5


class PostgreSQLEventStore(EventStore):
    """Shares its connections with the read store of the same database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        ((self.epoch, self.reservation_key, self._channel),) = self._all("store")

    @property
    def connections(self) -> Connections:
        """The connections that it shares."""
        return self._connections

    def append(self, units: Sequence[Unit]) -> list[Outcome]:
        try:
            rows = self._all("append", **_arrays(units))
        except psycopg.errors.UniqueViolation as error:
            raise IntegrityError(str(error)) from error
        return [_outcome(unit, *row) for unit, row in zip(units, rows, strict=True)]

    def load(self, stream_id: UUID) -> list[StreamEvent]:
        return [StreamEvent(*row) for row in self._all("load", stream_id=stream_id)]

    def read(self, after: int, limit: int) -> list[LogEvent]:
        return [LogEvent(*row) for row in self._all("read", after=after, limit=limit, bytes=READ_BYTES)]

    def read_rows(self, after: int, limit: int) -> list[EventRow]:
        return [EventRow(*row) for row in self._all("read_rows", after=after, limit=limit)]

    def hash_at(self, position: int) -> bytes | None:
        rows = self._all("hash_at", position=position)
        return rows[0][0] if rows else None

    def trace(self, command_ids: Sequence[UUID]) -> list[CommandTrace]:
        return [CommandTrace(*row) for row in self._all("trace", command_ids=list(command_ids))]

    def count(self, id_: UUID) -> tuple[int, int]:
        events, commands = self._all("count", id=id_)[0]
        return events, commands

    def listen(self) -> Listener:
        return PostgreSQLListener(self._connections.url, self._channel)

    def close(self) -> None:
        self._connections.close()

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        rows = self._all(
            "select_events_desc" if desc else "select_events",
            stream_id=originator_id,
            gt=-1 if gt is None else gt,
            lte=MAX_VERSION if lte is None else lte,
            limit=limit,
        )
        return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        rows = self._all(
            "select_notifications",
            start=(start or 0) + (0 if inclusive_of_start else 1),
            stop=MAX_POSITION if stop is None else stop,
            topics=list(topics),
            limit=limit,
        )
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        position: int | None = self._all("max_position")[0][0]
        return position

    def _all(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._connections.using() as connection, connection.cursor(binary=True) as cursor:
            return cursor.execute(SQL[name], parameters).fetchall()


def _arrays(units: Sequence[Unit]) -> Mapping[str, list[Any]]:
    """Return the arguments of append_events: parallel arrays, and where each unit's part of them ends."""
    events = [event for unit in units for event in unit.events]
    guards = [guard for unit in units for guard in unit.guards.items()]
    reservations = [reservation for unit in units for reservation in unit.reservations]
    return {
        "event_ends": list(accumulate(len(unit.events) for unit in units)),
        "streams": [event.stream_id for event in events],
        "versions": [event.version for event in events],
        "topics": [event.topic for event in events],
        "states": [event.state for event in events],
        "command_ids": [event.command_id for event in events],
        "command_digests": [event.command_digest for event in events],
        "correlation_ids": [event.correlation_id for event in events],
        "causation_ids": [event.causation_id for event in events],
        "actors": [event.actor for event in events],
        "project_ids": [event.project_id for event in events],
        "key_ids": [event.key_id for event in events],
        "guard_ends": list(accumulate(len(unit.guards) for unit in units)),
        "guard_streams": [stream_id for stream_id, _ in guards],
        "guard_versions": [version for _, version in guards],
        "reservation_ends": list(accumulate(len(unit.reservations) for unit in units)),
        "reservation_spaces": [reservation.space for reservation in reservations],
        "reservation_keys": [reservation.key for reservation in reservations],
        "reservation_streams": [reservation.stream_id for reservation in reservations],
    }


def _outcome(unit: Unit, outcome: str, first_position: int | None, detail: int | None) -> Outcome:
    if outcome == "stored" and first_position is not None:
        return Stored(first_position)
    if outcome == "conflict" and detail is not None:
        return Conflict(list(unit.guards)[detail - 1])
    if outcome == "taken" and detail is not None:
        return Taken(detail - 1)
    return Known()


class PostgreSQLListener:
    """LISTENs on a connection of its own, and makes a new one when that is lost."""

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._waker, self._wakes = socket.socketpair()
        self._waker.setblocking(False)
        self._wakes.setblocking(False)
        self._connection: Connection | None = self._connect()

    def _connect(self) -> Connection:
        connection = connect(self._url)
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        return connection

    def wait(self, timeout: float) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
                return  # what was appended while nobody listened was not told
            if not any(True for _ in self._connection.notifies(timeout=0)):
                self._sleep(timeout, self._connection.fileno())
                for _ in self._connection.notifies(timeout=0):
                    pass
        except (psycopg.Error, StoreUnavailable):
            self._lose_connection()
            self._sleep(min(timeout, RECONNECT_SECONDS))
        self._drain_wakes()

    def _sleep(self, timeout: float, *files: int) -> None:
        """Sleep until something can be read, of the waker or of `files`."""
        with selectors.DefaultSelector() as selector:
            for file in (self._wakes.fileno(), *files):
                selector.register(file, selectors.EVENT_READ)
            selector.select(timeout)

    def _lose_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wakes.recv(4096):
                pass

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile, or woken often enough
            self._waker.send(b"!")

    def close(self) -> None:
        self._lose_connection()
        self._waker.close()
        self._wakes.close()
