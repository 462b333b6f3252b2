"""A task: what agents work on, and claim progress of.

What is claimed here is not yet believed: validation runs assess how much of it is real (validation_run.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from .aggregate import Aggregate, require_status
from .dependency_graph import DependencyGraph
from .errors import AlreadyExists, NotFound, UnmetDependencies
from .messages import Command, Event, given
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import JsonArray, JsonObject, LongText, Minutes, Name, Percent, Priority


class AddTask(Command):
    """Add a pending task to an active project; `estimated_duration` (minutes) is its weight in the numbers."""

    stream: ClassVar = "task_id"
    creates: ClassVar = "task_id"

    task_id: UUID | None = None
    project_id: UUID
    name: Name
    description: LongText | None = None
    priority: Priority = "medium"
    ai_prompt: LongText | None = None
    expected_outputs: JsonArray = []
    validation_criteria: JsonObject = {}
    estimated_duration: Minutes | None = None


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
    TaskUnblocked: "pending",
    TaskResumed: "in_progress",
    TaskRetried: "pending",
    TaskReopened: "in_progress",
}
"""The status that each event gives a task; a claim changes none."""


@dataclass(frozen=True, slots=True)
class Task:
    project_id: UUID
    name: str
    priority: str
    status: str = "pending"
    claimed: float = 0.0


class Reads(Protocol):
    """What deciding on a task asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...
    def task(self, task_id: UUID) -> Task | None: ...
    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None: ...


def decide(task: Task | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, AddTask):
        return _add(task, command, reads)
    assert isinstance(command, TaskCommand)
    if task is None:
        raise NotFound(f"no task {command.task_id}", id=command.task_id)
    require_project(reads.project(task.project_id), task.project_id, NOT_ARCHIVED, command)

    def require(*allowed: str) -> None:
        require_status("task", command.task_id, task.status, allowed, command)

    match command:
        case StartTask():
            require("pending")
            _require_dependencies(task, command, reads)
            return [TaskStarted(occurred_at=command.at)]
        case ClaimProgress(claimed=claimed):
            require("in_progress")
            return [ProgressClaimed(occurred_at=command.at, claimed=claimed)]
        case CompleteTask():
            require("in_progress")
            return [TaskCompleted(occurred_at=command.at)]
        case FailTask(reason=reason):
            require("pending", "in_progress", "blocked")
            return [TaskFailed(occurred_at=command.at, reason=reason)]
        case BlockTask(reason=reason):
            require("pending", "in_progress")
            return [TaskBlocked(occurred_at=command.at, reason=reason)]
        case PutBackTask():
            require("in_progress")
            return [TaskPutBack(occurred_at=command.at)]
        case UnblockTask():
            require("blocked")
            return [TaskUnblocked(occurred_at=command.at)]
        case ResumeTask():
            require("blocked")
            _require_dependencies(task, command, reads)
            return [TaskResumed(occurred_at=command.at)]
        case RetryTask():
            require("failed")
            return [TaskRetried(occurred_at=command.at)]
        case ReopenTask():
            require("completed")
            _require_dependencies(task, command, reads)
            return [TaskReopened(occurred_at=command.at)]
    raise TypeError(f"no command of a task: {type(command).__name__}")


def _add(task: Task | None, command: AddTask, reads: Reads) -> list[Event]:
    if task is not None:
        raise AlreadyExists(f"task {command.task_id} exists already", id=given(command.task_id))
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    return [
        TaskAdded(
            occurred_at=command.at,
            project_id=command.project_id,
            name=command.name,
            description=command.description,
            priority=command.priority,
            ai_prompt=command.ai_prompt,
            expected_outputs=command.expected_outputs,
            validation_criteria=command.validation_criteria,
            estimated_duration=command.estimated_duration,
        )
    ]


def _require_dependencies(task: Task, command: TaskCommand, reads: Reads) -> None:
    """Every way into in_progress checks the dependencies that bind."""
    graph = reads.dependency_graph(task.project_id)
    unmet = {}
    for other in graph.binding(command.task_id) if graph else ():
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
    if isinstance(event, ProgressClaimed):
        return replace(task, claimed=event.claimed)
    if isinstance(event, TaskCompleted):
        return replace(task, status="completed", claimed=100.0)
    return replace(task, status=STATUS_AFTER[type(event)])


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
    events=(ProgressClaimed, *STATUS_AFTER),
    decide=decide,
    evolve=evolve,
    project_of=lambda task_id, task: task.project_id,
)
