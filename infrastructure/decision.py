"""One attempt to decide commands: what they read, what guards it, and the events that they make."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from ..domain.agenda import OPEN_WORK
from ..domain.agent import AGENT, Agent
from ..domain.aggregate import Aggregate
from ..domain.dependency_graph import DEPENDENCY_GRAPH, DependencyGraph, graph_id
from ..domain.errors import AlreadyExists, NotUnique, StaleVersion
from ..domain.messages import Command, Elsewhere, Event, given
from ..domain.project import PROJECT
from ..domain.project_state import Project
from ..domain.registry import AGGREGATE_OF
from ..domain.task import TASK, Task
from ..domain.template import TEMPLATE, Template
from ..domain.user import USER
from ..domain.user_state import User
from ..domain.workflow import WORKFLOW, Workflow
from ..projections.write_side import PRIORITY_RANK, Change, create_key, write_side_changes
from .errors import KeyMissing
from .event_store import EventStore, NewEvent, Reservation, Unit
from .ids import new_id
from .mapper import encode, person_of
from .streams import EMPTY, Lack, Reading, Stream

State = TypeVar("State")


class Answer(NamedTuple):
    """What became of a command.

    `id` is that of what it created, else of the stream that it changed; `version` is that stream's, `position` the
    log's, behind its last event: `wait_for(position)` waits until the read tables show it.
    """

    id: UUID
    version: int
    position: int


@dataclass(slots=True)  # not frozen: that would cost a command two microseconds
class Request:
    """A command ready to be decided, and its content as the caller gave it: in clear, so no repr shows it."""

    command: Command
    command_id: UUID
    content: bytes = field(repr=False)
    retried: bool
    """The caller gave its id: the store may know it already."""
    aggregate: Aggregate[Any]
    stream_id: UUID | None
    """The stream that it is about, where the command alone tells."""
    creates_stream: bool

    def names(self) -> list[UUID]:
        """Return the streams that the command names."""
        named = [self.stream_id, *[getattr(self.command, field_name) for field_name in self.command.reads]]
        return [stream_id for stream_id in named if stream_id is not None]

    @property
    def person_id(self) -> UUID | None:
        """The existing person whose personal data the command brings."""
        name = self.command.person
        person_id: UUID | None = getattr(self.command, name) if name else None
        return person_id

    def digest(self, key: bytes | None) -> bytes:
        """Return the digest by which a retry is known: under a key, where the command holds personal data.

        So nobody can try what was in it. The key is that of the person, which forgetting destroys; of a command that
        makes the person, the store's secret.
        """
        return sha256(self.content).digest() if key is None else hmac.digest(key, self.content, "sha256")

    def known_digest(self, store: EventStore) -> bytes:
        """Return the digest that is stored if this command is. That of one whose person is forgotten fits none."""
        if not self.command.personal:
            return self.digest(None)
        person_id = self.person_id
        key = None if person_id is None else store.keys([person_id]).get(person_id)
        return self.digest(key or store.reservation_key)


def prepare(command: Command, correlation_id: str | None = None) -> Request:
    """Stamp a command with the present time, new ids and a correlation where its caller gave none.

    Raises TypeError for what is no command.
    """
    if not isinstance(command, Command):
        raise TypeError(f"a command is executed, or a list of them by execute_all: not a {type(command).__name__}")
    kind = type(command)
    content = kind.__name__.encode() + b"\0" + command.asked()
    command_id = command.command_id or new_id()
    created = new_id() if command.lacks_id else command_id
    stamped = command.stamped(
        at=datetime.now(UTC), command_id=command_id, new_id=created, correlation_id=correlation_id
    )
    aggregate = AGGREGATE_OF[kind]
    stream_id: UUID | None = None
    if aggregate.stream_of is None:
        stream_id = getattr(stamped, given(kind.stream))
    elif not aggregate.asks_for_stream:
        stream_id = aggregate.stream_of(stamped, None)
    creates_stream = kind.creates is not None and kind.creates == kind.stream
    return Request(stamped, command_id, content, command.command_id is not None, aggregate, stream_id, creates_stream)


def read_named(reading: Reading, requests: Sequence[Request]) -> None:
    """Read all the streams that commands name, at once; those that they create are taken to be new."""
    reading.read(*_named(requests))


def find_named(reading: Reading, requests: Sequence[Request]) -> Lack | None:
    """Read the same as far as the store need not be asked; return what must be loaded."""
    named, new, of_last = _named(requests)
    unknown = reading.find(named, new)
    return Lack(unknown, of_last) if unknown else None


def _named(requests: Sequence[Request]) -> tuple[list[UUID], set[UUID], set[UUID]]:
    """Return the streams that commands name, which of them are created, and of which the last event will do."""
    new = {request.stream_id for request in requests if request.stream_id and request.creates_stream}
    of_last = {request.stream_id for request in requests if request.stream_id and request.aggregate.of_last}
    return [id_ for request in requests for id_ in request.names()], new, of_last


class Decision:
    """One attempt to decide a unit: the states it read, the versions that guard it, and the events it makes.

    Its methods named after aggregates are what the domain's decisions ask of other streams (their `Reads`).
    """

    def __init__(self, store: EventStore, reading: Reading, *, exclusive: bool = False) -> None:
        self._exclusive = exclusive
        self._event_store = store
        self._reading = reading
        self.written: dict[UUID, Stream] = {}
        self.guards: dict[UUID, int] = {}
        self.events: list[NewEvent] = []
        self.changes: list[tuple[int, Change]] = []
        self._keys: dict[UUID, bytes] = {}
        self.reservations: dict[Reservation, Event] = {}
        self._reserved: set[tuple[str, bytes]] = set()

    def will_read(self, *stream_ids: UUID) -> None:
        self._reading.read(stream_ids)

    def project_of_task(self, task_id: UUID) -> UUID | None:
        task = self._peek(TASK, task_id)
        return None if task is None else task.project_id

    def agent_exists(self, agent_id: UUID) -> bool:
        return self._peek(AGENT, agent_id) is not None

    def project(self, project_id: UUID) -> Project | None:
        return self._read(PROJECT, project_id)

    def task(self, task_id: UUID) -> Task | None:
        return self._read(TASK, task_id)

    def agent(self, agent_id: UUID) -> Agent | None:
        return self._read(AGENT, agent_id)

    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None:
        return self._read(DEPENDENCY_GRAPH, graph_id(project_id))

    def user(self, user_id: UUID) -> User | None:
        return self._read(USER, user_id)

    def template(self, template_id: UUID) -> Template | None:
        return self._read(TEMPLATE, template_id)

    def workflow(self, workflow_id: UUID) -> Workflow | None:
        return self._read(WORKFLOW, workflow_id)

    def next_ready(
        self, project_id: UUID, agent_type: str, capabilities: Sequence[str], priority: str | None
    ) -> UUID | None:
        rank = None if priority is None else PRIORITY_RANK[priority]
        return self._exclusive_store().next_ready(
            project_id, priority=rank, agent_type=agent_type, capabilities=capabilities
        )

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        return self._exclusive_store().due(kind, before, limit)

    def open_in(self, project_id: UUID) -> list[str]:
        return self._exclusive_store().open_in(project_id, OPEN_WORK)

    def _exclusive_store(self) -> EventStore:
        if not self._exclusive:
            raise TypeError("only an exclusive command may ask what no guard can hold")
        return self._event_store

    def _read(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        """Read a state that the decision rests on: the append checks that it has not moved."""
        stream = self._stream(stream_id)
        self.guards.setdefault(stream_id, stream.version)
        return stream.state if stream.aggregate is aggregate else None

    def _peek(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        """Read what can never become false, and needs no guard: that something exists, and what it belongs to.

        That it does not exist may become false, so that is guarded.
        """
        stream = self._stream(stream_id)
        return stream.state if stream.aggregate is aggregate else self._read(aggregate, stream_id)

    def _stream(self, stream_id: UUID) -> Stream:
        return self.written.get(stream_id) or self._reading.stream(stream_id)

    def decide(self, request: Request) -> Answer:
        """Decide one command on what was read and decided so far; the answer's position counts within the unit.

        Raises Refused.
        """
        stream_id, stream = self._own_stream(request)
        decided = request.aggregate.decide(stream.state, request.command, self)
        placed = [one if isinstance(one, Elsewhere) else Elsewhere(given(stream_id), one) for one in decided]
        if len(placed) > 1:
            self._reading.read([id_ for id_, _ in placed])
        digest = self._digest(request)
        for target, event in placed:
            self._add(request, digest, target, event)
        first_stream, first = placed[0]
        return Answer(created_id(first, first_stream), self.written[first_stream].version, len(self.events))

    def _own_stream(self, request: Request) -> tuple[UUID | None, Stream]:
        """Return the stream that a command is about (None: it has none of its own), as it stands."""
        command, aggregate, stream_id = request.command, request.aggregate, request.stream_id
        if aggregate.asks_for_stream and aggregate.stream_of is not None:
            stream_id = aggregate.stream_of(command, self)
        stream = EMPTY
        if stream_id is not None:
            stream = self._stream(stream_id)
            self.guards.setdefault(stream_id, stream.version)
        if stream.aggregate is not None and stream.aggregate is not aggregate:
            if aggregate.stream_of is not None or request.creates_stream:
                raise AlreadyExists(f"{stream_id} is a {stream.aggregate.name} already", id=stream_id)
            stream = EMPTY
        if command.expected_version is not None and command.expected_version != stream.version:
            raise StaleVersion(
                f"{stream_id or type(command).__name__} is at version {stream.version}, not {command.expected_version}",
                id=stream_id,
                version=stream.version,
                expected_version=command.expected_version,
            )
        return stream_id, stream

    def _add(self, request: Request, digest: bytes, stream_id: UUID, event: Event) -> None:
        """Add an event to its stream, as it stands behind the events decided so far."""
        aggregate = AGGREGATE_OF[type(event)]
        stream = self._stream(stream_id)
        self.guards.setdefault(stream_id, stream.version)
        if stream.aggregate not in (None, aggregate):
            wanted = f"{type(request.command).__name__} would make a {aggregate.name} of {stream_id}"
            raise AlreadyExists(f"{wanted}, which is a {stream.aggregate.name} already", id=stream_id)
        version, state = stream.version + 1, aggregate.evolve(stream.state, event)
        self.written[stream_id] = Stream(aggregate, state, version)
        self._store(request, digest, stream_id, version, event, aggregate.project_of(stream_id, state))

    def _store(
        self,
        request: Request,
        digest: bytes,
        stream_id: UUID,
        version: int,
        event: Event,
        project_id: UUID | None,
    ) -> None:
        person_id = person_of(event, stream_id)
        key = None if person_id is None else self._key_of(person_id, is_new=version == 1 and event.person is None)
        command = request.command
        self.events.append(
            NewEvent(
                stream_id,
                version,
                event.topic,
                encode(event, stream_id, version, key),
                request.command_id,
                digest,
                command.correlation_id,
                command.causation_id,
                command.actor,
                project_id,
                person_id,
            )
        )
        for change in write_side_changes(stream_id, project_id, event):
            self.changes.append((len(self.events) - 1, change))
            if change["op"] == "release":
                self._release(stream_id, change["space"])
        for name in event.unique:
            self._reserve(name, event, stream_id)

    def _digest(self, request: Request) -> bytes:
        if not request.command.personal:
            return request.digest(None)
        asked_of = request.person_id
        return request.digest(
            self._event_store.reservation_key if asked_of is None else self._key_of(asked_of, is_new=False)
        )

    def _key_of(self, person_id: UUID, *, is_new: bool) -> bytes:
        """Return the key of a person's data; one is made with the person's first event."""
        if person_id not in self._keys:
            if is_new:
                key = self._event_store.key_ring.new_key()
                stored, wrapped = self._event_store.key_ring.wrap(person_id, key)
                self.changes.append((len(self.events), create_key(person_id, stored, wrapped=wrapped)))
            else:
                key = self._event_store.keys([person_id]).get(person_id, b"")
            if not key:
                raise KeyMissing(f"the key of {person_id} is not there: were the keys restored?", id=person_id)
            self._keys[person_id] = key
        return self._keys[person_id]

    def _release(self, stream_id: UUID, space: str | None) -> None:
        """Let go what the unit itself has reserved: it had to be free, and is free again."""

        def after(reservation: Reservation) -> Reservation:
            if not reservation.kept or reservation.stream_id != stream_id or space not in (None, reservation.space):
                return reservation
            self._reserved.remove((reservation.space, reservation.key))
            return reservation._replace(kept=False)

        self.reservations = {after(reservation): event for reservation, event in self.reservations.items()}

    def _reserve(self, name: str, event: Event, stream_id: UUID) -> None:
        """Reserve a value under a keyed hash: who reads the table cannot try names."""
        value = str(getattr(event, name)).encode()
        key = hmac.digest(self._event_store.reservation_key, f"{name}\0".encode() + value, "sha256")
        reservation = Reservation(name, key, stream_id, len(self.events) - 1)
        if (name, key) in self._reserved:
            raise not_unique(name, event)
        self._reserved.add((name, key))
        self.reservations[reservation] = event

    def taken(self, number: int) -> NotUnique:
        """Return the refusal of the unit whose reservation, by its place among them, is another's."""
        reservation, event = list(self.reservations.items())[number]
        return not_unique(reservation.space, event)

    def unit(self, incarnation: object) -> Unit:
        """Return what is to be appended; `incarnation` is the store's before anything was read."""
        return Unit(self.events, self.guards, list(self.reservations), self.changes, incarnation)


def created_id(event: Event, stream_id: UUID) -> UUID:
    """Return the id of what a command's first event made: mostly the stream itself."""
    created: UUID = getattr(event, event.creates) if event.creates else stream_id
    return created


def not_unique(name: str, event: Event) -> NotUnique:
    """Return the refusal of a value that is taken; what is personal is not repeated."""
    value = None if name in event.personal else str(getattr(event, name))
    said = f"{name} is taken" if value is None else f"{name} {value} is taken"
    return NotUnique(said, field=name, **({} if value is None else {"value": value}))
