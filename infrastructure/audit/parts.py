"""Parts of a log: the events at some of its positions, in order, as a projector reads them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from ..event_store import EventStore, LogEvent


class Part:
    """The events of a store at some positions. Satisfies `Log`.

    Each comes with the hash of the one before it in the part as its previous one: that is the history that a projector
    goes on with. What was discarded up to position `end` (by default, by now) is left out of its tables.
    """

    def __init__(self, events: EventStore, positions: Sequence[int], end: int | None = None) -> None:
        self._events = events
        self._positions = positions
        self._end = end
        self.epoch = events.epoch

    def read(self, after: int, limit: int) -> list[LogEvent]:
        """As an event store does."""
        first = bisect_right(self._positions, after)
        found = self._events.read_at(self._positions[first : first + limit])
        if found and first:
            previous = self._events.hash_at(self._positions[first - 1])
            found[0] = found[0]._replace(previous_hash=previous or b"")
        return found

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        """As an event store does, whether the part has them or not."""
        found = self._events.read_units(unit_ids, after, limit)
        return [event for event in found if self._end is None or event.position <= self._end]

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return self._events.units_of(stream_ids)

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        return self._events.keys(person_ids)

    def hash_at(self, position: int) -> bytes | None:
        return self._events.hash_at(position)

    def max_notification_id(self) -> int:
        return self._positions[-1] if self._positions else 0


def recorded_by(events: EventStore, at: datetime, end: int) -> int:
    """Return up to which position, at most `end`, the log was recorded by a time: what is recorded never falls."""
    return bisect_right(range(1, end + 1), at, key=lambda position: recorded_at(events, position))


def recorded_at(events: EventStore, position: int) -> datetime:
    """Return when the event at a position was recorded."""
    (row,) = events.read_rows(position - 1, 1)
    return row.recorded_at
