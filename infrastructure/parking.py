"""Parking: what a projector cannot project waits, with its unit and all that refers to it, and the rest goes on.

A unit is a project, a user with its sessions, or else a stream. It is parked at the position of its first event that
waits: that one and all behind it are no copies, they stay in the log. What is known of it are rows of two private
tables, which are written in the transaction of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple
from uuid import UUID

from ..domain.errors import TiuError
from ..domain.messages import Recorded
from ..domain.parking import ParkedEventsDiscarded
from ..domain.registry import UndecodableEvent, aggregate_of, event_of
from ..projections.fold import Step, Writes
from ..projections.parking import LEAVE_OUT, Parking, Reference, discarded
from ..projections.projection import Operation, Projection, Row, Table
from .event_store import Log, LogEvent
from .mapper import decode
from .read_store import ReadStore, keys_statement
from .visible import one_line


class ParkedUnit(NamedTuple):
    """A unit that is parked: its events from `position` on wait. Nothing in it is personal."""

    unit_id: UUID
    """Of the project, of the user, or else of the stream."""
    kind: str
    """`project`, `user`, or what kind of stream it is; `stream` where its topic is unknown."""
    position: int
    """Where its first event that waits stands in the log."""
    topic: str
    """That event's topic."""
    reason: str
    behind: UUID | None
    """The parked unit to which that event refers, where it waits for no other reason."""
    since: datetime
    """When it was parked in these tables."""
    retry: bool = False
    """Whether it was asked for that a projector tries again."""

    def __str__(self) -> str:
        """As logs tell of it: the topic of what nobody knows may be any text."""
        topic, reason = one_line(self.topic), one_line(self.reason)
        return f"the {self.kind} {self.unit_id} at position {self.position} ({topic}): {reason}"


class LeftOut(NamedTuple):
    """Events of a unit, by their positions, that were discarded."""

    id: UUID
    unit_id: UUID
    first_position: int
    last_position: int


class Known(NamedTuple):
    """What the tables are made by."""

    parked: Mapping[UUID, ParkedUnit]
    left_out: Mapping[UUID, LeftOut]


NOTHING = Known({}, {})


class Discarding(Exception):
    """A batch holds an event that discards what the tables do not leave out yet."""

    def __init__(self, left_out: LeftOut) -> None:
        super().__init__()
        self.left_out = left_out


def units_of(log: Log, events: Sequence[LogEvent]) -> list[UUID]:
    """Return the unit of each event: its project, else that of its stream."""
    asked = {event.stream_id for event in events if event.project_id is None and event.version > 1}
    found = log.units_of(asked) if asked else {}
    return [event.project_id or _of_first(event) or found.get(event.stream_id, event.stream_id) for event in events]


def _of_first(event: LogEvent) -> UUID | None:
    return (event.key_id or event.stream_id) if event.version == 1 else None


def kind_of(event: LogEvent, unit_id: UUID) -> str:
    """Return what kind of unit an event is of."""
    if event.project_id is not None:
        return "project"
    if unit_id != event.stream_id or unit_id == event.key_id:
        return "user"
    try:
        return aggregate_of(event.topic).name
    except UndecodableEvent:
        return "stream"


def reference_of(parking: Parking, event: LogEvent) -> Reference | None:
    """Return what an event's rows refer to of another unit."""
    try:
        references = parking.references.get(event_of(event.topic))
        return references(decode(event.topic, event.state, event.stream_id, event.version)) if references else None
    except UndecodableEvent:  # it is told when the event is projected
        return None


def reason_of(error: BaseException) -> str:
    """Return why an event could not be projected, without a value of it: those may be personal."""
    if isinstance(error, TiuError):
        return error.message
    where = ""
    for frame, line in walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if file.parent.name == "projections":
            where = f" in {file.name}, line {line}"
    return f"{type(error).__name__}{where}"


def known_of(reads: ReadStore, parking: Parking) -> Known:
    """Return what the stored tables are made by."""
    parked = (ParkedUnit(**row) for row in _all_rows(reads, parking.parked))
    left_out = (LeftOut(**row) for row in _all_rows(reads, parking.left_out))
    return Known({unit.unit_id: unit for unit in parked}, {found.id: found for found in left_out})


def _all_rows(reads: ReadStore, table: Table) -> list[Row]:
    keys = [UUID(str(row[table.key])) for row in reads.query(keys_statement(table), {})]
    return reads.rows(table, keys) if keys else []


def writes_of(parking: Parking, before: Known, after: Known) -> list[Writes]:
    """Return what makes the tables of the one those of the other."""
    both: list[tuple[Table, Mapping[UUID, Any], Mapping[UUID, Any]]] = [
        (parking.parked, before.parked, after.parked),
        (parking.left_out, before.left_out, after.left_out),
    ]
    return [found for table, old, new in both if any((found := _writes(table, old, new))[1:])]


def _writes(table: Table, before: Mapping[UUID, Any], after: Mapping[UUID, Any]) -> Writes:
    changed = [key for key in after if key in before and after[key] != before[key]]
    return Writes(
        table,
        [key for key in before if key not in after],
        [(key, after[key]._asdict()) for key in changed],
        [row._asdict() for key, row in after.items() if key not in before],
    )


class Sieve:
    """Lets through what is to be projected, as far as the tables have come. Not thread-safe."""

    def __init__(self, log: Log, reads: ReadStore, projection: Projection) -> None:
        self._log, self._reads, self._parking = log, reads, projection.parking
        self._projection = projection.name
        self._forget(NOTHING)

    def _forget(self, known: Known) -> None:
        self._stored = known
        self.parked, self.left_out = dict(known.parked), dict(known.left_out)
        self._index()

    def _index(self) -> None:
        self._ranges: dict[UUID, list[tuple[int, int]]] = {}
        for _, unit_id, first, last in self.left_out.values():
            self._ranges.setdefault(unit_id, []).append((first, last))
        self._last_left_out = max((one.last_position for one in self.left_out.values()), default=0)
        self.active = bool(self.parked or self.left_out)

    @property
    def known(self) -> Known:
        return Known(dict(self.parked), dict(self.left_out))

    def load(self, *, anew: bool) -> None:
        """Go by what is stored. Tables that are made `anew` leave out from the beginning all that is discarded."""
        if self._parking is None:
            return
        self._forget(known_of(self._reads, self._parking))
        if anew:
            self.left_out |= self._discarded(self._parking)
            self._index()

    def _discarded(self, parking: Parking) -> dict[UUID, LeftOut]:
        found, after = dict[UUID, LeftOut](), 0
        while events := self._log.read_units([parking.discards], after, 1_000):
            for event in events:
                if (left_out := _left_out(event, self._projection)) is not None:
                    found[left_out.id] = left_out
            after = events[-1].position
        return found

    def sift(self, events: Sequence[LogEvent]) -> Sequence[LogEvent]:
        """Return those of a batch that are to be projected. A unit whose event refers to a parked one is parked."""
        if self._parking is None or (not self.parked and events[0].position > self._last_left_out):
            return events
        kept, never_wait = list[LogEvent](), {event.topic for event in self._parking.never_wait}
        for event, unit_id in zip(events, units_of(self._log, events), strict=True):
            position = event.position
            if event.topic in never_wait:
                kept.append(event)
                continue
            if (unit := self.parked.get(unit_id)) is not None and unit.position <= position:
                continue
            if any(first <= position <= last for first, last in self._ranges.get(unit_id, ())):
                continue
            reference = reference_of(self._parking, event) if self.parked else None
            ahead = self.parked.get(reference.unit_id) if reference else None
            if ahead is not None and ahead.position < position and ahead.unit_id != unit_id:
                self._park(event, unit_id, f"it refers to the {ahead.kind} {ahead.unit_id}", ahead.unit_id)
                continue
            kept.append(event)
        return kept

    def park(self, event: LogEvent, reason: str) -> ParkedUnit:
        """Park the unit of an event that could not be projected, if it is not parked before it."""
        (unit_id,) = units_of(self._log, [event])
        unit = self.parked.get(unit_id)
        if unit is not None and unit.position <= event.position:
            return unit
        return self._park(event, unit_id, reason, None)

    def _park(self, event: LogEvent, unit_id: UUID, reason: str, behind: UUID | None) -> ParkedUnit:
        kind, now = kind_of(event, unit_id), datetime.now(UTC)
        unit = self.parked[unit_id] = ParkedUnit(unit_id, kind, event.position, event.topic, reason, behind, now)
        self.active = True
        return unit

    def completed(self, steps: list[Step]) -> list[Step]:
        """Return what a batch comes to with what is known by now. Raises Discarding."""
        if self._parking is None:
            return steps
        discards = [step for step in steps if isinstance(step, Operation) and step.name == LEAVE_OUT]
        for step in discards:
            if step.parameters["id"] not in self.left_out:
                raise Discarding(LeftOut(**step.parameters))
        if discards:
            steps = [step for step in steps if not isinstance(step, Operation) or step.name != LEAVE_OUT]
        return [*steps, written] if (written := self.writes()) else steps

    def writes(self) -> list[Writes]:
        """Return what is known since the last time."""
        if self._parking is None or not self.active:
            return []
        before, self._stored = self._stored, self.known
        return writes_of(self._parking, before, self._stored)


def _left_out(event: LogEvent, projection: str) -> LeftOut | None:
    try:
        decoded = decode(event.topic, event.state, event.stream_id, event.version)
    except UndecodableEvent:
        return None
    if not isinstance(decoded, ParkedEventsDiscarded) or decoded.projection != projection:
        return None
    recorded = Recorded(decoded, event.stream_id, event.version, event.position, event.project_id)
    return LeftOut(**discarded(recorded, decoded))
