"""The public face: a connection to a claude-tiu database, that takes commands and answers questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg

from ..domain.errors import NotFound
from ..domain.messages import Command
from ..domain.parking import DiscardParkedEvents
from ..domain.retention import RunRetention
from ..projections.parking import READ_MODEL_PARKING
from ..projections.read_model import READ_MODEL
from . import migrations, retention
from .audit.as_of import AsOf, Moment, as_of
from .audit.bundle.export import ExportReport, export
from .audit.causation import MAX_ENTRIES, CausationTree, caused_by
from .audit.chain import ChainReport, check_chain, seal_log
from .audit.history import History, HistoryEntry
from .audit.proofs import prove_events
from .audit.seals import Inclusion, Seal, SealingKey
from .audit.verify import Verification, VerifyReport
from .background import Background
from .checkpoints import Lag
from .comparison import MAX_ROWS
from .decision import Answer
from .errors import NotParked, WaitTimeout
from .event_store import EventStore
from .executor import Executor
from .leases import Holder, Leases
from .monitoring import monitor_of
from .parking import ParkedUnit
from .postgresql.connections import Connections
from .postgresql.event_store import PostgreSQLEventStore
from .postgresql.host import execute_within
from .postgresql.leases import PostgreSQLLeases
from .postgresql.read_store import PostgreSQLReadStore
from .projector import Projector, poll_for
from .queries import Queries, as_id
from .read_store import ReadStore
from .rebuild import Rebuild, RebuildReport, Shadow, Tell
from .retention import RetentionReport
from .settings import Database, Settings, database, load_settings
from .shadows import live_tables, shadow_of
from .sqlite.event_store import SQLiteEventStore
from .sqlite.leases import SQLiteLeases
from .sqlite.read_store import SQLiteReadStore, current_reads
from .streams import load_stream
from .unparking import require_projected, waiting


def open_events(where: Database, settings: Settings) -> PostgreSQLEventStore | SQLiteEventStore:
    """Return the event store of a migrated database; whether its keys can be read is not asked."""
    key_ring = settings.key_ring()
    if where.path is not None:
        return SQLiteEventStore(where.path, timeout=settings.sqlite_timeout, key_ring=key_ring)
    with ExitStack() as opened:
        connections = Connections(
            where.url, max_size=settings.pool_size, timeout=settings.pool_timeout, recycle=settings.pool_recycle
        )
        opened.callback(connections.close)
        events = PostgreSQLEventStore(connections, key_ring=key_ring)
        opened.pop_all()
    return events


def open_stores(where: Database, settings: Settings) -> tuple[EventStore, ReadStore]:
    """Return the stores of a migrated database. Raises BadSettings where the master key is not its own."""
    with ExitStack() as opened:
        events = open_events(where, settings)
        opened.callback(events.close)
        reads: ReadStore
        if isinstance(events, PostgreSQLEventStore):
            reads = PostgreSQLReadStore(events.connections)
        else:
            file = events
            path = file.connections.path
            reads = current_reads(path, lambda: file.read_generation, timeout=settings.sqlite_timeout)
            opened.callback(reads.close)
        if (person_id := events.any_key()) is not None:
            events.keys([person_id])  # a wrong master key is told now, not at the first event that needs it
        opened.pop_all()
    return events, reads


def leases_of(events: EventStore, reads: ReadStore, settings: Settings) -> Leases:
    """Return the leases of what `open_stores` has opened."""
    seconds = settings.projector_lease_seconds
    if isinstance(events, PostgreSQLEventStore):
        return PostgreSQLLeases(events.connections, seconds)
    if isinstance(events, SQLiteEventStore) and isinstance(reads, SQLiteReadStore):
        return SQLiteLeases(events.connections.path, reads.files, seconds)
    raise TypeError("such stores have no leases")


class Tiu:
    """A connection; a context manager. Thread-safe: one for a process is enough.

    Every method may raise StoreUnavailable.
    """

    def __init__(self, where: Database, settings: Settings, *, project: bool) -> None:
        self._where, self._settings = where, settings
        self.database = str(where)
        """The URL of the database, without secrets."""
        self.events, self._reads = open_stores(where, settings)
        self.read = Queries(self._reads)
        """The questions that the read tables answer."""
        self.monitor = monitor_of(self.events)
        """What the database says of itself: sizes, slow statements, indexes, and the use of its connections."""
        self.projector = Projector(self.events, self._reads, READ_MODEL, parks=settings.parks)
        """The read tables' projector; it runs by itself unless the connection was made with project=False."""
        self.leases = leases_of(self.events, self._reads, settings)
        """Which of several projectors is active."""
        self._executor = Executor(self.events)
        self._background: Background | None = None
        if project:
            try:
                self._background = self._projecting()
            except BaseException:
                self.close()
                raise

    def _projecting(self) -> Background:
        listener = self.events.listen()
        return Background(self.projector, listener, self.leases.candidate(READ_MODEL.name, listener))

    def execute(self, command: Command) -> Answer:
        """Decide a command and store its events. A retry with the same command_id returns the first answer.

        Raises Refused (nothing is stored), Contended.
        """
        return self.execute_all([command])[0]

    def execute_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands in order and store their events in one commit: all, or none.

        Raises what `execute` raises, of the first command that is refused; that a unique value is taken is found last.
        """
        return self._executor.execute(commands)

    def execute_within(self, connection: psycopg.Connection[Any], commands: Sequence[Command]) -> list[Answer]:
        """Execute commands as `execute_all` does, in the transaction that a connection of the caller's is in: they are
        committed or rolled back with it. Everybody else's commands wait from here to its end.

        Only on PostgreSQL, and to the same database. Raises what `execute_all` raises, the transaction then being as
        it was before; TransactionRefused.
        """
        with connection.lock:
            return execute_within(self.events, connection.pgconn, commands)

    def get(self, id_: UUID) -> Any:
        """Return the state of whatever has an id (a project, task, user, workflow …), as its stream's events make it
        now. Raises NotFound."""
        id_ = as_id(id_)
        stream = load_stream(self.events, id_)
        if stream.aggregate is None:
            raise NotFound(f"nothing has the id {id_}", id=id_)
        return stream.state

    def history(self, id_: UUID, *, everything: bool = False, after: int = 0) -> Iterator[HistoryEntry]:
        """Return what happened to whatever has an id, the oldest event first: its own stream, or `everything` of a
        project. It goes on behind the position `after`.

        Events are read as they are asked for. Raises NotFound; InvalidQuery, where everything of no project is asked.
        """
        return History(self.events).of(as_id(id_), everything=everything, after=after)

    def correlated(self, correlation_id: str, *, after: int = 0) -> Iterator[HistoryEntry]:
        """Return what happened under a correlation id, through all streams, as `history`. Raises NotFound,
        InvalidQuery."""
        return History(self.events).of_correlation(correlation_id, after=after)

    def caused_by(self, id_: UUID | str, *, limit: int = MAX_ENTRIES) -> CausationTree:
        """Return what follows from a command or an event, by its id, at any remove, as a tree. Raises NotFound,
        InvalidQuery."""
        return caused_by(self.events, str(id_), limit)

    def seal(self, key: SealingKey) -> Seal:
        """Check the whole log, and store and return a seal of it: to be kept elsewhere. Raises LogTampered, BadSeal."""
        return seal_log(self.events, key, datetime.now(UTC))

    def check_chain(self, seals: Sequence[Seal] = (), *, keys: Collection[bytes] = ()) -> ChainReport:
        """Check the whole log against its hashes, the store's seals, and those that were kept elsewhere.

        The store's seals must be of the public `keys` or of those of `seals`, if there are any. Raises BadSeal.
        """
        return check_chain(self.events, seals, keys=keys)

    def prove(self, position: int, seal: Seal) -> Inclusion:
        """Return the proof that a seal covers the event at a position: `has_event` checks it. Raises BadSeal."""
        return prove_events(self.events, seal, [position])[position]

    def wait_for(self, position: int | Answer, timeout: float = 30.0) -> None:
        """Wait until the read tables have the event at a position, or what a command was answered.

        Raises EventParked where they have come past it without it, WaitTimeout, or what stopped the projector.
        """
        if isinstance(position, Answer):
            position = position.position
        if self._background is not None:
            self.projector.wait_for(position, timeout)
        else:
            poll_for(position, timeout, self.projector.lag)
            parked = {unit.unit_id: unit for unit in self.parked()}
            require_projected(self.events, READ_MODEL_PARKING, parked, position)

    def lag(self) -> Lag:
        """Return how far the read tables are behind the events."""
        return self.projector.lag()

    def holder(self) -> Holder | None:
        """Return which process keeps the read tables up to date, or did so last."""
        return self.leases.holder(READ_MODEL.name)

    def parked(self) -> list[ParkedUnit]:
        """Return the units whose events wait, because one of them could not be projected, or refers to such a unit."""
        return self.projector.parked()

    def waiting(self, unit: ParkedUnit) -> int:
        """Return how many events of a parked unit wait."""
        return waiting(self.events, unit, self.lag().position)[0]

    def retry_parked(self, *unit_ids: UUID, timeout: float = 600.0) -> list[ParkedUnit]:
        """Replay parked units (all, where none is named) from their first event, with all that waits for them.

        Returns those that stay parked: they still cannot be projected. Raises NotParked, WaitTimeout.
        """
        asked = self.projector.ask_retry([as_id(unit_id) for unit_id in unit_ids])
        self._project_until(lambda: not any(unit.retry and unit.unit_id in asked for unit in self.parked()), timeout)
        return [unit for unit in self.parked() if unit.unit_id in asked]

    def discard_parked(self, unit_id: UUID, reason: str, *, actor: str | None = None, first: bool = False) -> Answer:
        """Leave the events of a parked unit that wait by now, or the `first` of them alone, out of the read tables.

        It is a DiscardParkedEvents; the projector then makes the rows of the unit, and of what waits for it, again.
        Raises NotParked.
        """
        unit = next((unit for unit in self.parked() if unit.unit_id == as_id(unit_id)), None)
        if unit is None:
            raise NotParked(f"nothing is parked under the id {unit_id}", unit_id=unit_id)
        last = unit.position if first else waiting(self.events, unit, self.lag().position)[1]
        command = DiscardParkedEvents(
            unit_id=unit.unit_id, first_position=unit.position, last_position=last, reason=reason, actor=actor
        )
        return self.execute(command)

    def catch_up_to(self, position: int, timeout: float = 600.0) -> None:
        """Project until the read tables have come to a position, whoever brings them there. Raises WaitTimeout."""
        self._project_until(lambda: self.lag().position >= position, timeout)

    def catch_up(self, progress: Callable[[int], None] | None = None, timeout: float = 3600.0) -> int:
        """Project all there is by now, or wait until whoever is active elsewhere has; return how many events were
        projected here. `progress` is told of each batch. Raises WaitTimeout, and what a projector does."""
        last, total = self.events.max_notification_id() or 0, 0

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
                listener = opened.enter_context(closing(self.events.listen()))
                lease = self.leases.candidate(READ_MODEL.name, listener)
                opened.callback(self.projector.leave)
            while not done():
                if self.projector.failure:
                    raise self.projector.failure
                if time.monotonic() > deadline:
                    raise WaitTimeout(f"the read tables were not made as asked within {timeout:g} s")
                if lease is None or not self.projector.catch_up_in(lease, progress):
                    time.sleep(0.01)

    def count(self, id_: UUID) -> tuple[int, int]:
        """Return how many events and commands are stored of a project, or of a user."""
        return self.events.count(as_id(id_))

    def rehearse(self, command: RunRetention) -> RetentionReport:
        """Return what a run of retention would do to the read tables as they stand, and do nothing."""
        return retention.rehearse(self.events, self._reads, command)

    def as_of(
        self,
        *,
        position: int | None = None,
        recorded_at: datetime | None = None,
        occurred_at: datetime | None = None,
        project_id: UUID | None = None,
        path: Path | None = None,
        progress: Tell | None = None,
    ) -> AsOf:
        """Return the read side as it stood at one moment: of all, or of what concerns one project.

        At a `position`: the events up to it. By `recorded_at`: what was known then. By `occurred_at`: what is now known
        about then. It is replayed into a temporary SQLite file that goes when it is closed, or into a new one at `path`
        that stays.
        Raises InvalidQuery, NotFound, FileExists, ProjectionFailed.
        """
        moment = Moment(position, recorded_at, occurred_at)
        return as_of(self.events, moment, project_id=project_id, path=path, tell=progress)

    def export(self, project_id: UUID, path: Path | str, *, position: int | None = None) -> ExportReport:
        """Write an audit bundle of a project, as of a position of the log or of now, into a new file.

        `check_bundle` checks it, anywhere. Raises NotFound, InvalidQuery, FileExists, ExportRefused, ProjectionFailed,
        and BadSeal where the log is not what was sealed.
        """
        seals = [Seal.parse(text) for _, text in self.events.seals()]
        return export(self.events, seals, as_id(project_id), Path(path), position=position)

    def rebuild(self, *, accept: bool = False, progress: Tell | None = None) -> RebuildReport:
        """Make the read tables anew from the first event, beside the live ones, and put them in their place.

        Readers and projectors go on meanwhile. They are compared first; where they differ, they are put in place only
        with `accept`. What `progress` raises ends it; whatever does, the next rebuild goes on from where it was.
        Raises TablesDiffer, RebuildRefused, TablesBusy, ProjectionFailed.
        """
        with closing(self._shadow()) as shadow:
            rebuild = Rebuild(self.events, self._reads, shadow, READ_MODEL, tell=progress, parks=self._settings.parks)
            report = rebuild.run(accept=accept)
        if self._background is not None and not self._background.wake():  # it had stopped: at tables that did not fit
            self._background.join()
            self._background = self._projecting()
        return report

    def verify(self, *, limit: int = MAX_ROWS, progress: Tell | None = None) -> VerifyReport:
        """Replay the events up to where the read tables stand, and compare every row of every table.

        Writers, readers and projectors go on meanwhile. The report says which rows are not the same, the first `limit`
        of each table column by column, and which event last wrote them. What `progress` raises ends it; nothing stays.
        Raises CheckpointRefused where the tables are of another store, history or version; CheckpointMoved where they
        were made anew meanwhile; ProjectionFailed.
        """
        live = partial(live_tables, self._where, READ_MODEL, self._settings)
        return Verification(self.events, self._reads, live, READ_MODEL, limit=limit, tell=progress).run()

    def discard_rebuild(self) -> bool:
        """Drop what a rebuild that did not come to its end left, and return whether there was anything."""
        with closing(self._shadow()) as shadow:
            return shadow.drop_alone()

    def _shadow(self) -> Shadow:
        return shadow_of(self._where, READ_MODEL, self._settings)

    def close(self) -> None:
        """Stop projecting and let every connection go; what is stored stays, what is not projected will be."""
        if self._background is not None:
            self._background.stop()
        self._reads.close()
        self.events.close()
        if self._background is not None:
            self._background.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(url: str | None = None, *, project: bool = True, settings: Settings | None = None) -> Tiu:
    """Connect to a database: `sqlite:///PATH` (made if absent or empty) or `postgresql://...` (which must be migrated).

    Without a URL the settings name it: PostgreSQL where DB_HOST is set, else the file SQLITE_PATH. With `project` the
    connection keeps the read tables up to date by itself; without, a projector elsewhere must.
    Raises BadSettings, StoreUnavailable, NotMigrated, SchemaTooNew.
    """
    settings = settings or load_settings()
    where = database(url, settings)
    if where.path is not None:
        migrations.create(where, settings.sqlite_timeout)
    migrations.require_migrated(where, settings.sqlite_timeout)
    return Tiu(where, settings, project=project)
