"""Parts of a log: the events at some of its positions, in order, as a projector reads them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from ..event_store import EventStore, LogEvent


class Part:
    """The events of a store at some positions. Satisfies `Log`.

    Each comes with the hash of the one before it in the part as its previous one: that is the history that a projector
    goes on with. So its tables leave out what is discarded in the part, and nothing else.
    """

    def __init__(self, events: EventStore, positions: Sequence[int]) -> None:
        self._events = events
        self._positions = positions
        self.epoch = events.epoch

    def read(self, after: int, limit: int) -> list[LogEvent]:
        """As an event store does."""
        first = bisect_right(self._positions, after)
        found = self._events.read_at(self._positions[first : first + limit])
        previous = (self._events.hash_at(self._positions[first - 1]) or b"") if found and first else None
        for place, event in enumerate(found):
            if previous is not None and event.previous_hash != previous:
                found[place] = event._replace(previous_hash=previous)
            previous = event.hash
        return found

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        """As an event store does."""
        while found := self._events.read_units(unit_ids, after, limit):
            if kept := [event for event in found if self._has(event.position)]:
                return kept
            after = found[-1].position
        return []

    def _has(self, position: int) -> bool:
        place = bisect_left(self._positions, position)
        return place < len(self._positions) and self._positions[place] == position

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
