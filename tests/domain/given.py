"""Given these events, when this command comes, then these events happen, or the refusal that names the rule.

As claude_tiu.testing.given, of one aggregate alone: what it reads of others is stubbed.

    given(TASK, [added, started], reads=reads).when(CompleteTask(task_id=TASK_ID)).then([TaskCompleted(occurred_at=AT)])
    given(TASK, [added]).when(CompleteTask(task_id=TASK_ID)).then_refused(WrongStatus, id=TASK_ID, status="pending")

No store, no clock, no random: every id comes from a name, and every time is AT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from claude_tiu.domain.agenda import OPEN_WORK
from claude_tiu.domain.agent import Agent
from claude_tiu.domain.aggregate import Aggregate
from claude_tiu.domain.dependency_graph import DependencyGraph
from claude_tiu.domain.errors import Refused
from claude_tiu.domain.messages import Command, Decided, Elsewhere, Event
from claude_tiu.domain.project_state import Project
from claude_tiu.domain.task import Task
from claude_tiu.domain.template import Template
from claude_tiu.domain.user_state import User
from claude_tiu.domain.workflow import Workflow
from claude_tiu.testing import AT, uid
from claude_tiu.testing.scenario import refused, same_events

__all__ = ["AT", "uid"]  # as tests know them, beside the names of here

State = TypeVar("State")

EARLIER = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)

COMMAND_ID, NEW_ID, NOBODY = uid("command"), uid("new"), uid("nobody")
USER_ID, PROJECT_ID, OTHER_PROJECT_ID = uid("user"), uid("project"), uid("other project")
TASK_ID, RUN_ID, ISSUE_ID, SESSION_ID = map(uid, ("task", "run", "issue", "session"))
WORKFLOW_ID, STEP_ID, WORKFLOW_RUN_ID, TEMPLATE_ID = map(uid, ("workflow", "step", "workflow run", "template"))
AGENT_ID, ASSIGNMENT_ID = uid("agent"), uid("assignment")


class Entry(NamedTuple):
    """What stands in the agenda."""

    kind: str
    id: UUID
    project_id: UUID
    due: datetime


@dataclass(frozen=True)
class DictReads:
    """The other states that a decision may ask for, held in dicts."""

    users: dict[UUID, User] = field(default_factory=dict)
    projects: dict[UUID, Project] = field(default_factory=dict)
    tasks: dict[UUID, Task] = field(default_factory=dict)
    graphs: dict[UUID, DependencyGraph] = field(default_factory=dict)
    workflows: dict[UUID, Workflow] = field(default_factory=dict)
    agenda: tuple[Entry, ...] = ()
    agents: dict[UUID, Agent] = field(default_factory=dict)
    ready: dict[tuple[Any, ...], UUID] = field(default_factory=dict)
    """What was asked of the queue -> the task that it names."""
    templates: dict[UUID, Template] = field(default_factory=dict)

    def user(self, user_id: UUID) -> User | None:
        return self.users.get(user_id)

    def project(self, project_id: UUID) -> Project | None:
        return self.projects.get(project_id)

    def task(self, task_id: UUID) -> Task | None:
        return self.tasks.get(task_id)

    def project_of_task(self, task_id: UUID) -> UUID | None:
        task = self.tasks.get(task_id)
        return task.project_id if task else None

    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None:
        return self.graphs.get(project_id)

    def workflow(self, workflow_id: UUID) -> Workflow | None:
        return self.workflows.get(workflow_id)

    def open_in(self, project_id: UUID) -> list[str]:
        return sorted({entry.kind for entry in self.agenda if entry.project_id == project_id} & set(OPEN_WORK))

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        due = sorted((entry.due, entry.id) for entry in self.agenda if entry.kind == kind and entry.due < before)
        return [id_ for _, id_ in due[:limit]]

    def agent(self, agent_id: UUID) -> Agent | None:
        return self.agents.get(agent_id)

    def agent_exists(self, agent_id: UUID) -> bool:
        return agent_id in self.agents

    def next_ready(
        self, project_id: UUID, agent_type: str, capabilities: Sequence[str], priority: str | None
    ) -> UUID | None:
        return self.ready.get((project_id, agent_type, tuple(capabilities), priority))

    def template(self, template_id: UUID) -> Template | None:
        return self.templates.get(template_id)

    def will_read(self, *stream_ids: UUID) -> None:
        """It has them all at hand."""


def user(status: str = "active") -> User:
    return User("developer", is_active=status == "active", forgotten=status == "forgotten")


def project(status: str = "active") -> Project:
    return Project(user_id=USER_ID, name="Billing", status=status)


def task(status: str = "pending", project_id: UUID = PROJECT_ID) -> Task:
    return Task(project_id=project_id, name="Parser", priority="medium", status=status)


def world(project_status: str = "active", **tasks: str) -> DictReads:
    """A user's project in a status, with tasks by name and status: world("active", a="completed", b="pending")."""
    return DictReads(
        users={USER_ID: user()},
        projects={PROJECT_ID: project(project_status)},
        tasks={uid(name): task(status) for name, status in tasks.items()},
    )


def with_graph(reads: DictReads, *edges: tuple[str, str, str]) -> DictReads:
    """`reads` with dependencies: (task, the task it depends on, type), by name."""
    dependencies: dict[UUID, dict[UUID, str]] = {}
    for name, other, dependency_type in edges:
        dependencies.setdefault(uid(name), {})[uid(other)] = dependency_type
    return replace(reads, graphs={PROJECT_ID: DependencyGraph(PROJECT_ID, dependencies)})


def given(
    aggregate: Aggregate[State],
    events: Iterable[Event] = (),
    *,
    reads: DictReads | None = None,
    state: State | None = None,
) -> Given[State]:
    """A stream that holds `events`; or `state`, where no event leads to it."""
    return Given(aggregate, aggregate.fold(events, state), reads if reads is not None else world())


@dataclass(frozen=True)
class Given(Generic[State]):
    aggregate: Aggregate[State]
    state: State | None
    reads: DictReads

    def when(self, command: Command) -> When[State]:
        """The command comes, stamped with AT and, where it made none, NEW_ID."""
        return When(self, command.stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID))


@dataclass(frozen=True)
class When(Generic[State]):
    given: Given[State]
    command: Command

    def then(self, expected: Sequence[Decided]) -> State:
        """It makes exactly these events, here and Elsewhere; returns this stream's state after them."""
        decided = self._decide()
        same_events(decided, expected)
        events = [one for one in decided if not isinstance(one, Elsewhere)]
        assert {type(event) for event in events} <= set(self.given.aggregate.events)
        state = self.given.aggregate.fold(events, self.given.state)
        assert state is not None
        return state

    def then_elsewhere(self, expected: Sequence[Elsewhere]) -> None:
        """It makes exactly these events, all of other streams."""
        same_events(self._decide(), expected)

    def then_refused(self, error: type[Refused], **details: Any) -> Refused:
        """It is refused with this error, whose details hold these ids and values, and whose message says them."""
        return refused(self._decide, error, **details)

    def _decide(self) -> Sequence[Decided]:
        aggregate, reads = self.given.aggregate, self.given.reads
        if aggregate.stream_of is not None:
            aggregate.stream_of(self.command, reads)
        return aggregate.decide(self.given.state, self.command, reads)
