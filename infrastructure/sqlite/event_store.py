"""The event store on SQLite: one writer at a time, so the write lock is the ordering lock."""

from __future__ import annotations

import copy
import json
import sqlite3
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent

from ...projections.read_model import NAME
from ...projections.write_side import Change, forget
from ..errors import StoreReplaced
from ..event_hash import NO_EVENT, event_hash
from ..event_store import (
    READ_BYTES,
    WRITE_SIDE,
    CommandTrace,
    Conflict,
    EventRow,
    EventStore,
    Known,
    Listener,
    LogEvent,
    NewEvent,
    Outcome,
    Relation,
    Stored,
    StreamEvent,
    Taken,
    Unit,
    log_event,
    without_superseded,
)
from ..group_commit import GroupCommit, are_independent
from ..keys import KeyRing
from ..observing import Append, Observing
from ..sql import sequences, statements
from .connections import Connections, Held
from .encoded import encoded_row
from .listening import SQLiteListener
from .values import json_text, stored_id, time_of, time_text, uuid_of, uuid_text

SQL = statements("sqlite/events.sql")
CHANGES = sequences("sqlite/write_side.sql")
MAX_VERSION = 2**31 - 1
MAX_POSITION = 2**63 - 1
ENCODED = 1_000
"""How many rows of the log are handed on at once."""


class Head:
    """The end of the log, while units are appended to it."""

    def __init__(self, row: tuple[int, bytes, str] | None) -> None:
        position, hash_, recorded_at = row or (0, NO_EVENT, "")
        self.position: int = position
        self.hash: bytes = hash_
        now = time_text(datetime.now(UTC))
        self.recorded_text = max(now, recorded_at)
        self.recorded_at = time_of(self.recorded_text)

    def row(self, event: NewEvent) -> tuple[Any, ...]:
        """Return the row of the next event, and move on to it."""
        previous = self.hash
        self.position += 1
        self.hash = event_hash(
            previous,
            self.position,
            event.stream_id,
            event.version,
            event.topic,
            event.state,
            self.recorded_at,
            event.command_id,
            event.command_digest,
            event.correlation_id,
            event.causation_id,
            event.actor,
            event.project_id,
            event.key_id,
        )
        return (
            self.position,
            str(event.stream_id),
            event.version,
            event.topic,
            event.state,
            self.recorded_text,
            uuid_text(event.command_id),
            event.command_digest,
            event.correlation_id,
            event.causation_id,
            event.actor,
            uuid_text(event.project_id),
            uuid_text(event.key_id),
            previous,
            self.hash,
        )


class SQLiteEventStore(EventStore):
    """Raises StoreUnavailable where the file cannot be opened, or is locked for longer than `timeout` seconds."""

    def __init__(self, path: Path, *, timeout: float, key_ring: KeyRing | None = None) -> None:
        self.key_ring = key_ring or KeyRing()
        self.connections = Connections(path, timeout=timeout)
        self._connections: Connections | Held = self.connections
        self.timeout = timeout
        self.observing = Observing()
        self._group = GroupCommit(slots=1, timeout=timeout, observing=self.observing)
        self._wipes = False
        self._listeners: weakref.WeakSet[SQLiteListener] = weakref.WeakSet()
        with self._connections.reading() as connection:
            epoch, self.reservation_key = connection.execute(SQL["store"]).fetchone()
        self.epoch = UUID(epoch)

    def read_generation(self, projection: str = NAME) -> int:
        """Return which sibling of the file holds a projection's tables now."""
        generation: int = self._all("read_generation", projection=projection)[0][0]
        return generation

    def require_same(self) -> None:
        path = self.connections.path
        if not self.connections.is_at_its_path():
            raise StoreReplaced(f"{path} was replaced, or is gone, while it was open: connect anew", path=path)
        if UUID(self._all("store")[0][0]) != self.epoch:
            raise StoreReplaced(f"{path} holds another event store by now: connect anew", path=path)

    def append(self, units: Sequence[Unit], append: Append | None = None) -> list[Outcome]:
        if isinstance(self._connections, Connections):
            return self._group.append(units, self._store, append)
        return self._store(units, are_independent(units))

    def _store(self, units: Sequence[Unit], independent: bool) -> list[Outcome]:
        """Append units in one transaction."""
        try:
            with self._connections.writing() as connection:
                head = Head(connection.execute(SQL["head"]).fetchone())
                if independent:
                    outcomes = _append(connection, head, units)
                else:
                    outcomes = [outcome for unit in units for outcome in _append(connection, head, [unit])]
        except sqlite3.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        self._tell()
        if any(change["op"] == "destroy_key" for unit in units for _, change in unit.changes):
            self._wipe()
        return outcomes

    def flush(self) -> None:
        """Nothing is seen here before it is on disk."""

    def _wipe(self) -> None:
        """Empty the write-ahead log: it still holds pages as they were. Where somebody reads it, a later one will.

        No transaction can do that to its own: in an exclusive store it waits for the end.
        """
        if isinstance(self._connections, Held):
            self._wipes = True
            return
        with self._connections.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener.wake()

    @contextmanager
    def exclusive(self) -> Iterator[Self]:
        with self._connections.writing() as connection:
            held = copy.copy(self)
            held._connections = Held(self._connections.path, connection)
            yield held
        self._tell()
        if held._wipes:
            self._wipe()

    def next_ready(
        self, project_id: UUID, *, priority: int | None, agent_type: str, capabilities: Sequence[str]
    ) -> UUID | None:
        rows = self._all(
            "next_ready",
            project_id=str(project_id),
            priority=priority,
            agent_type=agent_type,
            capabilities=json.dumps(list(capabilities)),
        )
        return UUID(rows[0][0]) if rows else None

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        return [UUID(id_) for (id_,) in self._all("due", kind=kind, before=time_text(before), limit=limit)]

    def open_in(self, project_id: UUID, kinds: Sequence[str]) -> list[str]:
        rows = self._all("open_in", project_id=str(project_id), kinds=json.dumps(list(kinds)))
        return [kind for (kind,) in rows]

    def write_side(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self._all(f"all_{table}") for table in WRITE_SIDE}

    def rebuild_write_side(self, changes: Iterable[tuple[int, Change]]) -> None:
        with self._connections.writing() as connection:
            for table in WRITE_SIDE:
                connection.execute(SQL[f"empty_{table}"])
            _change_write_side(connection, 0, changes)

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        rows = self._all("keys", person_ids=json.dumps([str(id_) for id_ in person_ids])) if person_ids else []
        return {UUID(id_): self.key_ring.unwrap(UUID(id_), key, bool(wrapped)) for id_, key, wrapped in rows}

    def any_key(self) -> UUID | None:
        rows = self._all("any_key")
        return UUID(rows[0][0]) if rows else None

    def destroy_keys(self, person_ids: Collection[UUID]) -> None:
        with self._connections.writing() as connection:
            _change_write_side(connection, 0, [(0, change) for id_ in person_ids for change in forget(id_)])
        self._wipe()

    def load_many(
        self, versions: Mapping[UUID, int], superseded: Collection[str] = ()
    ) -> dict[UUID, list[StreamEvent]]:
        found: dict[UUID, list[StreamEvent]] = {stream_id: [] for stream_id in versions}
        asked = {str(stream_id): stream_id for stream_id in versions}
        behind = json.dumps({text: versions[stream_id] for text, stream_id in asked.items()})
        for text, *row in self._all("load_many", versions=behind):
            found[asked[text]].append(StreamEvent(*row))
        if superseded:
            return {stream_id: without_superseded(events, superseded) for stream_id, events in found.items()}
        return found

    def read(self, after: int, limit: int) -> list[LogEvent]:
        return self._events_within("read", after=after, limit=limit)

    def read_at(self, positions: Sequence[int]) -> list[LogEvent]:
        return self._events_within("read_at", positions=json.dumps(list(positions)))

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        return self._events_within("read_units", units=_json_list(unit_ids), after=after, limit=limit)

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return {UUID(stream): UUID(unit) for stream, unit in self._all("units_of", streams=_json_list(stream_ids))}

    def _events_within(self, name: str, **parameters: Any) -> list[LogEvent]:
        """Return what a statement finds, up to READ_BYTES."""
        events, room = [], READ_BYTES
        with self._connections.reading() as connection:
            for position, stream, version, topic, state, project, key, *hashes in connection.execute(
                SQL[name], parameters
            ):
                row = (position, stored_id(stream), version, topic, state, uuid_of(project), uuid_of(key), *hashes)
                events.append(log_event(row))
                room -= len(state)
                if room <= 0:
                    break
        return events

    def read_rows(self, after: int, limit: int) -> list[EventRow]:
        return [_event_row(row) for row in self._all("read_rows", after=after, limit=limit)]

    def read_hashes(self, after: int, limit: int) -> list[bytes]:
        return [hash_ for (hash_,) in self._all("read_hashes", after=after, limit=limit)]

    def correlations(self, first: int, last: int, limit: int) -> list[str]:
        return [id_ for (id_,) in self._all("correlations", first=first, last=last, limit=limit)]

    def read_rows_of_project(self, project_id: UUID, after: int, limit: int) -> list[EventRow]:
        return self._rows_within("read_rows_of_project", project_id=str(project_id), after=after, limit=limit)

    def read_rows_of_stream(self, stream_id: UUID, after: int, limit: int) -> list[EventRow]:
        return self._rows_within("read_rows_of_stream", stream_id=str(stream_id), after=after, limit=limit)

    def read_rows_related(self, relation: Relation, id_: UUID | str, after: int, limit: int) -> list[EventRow]:
        return self._rows_within(f"read_rows_of_{relation}", id=str(id_), after=after, limit=limit)

    def read_rows_of_topics(self, topics: Collection[str], after: int, up_to: int, limit: int) -> list[EventRow]:
        asked = {"topics": json.dumps(list(topics)), "after": after, "up_to": up_to, "limit": limit}
        return self._rows_within("read_rows_of_topics", **asked)

    def _rows_within(self, name: str, **parameters: Any) -> list[EventRow]:
        """Return what a statement finds, up to READ_BYTES."""
        rows, room = [], READ_BYTES
        with self._connections.reading() as connection:
            for found in connection.execute(SQL[name], parameters):
                rows.append(_event_row(found))
                room -= len(rows[-1].state)
                if room <= 0:
                    break
        return rows

    def positions_of(self, project_id: UUID | None, stream_ids: Collection[UUID]) -> list[int]:
        streams = json.dumps([str(id_) for id_ in stream_ids])
        return [at for (at,) in self._all("positions_of", project_id=uuid_text(project_id), stream_ids=streams)]

    def streams_about(self, person_ids: Collection[UUID]) -> list[UUID]:
        rows = self._all("streams_about", person_ids=json.dumps([str(id_) for id_ in person_ids]))
        return [UUID(stream) for (stream,) in rows]

    def encoded_rows(self) -> Iterator[list[bytes]]:
        with self._connections.reading() as connection:
            rows = connection.execute(SQL["encoded_rows"])
            while batch := rows.fetchmany(ENCODED):
                yield [encoded_row(*row) for row in batch]

    def seals(self) -> list[tuple[int, str]]:
        return self._all("seals")

    def add_seal(self, number: int, text: str) -> None:
        with self._connections.writing() as connection:
            connection.execute(SQL["add_seal"], {"number": number, "text": text})

    def hash_at(self, position: int) -> bytes | None:
        rows = self._all("hash_at", position=position)
        return rows[0][0] if rows else None

    def trace(self, command_ids: Sequence[UUID]) -> list[CommandTrace]:
        rows = self._all("trace", command_ids=json.dumps([str(id_) for id_ in command_ids]))
        return [
            CommandTrace(UUID(command), digest, UUID(stream), version, topic, state, position)
            for command, digest, stream, version, topic, state, position in rows
        ]

    def count(self, id_: UUID) -> tuple[int, int]:
        events, commands = self._all("count", id=str(id_))[0]
        return events, commands

    def listen(self) -> Listener:
        listener = SQLiteListener(self._connections.path, self.timeout, self._listeners)
        self._listeners.add(listener)
        return listener

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
            stream_id=str(originator_id),
            gt=-1 if gt is None else gt,
            lte=MAX_VERSION if lte is None else lte,
            limit=-1 if limit is None else limit,
        )
        return [StoredEvent(UUID(stream), version, topic, state) for stream, version, topic, state in rows]

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
            topics=json.dumps(list(topics)),
            limit=limit,
        )
        return [Notification(UUID(stream), version, topic, state, pos) for stream, version, topic, state, pos in rows]

    def max_notification_id(self) -> int | None:
        position: int | None = self._all("max_position")[0][0]
        return position

    def _all(self, name: str, **parameters: Any) -> list[Any]:
        with self._connections.reading() as connection:
            return connection.execute(SQL[name], parameters).fetchall()


def _append(connection: sqlite3.Connection, head: Head, units: Sequence[Unit]) -> list[Outcome]:
    """Append units of which none rests on what another writes."""
    outcomes: list[Outcome] = []
    rows: list[tuple[Any, ...]] = []
    for unit in units:
        if (refusal := _refusal(connection, unit)) is not None:
            outcomes.append(refusal)
            continue
        outcomes.append(Stored(head.position + 1))
        _change_write_side(connection, head.position + 1, unit.changes)
        kept = [(space, key, str(stream)) for space, key, stream, _, kept in unit.reservations if kept]
        connection.executemany(SQL["reserve"], kept)
        rows += [head.row(event) for event in unit.events]
    connection.executemany(SQL["insert"], rows)
    return outcomes


def _refusal(connection: sqlite3.Connection, unit: Unit) -> Outcome | None:
    for command_id in {event.command_id for event in unit.events if event.command_id}:
        if connection.execute(SQL["knows_command"], (str(command_id),)).fetchone():
            return Known()
    for index, (space, key, _, event, _) in enumerate(unit.reservations):
        holder = connection.execute(SQL["reserved"], (space, key)).fetchone()
        if holder and not unit.releases(space, UUID(holder[0]), event):
            return Taken(index)
    for stream_id, expected in unit.guards.items():
        (version,) = connection.execute(SQL["version"], (str(stream_id),)).fetchone()
        if (version or 0) != expected:
            return Conflict(stream_id)
    return None


def _change_write_side(connection: sqlite3.Connection, before: int, changes: Iterable[tuple[int, Change]]) -> None:
    for index, change in changes:
        parameters = {name: _parameter(value) for name, value in change.items()}
        for statement in CHANGES[change["op"]]:
            connection.execute(statement, {**parameters, "position": before + index})


def _json_list(ids: Collection[UUID]) -> str:
    return json.dumps([str(id_) for id_ in ids])


def _parameter(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return time_text(value)
        case list():
            return json_text(value)
    return value


def _event_row(row: tuple[Any, ...]) -> EventRow:
    position, stream, version, topic, state, recorded, command, digest, *ids, project, key, previous, hash_ = row
    correlation, causation, actor = ids
    return EventRow(
        position,
        UUID(stream),
        version,
        topic,
        state,
        time_of(recorded),
        uuid_of(command),
        digest,
        correlation,
        causation,
        actor,
        uuid_of(project),
        uuid_of(key),
        previous,
        hash_,
    )
