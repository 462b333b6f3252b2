"""The read rows that a bundle's events make: replayed in a file of their own, without anybody's key."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from ....projections.projection import Table
from ...event_hash import NO_EVENT
from ...event_store import READ_BYTES, EventRow, LogEvent
from ...read_store import ReadStore, select_statement
from ..replay import replay
from .form import TABLES, row_line

PAGE = 1_000


class BundleLog:
    """The events of a bundle, as if no others lay between them. Satisfies `Log`; it is read from its beginning on."""

    def __init__(self, rows: Callable[[], Iterator[EventRow]], epoch: UUID, end: int) -> None:
        """`rows` begins to read them; none stands behind position `end`."""
        self.epoch = epoch
        self.end = end
        self._begin = rows
        self._rows = rows()
        self._last: EventRow | None = None

    def read(self, after: int, limit: int) -> list[LogEvent]:
        """Return the events behind a position, as an event store does."""
        if after != (self._last.position if self._last else 0):
            self._go_to(after)
        events: list[LogEvent] = []
        room = READ_BYTES
        while len(events) < limit and room > 0 and (row := next(self._rows, None)) is not None:
            previous = self._last.hash if self._last else NO_EVENT
            events.append(_log_event(row, previous))
            room -= len(row.state)
            self._last = row
        return events

    def _go_to(self, position: int) -> None:
        """Begin anew: the projector reads again what failed, one by one."""
        self._rows, self._last = self._begin(), None
        if position:
            self._last = next(row for row in self._rows if row.position == position)

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        """As an event store does, where each unit is a stream."""
        found = (row for row in self._begin() if row.position > after and row.stream_id in unit_ids)
        return [_log_event(row, NO_EVENT) for row in islice(found, limit)]

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return {}

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """A bundle holds no keys."""
        return {}

    def hash_at(self, position: int) -> bytes | None:
        return next((row.hash for row in self._begin() if row.position == position), None)

    def max_notification_id(self) -> int | None:
        return self.end


def _log_event(row: EventRow, previous: bytes) -> LogEvent:
    return LogEvent(*row[:5], row.project_id, row.key_id, previous, row.hash)


def rows_of(log: BundleLog) -> Generator[tuple[str, bytes], None, None]:
    """Yield the rows that a bundle's events make, table by table, in the order of their keys: (table, line).

    Raises ProjectionFailed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tiu-bundle-") as folder,
        replay(log, Path(folder) / "rows.db", indexed=False) as replayed,
    ):
        for table in TABLES:
            for row in _rows(replayed.reads, table):
                yield table.name, row_line(table, row)


def _rows(reads: ReadStore, table: Table) -> Iterator[dict[str, Any]]:
    statement = select_statement(table, table.key, f"> :after ORDER BY {table.key} LIMIT :limit")
    after = ""
    while found := reads.query(statement, {"after": after, "limit": PAGE}):
        yield from found
        after = found[-1][table.key]
