"""A run of a workflow in a project: each step once, as soon as the steps that it depends on are completed.

The run takes the workflow's steps with it when it starts, so that whatever becomes of the definition cannot change it.
One failed step fails the run; what was not finished by then is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, NotFound, UnmetDependencies
from .messages import Command, Event, given
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import JsonObject, LongText
from .workflow import Workflow

UNFINISHED = ("pending", "running")


class StartWorkflowRun(Command):
    """Start a run of an active workflow in an active project; its steps are pending."""

    stream: ClassVar = "workflow_run_id"
    creates: ClassVar = "workflow_run_id"
    reads: ClassVar = ("workflow_id", "project_id")

    workflow_run_id: UUID | None = None
    workflow_id: UUID
    project_id: UUID


class WorkflowRunCommand(Command):
    """The base of the commands to a workflow run that exists."""

    stream: ClassVar = "workflow_run_id"

    workflow_run_id: UUID


class StepCommand(WorkflowRunCommand):
    """The base of the commands to a step of a run."""

    step_id: UUID


class StartStep(StepCommand):
    """Start a pending step, if the steps that it depends on are completed."""


class EndStep(StepCommand):
    """The base of what ends a running step: what it made, and how it went (the caller's own words for it)."""

    result_data: JsonObject = {}
    execution_metadata: JsonObject = {}

    @field_validator("execution_metadata")
    @classmethod
    def _reason_has_its_own_field(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if "reason" in metadata:
            raise PydanticCustomError("reserved_metadata", "Execution metadata may not set reason: it is a field")
        return metadata


class CompleteStep(EndStep):
    """Complete a running step; with the last one, the run is completed."""


class FailStep(EndStep):
    """Fail a running step: the run has failed, and its unfinished steps are skipped."""

    reason: LongText | None = None


class FailWorkflowRun(WorkflowRunCommand):
    """Give a run up: its unfinished steps are skipped."""

    reason: LongText | None = None


class WorkflowRunStarted(Event):
    topic: ClassVar = "workflow_run.started.v1"

    workflow_id: UUID
    project_id: UUID
    steps: dict[UUID, list[UUID]]


class StepStarted(Event):
    topic: ClassVar = "workflow_run.step_started.v1"

    step_id: UUID


class StepCompleted(Event):
    topic: ClassVar = "workflow_run.step_completed.v1"

    step_id: UUID
    result_data: dict[str, Any]
    execution_metadata: dict[str, Any]


class StepFailed(Event):
    topic: ClassVar = "workflow_run.step_failed.v1"

    step_id: UUID
    reason: str | None
    result_data: dict[str, Any]
    execution_metadata: dict[str, Any]


class WorkflowRunCompleted(Event):
    topic: ClassVar = "workflow_run.completed.v1"


class WorkflowRunFailed(Event):
    topic: ClassVar = "workflow_run.failed.v1"

    reason: str | None
    skipped: list[UUID]


STEP_STATUS_AFTER: dict[type[Event], str] = {
    StepStarted: "running",
    StepCompleted: "completed",
    StepFailed: "failed",
}


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    workflow_id: UUID
    project_id: UUID
    depends_on: Mapping[UUID, list[UUID]]
    """step -> the steps that it depends on."""
    status: str = "running"
    steps: Mapping[UUID, str] = field(default_factory=dict)
    """step -> its status."""

    def unfinished(self) -> list[UUID]:
        """Return the steps that are neither completed nor failed nor skipped, in the run's order."""
        return [step_id for step_id, status in self.steps.items() if status in UNFINISHED]


class Reads(Protocol):
    """What deciding on a workflow run asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...
    def workflow(self, workflow_id: UUID) -> Workflow | None: ...


def decide(run: WorkflowRun | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, StartWorkflowRun):
        return _start(run, command, reads)
    assert isinstance(command, WorkflowRunCommand)
    if run is None:
        raise NotFound(f"no workflow run {command.workflow_run_id}", id=command.workflow_run_id)
    require_project(reads.project(run.project_id), run.project_id, NOT_ARCHIVED, command)
    require_status("workflow run", command.workflow_run_id, run.status, ("running",), command)
    match command:
        case StartStep():
            _require_step(run, command, "pending")
            _require_dependencies(run, command)
            return [StepStarted(occurred_at=command.at, step_id=command.step_id)]
        case CompleteStep():
            _require_step(run, command, "running")
            return _complete_step(run, command)
        case FailStep():
            _require_step(run, command, "running")
            return _fail_step(run, command)
        case FailWorkflowRun():
            return [WorkflowRunFailed(occurred_at=command.at, reason=command.reason, skipped=run.unfinished())]
    raise TypeError(f"no command of a workflow run: {type(command).__name__}")


def _start(run: WorkflowRun | None, command: StartWorkflowRun, reads: Reads) -> list[Event]:
    if run is not None:
        raise AlreadyExists(f"workflow run {command.workflow_run_id} exists already", id=given(command.workflow_run_id))
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    workflow = reads.workflow(command.workflow_id)
    if workflow is None:
        raise NotFound(f"no workflow {command.workflow_id}", id=command.workflow_id)
    require_status("workflow", command.workflow_id, workflow.status, ("active",), command)
    return [
        WorkflowRunStarted(
            occurred_at=command.at,
            workflow_id=command.workflow_id,
            project_id=command.project_id,
            steps=workflow.in_order(),
        )
    ]


def _require_step(run: WorkflowRun, command: StepCommand, status: str) -> None:
    found = run.steps.get(command.step_id)
    if found is None:
        raise NotFound(f"workflow run {command.workflow_run_id} has no step {command.step_id}", id=command.step_id)
    require_status("step", command.step_id, found, (status,), command)


def _require_dependencies(run: WorkflowRun, command: StepCommand) -> None:
    unmet = {str(other): run.steps[other] for other in run.depends_on[command.step_id]}
    unmet = {other: status for other, status in unmet.items() if status != "completed"}
    if unmet:
        listed = ", ".join(f"{other} ({status})" for other, status in unmet.items())
        raise UnmetDependencies(
            f"{type(command).__name__}: step {command.step_id} waits for {listed}", id=command.step_id, unmet=unmet
        )


def _complete_step(run: WorkflowRun, command: CompleteStep) -> list[Event]:
    completed = StepCompleted(
        occurred_at=command.at,
        step_id=command.step_id,
        result_data=command.result_data,
        execution_metadata=command.execution_metadata,
    )
    if run.unfinished() == [command.step_id]:
        return [completed, WorkflowRunCompleted(occurred_at=command.at)]
    return [completed]


def _fail_step(run: WorkflowRun, command: FailStep) -> list[Event]:
    skipped = [step_id for step_id in run.unfinished() if step_id != command.step_id]
    return [
        StepFailed(
            occurred_at=command.at,
            step_id=command.step_id,
            reason=command.reason,
            result_data=command.result_data,
            execution_metadata=command.execution_metadata,
        ),
        WorkflowRunFailed(occurred_at=command.at, reason=command.reason, skipped=skipped),
    ]


def evolve(run: WorkflowRun | None, event: Event) -> WorkflowRun:
    if isinstance(event, WorkflowRunStarted):
        pending = dict.fromkeys(event.steps, "pending")
        return WorkflowRun(event.workflow_id, event.project_id, depends_on=event.steps, steps=pending)
    assert run is not None
    match event:
        case StepStarted() | StepCompleted() | StepFailed():
            return replace(run, steps={**run.steps, event.step_id: STEP_STATUS_AFTER[type(event)]})
        case WorkflowRunCompleted():
            return replace(run, status="completed")
        case WorkflowRunFailed():
            return replace(run, status="failed", steps={**run.steps, **dict.fromkeys(event.skipped, "skipped")})
    raise TypeError(f"no event of a workflow run: {type(event).__name__}")


WORKFLOW_RUN = Aggregate[WorkflowRun](
    name="workflow_run",
    commands=(StartWorkflowRun, StartStep, CompleteStep, FailStep, FailWorkflowRun),
    events=(WorkflowRunStarted, *STEP_STATUS_AFTER, WorkflowRunCompleted, WorkflowRunFailed),
    decide=decide,
    evolve=evolve,
    project_of=lambda run_id, run: run.project_id,
)
