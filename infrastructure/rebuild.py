"""Building the read tables anew, beside the live ones, from the first event; comparing them; and putting them in place.

Readers and the live projector go on meanwhile. What is loaded stays when a rebuild ends before its time, and the next
one goes on from there: the tables beside have a checkpoint of their own.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from ..projections.projection import Projection
from .checkpoints import of_another_history
from .comparison import Comparison, TableDifferences
from .errors import ProjectionFailed, TablesDiffer
from .event_store import EventStore, LogEvent
from .forgotten import Forgotten
from .parking import NOTHING, Known, ParkedUnit, known_of
from .projector import Projector
from .read_store import Checkpoint, ReadStore

BATCH_SIZE = 20_000
"""Four times a live projector's: more of what happens to a row folds into one change. It costs some 60 MiB more."""
ROUNDS = 20
"""How often to load what came while the rest was loaded, before the live projector is held up for the last of it."""

SHORT_SECONDS = 1.0


class RebuildProgress(NamedTuple):
    """How far a step of a rebuild is: loading (in events), comparing (in tables), indexing, swapping; or one of a
    verification: replaying and tracing (in events), comparing."""

    step: str
    done: int
    total: int


Tell = Callable[[RebuildProgress], None]
"""What it raises ends the rebuild; what is loaded stays."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild came to."""

    events: int
    """Of how many events the tables are made."""
    position: int
    seconds: float
    resumed_at: int | None
    """Up to which position an earlier rebuild had come, where there was one to go on from."""
    swapped: bool
    """Whether the tables stand in place of the live ones now."""
    compared_at: int | None
    not_compared: str | None
    """Why they were not compared with the live ones."""
    differences: tuple[TableDifferences, ...]
    """Of the tables that differ."""
    parked: tuple[ParkedUnit, ...] = ()
    """The units whose events wait, in the tables that were made as in the live ones."""


class Shadow(ABC):
    """The tables of a projection, beside the live ones. Every method may raise StoreUnavailable.

    All but `abandoned` is for whoever holds `alone`.
    """

    reads: ReadStore
    """Over the tables beside: what it is given changes nothing of the live ones."""

    @abstractmethod
    def abandoned(self) -> bool:
        """Whether tables stand beside the live ones that no rebuild is working at."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Keep every other rebuild out. Raises RebuildRefused where one is at work."""

    @abstractmethod
    def check(self) -> None:
        """Raise RebuildRefused where something that depends on the live tables would be lost with them."""

    @abstractmethod
    def stands(self) -> bool:
        """Whether tables stand there, of the form that the live ones have now."""

    @abstractmethod
    def make(self) -> None:
        """Make empty tables like the live ones, without what `finish` makes; what stood there is dropped."""

    @abstractmethod
    def finish(self, tell: Tell) -> None:
        """Make what was left for the end, as far as it is not there: indexes, keys, and what refers to them."""

    @abstractmethod
    def held(self) -> AbstractContextManager[Checkpoint | None]:
        """Keep the live tables as they are for a moment, and give their checkpoint; readers go on."""

    @abstractmethod
    def comparison(self) -> AbstractContextManager[Comparison]:
        """Give both sets of tables as they are now; to be entered while the live ones are held."""

    @abstractmethod
    def outwait(self) -> float:
        """Wait for those who read as of a time before this, and return for how many seconds.

        In place of the live tables they would find these as they were then. Raises TablesBusy.
        """

    @abstractmethod
    def swap(self, bring: Callable[[Checkpoint | None], None]) -> None:
        """Put the tables in place of the live ones, in one transaction.

        `bring` is given the live checkpoint, while no projector moves it, and brings the tables as far. Raises
        RebuildRefused, or TablesBusy where readers would not let go of the live tables.
        """

    @abstractmethod
    def drop(self) -> bool:
        """Drop what stands there, and return whether anything did."""

    def drop_alone(self) -> bool:
        """Drop what an earlier rebuild left, and return whether it left anything. Raises RebuildRefused."""
        with self.alone():
            return self.drop()

    @abstractmethod
    def close(self) -> None:
        """Let every connection go."""


class LogUpTo:
    """The events up to a position that can be moved on. Satisfies `Log`."""

    def __init__(self, events: EventStore, end: int = 0) -> None:
        self._events = events
        self.epoch = events.epoch
        self.end = end

    def read(self, after: int, limit: int) -> list[LogEvent]:
        """As an event store does; positions have no gap."""
        return self._events.read(after, min(limit, self.end - after)) if after < self.end else []

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        return self._events.keys(person_ids)

    def hash_at(self, position: int) -> bytes | None:
        return self._events.hash_at(position)

    def max_notification_id(self) -> int:
        return self.end

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return self._events.units_of(stream_ids)

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        return [event for event in self._events.read_units(unit_ids, after, limit) if event.position <= self.end]


class Rebuild:
    """One rebuild of the tables of one projection."""

    def __init__(
        self,
        events: EventStore,
        live: ReadStore,
        shadow: Shadow,
        projection: Projection,
        *,
        tell: Tell | None = None,
        batch_size: int = BATCH_SIZE,
        parks: bool = False,
    ) -> None:
        self._events = events
        self._live = live
        self._shadow = shadow
        self._projection = projection
        self._tell = tell or (lambda _: None)
        self._batch_size = batch_size
        self._log = LogUpTo(events)
        self._loader = Projector(self._log, shadow.reads, projection, batch_size=batch_size, parks=parks)
        self._loaded = 0

    def run(self, *, accept: bool) -> RebuildReport:
        """Load, compare, finish and swap. Raises TablesDiffer where the tables are not the same, unless `accept`; and
        what the steps raise. Whatever is raised, what is loaded stays."""
        with self._events.observing.rebuild(self._projection.name) as rebuilding:
            rebuilding.report = report = self._run(accept=accept)
        return report

    def _run(self, *, accept: bool) -> RebuildReport:
        started = time.monotonic()
        with self._shadow.alone():
            self._shadow.check()
            resumed_at = self._begin()
            compared_at, not_compared, differences = self._compare()
            swapped = accept or not differences
            if swapped:
                self._approach(self._last_position)
                self._shadow.finish(self._tell)
                self._settle()
                self._tell(RebuildProgress("swapping", 0, 1))
                self._shadow.swap(self._bring)
            position = self._loaded
            parked = tuple(sorted(self._known().parked.values(), key=lambda unit: unit.position))
        report = RebuildReport(
            events=position,
            position=position,
            seconds=time.monotonic() - started,
            resumed_at=resumed_at,
            swapped=swapped,
            compared_at=compared_at,
            not_compared=not_compared,
            differences=differences,
            parked=parked,
        )
        if not swapped:
            raise TablesDiffer(_unlike(differences), report=report)
        return report

    def _begin(self) -> int | None:
        """Go on from where an earlier rebuild was, if what it left fits; else begin anew."""
        if self._shadow.stands():
            checkpoint = self._shadow.reads.checkpoint(self._projection.name)
            if checkpoint is not None and self._fits(checkpoint):
                self._loaded = checkpoint.position
                self._tell(RebuildProgress("loading", self._loaded, max(self._loaded, self._live_position())))
                return checkpoint.position
        self._shadow.make()
        live = self._live.checkpoint(self._projection.name)
        if live is not None and self._incomparable(live) is None:
            self._loader.begin_with(self._known())
        return None

    def _known(self) -> Known:
        """Return what the live tables park and leave out."""
        return known_of(self._live, self._projection.parking) if self._projection.parking else NOTHING

    def _fits(self, checkpoint: Checkpoint) -> bool:
        if checkpoint.version != self._projection.version or of_another_history(checkpoint, self._events):
            return False
        live = self._live.checkpoint(self._projection.name)
        return self._incomparable(live) is not None or checkpoint.position <= self._position(live)

    def _incomparable(self, live: Checkpoint | None) -> str | None:
        """Return why nothing can be compared with tables at this checkpoint."""
        if live is None:
            return "nothing was projected into the live tables yet"
        if of_another_history(live, self._events):
            return "the live tables were made from another event store, or from another history"
        return None

    @staticmethod
    def _position(checkpoint: Checkpoint | None) -> int:
        return checkpoint.position if checkpoint else 0

    def _last_position(self) -> int:
        return self._events.max_notification_id() or 0

    def _live_position(self) -> int:
        """Return the position at which both can be compared: not beyond that of the live tables."""
        live = self._live.checkpoint(self._projection.name)
        return self._last_position() if self._incomparable(live) else self._position(live)

    def _load(self, position: int) -> None:
        """Bring the tables beside up to a position."""
        self._log.end = max(position, self._log.end)
        self._loader.catch_up(self._told)

    def _told(self, done: int) -> None:
        self._loaded = self._loader.position
        self._tell(RebuildProgress("loading", self._loaded, self._log.end))

    def _approach(self, end: Callable[[], int]) -> None:
        """Load until little is left; while much is loaded, more comes."""
        for _ in range(ROUNDS):
            position = end()
            left = position - self._loaded
            self._load(position)
            if left <= self._batch_size:
                return

    def _settle(self) -> None:
        """Come to the end of the log, and let those finish that read as of a time when the tables were not yet full."""
        self._approach(self._last_position)
        for _ in range(ROUNDS):
            waited = self._shadow.outwait()
            self._approach(self._last_position)
            if waited < SHORT_SECONDS:
                return

    def _compare(self) -> tuple[int | None, str | None, tuple[TableDifferences, ...]]:
        """Return the position at which both were compared, or why they were not; and the tables that differ."""
        self._approach(self._live_position)
        with ExitStack() as compared:
            with self._shadow.held() as live:
                why = self._incomparable(live)
                if why is None and self._position(live) < self._loaded:
                    why = "the live tables are being made anew"
                if why is not None:
                    return None, why, ()
                self._load(self._position(live))
                self._loader.align(self._known())
                comparison = compared.enter_context(self._shadow.comparison())
            return self._loaded, None, tuple(self._differing(comparison, Forgotten(self._events, self._loaded)))

    def _differing(self, comparison: Comparison, forgotten: Forgotten) -> Iterator[TableDifferences]:
        tables = self._projection.tables
        for number, table in enumerate(tables):
            self._tell(RebuildProgress("comparing", number, len(tables)))
            found = comparison.differences(table, unknowable=forgotten)
            if found.rows:
                yield found

    def _bring(self, live: Checkpoint | None) -> None:
        if self._incomparable(live) is None:
            self._load(self._position(live))
            self._loader.align(self._known())


def broken(name: str, table: str) -> ProjectionFailed:
    """Return what says that rebuilt rows break a rule that the live table has."""
    return ProjectionFailed(f"the rebuilt rows of {table} break {name}; nothing was replaced", table=table)


def _unlike(differences: Collection[TableDifferences]) -> str:
    tables = ", ".join(f"{found.rows} row(s) of {found.table}" for found in differences)
    return (
        f"the rebuilt tables are not as the live ones: {tables}; nothing was replaced: "
        "`tiu projector rebuild --accept` puts them in place, --discard drops them"
    )
