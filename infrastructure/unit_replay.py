"""Replaying units from their first event, beside the tables: what these lack then, as what is written to them.

The units' events, with those that concern everybody's rows, are projected twice into read tables in memory: by what the
tables were made by, and by what they shall be made by. What the two differ in is to be written; the rows of other units
are in neither. So the tables come to what projecting everything in order would have made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from ..projections.fold import Step, Writes
from ..projections.parking import Follower, Parking
from ..projections.projection import Kind, Projection, Row, Table
from .errors import ProjectionFailed
from .event_hash import NO_EVENT
from .event_store import Log, LogEvent
from .parking import NOTHING, Known, ParkedUnit, known_of, reference_of, units_of, writes_of
from .read_store import Checkpoint, ReadStore
from .sqlite.scratch import RawRows, Scratch, in_python

PAGE = 5_000


class LogOfUnits:
    """The events up to a position of some units, and of everybody's; of `companions` those alone by which rows move.

    Satisfies `Log`: each event is chained to the one before it here. It has no discards: who reads it knows them.
    """

    def __init__(
        self, log: Log, parking: Parking, units: Collection[UUID], companions: Collection[UUID], end: int
    ) -> None:
        self.epoch = log.epoch
        self._log = log
        self._whole = {*units, *parking.everybodys}
        self._companions = {*companions}
        self._moves = {event.topic for event in parking.moves}
        self._end = end

    def read(self, after: int, limit: int) -> list[LogEvent]:
        before = self._log.hash_at(after) if after else NO_EVENT
        while page := self._log.read_units([*self._whole, *self._companions], after, limit):
            found = [one for one, unit in zip(page, units_of(self._log, page), strict=True) if self._has(one, unit)]
            if found:
                hashes = [before or NO_EVENT, *(event.hash for event in found)]
                return [one._replace(previous_hash=hash_) for one, hash_ in zip(found, hashes, strict=False)]
            after = page[-1].position
        return []

    def _has(self, event: LogEvent, unit_id: UUID) -> bool:
        if event.position > self._end:
            return False
        return unit_id in self._whole or (unit_id in self._companions and event.topic in self._moves)

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        return self._log.keys(person_ids)

    def hash_at(self, position: int) -> bytes | None:
        return self._log.hash_at(position)

    def max_notification_id(self) -> int:
        return self._end

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return self._log.units_of(stream_ids)

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        return []


class Made(NamedTuple):
    """Tables that were made in memory, and what came of the making."""

    rows: Mapping[str, RawRows]
    known: Known


class Changed:
    """What is to be written to one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.inserts: list[Row] = []
        self.updates: list[tuple[UUID, dict[str, Any]]] = []
        self.deletes: list[UUID] = []

    def compare(self, before: RawRows, after: RawRows) -> None:
        """Take in what makes the rows of the one those of the other."""
        for text in before.keys() | after.keys():
            old, new = before.get(text), after.get(text)
            if old is None and new is not None:
                self.inserts.append(in_python(self.table, new))
            elif new is None:
                self.deletes.append(UUID(text))
            elif old is not None and old != new:
                values = in_python(self.table, new)
                given = {name: values[name] for name, was, is_ in zip(values, old, new, strict=True) if was != is_}
                self.updates.append((UUID(text), given))

    def set_free(self) -> list[tuple[UUID, dict[str, Any]]]:
        """Return updates that must come first, where several rows get other values that are held unique: one may take
        what another lets go."""
        unique = {column for columns in self.table.unique for column in columns}
        taking = [(key, unique & values.keys()) for key, values in self.updates if unique & values.keys()]
        texts = [(key, {name for name in names if self.table.columns[name] is Kind.TEXT}) for key, names in taking]
        return [(key, dict.fromkeys(names, str(key))) for key, names in texts] if len(texts) > 1 else []


@dataclass(frozen=True)
class UnitReplay:
    """A replay of some units of one projection's tables, as far as those have come (up to and with position `end`).

    `project(log, reads)` projects a log to its end, and parks what it cannot.
    """

    log: Log
    reads: ReadStore
    projection: Projection
    parking: Parking
    units: Collection[UUID]
    end: int
    project: Callable[[Log, ReadStore], None]

    def between(self, before: Known, after: Known) -> list[Step]:
        """Return what is to be written, in order. What cannot be projected is parked.

        Raises ProjectionFailed where the tables are not what their events make.
        """
        was = self._made(before)
        if _positions(was.known) != _positions(before):
            raise ProjectionFailed("the read tables are not what their events make by now: rebuild the read tables")
        becomes = self._made(after)
        changed = self._changed(was, becomes)
        steps: list[Step] = [
            [Writes(one.table, [], one.set_free(), []) for one in changed],
            [Writes(one.table, [], one.updates, one.inserts) for one in changed],
            [Writes(one.table, one.deletes, [], []) for one in changed],
        ]
        parked = {id_: _kept(unit, before.parked, after.parked) for id_, unit in becomes.known.parked.items()}
        known = Known(parked, after.left_out)
        return [*steps, writes_of(self.parking, before, known)]

    def _made(self, known: Known) -> Made:
        log = LogOfUnits(self.log, self.parking, self.units, self._companions, self.end)
        with closing(Scratch(self.projection)) as scratch:
            scratch.put(self._referred_to)
            parked = {unit_id: unit._replace(retry=False) for unit_id, unit in known.parked.items()}
            writes = writes_of(self.parking, NOTHING, Known(parked, known.left_out))
            first = Checkpoint(self.projection.version, self.log.epoch, 0, NO_EVENT)
            scratch.apply(self.projection.name, None, [writes], first)
            self.project(log, scratch)
            rows = {table.name: scratch.raw_rows(table) for table in self.projection.tables}
            return Made(rows, known_of(scratch, self.parking))

    @cached_property
    def _references(self) -> Mapping[str, tuple[Table, set[UUID], set[UUID]]]:
        """By table: rows of other units that the events refer to, and the ids of those units."""
        found: dict[str, tuple[Table, set[UUID], set[UUID]]] = {}
        log, after = LogOfUnits(self.log, self.parking, self.units, (), self.end), 0
        while events := log.read(after, PAGE):
            for event in events:
                reference = reference_of(self.parking, event)
                if reference is not None and reference.unit_id not in self.units:
                    _, keys, units = found.setdefault(reference.table.name, (reference.table, set(), set()))
                    keys.update(reference.keys)
                    units.add(reference.unit_id)
            after = events[-1].position
        return found

    @cached_property
    def _companions(self) -> set[UUID]:
        """The units by whose events rows of these move to the archive and back."""
        follower = self.parking.follower
        return (
            self._references[follower.parent.name][2]
            if follower and follower.parent.name in self._references
            else set()
        )

    @cached_property
    def _referred_to(self) -> list[tuple[Table, Row]]:
        """Rows of other units that those of these refer to, as far as they are there; at first none is archived."""
        follower = self.parking.follower
        rows = self.parking.stand_ins(self._companions)
        for table, keys, _ in self._references.values():
            rows += [(table, row) for row in self.reads.rows(table, keys)]
            if follower and table is follower.parent:
                rows += [(table, row) for row in self.reads.rows(follower.parent_archive, keys)]
        return rows

    def _changed(self, was: Made, becomes: Made) -> list[Changed]:
        """Return what is to be written, by table, parents first."""
        ours = {self.parking.parked.name, self.parking.left_out.name}
        changed = {table.name: Changed(table) for table in self.projection.tables if table.name not in ours}
        counted = self.parking.counted
        for name, one in changed.items():
            if counted is None or name != counted[0].name:
                one.compare(was.rows[name], becomes.rows[name])
        if counted is not None:
            changed[counted[0].name].updates += self._recounted(*counted, was, becomes)
        if self.parking.follower is not None:
            self._follow(self.parking.follower, changed, was, becomes)
        return [one for one in changed.values() if one.inserts or one.updates or one.deletes]

    def _recounted(self, table: Table, column: str, was: Made, becomes: Made) -> Iterator[tuple[UUID, dict[str, Any]]]:
        """Yield the counts of everybody's rows that other counts of these units' make."""
        more: dict[UUID, int] = {}
        for text, row in becomes.rows[table.name].items():
            before = was.rows[table.name].get(text)
            old = in_python(table, before)[column] if before is not None else 0
            more[UUID(text)] = in_python(table, row)[column] - old
        stored = self.reads.rows(table, [key for key, count in more.items() if count])
        for counts in stored:
            yield counts[table.key], {column: counts[column] + more[counts[table.key]]}

    def _follow(self, follower: Follower, changed: Mapping[str, Changed], was: Made, becomes: Made) -> None:
        """Move rows of other units with those that they refer to, into the archive or out of it."""
        table, archive, column, parent, parent_archive = follower
        for here, there, old, new in (
            (table, archive, parent, parent_archive),
            (archive, table, parent_archive, parent),
        ):
            for text in was.rows[old.name].keys() & becomes.rows[new.name].keys():
                for row in self.reads.children(replace(here, parent=column), UUID(text)):
                    if str(row[here.key]) not in was.rows[here.name]:
                        changed[there.name].inserts.append(row)
                        changed[here.name].deletes.append(row[here.key])


def _kept(unit: ParkedUnit, before: Mapping[UUID, ParkedUnit], after: Mapping[UUID, ParkedUnit]) -> ParkedUnit:
    """One that waits where it shall is as it shall be; where it waited before, it has done so since then."""
    wanted, old = after.get(unit.unit_id), before.get(unit.unit_id)
    if wanted is not None and wanted.position == unit.position:
        return wanted
    return unit._replace(since=old.since) if old is not None and old.position == unit.position else unit


def _positions(known: Known) -> dict[UUID, int]:
    return {unit.unit_id: unit.position for unit in known.parked.values()}


def referring(log: Log, parking: Parking, unit_id: UUID, after: int, end: int) -> set[UUID]:
    """Return the units whose events behind a position refer to a unit, or to one that does."""
    found = {unit_id}
    while (events := log.read(after, PAGE)) and events[0].position <= end:
        for event, unit in zip(events, units_of(log, events), strict=True):
            reference = reference_of(parking, event) if event.position <= end else None
            if reference is not None and reference.unit_id in found:
                found.add(unit)
        after = events[-1].position
    return found - {unit_id}
