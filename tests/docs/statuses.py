"""Which statuses allow a command, and what it leads to: found by asking the domain's decisions, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any, get_args
from uuid import UUID, uuid5

from claude_tiu import AlreadyExists, Command, NotAssigned, WrongStatus
from claude_tiu.domain.agenda import ASSIGNMENT
from claude_tiu.domain.agent import AGENT, Agent, ClaimNextTask, HeldTaskCommand
from claude_tiu.domain.agent_metrics import AGENT_METRICS, AgentMetrics
from claude_tiu.domain.aggregate import Aggregate
from claude_tiu.domain.assignment import Assigned, Assignment
from claude_tiu.domain.blueprint import PlannedProject, PlannedWorkflow
from claude_tiu.domain.claim_expiry import CLAIM_EXPIRY
from claude_tiu.domain.dependency_graph import DEPENDENCY_GRAPH, DependencyGraph
from claude_tiu.domain.messages import Decided, Elsewhere, Event
from claude_tiu.domain.parking import PARKING, Parking
from claude_tiu.domain.project import PROJECT, CreateProject
from claude_tiu.domain.project_file import PROJECT_FILE, CreateFile, ProjectFile
from claude_tiu.domain.project_from_template import template_task_id, template_workflow_id
from claude_tiu.domain.project_metrics import PROJECT_METRICS, ProjectMetrics
from claude_tiu.domain.project_state import Project
from claude_tiu.domain.registry import AGGREGATES
from claude_tiu.domain.retention import RETENTION, Retention
from claude_tiu.domain.session import SESSION, Session, StartSession
from claude_tiu.domain.task import TASK, Task
from claude_tiu.domain.template import TEMPLATE, CreateTemplate, Template, TemplateCreated
from claude_tiu.domain.user import USER, CreateUser
from claude_tiu.domain.user_state import User
from claude_tiu.domain.validation_run import VALIDATION_RUN, IssueCommand, ValidationRun
from claude_tiu.domain.values import AgentStatus, FileStatus, IssueStatus, ProjectStatus, RunStatus, TaskStatus
from claude_tiu.domain.workflow import WORKFLOW, Workflow
from claude_tiu.domain.workflow import Step as WorkflowStep
from claude_tiu.domain.workflow_run import WORKFLOW_RUN, StepCommand, WorkflowRun
from tests.domain.given import (
    AGENT_ID,
    ASSIGNMENT_ID,
    ISSUE_ID,
    PROJECT_ID,
    SESSION_ID,
    STEP_ID,
    TASK_ID,
    TEMPLATE_ID,
    USER_ID,
    WORKFLOW_ID,
    WORKFLOW_RUN_ID,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
OTHER_TASK_ID = uuid5(TASK_ID, "other")
OTHER_STEP_ID = uuid5(STEP_ID, "other")
GIVEN: dict[str, Any] = {
    "username": "ada",
    "email": "ada@example.org",
    "password_hash": "$argon2id$" + "x" * 22,
    "user_id": USER_ID,
    "role": "viewer",
    "preferences": {"theme": "dark"},
    "session_id": SESSION_ID,
    "token_hash": "0" * 64,
    "expires_at": AT + timedelta(days=1),
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
    "workflow_id": WORKFLOW_ID,
    "workflow_run_id": WORKFLOW_RUN_ID,
    "step_id": STEP_ID,
    "type": "validation",
    "template_id": TEMPLATE_ID,
    "structure": {},
    "is_public": True,
    "file_path": "src/parser.py",
    "content": "text",
    "validation_score": 50.0,
    "agent_id": AGENT_ID,
    "agent_type": "tester",
    "metric_type": "tokens",
    "unit_id": PROJECT_ID,
    "first_position": 7,
    "last_position": 9,
    "reason": "text",
}
"""A good value for every field that some command requires; a file's content is one, unless its hash is given."""
GIVEN_TOO = ("is_public", "content")
NEW_ID = USER_ID
"""Of whatever a command creates."""
MADE_FROM_TEMPLATE = (template_task_id(NEW_ID, "a"), template_task_id(NEW_ID, "b"), template_workflow_id(NEW_ID))


def template() -> Template:
    """A template of whose tasks one depends on the other, with a workflow."""
    steps = [{"key": "a", "name": "A", "type": "validation"}]
    tasks = [{"key": "a", "name": "A", "depends_on": ["b"]}, {"key": "b", "name": "B"}]
    command = CreateTemplate(
        name="name",
        structure=PlannedProject.model_validate({"tasks": tasks}),
        workflow_template=PlannedWorkflow.model_validate({"name": "name", "steps": steps}),
        is_public=True,
    )
    (created,) = TEMPLATE.decide(None, command.stamped(at=AT, command_id=NEW_ID, new_id=TEMPLATE_ID), World())
    assert isinstance(created, TemplateCreated)
    return TEMPLATE.evolve(None, created)


HELD = Assignment(ASSIGNMENT_ID, TASK_ID, PROJECT_ID, AT - timedelta(seconds=1), 900)
"""An assignment whose deadline has passed."""


@dataclass(frozen=True)
class Step:
    """One way in which a command is accepted: what has which status, which it has then, and the events that say so,
    those of other streams among them."""

    kind: str
    before: str | None
    after: str | None
    events: tuple[type[Event], ...]
    elsewhere: tuple[type[Event], ...] = ()
    """Those that it makes in other streams."""


@dataclass
class World:
    """What decisions ask of other streams."""

    project_status: str = "active"
    depends: bool = False
    attempts: int = 0

    def user(self, user_id: UUID) -> User:
        return User("developer")

    def project(self, project_id: UUID) -> Project:
        return Project(USER_ID, "name", self.project_status)

    def project_of_task(self, task_id: UUID) -> UUID:
        return PROJECT_ID

    def task(self, task_id: UUID) -> Task | None:
        if task_id in MADE_FROM_TEMPLATE:
            return None
        if task_id == HELD.task_id:
            return Task(
                PROJECT_ID, "name", "medium", "in_progress", 0.0, Assigned(AGENT_ID, ASSIGNMENT_ID), self.attempts
            )
        return Task(PROJECT_ID, "name", "medium", "completed")

    def agent(self, agent_id: UUID) -> Agent:
        return Agent("tester", (), "busy", HELD)

    def agent_exists(self, agent_id: UUID) -> bool:
        return True

    def will_read(self, *stream_ids: UUID) -> None:
        """It has them all at hand."""

    def next_ready(self, project_id: UUID, *asked: Any) -> UUID:
        return TASK_ID

    def dependency_graph(self, project_id: UUID) -> DependencyGraph:
        return DependencyGraph(PROJECT_ID, {TASK_ID: {OTHER_TASK_ID: "blocks"}} if self.depends else {})

    def open_in(self, project_id: UUID) -> list[str]:
        return []

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        return [AGENT_ID] if kind == ASSIGNMENT else [PROJECT_ID]

    def template(self, template_id: UUID) -> Template:
        return template()

    def workflow(self, workflow_id: UUID) -> Workflow | None:
        return None if workflow_id in MADE_FROM_TEMPLATE else Workflow("active", {STEP_ID: WorkflowStep(1, ())})


def example_of(command: type[Command]) -> Command:
    """Return a command with a good value for each field that it requires."""
    needed = {name for name, field in command.model_fields.items() if field.is_required() or name in GIVEN_TOO}
    required = {name: GIVEN[name] for name in command.model_fields if name in needed}
    stamps = {"occurred_at": AT, "command_id": USER_ID} | ({command.creates: NEW_ID} if command.creates else {})
    return command(**required).model_copy(update=stamps)


def examples_of(command: type[Command]) -> list[Command]:
    """Return the command's example, and one with a template where it may do without."""
    example = example_of(command)
    if command is CreateProject:
        return [example, example.model_copy(update={"template_id": TEMPLATE_ID})]
    return [example]


def _states(aggregate: Aggregate[Any], command: type[Command]) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (kind, status, state) of everything that the command may meet in its own stream."""
    if aggregate in (USER, SESSION):
        yield from _states_of_users(command)
    elif aggregate is RETENTION:
        yield "retention", None, None
    elif aggregate is PARKING:
        yield "parking", None, None
    elif aggregate is DEPENDENCY_GRAPH:
        yield "dependency", None, World(depends=command.__name__.startswith("Remove")).dependency_graph(PROJECT_ID)
    elif aggregate is PROJECT_FILE:
        if command is CreateFile:
            yield "file", None, None
        for status in get_args(FileStatus):
            yield "file", status, ProjectFile(PROJECT_ID, "src/parser.py", status)
    elif command.creates and command.creates == command.stream:
        yield aggregate.name.replace("_", " "), None, None
    elif issubclass(command, IssueCommand):
        for status in get_args(IssueStatus):
            yield "issue", status, ValidationRun(PROJECT_ID, "quick", "completed", issues={ISSUE_ID: status})
    elif aggregate in (PROJECT_METRICS, AGENT_METRICS):
        yield aggregate.name.replace("_", " "), None, None
    elif aggregate is PROJECT:
        for status in get_args(ProjectStatus):
            yield "project", status, Project(USER_ID, "name", status)
    elif aggregate is TASK:
        for status in get_args(TaskStatus):
            yield "task", status, Task(PROJECT_ID, "name", "medium", status)
        yield "task", "in_progress", World().task(TASK_ID)
    elif aggregate is AGENT:
        yield "agent", "busy", Agent("tester", (), "busy", HELD)
        for status in get_args(AgentStatus):
            if status != "busy":
                yield "agent", status, Agent("tester", (), status)
        for status in ("offline", "error"):
            yield "agent", status, Agent("tester", (), status, HELD)
    elif aggregate is VALIDATION_RUN:
        for status in get_args(RunStatus):
            yield "validation run", status, ValidationRun(PROJECT_ID, "quick", status)
    else:
        yield from _states_of_workflows(aggregate, command)


def _states_of_users(command: type[Command]) -> Iterator[tuple[str, str | None, Any]]:
    if command in (CreateUser, StartSession):
        yield "user" if command is CreateUser else "session", None, None
    elif command.stream == "user_id":
        for user in (User("developer"), User("developer", is_active=False), User("developer", forgotten=True)):
            yield "user", user.status, user
    else:
        for status in ("open", "ended"):
            yield "session", status, Session(USER_ID, AT + timedelta(days=1), status)


def _states_of_workflows(aggregate: Aggregate[Any], command: type[Command]) -> Iterator[tuple[str, str | None, Any]]:
    if aggregate is WORKFLOW:
        for status in ("draft", "active", "archived"):
            yield "workflow", status, Workflow(status, {OTHER_STEP_ID: WorkflowStep(1, ())})
    elif aggregate is WORKFLOW_RUN:
        run = partial(WorkflowRun, WORKFLOW_ID, PROJECT_ID, {STEP_ID: []})
        if issubclass(command, StepCommand):
            for status in ("pending", "running", "completed", "failed", "skipped"):
                yield "step", status, run("running", {STEP_ID: status})
        else:
            for status in ("running", "completed", "failed"):
                yield "workflow run", status, run(status, {STEP_ID: "pending"})
    elif aggregate is TEMPLATE:
        for status in ("private", "public"):
            yield "template", status, Template(USER_ID, status == "public", {}, {}, None)


def _status(kind: str, state: Any) -> str | None:
    if isinstance(state, DependencyGraph | ProjectMetrics | AgentMetrics | Retention | Parking):
        return None
    if kind == "issue":
        return str(state.issues[ISSUE_ID])
    return str(state.steps[STEP_ID] if kind == "step" else state.status)


def steps_of(command: type[Command]) -> list[Step]:
    """Return every way in which a command is accepted, in the order of the statuses."""
    (aggregate,) = (one for one in AGGREGATES if command in one.commands)
    if aggregate is CLAIM_EXPIRY:
        return [_expiring(command, attempts) for attempts in (0, 2)]
    world = World("completed" if aggregate is RETENTION else "active")
    found = []
    for (kind, before, state), example in product(_states(aggregate, command), examples_of(command)):
        try:
            decided = aggregate.decide(state, example, world)
        except (WrongStatus, AlreadyExists, NotAssigned):
            continue
        after = _status(kind, aggregate.fold([one for one in decided if not isinstance(one, Elsewhere)], state))
        found.append(Step(kind, before, after, _types(decided)))
    return found


def _types(decided: Sequence[Decided]) -> tuple[type[Event], ...]:
    return tuple(type(one.event if isinstance(one, Elsewhere) else one) for one in decided)


def _expiring(command: type[Command], attempts: int) -> Step:
    """What becomes of a task whose claim expires, after so many that did."""
    world = World(attempts=attempts)
    decided = CLAIM_EXPIRY.decide(None, example_of(command), world)
    of_task = [one.event for one in decided if isinstance(one, Elsewhere) and one.stream_id == TASK_ID]
    after = TASK.fold(of_task, world.task(TASK_ID))
    assert after is not None
    return Step("task", "in_progress", after.status, _types(decided))


def project_statuses_of(command: type[Command]) -> list[str]:
    """Return the statuses that the project must have, of a command to what belongs to it; [] where none is asked."""
    (aggregate,) = (one for one in AGGREGATES if command in one.commands)
    if aggregate in (USER, SESSION, PROJECT, WORKFLOW, TEMPLATE, RETENTION, PARKING, AGENT_METRICS, CLAIM_EXPIRY):
        return []
    if aggregate is AGENT and not (issubclass(command, HeldTaskCommand) or command is ClaimNextTask):
        return []
    allowed = []
    for status in get_args(ProjectStatus):
        for _, _, state in _states(aggregate, command):
            try:
                aggregate.decide(state, example_of(command), World(status))
            except (WrongStatus, NotAssigned):
                continue
            allowed.append(status)
            break
    return allowed
