"""Verifying that the live tables are what the events make: every row of every table, running state among them.

The events are replayed into a file of our own, up to where the live tables stand; then these are read as they are at
one moment, and compared. So whoever verifies needs no right to write, and the proof does not rest on the database that
it is about. Writers, readers and projectors go on meanwhile: they are never waited for, and never wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from ...projections.projection import Projection
from ..comparison import MAX_ROWS, Comparison, TableDifferences
from ..errors import CheckpointMoved
from ..event_store import EventStore
from ..forgotten import Forgotten
from ..parking import NOTHING, Known, known_of
from ..projector import BATCH_SIZE, Projector
from ..read_store import Checkpoint, ReadStore
from ..rebuild import ROUNDS, LogUpTo, RebuildProgress, Tell
from ..sqlite.standing import file_tables
from ..standing import StandingTables
from .replay import TIMEOUT, loading
from .side_by_side import SideBySide
from .writers import Writers, Written, written


@dataclass(frozen=True, slots=True)
class Drift:
    """A value, or a whole row, that is not what the events make. In tables with personal data no value is told."""

    key: str
    column: str | None
    """None where the row is on one side alone."""
    live: str | None
    replayed: str | None
    written: Written | None
    """The event that last wrote the value, or the row; None where no event did."""


@dataclass(frozen=True, slots=True)
class TableDrift:
    """How a table is not what the events make."""

    table: str
    rows: int
    """How many rows differ, or are on one side alone."""
    first: tuple[Drift, ...]
    """What differs in the first of them, by their keys."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification came to."""

    equal: bool
    """Whether every row that was compared is what the events make."""
    position: int
    """The position at which the tables were compared: that of their checkpoint."""
    rows: int
    """How many rows the live tables had."""
    seconds: float
    differences: tuple[TableDrift, ...]
    """Of the tables that differ."""
    left_out: tuple[str, ...]
    """Parked units: their events wait, and their rows were not compared."""
    forgotten: tuple[UUID, ...]
    """Users who are forgotten behind the position: what is personal of them could not be compared."""


class Verification:
    """One verification of the tables of one projection; `live` gives them as they stand at a moment."""

    def __init__(
        self,
        events: EventStore,
        reads: ReadStore,
        live: Callable[[], AbstractContextManager[StandingTables]],
        projection: Projection,
        *,
        limit: int = MAX_ROWS,
        tell: Tell | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._events = events
        self._reads = reads
        self._live = live
        self._projection = projection
        self._limit = limit
        self._tell = tell or (lambda _: None)
        self._batch_size = batch_size
        self._projector = Projector(events, reads, projection)
        self._log = LogUpTo(events)

    def run(self) -> VerifyReport:
        """Replay, compare, and find out what wrote the rows that differ.

        Raises CheckpointRefused, CheckpointMoved, ProjectionFailed.
        """
        started = time.monotonic()
        with TemporaryDirectory(prefix="tiu-verify-") as folder:
            replayed = Path(folder) / "replayed.db"
            with loading(self._log, replayed, self._projection, batch_size=self._batch_size, parks=True) as (loader, _):
                loader.begin_with(self._known(None))
                self._approach(loader)
                with self._live() as live:
                    position = self._position(live.checkpoint)
                    if position < loader.position:
                        raise CheckpointMoved(
                            f"the tables of {self._projection.name} are being made anew: verify them again",
                            projection=self._projection.name,
                        )
                    self._load(loader, position)
                    known = self._known(position)
                    loader.align(known)
                    forgotten = Forgotten(self._events, position)
                    with file_tables(
                        replayed, self._projection, timeout=TIMEOUT, one_json=not live.keeps_json_text
                    ) as rebuilt:
                        comparison = SideBySide(live, rebuilt)
                        differences = self._differences(comparison, forgotten)
            writers = self._writers(differences, Path(folder) / "watched.db")
        return VerifyReport(
            equal=not differences,
            position=position,
            rows=comparison.rows,
            seconds=time.monotonic() - started,
            differences=tuple(self._drift(found, writers) for found in differences),
            left_out=tuple(sorted(map(str, known.parked))),
            forgotten=tuple(sorted(forgotten.users)),
        )

    def _known(self, position: int | None) -> Known:
        """Return what the live tables park, up to a position, and leave out."""
        known = known_of(self._reads, self._projection.parking) if self._projection.parking else NOTHING
        parked = {id_: unit for id_, unit in known.parked.items() if position is None or unit.position <= position}
        return Known(parked, known.left_out)

    def _position(self, checkpoint: Checkpoint | None) -> int:
        """Return where tables stand; before anything was projected, at 0. Raises CheckpointRefused."""
        self._projector.check(checkpoint)
        return checkpoint.position if checkpoint else 0

    def _approach(self, loader: Projector) -> None:
        """Load until little is left; while much is loaded, more is projected."""
        for _ in range(ROUNDS):
            position = self._position(self._reads.checkpoint(self._projection.name))
            left = position - loader.position
            self._load(loader, position)
            if left <= self._batch_size:
                return

    def _load(self, loader: Projector, position: int, step: str = "replaying") -> None:
        self._log.end = max(position, self._log.end)
        self._tell(RebuildProgress(step, loader.position, self._log.end))
        loader.catch_up(lambda _: self._tell(RebuildProgress(step, loader.position, self._log.end)))

    def _differences(self, comparison: Comparison, forgotten: Forgotten) -> list[TableDifferences]:
        tables, differences = self._projection.tables, []
        for number, table in enumerate(tables):
            self._tell(RebuildProgress("comparing", number, len(tables)))
            found = comparison.differences(table, self._limit, forgotten)
            if found.rows:
                differences.append(found)
        return differences

    def _writers(self, differences: Collection[TableDifferences], path: Path) -> Writers:
        """Find out by another replay what wrote the rows that are told."""
        places = {(found.table, one.key) for found in differences for one in found.first}
        writers = Writers(self._projection, sorted(places))
        if places:
            with loading(
                self._log, path, writers.projection, batch_size=self._batch_size, parks=True, store=writers.store
            ) as (
                loader,
                _,
            ):
                loader.begin_with(self._known(self._log.end))
                self._load(loader, self._log.end, "tracing")
        return writers

    def _drift(self, found: TableDifferences, writers: Writers) -> TableDrift:
        first = []
        for one in found.first:
            position = writers.position((found.table, one.key), one.column)
            by = None if position is None else written(self._events, position)
            first.append(Drift(one.key, one.column, one.live, one.rebuilt, by))
        return TableDrift(found.table, found.rows, tuple(first))
