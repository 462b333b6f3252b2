"""A validation run: what finds out how much of the claimed progress is real.

Its own stream alone holds its assessments and issues, so completing it never contends with its tasks' streams. They
take effect together, with the run's completed event; those of a failed run never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, NotFound, OutsideProject
from .layered import having
from .messages import Command, Event, given
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import FilePath, Flag, IssueType, JsonObject, LineNumber, LongText, Percent, Severity, ValidationType


class StartRun(Command):
    """Start a validation run of an active project."""

    stream: ClassVar = "run_id"
    creates: ClassVar = "run_id"
    reads: ClassVar = ("project_id",)

    run_id: UUID | None = None
    project_id: UUID
    validation_type: ValidationType


class RunCommand(Command):
    """The base of the commands to a run that exists."""

    stream: ClassVar = "run_id"

    run_id: UUID


class AssessTask(RunCommand):
    """Assess the authenticity (percent) of a task of the project; of several assessments the last counts."""

    reads: ClassVar = ("task_id",)

    task_id: UUID
    authenticity: Percent


class ReportIssue(RunCommand):
    """Report an issue that the run found, in a task of the project or in none."""

    creates: ClassVar = "issue_id"
    reads: ClassVar = ("task_id",)

    issue_id: UUID | None = None
    task_id: UUID | None = None
    issue_type: IssueType
    severity: Severity
    description: LongText
    file_path: FilePath | None = None
    line_number: LineNumber | None = None
    auto_fix_available: Flag = False
    suggested_fix: LongText | None = None


class CompleteRun(RunCommand):
    """Complete a run: its assessments take effect and its report appears, with `quality_score` among its metrics."""

    quality_score: Percent
    quality_metrics: JsonObject = {}

    @field_validator("quality_metrics")
    @classmethod
    def _score_has_its_own_field(cls, metrics: dict[str, Any]) -> dict[str, Any]:
        if "quality_score" in metrics:
            raise PydanticCustomError("reserved_metric", "Quality metrics may not set quality_score: it is a field")
        return metrics


class FailRun(RunCommand):
    """Give a started run up: its assessments and issues never reach a table."""

    reason: LongText | None = None


class IssueCommand(RunCommand):
    """The base of the commands to an issue of a completed run."""

    issue_id: UUID


class BeginIssue(IssueCommand):
    """Begin work on an open issue."""


class ResolveIssue(IssueCommand):
    """Declare an issue in progress resolved."""


class IgnoreIssue(IssueCommand):
    """Decide to live with an issue in progress."""


class ReopenIssue(IssueCommand):
    """Open an issue again."""


class RunStarted(Event):
    topic: ClassVar = "validation_run.started.v1"

    project_id: UUID
    validation_type: str


class TaskAssessed(Event):
    topic: ClassVar = "validation_run.task_assessed.v1"

    task_id: UUID
    authenticity: float


class IssueReported(Event):
    topic: ClassVar = "validation_run.issue_reported.v1"
    creates: ClassVar = "issue_id"
    unique: ClassVar = ("issue_id",)

    issue_id: UUID
    task_id: UUID | None
    issue_type: str
    severity: str
    description: str
    file_path: str | None
    line_number: int | None
    auto_fix_available: bool
    suggested_fix: str | None


class RunCompleted(Event):
    topic: ClassVar = "validation_run.completed.v1"

    quality_score: float
    quality_metrics: dict[str, Any]
    assessments: dict[UUID, float]


class RunFailed(Event):
    topic: ClassVar = "validation_run.failed.v1"

    reason: str | None


class IssueEvent(Event):
    """The base of what happens to an issue after its run."""

    issue_id: UUID


class IssueBegun(IssueEvent):
    topic: ClassVar = "validation_run.issue_begun.v1"


class IssueResolved(IssueEvent):
    topic: ClassVar = "validation_run.issue_resolved.v1"


class IssueIgnored(IssueEvent):
    topic: ClassVar = "validation_run.issue_ignored.v1"


class IssueReopened(IssueEvent):
    topic: ClassVar = "validation_run.issue_reopened.v1"


ISSUE_STATUS_AFTER: dict[type[Event], str] = {
    IssueBegun: "in_progress",
    IssueResolved: "resolved",
    IssueIgnored: "ignored",
    IssueReopened: "open",
}


@dataclass(frozen=True, slots=True)
class ValidationRun:
    project_id: UUID
    validation_type: str
    status: str = "started"
    assessments: Mapping[UUID, float] = field(default_factory=dict)
    """task -> its authenticity, in percent."""
    reported: Mapping[UUID, str] = field(default_factory=dict)
    """issue -> the status that it will begin with, of a run that is not completed yet."""
    issues: Mapping[UUID, str] = field(default_factory=dict)
    """issue -> its status, once the run is completed."""


class Reads(Protocol):
    """What deciding on a validation run asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...
    def project_of_task(self, task_id: UUID) -> UUID | None: ...


def decide(run: ValidationRun | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, StartRun):
        return _start(run, command, reads)
    assert isinstance(command, RunCommand)
    if run is None:
        raise NotFound(f"no validation run {command.run_id}", id=command.run_id)
    require_project(reads.project(run.project_id), run.project_id, NOT_ARCHIVED, command)
    if isinstance(command, IssueCommand):
        return _decide_issue(run, command)
    require_status("validation run", command.run_id, run.status, ("started",), command)
    match command:
        case AssessTask():
            _require_task(run, command.task_id, reads)
            return [TaskAssessed(occurred_at=command.at, task_id=command.task_id, authenticity=command.authenticity)]
        case ReportIssue():
            return [_report(run, command, reads)]
        case CompleteRun():
            return [
                RunCompleted(
                    occurred_at=command.at,
                    quality_score=command.quality_score,
                    quality_metrics=command.quality_metrics,
                    assessments=dict(run.assessments),
                )
            ]
        case FailRun():
            return [RunFailed(occurred_at=command.at, reason=command.reason)]
    raise TypeError(f"no command of a validation run: {type(command).__name__}")


def _start(run: ValidationRun | None, command: StartRun, reads: Reads) -> list[Event]:
    if run is not None:
        raise AlreadyExists(f"validation run {command.run_id} exists already", id=given(command.run_id))
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    return [RunStarted(occurred_at=command.at, project_id=command.project_id, validation_type=command.validation_type)]


def _require_task(run: ValidationRun, task_id: UUID, reads: Reads) -> None:
    """Which project a task is in can never change: this needs no guard."""
    project_id = reads.project_of_task(task_id)
    if project_id is None:
        raise NotFound(f"no task {task_id}", id=task_id)
    if project_id != run.project_id:
        raise OutsideProject(
            f"task {task_id} is in project {project_id}, the run in {run.project_id}",
            task_id=task_id,
            project_id=run.project_id,
            other_project_id=project_id,
        )


def _report(run: ValidationRun, command: ReportIssue, reads: Reads) -> IssueReported:
    if command.task_id is not None:
        _require_task(run, command.task_id, reads)
    return IssueReported(
        occurred_at=command.at,
        issue_id=given(command.issue_id),
        task_id=command.task_id,
        issue_type=command.issue_type,
        severity=command.severity,
        description=command.description,
        file_path=command.file_path,
        line_number=command.line_number,
        auto_fix_available=command.auto_fix_available,
        suggested_fix=command.suggested_fix,
    )


def _decide_issue(run: ValidationRun, command: IssueCommand) -> list[Event]:
    require_status("validation run", command.run_id, run.status, ("completed",), command)
    status = run.issues.get(command.issue_id)
    if status is None:
        raise NotFound(f"no issue {command.issue_id} in run {command.run_id}", id=command.issue_id)

    def require(*allowed: str) -> None:
        require_status("issue", command.issue_id, status, allowed, command)

    match command:
        case BeginIssue():
            require("open")
            return [IssueBegun(occurred_at=command.at, issue_id=command.issue_id)]
        case ResolveIssue():
            require("in_progress")
            return [IssueResolved(occurred_at=command.at, issue_id=command.issue_id)]
        case IgnoreIssue():
            require("in_progress")
            return [IssueIgnored(occurred_at=command.at, issue_id=command.issue_id)]
        case ReopenIssue():
            require("in_progress", "resolved", "ignored")
            return [IssueReopened(occurred_at=command.at, issue_id=command.issue_id)]
    raise TypeError(f"no command of an issue: {type(command).__name__}")


def evolve(run: ValidationRun | None, event: Event) -> ValidationRun:
    if isinstance(event, RunStarted):
        return ValidationRun(project_id=event.project_id, validation_type=event.validation_type)
    assert run is not None
    match event:
        case TaskAssessed():
            return replace(run, assessments=having(run.assessments, event.task_id, event.authenticity))
        case IssueReported():
            return replace(run, reported=having(run.reported, event.issue_id, "open"))
        case RunCompleted():
            return replace(run, status="completed", issues=run.reported, reported={})
        case RunFailed():
            return replace(run, status="failed", reported={})
        case IssueEvent():
            return replace(run, issues=having(run.issues, event.issue_id, ISSUE_STATUS_AFTER[type(event)]))
    raise TypeError(f"no event of a validation run: {type(event).__name__}")


VALIDATION_RUN = Aggregate[ValidationRun](
    name="validation_run",
    commands=(
        StartRun,
        AssessTask,
        ReportIssue,
        CompleteRun,
        FailRun,
        BeginIssue,
        ResolveIssue,
        IgnoreIssue,
        ReopenIssue,
    ),
    events=(RunStarted, TaskAssessed, IssueReported, RunCompleted, RunFailed, *ISSUE_STATUS_AFTER),
    decide=decide,
    evolve=evolve,
    project_of=lambda run_id, run: run.project_id,
    grows=True,
)
