"""The public face: a connection to a claude-tiu database, that takes commands and answers questions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload
from uuid import UUID

import psycopg

from ..domain.errors import NotFound
from ..domain.messages import Command
from ..domain.retention import RunRetention
from ..projections.projection import Projection
from ..projections.read_model import READ_MODEL
from . import migrations, retention
from .audit.as_of import AsOf, Moment, as_of
from .audit.bundle.export import ExportReport, export
from .audit.causation import MAX_ENTRIES, CausationTree, caused_by
from .audit.chain import ChainReport, check_chain, seal_log
from .audit.history import History, HistoryEntry
from .audit.proofs import prove_events
from .audit.seals import Inclusion, Seal, SealingKey
from .audit.verify import VerifyReport
from .background import FINISH_SECONDS
from .checkpoints import Lag
from .comparison import MAX_ROWS
from .consumers import Consumers, SubscriptionStatus, subscriptions_of
from .decision import Answer
from .errors import BadProjection
from .event_store import EventStore
from .executor import Executor
from .leases import Holder
from .monitoring import monitor_of
from .own import own_projections
from .parking import ParkedUnit
from .postgresql.connections import Connections
from .postgresql.event_store import PostgreSQLEventStore
from .postgresql.host import execute_within
from .queries import Queries, as_id
from .read_side import ReadSide, reads_of
from .read_store import ReadStore
from .rebuild import RebuildReport, Tell
from .retention import RetentionReport
from .settings import Database, Settings, database, load_settings
from .sqlite.event_store import SQLiteEventStore
from .streams import load_stream
from .subscribing import Beginning, E, Subscription, Topics


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
        reads = reads_of(events, settings, READ_MODEL)
        opened.callback(reads.close)
        if (person_id := events.any_key()) is not None:
            events.keys([person_id])  # a wrong master key is told now, not at the first event that needs it
        opened.pop_all()
    return events, reads


class Tiu:
    """A connection; a context manager. Thread-safe: one for a process is enough.

    Every method may raise StoreUnavailable.
    """

    def __init__(
        self, where: Database, settings: Settings, *, project: bool, projections: Sequence[Projection] = ()
    ) -> None:
        self.database = str(where)
        """The URL of the database, without secrets."""
        self.events, self._reads = open_stores(where, settings)
        self.observing = self.events.observing
        """Who is told of what this connection does."""
        self.read = Queries(self._reads)
        """The questions that the read tables answer."""
        self.monitor = monitor_of(self.events)
        """What the database says of itself: sizes, slow statements, indexes, and the use of its connections."""
        self._executor = Executor(self.events)
        self._consumers = Consumers(self.events, subscriptions_of(self.events, settings))
        self._opened = [self._reads]

        def side_of(projection: Projection, reads: ReadStore) -> ReadSide:
            return ReadSide(where, settings, self.events, reads, projection, self.execute)

        self._side = side_of(READ_MODEL, self._reads)
        self.sides = {READ_MODEL.name: self._side}
        """The read side of each projection, by its name: ours, and then those of the embedding service."""
        self.projector, self.leases = self._side.projector, self._side.leases
        """The read tables' projector, and which of several is active; it runs by itself unless the connection was made
        with project=False."""
        try:
            for projection in projections:
                self._opened.append(reads_of(self.events, settings, projection))
                self.sides[projection.name] = side_of(projection, self._opened[-1])
            for side in self.sides.values() if project else ():
                side._start()
        except BaseException:
            self.close()
            raise

    def projection(self, name: str) -> ReadSide:
        """Return the read side of a projection that the connection was made with, by its name: its tables can be asked,
        waited for, rebuilt and verified as those of ours. Raises BadProjection."""
        if name not in self.sides:
            raise BadProjection(f"there is no projection {name!a} here: connect(projections=[…]) brings it along")
        return self.sides[name]

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

    @overload
    def subscribe(
        self, name: str, topics: Iterable[type[E]] | type[E], *, from_: Beginning = ..., until_end: bool = ...
    ) -> Subscription[E]: ...

    @overload
    def subscribe(
        self, name: str, topics: Topics = None, *, from_: Beginning = ..., until_end: bool = ...
    ) -> Subscription[Any]: ...

    def subscribe(
        self, name: str, topics: Topics = None, *, from_: Beginning = "start", until_end: bool = False
    ) -> Subscription[Any]:
        """Return a durable subscription: an iterator of events as they are stored, that goes on under its name where it
        was, after any crash.

        `topics` are classes of events, or topics; None: all. `from_` says where a new name begins: at the "start",
        "now" behind the last event, at a position, or with what was recorded from a time on. With `until_end` it ends
        where the log ends when it is iterated. Raises InvalidSubscription.
        """
        consumer = self._consumers.consumer(name, topics, from_, until_end=until_end)
        consumer.create()
        return Subscription(consumer)

    def subscriptions(self) -> list[SubscriptionStatus]:
        """Return every subscription, how far it is, and which process consumes it."""
        return self._consumers.statuses()

    def skip_subscription(self, name: str, position: int) -> None:
        """Let a subscription go on behind a position, without the events up to it. Raises InvalidSubscription."""
        self._consumers.skip(name, position)

    def rewind_subscription(self, name: str, position: int) -> None:
        """Let a subscription go on behind an earlier position (0: from the first event): what follows is delivered
        again. Raises InvalidSubscription."""
        self._consumers.rewind(name, position)

    def remove_subscription(self, name: str) -> None:
        """Forget a subscription; who consumes it ends, and under its name one would begin anew. Raises
        InvalidSubscription."""
        self._consumers.remove(name)

    def wait_for(self, position: int | Answer, timeout: float = 30.0) -> None:
        """Wait until the read tables have the event at a position, or what a command was answered.

        Raises EventParked where they have come past it without it, WaitTimeout, or what stopped the projector.
        """
        self._side.wait_for(position, timeout)

    def lag(self) -> Lag:
        """Return how far the read tables are behind the events."""
        return self._side.lag()

    def holder(self) -> Holder | None:
        """Return which process keeps the read tables up to date, or did so last."""
        return self._side.holder()

    def parked(self) -> list[ParkedUnit]:
        """Return the units whose events wait, because one of them could not be projected, or refers to such a unit."""
        return self._side.parked()

    def waiting(self, unit: ParkedUnit) -> int:
        """Return how many events of a parked unit wait."""
        return self._side.waiting(unit)

    def retry_parked(self, *unit_ids: UUID, timeout: float = 600.0) -> list[ParkedUnit]:
        """Replay parked units (all, where none is named) from their first event, with all that waits for them.

        Returns those that stay parked: they still cannot be projected. Raises NotParked, WaitTimeout.
        """
        return self._side.retry_parked(*unit_ids, timeout=timeout)

    def discard_parked(self, unit_id: UUID, reason: str, *, actor: str | None = None, first: bool = False) -> Answer:
        """Leave the events of a parked unit that wait by now, or the `first` of them alone, out of the read tables.

        It is a DiscardParkedEvents; the projector then makes the rows of the unit, and of what waits for it, again.
        Raises NotParked.
        """
        return self._side.discard_parked(unit_id, reason, actor=actor, first=first)

    def catch_up_to(self, position: int, timeout: float = 600.0) -> None:
        """Project until the read tables have come to a position, whoever brings them there. Raises WaitTimeout."""
        self._side.catch_up_to(position, timeout)

    def catch_up(self, progress: Callable[[int], None] | None = None, timeout: float = 3600.0) -> int:
        """Project all there is by now, or wait until whoever is active elsewhere has; return how many events were
        projected here. `progress` is told of each batch. Raises WaitTimeout, and what a projector does."""
        return self._side.catch_up(progress, timeout)

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
        return self._side.rebuild(accept=accept, progress=progress)

    def verify(self, *, limit: int = MAX_ROWS, progress: Tell | None = None) -> VerifyReport:
        """Replay the events up to where the read tables stand, and compare every row of every table.

        Writers, readers and projectors go on meanwhile. The report says which rows are not the same, the first `limit`
        of each table column by column, and which event last wrote them. What `progress` raises ends it; nothing stays.
        Raises CheckpointRefused where the tables are of another store, history or version; CheckpointMoved where they
        were made anew meanwhile; ProjectionFailed.
        """
        return self._side.verify(limit=limit, progress=progress)

    def discard_rebuild(self) -> bool:
        """Drop what a rebuild that did not come to its end left, and return whether there was anything."""
        return self._side.discard_rebuild()

    def close(self) -> None:
        """Stop projecting and let every connection go; what is stored stays, what is not projected will be."""
        self._consumers.finish(FINISH_SECONDS)
        for side in self.sides.values():
            side._stop()
        for reads in self._opened:
            reads.close()
        self.events.close()
        for side in self.sides.values():
            side._join()
        self.observing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    url: str | None = None,
    *,
    project: bool = True,
    settings: Settings | None = None,
    projections: Sequence[Projection] | None = None,
) -> Tiu:
    """Connect to a database: `sqlite:///PATH` (made if absent or empty) or `postgresql://...` (which must be migrated).

    Without a URL the settings name it: PostgreSQL where DB_HOST is set, else the file SQLITE_PATH. With `project` the
    connection keeps the read tables up to date by itself; without, a projector elsewhere must. So it does with those of
    the service's own `projections`; without, the setting PROJECTIONS names them.
    Raises BadSettings, BadProjection, StoreUnavailable, NotMigrated, SchemaTooNew.
    """
    settings = settings or load_settings()
    own = own_projections(settings, projections)
    where = database(url, settings)
    if where.path is not None:
        migrations.create(where, settings.sqlite_timeout, own)
    migrations.require_migrated(where, settings.sqlite_timeout, own)
    return Tiu(where, settings, project=project, projections=own)
