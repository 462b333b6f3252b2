"""A task: what agents work on, and claim progress of.

What is claimed here is not yet believed: validation runs assess how much of it is real (validation_run.py).
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

from .aggregate import Aggregate, require_status
from .assignment import Assigned
from .dependency_graph import DependencyGraph, graph_id
from .errors import AlreadyExists, NotFound, UnmetDependencies
from .messages import Command, Decided, Elsewhere, Event, given
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import AgentType, Capabilities, JsonArray, JsonObject, LongText, Minutes, Name, Percent, Priority


class AddTask(Command):
    """Add a pending task to an active project; `estimated_duration` (minutes) is its weight in the numbers.

    Only an agent of its `agent_type`, if it asks for one, and with all its `capabilities` is given it to work on.
    """

    stream: ClassVar = "task_id"
    creates: ClassVar = "task_id"
    reads: ClassVar = ("project_id",)

    task_id: UUID | None = None
    project_id: UUID
    name: Name
    description: LongText | None = None
    priority: Priority = "medium"
    ai_prompt: LongText | None = None
    expected_outputs: JsonArray = []
    validation_criteria: JsonObject = {}
    estimated_duration: Minutes | None = None
    agent_type: AgentType | None = None
    capabilities: Capabilities = []


class TaskCommand(Command):
    """The base of the commands to a task that exists."""

    stream: ClassVar = "task_id"

    task_id: UUID


class StartTask(TaskCommand):
    """Take a pending task into progress, if what it depends on is completed."""


class ClaimProgress(TaskCommand):
    """Claim progress (percent) of a task in progress; a claim may fall, and may repeat."""

    claimed: Percent


class CompleteTask(TaskCommand):
    """Declare a task in progress completed: it claims 100."""


class FailTask(TaskCommand):
    """Declare a pending, blocked or running task failed."""

    reason: LongText | None = None


class BlockTask(TaskCommand):
    """Mark a pending or running task as blocked."""

    reason: LongText | None = None


class PutBackTask(TaskCommand):
    """Return a task in progress to pending."""


class UnblockTask(TaskCommand):
    """Return a blocked task to pending."""


class ResumeTask(TaskCommand):
    """Take a blocked task into progress, if what it depends on is completed."""


class RetryTask(TaskCommand):
    """Return a failed task to pending."""


class ReopenTask(TaskCommand):
    """Take a completed task into progress again, if what it depends on is completed; its last claim stays."""


class TaskAdded(Event):
    topic: ClassVar = "task.added.v1"

    project_id: UUID
    name: str
    description: str | None
    priority: str
    ai_prompt: str | None
    expected_outputs: list[Any]
    validation_criteria: dict[str, Any]
    estimated_duration: int | None
    agent_type: str | None = None
    capabilities: list[str] = []


class TaskAssigned(Event):
    topic: ClassVar = "task.assigned.v1"

    agent_id: UUID
    assignment_id: UUID


class TaskStarted(Event):
    topic: ClassVar = "task.started.v1"


class ProgressClaimed(Event):
    topic: ClassVar = "task.progress_claimed.v1"

    claimed: float


class TaskCompleted(Event):
    topic: ClassVar = "task.completed.v1"


class TaskFailed(Event):
    topic: ClassVar = "task.failed.v1"

    reason: str | None


class TaskBlocked(Event):
    topic: ClassVar = "task.blocked.v1"

    reason: str | None


class TaskPutBack(Event):
    topic: ClassVar = "task.put_back.v1"


class TaskClaimExpired(Event):
    topic: ClassVar = "task.claim_expired.v1"

    agent_id: UUID
    attempts: int


class TaskUnblocked(Event):
    topic: ClassVar = "task.unblocked.v1"


class TaskResumed(Event):
    topic: ClassVar = "task.resumed.v1"


class TaskRetried(Event):
    topic: ClassVar = "task.retried.v1"


class TaskReopened(Event):
    topic: ClassVar = "task.reopened.v1"


STATUS_AFTER: dict[type[Event], str] = {
    TaskAdded: "pending",
    TaskStarted: "in_progress",
    TaskCompleted: "completed",
    TaskFailed: "failed",
    TaskBlocked: "blocked",
    TaskPutBack: "pending",
    TaskClaimExpired: "pending",
    TaskUnblocked: "pending",
    TaskResumed: "in_progress",
    TaskRetried: "pending",
    TaskReopened: "in_progress",
}
"""The status that each event gives a task; claiming progress and being assigned change none."""

ASSIGNMENT_AFTER: dict[type[Event], str] = {
    TaskCompleted: "completed",
    TaskFailed: "failed",
    TaskBlocked: "released",
    TaskPutBack: "released",
}
"""How each event that takes a task out of in_progress closes the assignment of its agent, if it has one."""


class Task(NamedTuple):
    """A named tuple: most of its events make a new one with one value changed, and a dataclass takes thrice as long."""

    project_id: UUID
    name: str
    priority: str
    status: str = "pending"
    claimed: float = 0.0
    assignment: Assigned | None = None
    """Who works on it, while it is in progress by an agent's claim."""
    attempts: int = 0
    """How many claims of agents have expired, since it was added or last retried."""


class Reads(Protocol):
    """What deciding on a task asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...
    def task(self, task_id: UUID) -> Task | None: ...
    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None: ...
    def will_read(self, *stream_ids: UUID) -> None: ...


def decide(task: Task | None, command: Command, reads: Reads) -> list[Decided]:
    if isinstance(command, AddTask):
        return [_add(task, command, reads)]
    assert isinstance(command, TaskCommand)
    if task is None:
        raise NotFound(f"no task {command.task_id}", id=command.task_id)
    reads.will_read(*_asks_for(task, command))
    require_project(reads.project(task.project_id), task.project_id, NOT_ARCHIVED, command)
    event = _decide(task, command, reads)
    return [event, *closing(command.task_id, task, event)]


_INTO_PROGRESS = (StartTask, ResumeTask, ReopenTask)


def _asks_for(task: Task, command: TaskCommand) -> list[UUID]:
    """Return the streams that deciding reads or writes besides the task's own."""
    ids = [task.project_id]
    if isinstance(command, _INTO_PROGRESS):
        ids.append(graph_id(task.project_id))
    if task.assignment is not None:
        ids.append(task.assignment.agent_id)
    return ids


def closing(task_id: UUID, task: Task, event: Event) -> list[Elsewhere]:
    """Return what an event of a task's stream means for the agent that works on it: its assignment closes."""
    status = ASSIGNMENT_AFTER.get(type(event))
    if task.assignment is None or status is None:
        return []
    return [task.assignment.closed(event.occurred_at, task_id, task.project_id, status)]


def _decide(task: Task, command: TaskCommand, reads: Reads) -> Event:
    def require(*allowed: str) -> None:
        require_status("task", command.task_id, task.status, allowed, command)

    match command:
        case StartTask():
            require("pending")
            _require_dependencies(task, command, reads)
            return TaskStarted(occurred_at=command.at)
        case ClaimProgress(claimed=claimed):
            require("in_progress")
            return ProgressClaimed(occurred_at=command.at, claimed=claimed)
        case CompleteTask():
            require("in_progress")
            return TaskCompleted(occurred_at=command.at)
        case FailTask(reason=reason):
            require("pending", "in_progress", "blocked")
            return TaskFailed(occurred_at=command.at, reason=reason)
        case BlockTask(reason=reason):
            require("pending", "in_progress")
            return TaskBlocked(occurred_at=command.at, reason=reason)
        case PutBackTask():
            require("in_progress")
            return TaskPutBack(occurred_at=command.at)
        case UnblockTask():
            require("blocked")
            return TaskUnblocked(occurred_at=command.at)
        case ResumeTask():
            require("blocked")
            _require_dependencies(task, command, reads)
            return TaskResumed(occurred_at=command.at)
        case RetryTask():
            require("failed")
            return TaskRetried(occurred_at=command.at)
        case ReopenTask():
            require("completed")
            _require_dependencies(task, command, reads)
            return TaskReopened(occurred_at=command.at)
    raise TypeError(f"no command of a task: {type(command).__name__}")


def _add(task: Task | None, command: AddTask, reads: Reads) -> Event:
    if task is not None:
        raise AlreadyExists(f"task {command.task_id} exists already", id=given(command.task_id))
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    return TaskAdded(
        occurred_at=command.at,
        project_id=command.project_id,
        name=command.name,
        description=command.description,
        priority=command.priority,
        ai_prompt=command.ai_prompt,
        expected_outputs=command.expected_outputs,
        validation_criteria=command.validation_criteria,
        estimated_duration=command.estimated_duration,
        agent_type=command.agent_type,
        capabilities=command.capabilities,
    )


def _require_dependencies(task: Task, command: TaskCommand, reads: Reads) -> None:
    """Every way into in_progress checks the dependencies that bind."""
    graph = reads.dependency_graph(task.project_id)
    binding = graph.binding(command.task_id) if graph else []
    reads.will_read(*binding)
    unmet = {}
    for other in binding:
        dependency = reads.task(other)
        if dependency is None or dependency.status != "completed":
            unmet[str(other)] = dependency.status if dependency else "unknown"
    if unmet:
        listed = ", ".join(f"{other} ({status})" for other, status in unmet.items())
        raise UnmetDependencies(
            f"{type(command).__name__}: task {command.task_id} waits for {listed}", id=command.task_id, unmet=unmet
        )


def evolve(task: Task | None, event: Event) -> Task:
    if isinstance(event, TaskAdded):
        return Task(project_id=event.project_id, name=event.name, priority=event.priority)
    assert task is not None
    match event:
        case ProgressClaimed():
            return task._replace(claimed=event.claimed)
        case TaskAssigned():
            return task._replace(assignment=Assigned(event.agent_id, event.assignment_id))
        case TaskStarted():  # keeps the assignment that the event before it may have made
            return task._replace(status="in_progress")
        case TaskCompleted():
            return task._replace(status="completed", claimed=100.0, assignment=None)
        case TaskClaimExpired():
            return task._replace(status="pending", assignment=None, attempts=event.attempts)
        case TaskRetried():
            return task._replace(status="pending", attempts=0)
    return task._replace(status=STATUS_AFTER[type(event)], assignment=None)


TASK = Aggregate[Task](
    name="task",
    commands=(
        AddTask,
        StartTask,
        ClaimProgress,
        CompleteTask,
        FailTask,
        BlockTask,
        PutBackTask,
        UnblockTask,
        ResumeTask,
        RetryTask,
        ReopenTask,
    ),
    events=(ProgressClaimed, TaskAssigned, *STATUS_AFTER),
    decide=decide,
    evolve=evolve,
    project_of=lambda task_id, task: task.project_id,
    superseded=frozenset({ProgressClaimed.topic}),  # no event reads what was claimed before it
)
