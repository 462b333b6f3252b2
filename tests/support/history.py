"""A small history that touches every table: commands with fixed ids and times, so that it is the same anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from claude_tiu import (
    AddDependency,
    AddTask,
    AssessTask,
    BeginIssue,
    ClaimProgress,
    Command,
    CompleteProject,
    CompleteRun,
    CompleteTask,
    CreateProject,
    CreateUser,
    FailRun,
    PutBackTask,
    ReactivateProject,
    RecordMetric,
    RemoveDependency,
    ReportIssue,
    ResolveIssue,
    StartRun,
    StartTask,
)
from claude_tiu.domain.values import Severity
from claude_tiu.infrastructure.decision import Answer
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"  # noqa: S105 - of nobody


def uid(name: str) -> UUID:
    """The same id for the same name, in every run and on every store."""
    return uuid5(UUID(int=0), name)


SEVERITIES: tuple[Severity, ...] = ("low", "high", "critical")
USER, PROJECT, RUN = uid("user"), uid("project"), uid("run")
TASKS = [uid(f"task {number}") for number in range(4)]


def create_user(name: str = "ada", **values: Any) -> CreateUser:
    return CreateUser(**{"username": name, "email": f"{name}@example.org", "password_hash": PASSWORD_HASH} | values)


def plan() -> Iterator[Command]:
    """A user, a project, and its four tasks, of which each depends on the one before it."""
    yield create_user(user_id=USER, preferences={"theme": "dark", "Ünï": [1, 2.5, None]})
    yield CreateProject(project_id=PROJECT, user_id=USER, name="Billing", description="Ünïcödé ☃")
    for number, task in enumerate(TASKS):
        yield AddTask(task_id=task, project_id=PROJECT, name=f"Task {number}", estimated_duration=number * 7 or None)
    for task, other in zip(TASKS[1:], TASKS, strict=False):
        yield AddDependency(task_id=task, depends_on_task_id=other)


def work() -> Iterator[Command]:
    """What then happens: claims, completed and failed runs with issues, a dependency that goes and comes back."""
    first, second, third, _ = TASKS
    yield StartTask(task_id=first)
    for claimed in (10.0, 33.333333, 70.0, 20.0):
        yield ClaimProgress(task_id=first, claimed=claimed)
    yield CompleteTask(task_id=first)
    yield StartTask(task_id=second)
    yield ClaimProgress(task_id=second, claimed=60)
    yield StartRun(run_id=RUN, project_id=PROJECT, validation_type="deep")
    for number, severity in enumerate(SEVERITIES):
        yield ReportIssue(
            run_id=RUN,
            issue_id=uid(f"issue {number}"),
            task_id=first if number else None,
            issue_type="placeholder",
            severity=severity,
            description=f"Issue {number}",
        )
    yield AssessTask(run_id=RUN, task_id=first, authenticity=12.345678)
    yield AssessTask(run_id=RUN, task_id=second, authenticity=90)
    yield CompleteRun(run_id=RUN, quality_score=77.7, quality_metrics={"coverage": 0.5})
    yield BeginIssue(run_id=RUN, issue_id=uid("issue 1"))
    yield ResolveIssue(run_id=RUN, issue_id=uid("issue 1"))
    yield StartRun(run_id=uid("failed run"), project_id=PROJECT, validation_type="quick")
    yield ReportIssue(
        run_id=uid("failed run"), issue_id=uid("lost"), issue_type="mock_data", severity="low", description="Lost"
    )
    yield FailRun(run_id=uid("failed run"))
    yield RemoveDependency(task_id=third, depends_on_task_id=second)
    yield AddDependency(task_id=third, depends_on_task_id=second, dependency_type="suggests")
    yield RecordMetric(project_id=PROJECT, metric_name="velocity", value=1.5, metadata={"unit": "points"})
    yield PutBackTask(task_id=second)
    yield CompleteProject(project_id=PROJECT)
    yield ReactivateProject(project_id=PROJECT)
    yield StartRun(run_id=uid("open run"), project_id=PROJECT, validation_type="scheduled")
    yield ReportIssue(
        run_id=uid("open run"), issue_id=uid("staged"), issue_type="mock_data", severity="low", description="Staged"
    )


def history() -> list[Command]:
    """`plan` and `work`, an hour between one command and the next."""
    commands = [*plan(), *work()]
    return [
        command.model_copy(update={"command_id": uid(f"command {n}"), "occurred_at": START + timedelta(hours=n)})
        for n, command in enumerate(commands)
    ]


def store_history(events: EventStore, commands: list[Command] | None = None) -> Answer:
    """Execute a history, and return the answer to its last command."""
    executor = Executor(events)
    return [executor.execute([command])[0] for command in commands or history()][-1]
