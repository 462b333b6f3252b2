"""What units of commands do where one comes after the other: the sequential specification of the event store.

The domain's `decide` and `evolve`, on states in memory; and what the stores hold besides (unique values, the queue of
tasks, what is due and open, the answers to known command_ids) told from these states, each time anew. Written from the
domain rules, without guards, caches, retries or locks: it is what those must come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partialmethod
from typing import Any, NamedTuple
from uuid import UUID

from ..domain.agenda import ASSIGNMENT, COMPLETED_PROJECT, OPEN_RUN
from ..domain.aggregate import Aggregate
from ..domain.dependency_graph import graph_id
from ..domain.errors import AlreadyExists, CommandIdReused, NotUnique, Refused, StaleVersion
from ..domain.messages import Command, Elsewhere, Event, Recorded, given
from ..domain.project import ProjectCompleted
from ..domain.registry import AGGREGATE_OF
from ..domain.task import TaskAdded
from ..domain.user import EmailChanged, UserForgotten, UserRenamed
from ..infrastructure.decision import Answer, Request, created_id, not_unique, prepare

RANKS = ("critical", "high", "medium", "low")
RELEASED = {UserRenamed: ("username",), EmailChanged: ("email",), UserForgotten: ("username", "email")}
"""Which unique values of its stream an event lets go."""


class Stream(NamedTuple):
    """A stream as its events have made it; without any, it is of no aggregate."""

    aggregate: Aggregate[Any] | None = None
    state: Any = None
    version: int = 0


class Remembered(NamedTuple):
    """A stored command: its content, and the answer that a retry gets."""

    content: bytes
    answer: Answer


class Step(NamedTuple):
    """What a unit comes to: what stands then, the answers, and its events (none where it was known)."""

    after: Ledger
    answers: list[Answer]
    events: list[Recorded]


@dataclass(frozen=True)
class Ledger:
    """Everything that stands behind one position of the log. Never changed: a unit gives the next one."""

    position: int = 0
    streams: Mapping[UUID, Stream] = field(default_factory=dict)
    unique: Mapping[tuple[str, str], UUID] = field(default_factory=dict)
    """(what it is, value) -> the stream that holds it"""
    known: Mapping[UUID, Remembered] = field(default_factory=dict)
    added: Mapping[UUID, tuple[int, int, TaskAdded]] = field(default_factory=dict)
    """task -> the rank of its priority, the position and the event of its being added"""
    completed: Mapping[UUID, datetime] = field(default_factory=dict)
    """project -> when it was completed last"""

    def state(self, stream_id: UUID) -> Any:
        """Return the state of a stream; None where it has no events."""
        return self.streams.get(stream_id, Stream()).state

    def put(self, stream_id: UUID, event: Event) -> Step:
        """Let an event have happened, whatever the rules say. Raises AlreadyExists in a stream of another kind."""
        attempt = _Attempt(self, one_by_one=False)
        attempt.add(stream_id, event)
        return Step(attempt.ledger(), [], attempt.events)

    def execute(self, unit: Sequence[Command]) -> Step:
        """Execute a unit. Raises Refused, and then nothing has changed."""
        requests = [prepare(command) for command in unit]
        distinct: dict[UUID, Request] = {}
        for request in requests:
            if distinct.setdefault(request.command_id, request).content != request.content:
                raise CommandIdReused(
                    f"command_id {request.command_id} is used twice in one unit", command_id=request.command_id
                )
        attempt = _Attempt(self, one_by_one=any(request.command.exclusive for request in requests))
        answers = self._known(distinct)
        if not answers:
            answers = {id_: attempt.execute(request) for id_, request in distinct.items()}
            attempt.require_unique()
        return Step(attempt.ledger(), [answers[request.command_id] for request in requests], attempt.events)

    def _known(self, requests: Mapping[UUID, Request]) -> dict[UUID, Answer]:
        """Return the first answers, where all are known; nothing, where none is."""
        found = {id_: self.known[id_] for id_ in requests if id_ in self.known}
        for id_, remembered in sorted(found.items(), key=lambda one: one[1].answer.position):
            person = self.streams.get(requests[id_].person_id or id_, Stream()).state
            if remembered.content != requests[id_].content or getattr(person, "forgotten", False):
                raise CommandIdReused(f"command_id {id_} was used before, with other content", command_id=id_)
        if found and len(found) < len(requests):
            raise CommandIdReused(
                "some of these commands are stored already: a unit is retried whole",
                unknown=[str(id_) for id_ in requests if id_ not in found],
            )
        return {id_: remembered.answer for id_, remembered in found.items()}


class _Attempt:
    """A unit that is being executed; also what decisions ask (their `Reads`)."""

    def __init__(self, before: Ledger, *, one_by_one: bool) -> None:
        self._position = before.position
        self._streams = dict(before.streams)
        self._unique = dict(before.unique)
        self._known = dict(before.known)
        self._added = dict(before.added)
        self._completed = dict(before.completed)
        self._one_by_one = one_by_one
        """That a value is taken is found with each command of an exclusive unit, of others behind the last."""
        self._mine: set[tuple[str, str]] = set()
        self._taken: NotUnique | None = None
        self.events: list[Recorded] = []

    def ledger(self) -> Ledger:
        return Ledger(self._position, self._streams, self._unique, self._known, self._added, self._completed)

    def require_unique(self) -> None:
        if self._taken is not None:
            raise self._taken

    def execute(self, request: Request) -> Answer:
        command, aggregate, stream_id = request.command, request.aggregate, request.stream_id
        if aggregate.stream_of is not None:
            stream_id = aggregate.stream_of(command, self)
        stream = Stream() if stream_id is None else self._stream(stream_id)
        if stream.aggregate not in (None, aggregate):
            if aggregate.stream_of is not None or request.creates_stream:
                raise AlreadyExists(f"{stream_id} is a {stream.aggregate.name} already", id=stream_id)
            stream = Stream()
        if command.expected_version not in (None, stream.version):
            wanted = {"version": stream.version, "expected_version": command.expected_version}
            said = f"{stream_id} is at version {stream.version}, not {command.expected_version}"
            raise StaleVersion(said, id=stream_id, **wanted)
        decided = aggregate.decide(stream.state, command, self)
        placed: list[Elsewhere] = []
        for one in decided:
            placed.append(one if isinstance(one, Elsewhere) else Elsewhere(given(stream_id), one))
        for target, event in placed:
            self.add(target, event)
        if self._one_by_one:
            self.require_unique()
        first_stream, first = placed[0]
        answer = Answer(created_id(first, first_stream), self._stream(first_stream).version, self._position)
        self._known[request.command_id] = Remembered(request.content, answer)
        return answer

    def _stream(self, stream_id: UUID) -> Stream:
        return self._streams.get(stream_id, Stream())

    def add(self, stream_id: UUID, event: Event) -> None:
        aggregate, stream = AGGREGATE_OF[type(event)], self._stream(stream_id)
        if stream.aggregate not in (None, aggregate):
            raise AlreadyExists(f"{stream_id} is a {stream.aggregate.name} already", id=stream_id)
        after = Stream(aggregate, aggregate.evolve(stream.state, event), stream.version + 1)
        self._streams[stream_id] = after
        self._position += 1
        project_id = aggregate.project_of(stream_id, after.state)
        self.events.append(Recorded(event, stream_id, after.version, self._position, project_id))
        if isinstance(event, TaskAdded):
            self._added[stream_id] = RANKS.index(event.priority), self._position, event
        if isinstance(event, ProjectCompleted):
            self._completed[stream_id] = event.occurred_at
        for space in RELEASED.get(type(event), ()):
            for key in [key for key, holder in self._unique.items() if key[0] == space and holder == stream_id]:
                del self._unique[key]
                self._mine.discard(key)
        for name in event.unique:
            self._reserve((name, str(getattr(event, name))), event, stream_id)

    def _reserve(self, key: tuple[str, str], event: Event, stream_id: UUID) -> None:
        taken = not_unique(key[0], event)
        if key in self._mine:
            raise taken
        if key in self._unique and self._taken is None:
            self._taken = taken
        self._mine.add(key)
        self._unique[key] = stream_id

    # What decisions ask

    def will_read(self, *stream_ids: UUID) -> None:
        """Nothing is loaded here."""

    def _state(self, kind: str, stream_id: UUID) -> Any:
        stream = self._stream(stream_id)
        return stream.state if stream.aggregate is not None and stream.aggregate.name == kind else None

    project = partialmethod(_state, "project")
    task = partialmethod(_state, "task")
    agent = partialmethod(_state, "agent")
    user = partialmethod(_state, "user")
    template = partialmethod(_state, "template")
    workflow = partialmethod(_state, "workflow")

    def dependency_graph(self, project_id: UUID) -> Any:
        return self._state("dependency_graph", graph_id(project_id))

    def project_of_task(self, task_id: UUID) -> UUID | None:
        task = self.task(task_id)
        return None if task is None else task.project_id

    def agent_exists(self, agent_id: UUID) -> bool:
        return self.agent(agent_id) is not None

    def next_ready(
        self, project_id: UUID, agent_type: str, capabilities: Sequence[str], priority: str | None
    ) -> UUID | None:
        """The first by priority, then age, then order of adding; looked up among all tasks."""
        ready = [
            (rank, event.occurred_at, position, task_id)
            for task_id, (rank, position, event) in self._added.items()
            if event.project_id == project_id
            and self.task(task_id).status == "pending"
            and all(self.task(other).status == "completed" for other in self._binding(project_id, task_id))
            and event.agent_type in (None, agent_type)
            and set(event.capabilities) <= set(capabilities)
            and priority in (None, event.priority)
        ]
        return min(ready)[-1] if ready else None

    def _binding(self, project_id: UUID, task_id: UUID) -> list[UUID]:
        graph = self.dependency_graph(project_id)
        return [] if graph is None else list(graph.binding(task_id))

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        due = self._completed_projects() if kind == COMPLETED_PROJECT else self._assignments()
        return [id_ for at, id_ in sorted(due) if at < before][:limit]

    def _completed_projects(self) -> list[tuple[datetime, UUID]]:
        completed = self._completed.items()
        return [(at, project_id) for project_id, at in completed if self.project(project_id).status == "completed"]

    def _assignments(self) -> list[tuple[datetime, UUID]]:
        return [
            (stream.state.assignment.deadline, agent_id)
            for agent_id, stream in self._streams.items()
            if stream.aggregate is not None and stream.aggregate.name == "agent" and stream.state.assignment is not None
        ]

    def open_in(self, project_id: UUID) -> list[str]:
        kinds = set()
        for stream in self._streams.values():
            name, state = stream.aggregate.name if stream.aggregate else None, stream.state
            if name == "agent" and state.assignment is not None and state.assignment.project_id == project_id:
                kinds.add(ASSIGNMENT)
            if name == "validation_run" and state.project_id == project_id and state.status == "started":
                kinds.add(OPEN_RUN)
        return sorted(kinds)


def refusal_of(ledger: Ledger, unit: Sequence[Command]) -> tuple[Step | None, Refused | None]:
    """Execute a unit: (what it comes to, None), or (None, its refusal)."""
    try:
        return ledger.execute(unit), None
    except Refused as refusal:
        return None, refusal
