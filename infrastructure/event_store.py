"""The event store's port, on the interfaces of the library `eventsourcing`.

A store keeps one totally ordered, gapless log of immutable events: positions count from 1, and the order in which they
become visible is their order, so a reader that has seen position P has seen all before it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, Self
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)

from ..projections.write_side import Change
from .keys import KeyRing
from .observing import Append, Observing

WRITE_SIDE = ("task_queue", "task_queue_dependencies", "agenda")
"""The write-side tables that the events can make again."""
LAST = 0
"""In place of a version: a stream's last event alone."""
READ_BYTES = 16 << 20
"""How much of events' bodies is read at once, one event at the least."""

Relation = Literal["command", "correlation", "causation"]
"""What events of several streams may have the id of."""


class NewEvent(NamedTuple):
    """An event to append; the store adds its position, its time and its place in the hash chain."""

    stream_id: UUID
    version: int
    topic: str
    state: bytes
    command_id: UUID | None = None
    command_digest: bytes | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    project_id: UUID | None = None
    key_id: UUID | None = None


class Reservation(NamedTuple):
    """A value that only one event of the store may hold, under a keyed hash; `event` is the index of its event in the
    unit, from 0. One that a later event of the unit lets go is not `kept`: it must be free all the same."""

    space: str
    key: bytes
    stream_id: UUID
    event: int = 0
    kept: bool = True


class Unit(NamedTuple):
    """What is appended wholly or not at all.

    `guards` are the versions at which streams must still be (0: no event yet), those written among them. `changes` are
    those of the write-side tables (projections/write_side.py), each with the index of its event, from 0. `incarnation`
    is the store's as it was before the streams were read: in another, guarded streams count as moved. None: in none.
    """

    events: Sequence[NewEvent]
    guards: Mapping[UUID, int] = MappingProxyType({})
    reservations: Sequence[Reservation] = ()
    changes: Sequence[tuple[int, Change]] = ()
    incarnation: object = None

    def releases(self, space: str, stream_id: UUID, before: int) -> bool:
        """Whether the unit lets go what a stream has reserved in a space, with the event at `before` at the latest."""
        return any(
            change["op"] == "release" and change["id"] == stream_id and change["space"] in (None, space)
            for event, change in self.changes
            if event <= before
        )


class Stored(NamedTuple):
    """The unit is in the log; its events hold the positions first ... first + n - 1."""

    first_position: int


class Known(NamedTuple):
    """One of the unit's command_ids is in the log already; nothing was stored."""


class Conflict(NamedTuple):
    """A guarded stream has moved; nothing was stored."""

    stream_id: UUID


class Taken(NamedTuple):
    """A reservation of the unit (by its place among them) is another's; nothing was stored."""

    reservation: int


Outcome = Stored | Known | Conflict | Taken


class StreamEvent(NamedTuple):
    """An event as its stream is read."""

    version: int
    topic: str
    state: bytes


def without_superseded(events: list[StreamEvent], topics: Collection[str]) -> list[StreamEvent]:
    """Return a stream's events as `load_many` gives them."""
    needed, last = list[StreamEvent](), set[str]()
    for number in range(len(events) - 1, -1, -1):
        topic = events[number].topic
        if topic in topics:
            if topic in last and number:
                continue
            last.add(topic)
        needed.append(events[number])
    needed.reverse()
    return needed


class LogEvent(NamedTuple):
    """An event as the log is read."""

    position: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes
    project_id: UUID | None
    key_id: UUID | None
    previous_hash: bytes
    hash: bytes


log_event: Callable[[Sequence[Any]], LogEvent] = partial(tuple.__new__, LogEvent)
"""Makes one of a row of its columns, in a third of the time that LogEvent._make takes: whole logs are read."""


class EventRow(NamedTuple):
    """A whole row of the log."""

    position: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes
    recorded_at: datetime
    command_id: UUID | None
    command_digest: bytes | None
    correlation_id: str | None
    causation_id: str | None
    actor: str | None
    project_id: UUID | None
    key_id: UUID | None
    previous_hash: bytes
    hash: bytes


class CommandTrace(NamedTuple):
    """One event of a known command."""

    command_id: UUID
    command_digest: bytes
    stream_id: UUID
    version: int
    topic: str
    state: bytes
    position: int


class Listener(Protocol):
    """Waits for appends, in this process or any other."""

    def wait(self, timeout: float) -> None:
        """Return when something may have been appended since the last wait, when woken, or after `timeout` seconds."""

    def pause(self, timeout: float) -> None:
        """Return when woken, or after `timeout` seconds; appends wake nobody, or cost little."""

    def wake(self) -> None:
        """Make a wait, or a pause, return now; from any thread."""

    def close(self) -> None: ...


class Log(Protocol):
    """What a projector reads: an event store, or a part of one."""

    @property
    def epoch(self) -> UUID: ...

    def read(self, after: int, limit: int) -> list[LogEvent]: ...

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]: ...

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]: ...

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]: ...

    def hash_at(self, position: int) -> bytes | None: ...

    def max_notification_id(self) -> int | None: ...


class Loading(Protocol):
    """Streams that a store was asked for. It keeps a connection until there is an answer, or it is closed."""

    def answer(self) -> dict[UUID, list[StreamEvent]]:
        """Wait for what `load_many` would return; once. Raises StoreUnavailable."""

    def close(self) -> None:
        """Wait no longer. Where there was an answer, this does nothing."""


class EventStore(ApplicationRecorder):
    """The port. Every method may raise StoreUnavailable."""

    epoch: UUID
    """The identity of this log: a checkpoint made against another is refused."""
    reservation_key: bytes
    """The secret under which unique values are hashed."""
    key_ring: KeyRing
    timeout: float
    """For how many seconds a caller waits at most until it is its turn."""
    observing: Observing
    """Who is told of what is appended, and of what others do for the same connection."""

    @property
    def incarnation(self) -> object:
        """Another one where the database has crashed: what was read before, and kept, may not have been on disk."""
        return None

    @abstractmethod
    def require_same(self) -> None:
        """Raise StoreReplaced where the database is another one than when this was opened."""

    @abstractmethod
    def append(self, units: Sequence[Unit], append: Append | None = None) -> list[Outcome]:
        """Append units in order, in one commit; one that is not stored does not keep the others from it.

        What is stored is on disk when this returns. Appends of several threads are stored together. Where anybody
        observes, what became of them is put into `append`; he is told of it at once, where none is given.
        """

    @abstractmethod
    def flush(self) -> None:
        """Return when all that could be read before is on disk; in an exclusive store, let its end see to that.

        A reader may see events a moment before they are. What acts on them in the database itself needs no flush: its
        own commit comes after theirs. What tells the world of them, so that a crash must not undo them, flushes first.
        """

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[Self]:
        """Give the store in one transaction that holds the ordering lock: nobody else appends before it ends.

        What is appended is stored when it ends, or not at all where anything is raised.
        """

    @abstractmethod
    def next_ready(
        self, project_id: UUID, *, priority: int | None, agent_type: str, capabilities: Sequence[str]
    ) -> UUID | None:
        """Return the first ready task of a project's queue that asks for no other agent, and for no more than it can.

        `priority` is a rank (projections/write_side.py). True for as long as the store is exclusively ours.
        """

    @abstractmethod
    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        """Return what stands in the agenda before a time, the earliest first; true as `next_ready` is."""

    @abstractmethod
    def open_in(self, project_id: UUID, kinds: Sequence[str]) -> list[str]:
        """Return which of these kinds the agenda has of a project; true as `next_ready` is."""

    @abstractmethod
    def write_side(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of the write-side tables that events can make again, in order, by table."""

    @abstractmethod
    def rebuild_write_side(self, changes: Iterable[tuple[int, Change]]) -> None:
        """Make the write-side tables again from changes with the positions of their events (in an exclusive store)."""

    @abstractmethod
    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return the keys of these persons, of those who have one. Raises BadSettings under another master key."""

    @abstractmethod
    def any_key(self) -> UUID | None:
        """Return a person who has a key that is wrapped, if any has."""

    @abstractmethod
    def destroy_keys(self, person_ids: Collection[UUID]) -> None:
        """Destroy the keys of persons and free their unique values, if they are there: they were forgotten before."""

    @abstractmethod
    def load_many(
        self, versions: Mapping[UUID, int], superseded: Collection[str] = ()
    ) -> dict[UUID, list[StreamEvent]]:
        """Return the events of streams in order, of each from a version on (LAST: its last event), as of one moment.

        One server call, however many streams; of a stream without such events the list is empty. Behind the first of a
        stream, those of `superseded` topics are left out that another of the same topic follows.
        """

    def load_ahead(self, versions: Mapping[UUID, int], superseded: Collection[str] = ()) -> Loading | None:
        """Ask for what `load_many` returns, and wait for nothing: the server works meanwhile. None where nothing would
        be gained by it, or somebody would have to be waited for first."""
        return None

    @abstractmethod
    def read(self, after: int, limit: int) -> list[LogEvent]:
        """Return up to `limit` events behind position `after`, in order; fewer, where they exceed READ_BYTES."""

    @abstractmethod
    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        """Return up to `limit` events behind position `after` of some units (see `units_of`), in order; as `read`."""

    @abstractmethod
    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        """Return what streams belong to, by their first event: its project, else the person whose data it holds, else
        the stream itself. Those without an event are left out."""

    @abstractmethod
    def read_rows(self, after: int, limit: int) -> list[EventRow]:
        """Return up to `limit` whole rows behind position `after`, in order."""

    @abstractmethod
    def read_hashes(self, after: int, limit: int) -> list[bytes]:
        """Return the hashes of up to `limit` events behind position `after`, in order."""

    @abstractmethod
    def correlations(self, first: int, last: int, limit: int) -> list[str]:
        """Return up to `limit` correlation ids of the events from one position to another, each once, in order."""

    @abstractmethod
    def read_rows_of_project(self, project_id: UUID, after: int, limit: int) -> list[EventRow]:
        """Return up to `limit` whole rows of a project's events behind position `after`, in order; fewer, where they
        exceed READ_BYTES."""

    @abstractmethod
    def read_rows_of_stream(self, stream_id: UUID, after: int, limit: int) -> list[EventRow]:
        """Return up to `limit` whole rows of a stream's events behind version `after`, in order; fewer, where they
        exceed READ_BYTES."""

    @abstractmethod
    def read_rows_related(self, relation: Relation, id_: UUID | str, after: int, limit: int) -> list[EventRow]:
        """Return up to `limit` whole rows with one command, correlation or causation id behind position `after`, in
        order; fewer, where they exceed READ_BYTES."""

    @abstractmethod
    def read_rows_of_topics(self, topics: Collection[str], after: int, up_to: int, limit: int) -> list[EventRow]:
        """Return up to `limit` whole rows of some topics (of all, where none is named) behind position `after`, and not
        behind `up_to`, in order; fewer, where they exceed READ_BYTES."""

    @abstractmethod
    def read_at(self, positions: Sequence[int]) -> list[LogEvent]:
        """Return the events at some positions, in order; fewer, where they exceed READ_BYTES."""

    @abstractmethod
    def positions_of(self, project_id: UUID | None, stream_ids: Collection[UUID]) -> list[int]:
        """Return the positions of the events of a project, and of streams, in order."""

    @abstractmethod
    def streams_about(self, person_ids: Collection[UUID]) -> list[UUID]:
        """Return the streams that hold personal data of persons, in no order."""

    @abstractmethod
    def encoded_rows(self) -> Iterator[list[bytes]]:
        """Yield every row of the log in batches, in order of position, as of one moment: encoded as its hash covers it
        (event_hash.py), with its LINK behind that.

        A row that holds what no append stores is encoded so that it cannot have its hash.
        """

    @abstractmethod
    def seals(self) -> list[tuple[int, str]]:
        """Return the number and the text of every seal, in order."""

    @abstractmethod
    def add_seal(self, number: int, text: str) -> None:
        """Store a seal, in an exclusive store; the text is as it is printed."""

    @abstractmethod
    def hash_at(self, position: int) -> bytes | None:
        """Return the hash of the event at a position, if there is one."""

    @abstractmethod
    def trace(self, command_ids: Sequence[UUID]) -> list[CommandTrace]:
        """Return the events of known commands, in order."""

    @abstractmethod
    def count(self, id_: UUID) -> tuple[int, int]:
        """Return how many events and distinct commands there are of a project, or of a stream outside projects."""

    @abstractmethod
    def listen(self) -> Listener:
        """Return a listener of its own to the appends."""

    @abstractmethod
    def close(self) -> None:
        """Let every connection go."""

    def load(self, stream_id: UUID) -> list[StreamEvent]:
        """Return a stream's events from its first to its last."""
        return self.load_many({stream_id: 1})[stream_id]

    # The library's interface, in terms of ours.

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events under no guard but their own versions. Raises the library's IntegrityError on a conflict."""
        if not stored_events:
            return []
        events = [NewEvent(_uuid(e.originator_id), e.originator_version, e.topic, e.state) for e in stored_events]
        (outcome,) = self.append([Unit(events)])
        if not isinstance(outcome, Stored):
            raise IntegrityError(f"events of stream {events[0].stream_id} exist already")
        return [outcome.first_position + i for i in range(len(events))]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Return an iterator of events behind position `gt`, that goes on as they are appended until stopped."""
        return LogSubscription(self, gt, topics)


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


class LogSubscription(Subscription[ApplicationRecorder]):
    """Reads the log in batches, and waits on a listener (with a poll behind it) at its end."""

    BATCH = 500
    POLL_SECONDS = 1.0

    def __init__(self, store: EventStore, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(store, gt, topics)
        self._listener = store.listen()
        self._ready: list[Notification] = []

    def stop(self) -> None:
        super().stop()
        self._listener.wake()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        super().__exit__(*args, **kwargs)
        self._listener.close()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            if self._ready:
                notification = self._ready.pop()
                self._last_notification_id = notification.id
                return notification
            found = self._recorder.select_notifications(
                self._last_notification_id, self.BATCH, topics=self._topics, inclusive_of_start=False
            )
            self._ready = list(found)[::-1]
            if not found:
                self._listener.wait(self.POLL_SECONDS)
        raise StopIteration
