"""The read side of one projection: its tables, the projector that keeps them, and all that is done about them.

Ours is one, and so is each of an embedding service's own: they differ in nothing but their projection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from typing import Any
from uuid import UUID

from ..domain.messages import Command
from ..domain.parking import DiscardParkedEvents
from ..projections.projection import Projection
from .audit.verify import Verification, VerifyReport
from .background import Background
from .checkpoints import Lag
from .comparison import MAX_ROWS
from .decision import Answer
from .errors import NotParked, WaitTimeout
from .event_store import EventStore
from .leases import Holder, Leases
from .parking import ParkedUnit
from .postgresql.event_store import PostgreSQLEventStore
from .postgresql.leases import PostgreSQLLeases
from .postgresql.read_store import PostgreSQLReadStore
from .projector import Projector, poll_for
from .queries import as_id
from .read_store import ReadStore
from .rebuild import Rebuild, RebuildReport, Shadow, Tell
from .settings import Database, Settings
from .shadows import live_tables, shadow_of
from .sqlite.event_store import SQLiteEventStore
from .sqlite.leases import SQLiteLeases
from .sqlite.read_store import SQLiteReadStore, current_reads
from .unparking import require_projected, waiting


def reads_of(events: EventStore, settings: Settings, projection: Projection) -> ReadStore:
    """Return the store of a projection's tables, beside an open event store."""
    if isinstance(events, PostgreSQLEventStore):
        return PostgreSQLReadStore(events.connections)
    if not isinstance(events, SQLiteEventStore):
        raise TypeError("such a store has no read tables")
    generation = partial(events.read_generation, projection.name)
    path, name = events.connections.path, projection.name
    return current_reads(path, generation, timeout=settings.sqlite_timeout, projection=name)


def leases_of(events: EventStore, reads: ReadStore, settings: Settings) -> Leases:
    """Return the leases of who keeps the tables that `reads` has."""
    seconds = settings.projector_lease_seconds
    if isinstance(events, PostgreSQLEventStore):
        return PostgreSQLLeases(events.connections, seconds)
    if isinstance(events, SQLiteEventStore) and isinstance(reads, SQLiteReadStore):
        return SQLiteLeases(events.connections.path, reads.files, seconds)
    raise TypeError("such stores have no leases")


class ReadSide:
    """The read side of one projection. Thread-safe. Every method may raise StoreUnavailable."""

    def __init__(
        self,
        where: Database,
        settings: Settings,
        events: EventStore,
        reads: ReadStore,
        projection: Projection,
        execute: Callable[[Command], Answer],
    ) -> None:
        self.name = projection.name
        self._projection = projection
        self._where, self._settings = where, settings
        self._events, self._reads, self._execute = events, reads, execute
        self.projector = Projector(events, reads, projection, parks=settings.parks, observing=events.observing)
        """What keeps the tables; it runs by itself unless the connection was made with project=False."""
        self.leases = leases_of(events, reads, settings)
        """Which of several projectors is active."""
        self._background: Background | None = None

    def _start(self) -> None:
        """Project in a thread of its own, from now on."""
        listener = self._events.listen()
        self._background = Background(self.projector, listener, self.leases.candidate(self.name, listener))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one SELECT over the projection's tables, with :name parameters, and return its rows by column name.

        Values are as the database holds them: on SQLite ids, times and JSON are text, flags 0 or 1. On PostgreSQL the
        read tables are there too; on SQLite they are in another file. Raises InvalidQuery.
        """
        return self._reads.ask(sql, parameters or {})

    def wait_for(self, position: int | Answer, timeout: float = 30.0) -> None:
        """Wait until the tables have the event at a position, or what a command was answered.

        Raises EventParked where they have come past it without it, WaitTimeout, or what stopped the projector.
        """
        if isinstance(position, Answer):
            position = position.position
        if self._background is not None:
            self.projector.wait_for(position, timeout)
            return
        poll_for(position, timeout, self.projector.lag)
        parked = {unit.unit_id: unit for unit in self.parked()}
        if parked and self._projection.parking is not None:
            require_projected(self._events, self._projection.parking, parked, position)

    def lag(self) -> Lag:
        """Return how far the tables are behind the events."""
        return self.projector.lag()

    def holder(self) -> Holder | None:
        """Return which process keeps the tables up to date, or did so last."""
        return self.leases.holder(self.name)

    def parked(self) -> list[ParkedUnit]:
        """Return the units whose events wait, because one of them could not be projected, or refers to such a unit."""
        return self.projector.parked()

    def waiting(self, unit: ParkedUnit) -> int:
        """Return how many events of a parked unit wait."""
        return waiting(self._events, unit, self.lag().position)[0]

    def retry_parked(self, *unit_ids: UUID, timeout: float = 600.0) -> list[ParkedUnit]:
        """Replay parked units (all, where none is named) from their first event, with all that waits for them.

        Returns those that stay parked: they still cannot be projected. Raises NotParked, WaitTimeout.
        """
        asked = self.projector.ask_retry([as_id(unit_id) for unit_id in unit_ids])
        self._project_until(lambda: not any(unit.retry and unit.unit_id in asked for unit in self.parked()), timeout)
        return [unit for unit in self.parked() if unit.unit_id in asked]

    def discard_parked(self, unit_id: UUID, reason: str, *, actor: str | None = None, first: bool = False) -> Answer:
        """Leave the events of a parked unit that wait by now, or the `first` of them alone, out of the tables.

        It is a DiscardParkedEvents; the projector then makes the rows of the unit, and of what waits for it, again.
        Raises NotParked.
        """
        unit = next((unit for unit in self.parked() if unit.unit_id == as_id(unit_id)), None)
        if unit is None:
            raise NotParked(f"nothing is parked under the id {unit_id}", unit_id=unit_id)
        last = unit.position if first else waiting(self._events, unit, self.lag().position)[1]
        command = DiscardParkedEvents(
            unit_id=unit.unit_id,
            first_position=unit.position,
            last_position=last,
            reason=reason,
            actor=actor,
            projection=self.name,
        )
        return self._execute(command)

    def catch_up_to(self, position: int, timeout: float = 600.0) -> None:
        """Project until the tables have come to a position, whoever brings them there. Raises WaitTimeout."""
        self._project_until(lambda: self.lag().position >= position, timeout)

    def catch_up(self, progress: Callable[[int], None] | None = None, timeout: float = 3600.0) -> int:
        """Project all there is by now, or wait until whoever is active elsewhere has; return how many events were
        projected here. `progress` is told of each batch. Raises WaitTimeout, and what a projector does."""
        last, total = self._events.max_notification_id() or 0, 0

        def projected(done: int) -> None:
            nonlocal total
            total += done
            if progress:
                progress(done)

        self._project_until(lambda: self.lag().position >= last, timeout, projected)
        return total

    def _project_until(
        self, done: Callable[[], bool], timeout: float, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Project, in a tenure for the time being where nobody is active, until `done`. Raises WaitTimeout."""
        deadline = time.monotonic() + timeout
        with ExitStack() as opened:
            lease = None
            if self._background is not None:
                self._background.wake()
            else:
                listener = opened.enter_context(closing(self._events.listen()))
                lease = self.leases.candidate(self.name, listener)
                opened.callback(self.projector.leave)
            while not done():
                if self.projector.failure:
                    raise self.projector.failure
                if time.monotonic() > deadline:
                    raise WaitTimeout(f"the read tables were not made as asked within {timeout:g} s")
                if lease is None or not self.projector.catch_up_in(lease, progress):
                    time.sleep(0.01)

    def rebuild(self, *, accept: bool = False, progress: Tell | None = None) -> RebuildReport:
        """Make the tables anew from the first event, beside the live ones, and put them in their place.

        Readers and projectors go on meanwhile. They are compared first; where they differ, they are put in place only
        with `accept`. What `progress` raises ends it; whatever does, the next rebuild goes on from where it was.
        Raises TablesDiffer, RebuildRefused, TablesBusy, ProjectionFailed.
        """
        with closing(self._shadow()) as shadow:
            projection, parks = self._projection, self._settings.parks
            report = Rebuild(self._events, self._reads, shadow, projection, tell=progress, parks=parks).run(
                accept=accept
            )
        if self._background is not None and not self._background.wake():  # it had stopped: at tables that did not fit
            self._background.join()
            self._start()
        return report

    def verify(self, *, limit: int = MAX_ROWS, progress: Tell | None = None) -> VerifyReport:
        """Replay the events up to where the tables stand, and compare every row of every table.

        Writers, readers and projectors go on meanwhile. The report says which rows are not the same, the first `limit`
        of each table column by column, and which event last wrote them. What `progress` raises ends it; nothing stays.
        Raises CheckpointRefused where the tables are of another store, history or version; CheckpointMoved where they
        were made anew meanwhile; ProjectionFailed.
        """
        live = partial(live_tables, self._where, self._projection, self._settings)
        return Verification(self._events, self._reads, live, self._projection, limit=limit, tell=progress).run()

    def discard_rebuild(self) -> bool:
        """Drop what a rebuild that did not come to its end left, and return whether there was anything."""
        with closing(self._shadow()) as shadow:
            return shadow.drop_alone()

    def _shadow(self) -> Shadow:
        return shadow_of(self._where, self._projection, self._settings)

    def _stop(self) -> None:
        """Stop projecting: the batch at hand is finished."""
        if self._background is not None:
            self._background.stop()

    def _join(self) -> None:
        """Wait for the projector to have ended, behind the end of its stores."""
        if self._background is not None:
            self._background.join()
