"""Which event last wrote a row, or a value of it: found by a replay that watches the few rows that are asked for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ...domain.messages import Recorded
from ...projections.fold import Step
from ...projections.parking import LEAVE_OUT
from ...projections.projection import Change, Handler, Insert, Operation, Projection, Rows, Update
from ..event_store import EventStore
from ..mapper import decode
from ..read_store import ReadStore, select_statement
from ..sqlite.generations import Files
from ..sqlite.read_store import SQLiteReadStore

BY = "position_of_the_event"
"""The parameter by which an operation tells which event it comes from; no statement has one of that name."""
Place = tuple[str, str]
"""A row: its table, and its key as text."""


@dataclass(frozen=True, slots=True)
class Written:
    """An event that wrote something, and who was behind it."""

    position: int
    topic: str
    stream_id: UUID
    version: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str | None


class Writers:
    """Watches rows while a log is replayed through `projection` into a `store`."""

    def __init__(self, projection: Projection, places: Iterable[Place]) -> None:
        self._tables = {table.name: table for table in projection.tables}
        self._positions: dict[Place, dict[str, int]] = {place: {} for place in places}
        self.tables = [table for table in projection.tables if any(name == table.name for name, _ in self._positions)]
        self._left_out = projection.parking.left_out if projection.parking else None
        self.projection = replace(
            projection, handlers={kind: self._watching(handler) for kind, handler in projection.handlers.items()}
        )

    def store(self, files: Files) -> ReadStore:
        """Return a read store that sees what operations do."""
        return _SeeingOperations(files, self)

    def keys_of(self, table: str) -> list[str]:
        """Return the keys that are watched of a table."""
        return [key for name, key in self._positions if name == table]

    def position(self, place: Place, column: str | None) -> int | None:
        """Return the position of the event that last wrote a column, or anything of a row; None where none did."""
        positions = self._positions.get(place, {})
        return max(positions.values(), default=None) if column is None else positions.get(column)

    def note(self, place: Place, columns: Iterable[str], position: int) -> None:
        """Take down that an event wrote columns; they come in any order of events."""
        if place in self._positions:
            positions = self._positions[place]
            positions.update({column: max(position, positions.get(column, 0)) for column in columns})

    def _watching(self, handler: Handler) -> Handler:
        def watching(recorded: Recorded, event: Any, rows: Rows) -> Iterator[Change]:
            for change in handler(recorded, event, rows):
                yield self._noted(change, recorded.position)

        return watching

    def _noted(self, change: Change, position: int) -> Change:
        match change:
            case Operation(name, parameters) if name == LEAVE_OUT and self._left_out is not None:
                self.note((self._left_out.name, str(parameters[self._left_out.key])), parameters, position)
            case Operation(_, parameters):
                return change._replace(parameters={**parameters, BY: position})
            case Insert(table, row):
                self.note((table, str(row[self._tables[table].key])), row, position)
            case Update(table, key, values):
                self.note((table, str(key)), values, position)
            case _:
                self.note((change.table, str(change.key)), self._tables[change.table].columns, position)
        return change


class _SeeingOperations(SQLiteReadStore):
    """What rows an operation writes is known where it is done alone: they are looked at before and after."""

    def __init__(self, files: Files, writers: Writers) -> None:
        super().__init__(files)
        self._writers = writers

    def _take(self, connection: sqlite3.Connection, step: Step) -> None:
        if not isinstance(step, Operation):
            super()._take(connection, step)
            return
        before = self._watched(connection)
        super()._take(connection, step)
        after = self._watched(connection)
        for place in before.keys() | after.keys():
            changed = before.get(place, {}).items() ^ after.get(place, {}).items()
            self._writers.note(place, {column for column, _ in changed}, step.parameters[BY])

    def _watched(self, connection: sqlite3.Connection) -> dict[Place, dict[str, Any]]:
        found = {}
        for table in self._writers.tables:
            statement = select_statement(table, table.key, "IN (SELECT value FROM json_each(?))")
            for row in connection.execute(statement, (json.dumps(self._writers.keys_of(table.name)),)):
                values = dict(zip(table.columns, row, strict=True))
                found[table.name, values[table.key]] = values
        return found


def written(events: EventStore, position: int) -> Written:
    """Return what the log has of an event."""
    (row,) = events.read_rows(position - 1, 1)
    event = decode(row.topic, row.state, row.stream_id, row.version)
    return Written(row.position, row.topic, row.stream_id, row.version, event.occurred_at, row.recorded_at, row.actor)
