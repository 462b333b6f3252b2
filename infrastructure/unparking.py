"""What becomes of what is parked: it is tried again, discarded, or brought to what other tables have parked.

Each returns the units that must be replayed for it, and what the tables shall be made by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from ..projections.parking import Parking
from ..projections.projection import Projection
from .errors import CheckpointMoved, CheckpointRefused, EventParked, NotParked
from .event_store import Log, LogEvent
from .parking import Known, LeftOut, ParkedUnit, known_of, units_of, writes_of
from .read_store import ReadStore
from .unit_replay import referring

PAGE = 1_000


class Anew(NamedTuple):
    """Units to replay, and what the tables shall be made by; what cannot be projected then is parked."""

    units: set[UUID]
    known: Known


def retried(known: Known, asked: Collection[UUID]) -> Anew:
    """Return what tries units again, with all that wait behind others: some may wait behind these."""
    units = {unit.unit_id for unit in known.parked.values() if unit.behind is not None} | {*asked}
    return Anew(units, Known(_without(known.parked, units), known.left_out))


def _without(parked: Mapping[UUID, ParkedUnit], units: Collection[UUID]) -> dict[UUID, ParkedUnit]:
    return {unit_id: unit for unit_id, unit in parked.items() if unit_id not in units}


def discarded(log: Log, parking: Parking, known: Known, left_out: LeftOut, end: int) -> Anew:
    """Return what leaves events out of tables that have come to `end`. Raises CheckpointRefused."""
    unit_id, left = left_out.unit_id, {**known.left_out, left_out.id: left_out}
    parked = known.parked.get(unit_id)
    waits = parked is not None and parked.position <= left_out.first_position
    if unit_id in parking.everybodys:
        if not waits:
            raise CheckpointRefused("what is discarded concerns every row: run `tiu projector rebuild`")
        return Anew(set(), Known(_next_of_everybodys(log, known, left_out, end), left))
    anew = retried(known, [unit_id])
    if not waits:  # what it was projected to, others may refer to
        anew.units.update(referring(log, parking, unit_id, left_out.first_position - 1, end))
    return Anew(anew.units, Known(_without(known.parked, anew.units), left))


def _next_of_everybodys(log: Log, known: Known, left_out: LeftOut, end: int) -> dict[UUID, ParkedUnit]:
    """It cannot be projected late, so it stays parked as long as an event of it waits that is not discarded."""
    unit = known.parked[left_out.unit_id]
    for event in _waiting(log, unit, end):
        if not left_out.first_position <= event.position <= left_out.last_position:
            waits = unit._replace(position=event.position, topic=event.topic)
            return {**known.parked, unit.unit_id: waits}
    return _without(known.parked, [unit.unit_id])


def _waiting(log: Log, unit: ParkedUnit, end: int) -> list[LogEvent]:
    """Return the events of a unit that wait, up to a position."""
    found, after = list[LogEvent](), unit.position - 1
    while page := log.read_units([unit.unit_id], after, PAGE):
        after = page[-1].position
        found += [
            event
            for event, unit_id in zip(page, units_of(log, page), strict=True)
            if unit_id == unit.unit_id and event.position <= end
        ]
    return found


def waiting(log: Log, unit: ParkedUnit, end: int) -> tuple[int, int]:
    """Return how many events of a unit wait, up to a position, and the position of the last."""
    events = _waiting(log, unit, end)
    return len(events), events[-1].position if events else unit.position


def aligned(parking: Parking, known: Known, other: Known) -> Anew | None:
    """Return what makes tables park and leave out what others do, at the same position; None where they do.

    What concerns every row stays as it is: where that differs, the rows do."""
    ours, theirs = _without(known.parked, parking.everybodys), _without(other.parked, parking.everybodys)
    if (ours, known.left_out) == (theirs, other.left_out):
        return None
    units = {unit_id for unit_id in ours.keys() | theirs.keys() if _place(ours, unit_id) != _place(theirs, unit_id)}
    for id_ in known.left_out.keys() ^ other.left_out.keys():
        units.add((known.left_out.get(id_) or other.left_out[id_]).unit_id)
    kept = {unit_id: unit for unit_id, unit in known.parked.items() if unit_id in parking.everybodys}
    return Anew(units, Known({**theirs, **kept}, other.left_out))


def _place(parked: Mapping[UUID, ParkedUnit], unit_id: UUID) -> int | None:
    unit = parked.get(unit_id)
    return None if unit is None else unit.position


def refused(before: Known, anew: Anew, reason: str) -> Known:
    """Return what is known where the database refused the rows: what was parked stays so, and says why."""
    parked = {
        unit_id: unit._replace(retry=False, reason=reason if unit_id in anew.units and not unit.behind else unit.reason)
        for unit_id, unit in before.parked.items()
    }
    return Known(parked, anew.known.left_out)


def ask(reads: ReadStore, projection: Projection, unit_ids: Collection[UUID]) -> set[UUID]:
    """Ask whichever projector is at work to try units again (all, where none is named), and return which.

    Raises NotParked, naming one that is not parked, or that only a rebuild brings back.
    """
    parking = projection.parking
    while parking is not None:
        checkpoint, known = reads.checkpoint(projection.name), known_of(reads, parking)
        named = {*unit_ids} or {*known.parked} - parking.everybodys
        if checkpoint is None or not named:
            break
        for unit_id in named:
            _require_parked(parking, known, unit_id)
        asked = {id_: unit._replace(retry=id_ in named or unit.retry) for id_, unit in known.parked.items()}
        writes = writes_of(parking, known, Known(asked, known.left_out))
        try:
            reads.apply(projection.name, checkpoint, [writes], checkpoint)
        except CheckpointMoved:
            continue
        return named
    for unit_id in unit_ids:
        raise NotParked(f"nothing is parked under the id {unit_id}", unit_id=unit_id)
    return set()


def _require_parked(parking: Parking, known: Known, unit_id: UUID) -> None:
    if unit_id not in known.parked:
        raise NotParked(f"nothing is parked under the id {unit_id}", unit_id=unit_id)
    if unit_id in parking.everybodys:
        raise NotParked(
            f"{known.parked[unit_id].kind} concerns every row: `tiu projector rebuild` tries it again", unit_id=unit_id
        )


def require_projected(log: Log, parking: Parking, parked: Mapping[UUID, ParkedUnit], position: int) -> None:
    """Raise EventParked where the event at a position waits."""
    events = log.read(position - 1, 1) if parked else []
    if not events or events[0].position != position or events[0].topic in {kind.topic for kind in parking.never_wait}:
        return
    unit = parked.get(units_of(log, events)[0])
    if unit is not None and unit.position <= position:
        raise EventParked(
            f"the event at position {position} waits: the {unit.kind} {unit.unit_id} is parked since position "
            f"{unit.position} ({unit.topic}): {unit.reason}",
            position=position,
            unit_id=unit.unit_id,
            parked_at=unit.position,
        )
