"""Command handling: load what a decision needs, decide, append under guards; decide again if anything moved.

A unit is one command, or several that are stored together or not at all.
"""

from __future__ import annotations

import hmac
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from ..domain.aggregate import Aggregate
from ..domain.dependency_graph import DEPENDENCY_GRAPH, DependencyGraph, graph_id
from ..domain.errors import AlreadyExists, CommandIdReused, NotUnique, Refused, StaleVersion
from ..domain.messages import Command, Event, given
from ..domain.project import PROJECT, Project
from ..domain.registry import AGGREGATE_OF
from ..domain.task import TASK, Task
from ..domain.user import USER
from ..domain.workflow import WORKFLOW, Workflow
from .errors import Contended, StoreUnavailable
from .event_store import Conflict, EventStore, Known, NewEvent, Reservation, Stored, Taken, Unit
from .ids import new_id
from .mapper import decode, encode
from .streams import Stream, StreamCache, load_stream

ATTEMPTS = 20
"""How often a unit is decided before its command is told that others are always faster."""
PAUSE_SECONDS = 0.002

State = TypeVar("State")


class Answer(NamedTuple):
    """What became of a command.

    `id` is that of what it created, else of the stream that it changed; `version` is that stream's, `position` the
    log's, behind its last event: `wait_for(position)` waits until the read tables show it.
    """

    id: UUID
    version: int
    position: int


@dataclass(frozen=True, slots=True)
class Request:
    """A command ready to be decided, and the digest of its content as the caller gave it."""

    command: Command
    command_id: UUID
    digest: bytes


def prepare(command: Command) -> Request:
    """Stamp a command with the present time and new ids where its caller gave none. Raises TypeError for others."""
    if not isinstance(command, Command):
        raise TypeError(f"a command is executed, or a list of them by execute_all: not {command!r:.80}")
    content = type(command).__name__.encode() + b"\0" + command.asked()
    command_id = command.command_id or new_id()
    created = new_id() if command.lacks_id else command_id
    stamped = command.stamped(at=datetime.now(UTC), command_id=command_id, new_id=created)
    return Request(stamped, command_id, sha256(content).digest())


class Decision:
    """One attempt to decide a unit: the states it read, the versions that guard it, and the events it makes.

    Its methods named after aggregates are what the domain's decisions ask of other streams (their `Reads`).
    """

    def __init__(self, store: EventStore, load: Callable[[UUID], Stream]) -> None:
        self._reservation_key = store.reservation_key
        self._load = load
        self.streams: dict[UUID, Stream] = {}
        self.seen: dict[UUID, int] = {}
        self.guards: dict[UUID, int] = {}
        self.events: list[NewEvent] = []
        self.reservations: dict[Reservation, Event] = {}
        self._reserved: set[tuple[str, bytes]] = set()

    def user_exists(self, user_id: UUID) -> bool:
        return self._peek(USER, user_id) is not None

    def project_of_task(self, task_id: UUID) -> UUID | None:
        task = self._peek(TASK, task_id)
        return None if task is None else task.project_id

    def project(self, project_id: UUID) -> Project | None:
        return self._read(PROJECT, project_id)

    def task(self, task_id: UUID) -> Task | None:
        return self._read(TASK, task_id)

    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None:
        return self._read(DEPENDENCY_GRAPH, graph_id(project_id))

    def workflow(self, workflow_id: UUID) -> Workflow | None:
        return self._read(WORKFLOW, workflow_id)

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
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.streams[stream_id] = self._load(stream_id)
            self.seen[stream_id] = stream.version
        return stream

    def decide(self, request: Request) -> Answer:
        """Decide one command on what was read and decided so far; the answer's position counts within the unit.

        Raises Refused.
        """
        command = request.command
        aggregate = AGGREGATE_OF[type(command)]
        stream_id = self._stream_of(aggregate, command)
        stream = self._stream(stream_id)
        self.guards.setdefault(stream_id, stream.version)
        if stream.aggregate is not None and stream.aggregate is not aggregate:
            if aggregate.stream_of is not None or command.stream == command.creates:
                raise AlreadyExists(f"{stream_id} is a {stream.aggregate.name} already", id=stream_id)
            stream = Stream(None, None, 0)
        if command.expected_version is not None and command.expected_version != stream.version:
            raise StaleVersion(
                f"{stream_id} is at version {stream.version}, not {command.expected_version}",
                id=stream_id,
                version=stream.version,
                expected_version=command.expected_version,
            )
        events = aggregate.decide(stream.state, command, self)
        version, state = stream.version, stream.state
        for event in events:
            version += 1
            state = aggregate.evolve(state, event)
            self._add(request, stream_id, version, event, aggregate.project_of(stream_id, state))
        self.streams[stream_id] = Stream(aggregate, state, version)
        return Answer(created_id(events[0], stream_id), version, len(self.events))

    def _stream_of(self, aggregate: Aggregate[Any], command: Command) -> UUID:
        if aggregate.stream_of is not None:
            return aggregate.stream_of(command, self)
        stream_id: UUID = getattr(command, given(command.stream))
        return stream_id

    def _add(self, request: Request, stream_id: UUID, version: int, event: Event, project_id: UUID | None) -> None:
        topic, state, key_id = encode(event)
        command = request.command
        self.events.append(
            NewEvent(
                stream_id,
                version,
                topic,
                state,
                request.command_id,
                request.digest,
                command.correlation_id,
                command.causation_id,
                command.actor,
                project_id,
                key_id,
            )
        )
        for name in event.unique:
            self._reserve(name, event, stream_id)

    def _reserve(self, name: str, event: Event, stream_id: UUID) -> None:
        """Reserve a value under a keyed hash: who reads the table cannot try names."""
        value = str(getattr(event, name)).encode()
        key = hmac.digest(self._reservation_key, f"{name}\0".encode() + value, "sha256")
        reservation = Reservation(name, key, stream_id)
        if (name, key) in self._reserved:
            raise not_unique(name, event)
        self._reserved.add((name, key))
        self.reservations[reservation] = event

    def taken(self, number: int) -> NotUnique:
        """Return the refusal of the unit whose reservation, by its place among them, is another's."""
        reservation, event = list(self.reservations.items())[number]
        return not_unique(reservation.space, event)

    def unit(self) -> Unit:
        return Unit(self.events, self.guards, list(self.reservations))


def created_id(event: Event, stream_id: UUID) -> UUID:
    """Return the id of what a command's first event made: mostly the stream itself."""
    created: UUID = getattr(event, event.creates) if event.creates else stream_id
    return created


def not_unique(name: str, event: Event) -> NotUnique:
    """Return the refusal of a value that is taken; what is personal is not repeated."""
    value = None if name in event.personal else str(getattr(event, name))
    said = f"{name} is taken" if value is None else f"{name} {value} is taken"
    return NotUnique(said, field=name, **({} if value is None else {"value": value}))


class Executor:
    """Executes commands against an event store. Thread-safe."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._cache = StreamCache(partial(load_stream, store))
        self._retrying = threading.Lock()

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands as one unit: all are stored, in one commit, or none is.

        Raises Refused (of the first command that is; that a unique value is taken is found last), Contended or
        StoreUnavailable. A unit whose commit was lost sight of is found again by its command_ids, never stored twice.
        """
        requests = [prepare(command) for command in commands]
        distinct = _distinct(requests)
        lost = raced = False
        for attempt in range(ATTEMPTS):
            try:
                with self._retrying if raced else nullcontext():  # those that lost a race do not race each other
                    answers = self._attempt(distinct)
            except StoreUnavailable:
                self._cache.clear()  # what comes back may be a store restored from before
                if lost:
                    raise
                lost = True
                continue
            if answers is not None:
                return [answers[request.command_id] for request in requests]
            raced = True
            time.sleep(random.uniform(0, PAUSE_SECONDS * 2 ** min(attempt, 6)))  # noqa: S311 - spreads retries
        raise Contended(f"other writers moved what the command rests on, {ATTEMPTS} times; try again")

    def _attempt(self, requests: Sequence[Request]) -> dict[UUID, Answer] | None:
        """Return the answers by command_id, or None where something moved meanwhile.

        States come from the cache where it has them: the guards find out, at the append, whether they had moved. A
        refusal is given only if nothing that it rests on has.
        """
        decision = Decision(self._store, self._cache.get)
        try:
            decided = {request.command_id: decision.decide(request) for request in requests}
        except Refused:
            known = self._known(requests)
            if known is not None:
                return known
            if moved := self._moved(decision.seen):
                self._cache.drop(moved)
                return None
            raise
        (outcome,) = self._store.append([decision.unit()]) if requests else (Stored(0),)
        match outcome:
            case Stored(first_position):
                self._cache.put(decision.streams)
                return {
                    command_id: answer._replace(position=first_position + answer.position - 1)
                    for command_id, answer in decided.items()
                }
            case Known():
                return self._known(requests)
            case Taken(reservation):
                raise decision.taken(reservation)
            case Conflict(stream_id):
                self._cache.drop([stream_id])
                return None

    def _moved(self, seen: Mapping[UUID, int]) -> list[UUID]:
        """Return which streams are no longer at the version at which they were read."""
        newest = {stream_id: self._store.select_events(stream_id, desc=True, limit=1) for stream_id in seen}
        return [id_ for id_, events in newest.items() if (events[0].originator_version if events else 0) != seen[id_]]

    def _known(self, requests: Sequence[Request]) -> dict[UUID, Answer] | None:
        """Return the first answers of commands that are stored already; None where none is.

        Raises CommandIdReused where some are and some are not, or where one had other content.
        """
        digests = {request.command_id: request.digest for request in requests}
        answers: dict[UUID, Answer] = {}
        for command_id, digest, stream_id, version, topic, state, position in self._store.trace(list(digests)):
            if digest != digests[command_id]:
                raise _reused(command_id)
            first = answers.get(command_id)
            created = first.id if first else created_id(decode(topic, state), stream_id)
            answers[command_id] = Answer(created, version, position)
        if answers and len(answers) < len(digests):
            unknown = [str(command_id) for command_id in digests if command_id not in answers]
            raise CommandIdReused(
                f"of these {len(digests)} commands, {len(answers)} are stored already: a unit is retried whole",
                unknown=unknown,
            )
        return answers or None


def _distinct(requests: Sequence[Request]) -> list[Request]:
    """Leave out what is a retry of a command in the same unit. Raises CommandIdReused where its content differs."""
    by_id: dict[UUID, Request] = {}
    for request in requests:
        if by_id.setdefault(request.command_id, request).digest != request.digest:
            raise _reused(request.command_id)
    return list(by_id.values())


def _reused(command_id: UUID) -> CommandIdReused:
    return CommandIdReused(f"command_id {command_id} was used before, with other content", command_id=command_id)
