"""A small history that touches every table: commands with fixed ids and times, so that it is the same anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from claude_tiu import (
    AddDependency,
    AddTask,
    ArchiveProject,
    AssessTask,
    BeginIssue,
    ClaimNextTask,
    ClaimProgress,
    Command,
    CompleteProject,
    CompleteRun,
    CompleteTask,
    CreateProject,
    CreateUser,
    ExpireClaims,
    FailRun,
    FinishTask,
    GoOffline,
    PutBackTask,
    ReactivateProject,
    RecordAgentMetric,
    RecordHeartbeat,
    RecordMetric,
    RegisterAgent,
    ReleaseTask,
    RemoveDependency,
    ReportAgentError,
    ReportIssue,
    ResolveIssue,
    RunRetention,
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
ARCHIVED = uid("archived project")
TASKS = [uid(f"task {number}") for number in range(4)]
AGENTS = [uid(f"agent {number}") for number in range(2)]
HOUR = 3600


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
    yield from claims()
    yield StartRun(run_id=uid("open run"), project_id=PROJECT, validation_type="scheduled")
    yield ReportIssue(
        run_id=uid("open run"), issue_id=uid("staged"), issue_type="mock_data", severity="low", description="Staged"
    )


def archive() -> Iterator[Command]:
    """A second project, that is archived with what it has, and a run of retention that finds nothing old."""
    run, issue = uid("archived run"), uid("archived issue")
    yield CreateProject(project_id=ARCHIVED, user_id=USER, name="Legacy")
    first, second = uid("archived task"), uid("another archived task")
    for task in (first, second):
        yield AddTask(task_id=task, project_id=ARCHIVED, name="Port")
    yield AddDependency(task_id=second, depends_on_task_id=first)
    yield StartTask(task_id=first)
    yield ClaimProgress(task_id=first, claimed=12.5)
    yield StartRun(run_id=run, project_id=ARCHIVED, validation_type="quick")
    yield ReportIssue(run_id=run, issue_id=issue, issue_type="mock_data", severity="low", description="Mock")
    yield CompleteRun(run_id=run, quality_score=1.5)
    yield ArchiveProject(project_id=ARCHIVED)
    yield RunRetention()


def claims() -> Iterator[Command]:
    """Two agents: one that works, and ends with a task in hand; and one that is lost, twice."""
    ada, eve = AGENTS
    metadata = {"cost": 0.1 + 0.2, "Ünï": [1, None]}
    yield RegisterAgent(agent_id=ada, agent_type="tester", name="Ünïcödé ☃", capabilities=["rust", "python"])
    yield RegisterAgent(agent_id=eve, agent_type="architect", configuration={"model": "large"})
    asking: dict[str, Any] = {"project_id": PROJECT, "name": "Asking", "priority": "critical"}
    yield AddTask(task_id=uid("asking 0"), agent_type="tester", capabilities=["python"], **asking)
    yield AddTask(task_id=uid("asking 1"), agent_type="architect", **asking)
    yield ClaimNextTask(
        agent_id=ada, project_id=PROJECT, assignment_id=uid("first"), lease_seconds=5 * HOUR, metadata=metadata
    )
    yield ClaimNextTask(agent_id=eve, project_id=PROJECT, assignment_id=uid("second"), lease_seconds=60)
    yield RecordHeartbeat(agent_id=ada)
    yield GoOffline(agent_id=eve)
    yield RecordAgentMetric(agent_id=ada, metric_type="tokens", value=0.1, metadata=metadata)
    yield ExpireClaims()
    yield RecordHeartbeat(agent_id=eve)
    yield FinishTask(agent_id=ada, task_id=uid("asking 0"))
    yield ClaimNextTask(agent_id=eve, project_id=PROJECT, assignment_id=uid("third"), lease_seconds=60)
    yield ReportAgentError(agent_id=eve, reason="out of memory")
    yield ExpireClaims(attempts_limit=2)
    yield ClaimNextTask(agent_id=ada, project_id=PROJECT, assignment_id=uid("fourth"), priority="medium")
    yield ReleaseTask(agent_id=ada, task_id=TASKS[1])
    yield ClaimNextTask(agent_id=ada, project_id=PROJECT, assignment_id=uid("fifth"), metadata=metadata)
    yield RecordHeartbeat(agent_id=ada)


def history() -> list[Command]:
    """`plan`, `work` and `archive`, an hour between one command and the next."""
    commands = [*plan(), *work(), *archive()]
    return [
        command.model_copy(update={"command_id": uid(f"command {n}"), "occurred_at": START + timedelta(hours=n)})
        for n, command in enumerate(commands)
    ]


def store_history(events: EventStore, commands: list[Command] | None = None) -> Answer:
    """Execute a history, and return the answer to its last command."""
    executor = Executor(events)
    return [executor.execute([command])[0] for command in commands or history()][-1]
