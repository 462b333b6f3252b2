"""Which statuses allow a command, and what it leads to: found by asking the domain's decisions, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID, uuid5

from claude_tiu import Command, WrongStatus
from claude_tiu.domain.aggregate import Aggregate
from claude_tiu.domain.dependency_graph import DEPENDENCY_GRAPH, DependencyGraph
from claude_tiu.domain.messages import Event
from claude_tiu.domain.project import PROJECT, Project
from claude_tiu.domain.project_metrics import PROJECT_METRICS, ProjectMetrics
from claude_tiu.domain.registry import AGGREGATES
from claude_tiu.domain.task import TASK, Task
from claude_tiu.domain.user import USER, User
from claude_tiu.domain.validation_run import VALIDATION_RUN, IssueCommand, ValidationRun
from claude_tiu.domain.values import IssueStatus, ProjectStatus, RunStatus, TaskStatus
from tests.domain.given import ISSUE_ID, PROJECT_ID, TASK_ID, USER_ID

AT = datetime(2026, 3, 1, tzinfo=UTC)
OTHER_TASK_ID = uuid5(TASK_ID, "other")
GIVEN: dict[str, Any] = {
    "username": "ada",
    "email": "ada@example.org",
    "password_hash": "$argon2id$" + "x" * 22,
    "user_id": USER_ID,
    "project_id": PROJECT_ID,
    "task_id": TASK_ID,
    "depends_on_task_id": OTHER_TASK_ID,
    "run_id": uuid5(PROJECT_ID, "run"),
    "issue_id": ISSUE_ID,
    "name": "name",
    "metric_name": "coverage",
    "value": 1.0,
    "claimed": 50.0,
    "authenticity": 50.0,
    "validation_type": "quick",
    "issue_type": "placeholder",
    "severity": "low",
    "description": "text",
    "quality_score": 50.0,
}
"""A good value for every field that some command requires."""


@dataclass(frozen=True)
class Step:
    """One way in which a command is accepted: what has which status, which it has then, and the event that says so."""

    kind: str
    before: str | None
    after: str | None
    event: type[Event]


@dataclass
class World:
    """What decisions ask of other streams."""

    project_status: str = "active"
    depends: bool = False

    def user_exists(self, user_id: UUID) -> bool:
        return True

    def project(self, project_id: UUID) -> Project:
        return Project(USER_ID, "name", self.project_status)

    def project_of_task(self, task_id: UUID) -> UUID:
        return PROJECT_ID

    def task(self, task_id: UUID) -> Task:
        return Task(PROJECT_ID, "name", "medium", "completed")

    def dependency_graph(self, project_id: UUID) -> DependencyGraph:
        return DependencyGraph(PROJECT_ID, {TASK_ID: {OTHER_TASK_ID: "blocks"}} if self.depends else {})


def example_of(command: type[Command]) -> Command:
    """Return a command with a good value for each field that it requires."""
    required = {name: GIVEN[name] for name, field in command.model_fields.items() if field.is_required()}
    stamps = {"occurred_at": AT, "command_id": USER_ID} | ({command.creates: USER_ID} if command.creates else {})
    return command(**required).model_copy(update=stamps)


def _states(aggregate: Aggregate[Any], command: type[Command]) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (kind, status, state) of everything that the command may meet in its own stream."""
    if aggregate is USER:
        yield "user", None, None
    elif aggregate is DEPENDENCY_GRAPH:
        yield "dependency", None, World(depends=command.__name__.startswith("Remove")).dependency_graph(PROJECT_ID)
    elif command.creates and command.creates == command.stream:
        yield aggregate.name.replace("_", " "), None, None
    elif issubclass(command, IssueCommand):
        for status in get_args(IssueStatus):
            yield "issue", status, ValidationRun(PROJECT_ID, "quick", "completed", issues={ISSUE_ID: status})
    elif aggregate is PROJECT_METRICS:
        yield "project metrics", None, None
    elif aggregate is PROJECT:
        for status in get_args(ProjectStatus):
            yield "project", status, Project(USER_ID, "name", status)
    elif aggregate is TASK:
        for status in get_args(TaskStatus):
            yield "task", status, Task(PROJECT_ID, "name", "medium", status)
    elif aggregate is VALIDATION_RUN:
        for status in get_args(RunStatus):
            yield "validation run", status, ValidationRun(PROJECT_ID, "quick", status)


def _status(kind: str, state: Any) -> str | None:
    if isinstance(state, User | DependencyGraph | ProjectMetrics):
        return None
    return str(state.issues[ISSUE_ID] if kind == "issue" else state.status)


def steps_of(command: type[Command]) -> list[Step]:
    """Return every way in which a command is accepted, in the order of the statuses."""
    (aggregate,) = (one for one in AGGREGATES if command in one.commands)
    example, found = example_of(command), []
    for kind, before, state in _states(aggregate, command):
        try:
            events = aggregate.decide(state, example, World())
        except WrongStatus:
            continue
        after = _status(kind, aggregate.fold(events, state))
        found.append(Step(kind, before, after, type(events[0])))
    return found


def project_statuses_of(command: type[Command]) -> list[str]:
    """Return the statuses that the project must have, of a command to what belongs to it; [] where none is asked."""
    (aggregate,) = (one for one in AGGREGATES if command in one.commands)
    if aggregate in (USER, PROJECT):
        return []
    allowed = []
    for status in get_args(ProjectStatus):
        for _, _, state in _states(aggregate, command):
            try:
                aggregate.decide(state, example_of(command), World(status))
            except WrongStatus:
                continue
            allowed.append(status)
            break
    return allowed
