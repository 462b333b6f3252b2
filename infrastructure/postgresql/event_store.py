"""The event store on PostgreSQL: one server call a group of appends, the ordering lock inside it (append_events)."""

from __future__ import annotations

import contextlib
import copy
import selectors
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Self
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from psycopg import sql
from psycopg.types.json import Jsonb

from ...projections.write_side import Change, forget
from ..errors import StoreReplaced, StoreUnavailable
from ..event_store import (
    LAST,
    READ_BYTES,
    WRITE_SIDE,
    CommandTrace,
    Conflict,
    EventRow,
    EventStore,
    Listener,
    LogEvent,
    Outcome,
    Relation,
    StreamEvent,
    Unit,
    log_event,
    without_superseded,
)
from ..group_commit import GroupCommit, are_independent
from ..keys import KeyRing
from ..observing import Append, Observing
from ..sql import for_psycopg, statements
from .appending import append, append_one, changes_json, is_small
from .connections import Connection, Connections, Held, connect, shown, translated
from .loading import LoadingAhead, load

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/events.sql").items()}
MAX_VERSION = 2**31 - 1
MAX_POSITION = 2**63 - 1
RECONNECT_SECONDS = 0.5
CROWDED_SECONDS = 1.0
"""For so long others are taken to be appending after one was met: the lock is let go before the disk is waited for."""
COPIED = 1_000
"""How many rows of the log are handed on at once."""
COPY_HEAD_BYTES = 19
"""What stands before the first row of a COPY in binary form."""
SLOTS = 2
"""One group is written while another waits for the disk."""


class PostgreSQLEventStore(EventStore):
    """Shares its connections with the read store of the same database."""

    def __init__(self, connections: Connections, *, key_ring: KeyRing | None = None) -> None:
        self.key_ring = key_ring or KeyRing()
        self.connections = connections
        self._connections: Connections | Held = connections
        self.observing = Observing()
        self.timeout = connections.timeout
        self._group = GroupCommit(slots=SLOTS, timeout=self.timeout, observing=self.observing)
        self._to_flush = False
        self._crowded_until = 0.0
        ((self.epoch, self.reservation_key, self._channel),) = self._all("store")

    @property
    def incarnation(self) -> object:
        return self._connections.incarnation

    def require_same(self) -> None:
        if self._all("store")[0][0] != self.epoch:
            raise StoreReplaced(f"{shown(self.connections.url)} holds another event store by now: connect anew")

    def append(self, units: Sequence[Unit], append: Append | None = None) -> list[Outcome]:
        if self._connections is self.connections:
            return self._group.append(units, self._store, append)
        self._to_flush = True
        return self._store(units, are_independent(units))

    def _store(self, units: Sequence[Unit], independent: bool) -> list[Outcome]:
        """Append units: on disk when this returns, or when the transaction at hand has ended and was flushed.

        What was read before the server crashed may have been lost in the crash, and its version be another event's:
        guards that rest on it are told as conflicts.
        """
        with self._connections.hot() as connection:
            read_in = (None, connection.incarnation)
            current = [unit for unit in units if unit.incarnation in read_in or not unit.guards]
            try:
                outcomes = self._append(connection, current, independent)
            except psycopg.errors.UniqueViolation as error:
                raise IntegrityError(error.diag.message_primary) from None
        if len(current) == len(units):
            return outcomes
        rest = iter(outcomes)
        return [
            next(rest) if unit.incarnation in read_in or not unit.guards else Conflict(next(iter(unit.guards)))
            for unit in units
        ]

    def _append(self, connection: Connection, units: Sequence[Unit], independent: bool) -> list[Outcome]:
        alone = self._connections is self.connections
        if alone and is_small(units):
            stored, crowded = append_one(connection, units[0], crowded=time.monotonic() < self._crowded_until)
            if crowded:
                self._crowded_until = time.monotonic() + CROWDED_SECONDS
            if stored is not None:
                return [stored]
        independent = independent and not any(unit.reservations for unit in units)
        return append(connection, units, independent=independent, alone=alone) if units else []

    def flush(self) -> None:
        if isinstance(self._connections, Held):
            self._to_flush = True
        else:
            self._all("flush")

    @contextmanager
    def exclusive(self) -> Iterator[Self]:
        with self._connections.using() as connection:
            held = self.on(connection)
            with connection.transaction():
                connection.execute(SQL["lock"])
                yield held
            if held._to_flush and isinstance(self._connections, Held):
                self._to_flush = True
            elif held._to_flush:
                connection.execute(SQL["flush"])

    def on(self, connection: Connection) -> Self:
        """Return the store as it is read and written by one connection, in the transaction that it is in."""
        held = copy.copy(self)
        held._connections = Held(self._connections.url, connection)
        return held

    def next_ready(
        self, project_id: UUID, *, priority: int | None, agent_type: str, capabilities: Sequence[str]
    ) -> UUID | None:
        rows = self._all(
            "next_ready",
            project_id=project_id,
            priority=priority,
            agent_type=agent_type,
            capabilities=Jsonb(list(capabilities)),
        )
        return rows[0][0] if rows else None

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        return [id_ for (id_,) in self._all("due", kind=kind, before=before, limit=limit)]

    def open_in(self, project_id: UUID, kinds: Sequence[str]) -> list[str]:
        return [kind for (kind,) in self._all("open_in", project_id=project_id, kinds=list(kinds))]

    def write_side(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self._all(f"all_{table}") for table in WRITE_SIDE}

    def rebuild_write_side(self, changes: Iterable[tuple[int, Change]]) -> None:
        with self._connections.using() as connection, connection.transaction():
            for table in WRITE_SIDE:
                connection.execute(SQL[f"empty_{table}"])
            rest = iter(changes)
            while batch := list(islice(rest, 1_000)):
                connection.execute(SQL["change_write_side"], {"changes": _changes(batch)})

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        rows = self._all("keys", person_ids=list(person_ids)) if person_ids else []
        return {id_: self.key_ring.unwrap(id_, key, wrapped) for id_, key, wrapped in rows}

    def any_key(self) -> UUID | None:
        rows = self._all("any_key")
        return rows[0][0] if rows else None

    def destroy_keys(self, person_ids: Collection[UUID]) -> None:
        changes = [(0, change) for id_ in person_ids for change in forget(id_)]
        self._all("change_write_side", changes=_changes(changes))

    def load_many(
        self, versions: Mapping[UUID, int], superseded: Collection[str] = ()
    ) -> dict[UUID, list[StreamEvent]]:
        if self._connections is self.connections and LAST not in versions.values():
            with self.connections.hot() as connection:
                return load(connection, versions, superseded)
        found: dict[UUID, list[StreamEvent]] = {stream_id: [] for stream_id in versions}
        streams, numbers = (f"{{{','.join(map(str, values))}}}" for values in (versions, versions.values()))
        for stream_id, *row in self._all("load_many", streams=streams, versions=numbers):
            found[stream_id].append(StreamEvent(*row))
        if superseded:
            return {stream_id: without_superseded(events, superseded) for stream_id, events in found.items()}
        return found

    def load_ahead(self, versions: Mapping[UUID, int], superseded: Collection[str] = ()) -> LoadingAhead | None:
        if self._connections is not self.connections or LAST in versions.values():
            return None
        using = self.connections.hot_at_once()
        return None if using is None else LoadingAhead(using, versions, superseded)

    def read(self, after: int, limit: int) -> list[LogEvent]:
        asked = {"after": after, "limit": limit, "bytes": READ_BYTES}
        rows = self._all("read", **asked)
        if rows and rows[0][0] is None:
            rows = self._all("read_some", **asked)
        return [*map(log_event, rows)]

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        found = self._all("read_units", units=list(unit_ids), after=after, limit=limit, bytes=READ_BYTES)
        return [*map(LogEvent._make, found)]

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return dict(self._all("units_of", streams=list(stream_ids)))

    def read_rows(self, after: int, limit: int) -> list[EventRow]:
        return [EventRow(*row) for row in self._all("read_rows", after=after, limit=limit)]

    def read_hashes(self, after: int, limit: int) -> list[bytes]:
        return [hash_ for (hash_,) in self._all("read_hashes", after=after, limit=limit)]

    def correlations(self, first: int, last: int, limit: int) -> list[str]:
        return [id_ for (id_,) in self._all("correlations", first=first, last=last, limit=limit)]

    def read_rows_of_project(self, project_id: UUID, after: int, limit: int) -> list[EventRow]:
        values = {"project_id": project_id, "after": after, "limit": limit, "bytes": READ_BYTES}
        return [*map(EventRow._make, self._all("read_rows_of_project", **values))]

    def read_rows_of_stream(self, stream_id: UUID, after: int, limit: int) -> list[EventRow]:
        values = {"stream_id": stream_id, "after": after, "limit": limit, "bytes": READ_BYTES}
        return [*map(EventRow._make, self._all("read_rows_of_stream", **values))]

    def read_rows_related(self, relation: Relation, id_: UUID | str, after: int, limit: int) -> list[EventRow]:
        values = {"id": id_, "after": after, "limit": limit, "bytes": READ_BYTES}
        return [*map(EventRow._make, self._all(f"read_rows_of_{relation}", **values))]

    def read_rows_of_topics(self, topics: Collection[str], after: int, up_to: int, limit: int) -> list[EventRow]:
        values = {"topics": list(topics), "after": after, "up_to": up_to, "limit": limit, "bytes": READ_BYTES}
        return [*map(EventRow._make, self._all("read_rows_of_topics", **values))]

    def read_at(self, positions: Sequence[int]) -> list[LogEvent]:
        return [*map(LogEvent._make, self._all("read_at", positions=list(positions), bytes=READ_BYTES))]

    def positions_of(self, project_id: UUID | None, stream_ids: Collection[UUID]) -> list[int]:
        return [at for (at,) in self._all("positions_of", project_id=project_id, stream_ids=list(stream_ids))]

    def streams_about(self, person_ids: Collection[UUID]) -> list[UUID]:
        return [stream for (stream,) in self._all("streams_about", person_ids=list(person_ids))]

    def encoded_rows(self) -> Iterator[list[bytes]]:
        with self._connections.using() as connection, connection.cursor().copy(SQL["encoded_rows"]) as copy:
            rows = _copied_rows(copy)
            while batch := list(islice(rows, COPIED)):
                yield batch

    def seals(self) -> list[tuple[int, str]]:
        return [(number, text) for number, text in self._all("seals")]

    def add_seal(self, number: int, text: str) -> None:
        self._all("add_seal", number=number, text=text)

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
            found = cursor.execute(SQL[name], parameters)
            return found.fetchall() if found.description else []


def _copied_rows(copy: psycopg.Copy) -> Iterator[bytes]:
    """Yield the columns of each row of a COPY in binary form: its head, the counts of columns and its end fall away."""
    head = COPY_HEAD_BYTES
    for row in copy:
        if len(row) > head + 2:
            yield bytes(row[head + 2 :])
        head = 0


def _changes(changes: Iterable[tuple[int, Change]]) -> Jsonb:
    """Return changes as change_write_side takes them."""
    return Jsonb(list(changes), changes_json)


class PostgreSQLListener:
    """LISTENs on a connection of its own, and makes a new one when that is lost.

    One thread uses it; any may wake it.
    """

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._waker, self._wakes = socket.socketpair()
        self._waker.setblocking(False)
        self._wakes.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._connection: Connection | None = None
        self._file = -1
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection:
        connection = connect(self._url)
        try:
            with translated(self._url):
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        except BaseException:
            connection.close()
            raise
        self._file = connection.fileno()
        self._selector.register(self._file, selectors.EVENT_READ)
        self._connection, self._listens = connection, True
        return connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Give the connection that listens, a new one where that was lost. Raises StoreUnavailable."""
        try:
            if self._connection is not None and self._connection.closed:
                self._lose_connection()
            connection = self._connection or self._connect()
            with translated(self._url):
                yield connection
        except StoreUnavailable:
            self._lose_connection()
            raise

    def wait(self, timeout: float) -> None:
        try:
            if self._connection is None:
                self._connect()
                return  # what was appended while nobody listened was not told
            if not self._listens:
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                self._listens = True
                return
            if not _told(self._connection):
                self._selector.select(timeout)
                _told(self._connection)
        except (psycopg.Error, StoreUnavailable):
            self._lose_connection()
            self._selector.select(min(timeout, RECONNECT_SECONDS))
        self._drain_wakes()

    def pause(self, timeout: float) -> None:
        """Nobody listens meanwhile: what is told to a session that does not look is kept by the server."""
        try:
            if self._connection is not None and self._listens:
                self._connection.execute("UNLISTEN *")
                self._listens = False
            self._selector.select(timeout)
            if self._connection is not None:
                _told(self._connection)
        except psycopg.Error:
            self._lose_connection()
        self._drain_wakes()

    def _lose_connection(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._file)
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
        self._selector.close()
        self._waker.close()
        self._wakes.close()


def _told(connection: Connection) -> bool:
    """Take in what the server has told, and return whether it was anything; below psycopg's generator, which costs more
    than the statement that is told of. Raises OperationalError where the connection is lost."""
    connection.pgconn.consume_input()
    told = False
    while connection.pgconn.notifies():
        told = True
    return told
