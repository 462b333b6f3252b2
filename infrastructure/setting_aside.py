"""What a projector does about events that are not projected as others are: it parks their unit, leaves out what was
discarded, and replays units when that has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from ..projections.parking import Parking
from .errors import CheckpointMoved, ProjectionFailed
from .event_hash import NO_EVENT
from .event_store import Log, LogEvent
from .logs import fields
from .parking import NOTHING, Discarding, Known, LeftOut, known_of, reason_of, writes_of
from .projected import Projected
from .read_store import Checkpoint, ReadStore
from .unit_replay import UnitReplay
from .unparking import Anew, aligned, discarded, refused, retried

log = logging.getLogger(__name__)


class SettingAside:
    """It parks what cannot be projected, if it shall (`parks`); else it raises what that is.

    `replay(log, reads)` projects a log to its end, and parks what it cannot.
    """

    def __init__(self, tables: Projected, replay: Callable[[Log, ReadStore], None], *, parks: bool) -> None:
        self._tables = tables
        self._replay = replay
        self._parks = parks and tables.projection.parking is not None
        self.tell = log.error

    @property
    def parking(self) -> Parking:
        """How the projection parks."""
        if self._tables.projection.parking is None:
            raise ValueError(f"{self._tables.projection.name} does not say how it parks")
        return self._tables.projection.parking

    def take(self, event: LogEvent, failure: ProjectionFailed | Discarding) -> None:
        """Go past an event that is not projected as others are. Raises ProjectionFailed."""
        if isinstance(failure, Discarding):
            self._leave_out(event, failure.left_out)
        elif self._parks:
            self._park(event, failure)
        else:
            raise failure

    def _park(self, event: LogEvent, failure: ProjectionFailed) -> None:
        """Let the unit of an event wait, which could not be projected."""
        tables = self._tables
        unit = tables.sieve.park(event, reason_of(failure.__cause__ or failure))
        after = tables.behind(event, tables.checkpoint)
        try:
            tables.write(tables.checkpoint, [tables.sieve.writes()], after)
        except CheckpointMoved:
            tables.load()
            return
        extra = fields(
            "unit.parked",
            projection=tables.projection.name,
            unit_id=unit.unit_id,
            position=event.position,
            topic=event.topic,
            error=failure.__cause__ or failure,
        )
        self.tell("parked %s", unit, extra=extra)
        tables.written(after)

    def _leave_out(self, event: LogEvent, left_out: LeftOut) -> None:
        """Take up an event that discards others."""
        tables = self._tables
        anew = discarded(tables.log, self.parking, tables.sieve.known, left_out, tables.position)
        self._make_again(anew, tables.behind(event, tables.checkpoint, made_again=True))

    def retry_asked(self) -> None:
        """Try again what somebody has asked for."""
        known = known_of(self._tables.reads, self.parking)
        asked = [unit.unit_id for unit in known.parked.values() if unit.retry]
        if asked:
            self._tables.load()
            self._make_again_here(retried(self._tables.sieve.known, asked))

    def begin_with(self, known: Known) -> None:
        """Park in empty tables, before the first event, what is parked in others."""
        tables, parking = self._tables, self._tables.projection.parking
        parked = {id_: unit for id_, unit in known.parked.items() if parking and id_ not in parking.everybodys}
        if parking and parked:
            first = Checkpoint(tables.projection.version, tables.log.epoch, 0, NO_EVENT)
            writes = writes_of(parking, NOTHING, Known(parked, {}))
            tables.write(None, [writes], first)
            tables.loaded = False

    def align(self, known: Known) -> None:
        """Park and leave out what other tables of the same position do."""
        if self._tables.projection.parking is None:
            return
        self._tables.load()
        anew = aligned(self.parking, self._tables.sieve.known, known)
        if anew is not None:
            self._make_again_here(anew)

    def _make_again_here(self, anew: Anew) -> None:
        """Replay units where the tables stand."""
        before = self._tables.checkpoint
        if before is not None:
            self._make_again(anew, before._replace(generation=before.generation + 1))

    def _make_again(self, anew: Anew, after: Checkpoint) -> None:
        """Replay units, and write what that makes with the checkpoint `after`. Where the database refuses it, what was
        parked stays so; raises ProjectionFailed where it was not."""
        tables, parking, before = self._tables, self.parking, self._tables.sieve.known
        replay = UnitReplay(
            tables.log, tables.reads, tables.projection, parking, anew.units, tables.position, self._replay
        )
        with suppress(CheckpointMoved):  # then another projector went on, and does it
            try:
                tables.write(tables.checkpoint, replay.between(before, anew.known), after)
            except ProjectionFailed as error:
                if not anew.units <= before.parked.keys():
                    raise
                writes = writes_of(parking, before, refused(before, anew, reason_of(error)))
                tables.write(tables.checkpoint, [writes], after)
        tables.load()
