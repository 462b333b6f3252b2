"""workflows, workflow_steps and step_executions: definitions, and a row for each step of each run.

The events carry all that the rows need, those that a failed run skips included: there is no running state. A step's
`completed_at` is when it was completed or failed; one that is skipped was neither. Why it failed stands in
`execution_metadata`, as `reason`.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from ..domain.messages import Event, Recorded
from ..domain.name_ids import uuid5
from ..domain.workflow import StepAdded, WorkflowActivated, WorkflowArchived, WorkflowCreated
from ..domain.workflow_run import StepCompleted, StepFailed, StepStarted, WorkflowRunFailed, WorkflowRunStarted
from .projection import Change, Handler, Insert, Rows, Update
from .tables import STEP_EXECUTIONS, WORKFLOW_STEPS, WORKFLOWS


def workflow_created(recorded: Recorded, event: WorkflowCreated, rows: Rows) -> Iterator[Change]:
    yield Insert(
        WORKFLOWS.name,
        {
            "id": recorded.stream_id,
            "name": event.name,
            "description": event.description,
            "template": event.template,
            "configuration": event.configuration,
            "global_settings": event.global_settings,
            "status": "draft",
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
        },
    )


def step_added(recorded: Recorded, event: StepAdded, rows: Rows) -> Iterator[Change]:
    yield Insert(
        WORKFLOW_STEPS.name,
        {
            "id": event.step_id,
            "workflow_id": recorded.stream_id,
            "name": event.name,
            "type": event.type,
            "ai_prompt": event.ai_prompt,
            "dependencies": [str(step_id) for step_id in event.depends_on],
            "validation_config": event.validation_config,
            "step_order": event.step_order,
            "created_at": event.occurred_at,
        },
    )


def workflow_activated(recorded: Recorded, event: WorkflowActivated, rows: Rows) -> Iterator[Change]:
    yield _moved(recorded, event, "active")


def workflow_archived(recorded: Recorded, event: WorkflowArchived, rows: Rows) -> Iterator[Change]:
    yield _moved(recorded, event, "archived")


def _moved(recorded: Recorded, event: Event, status: str) -> Update:
    return Update(WORKFLOWS.name, recorded.stream_id, {"status": status, "updated_at": event.occurred_at})


def execution_id(run_id: UUID, step_id: UUID) -> UUID:
    """Return the id of a step's row in a run: each step runs once in it."""
    return uuid5(run_id, str(step_id))


def run_started(recorded: Recorded, event: WorkflowRunStarted, rows: Rows) -> Iterator[Change]:
    for step_id in event.steps:
        yield Insert(
            STEP_EXECUTIONS.name,
            {
                "id": execution_id(recorded.stream_id, step_id),
                "run_id": recorded.stream_id,
                "workflow_step_id": step_id,
                "project_id": event.project_id,
                "status": "pending",
                "result_data": {},
                "execution_metadata": {},
                "started_at": None,
                "completed_at": None,
            },
        )


def step_started(recorded: Recorded, event: StepStarted, rows: Rows) -> Iterator[Change]:
    values = {"status": "running", "started_at": event.occurred_at}
    yield Update(STEP_EXECUTIONS.name, execution_id(recorded.stream_id, event.step_id), values)


def step_ended(recorded: Recorded, event: StepCompleted | StepFailed, rows: Rows) -> Iterator[Change]:
    why = {"reason": event.reason} if isinstance(event, StepFailed) and event.reason is not None else {}
    values = {
        "status": "completed" if isinstance(event, StepCompleted) else "failed",
        "result_data": event.result_data,
        "execution_metadata": {**event.execution_metadata, **why},
        "completed_at": event.occurred_at,
    }
    yield Update(STEP_EXECUTIONS.name, execution_id(recorded.stream_id, event.step_id), values)


def run_failed(recorded: Recorded, event: WorkflowRunFailed, rows: Rows) -> Iterator[Change]:
    for step_id in event.skipped:
        yield Update(STEP_EXECUTIONS.name, execution_id(recorded.stream_id, step_id), {"status": "skipped"})


HANDLERS: dict[type, Handler] = {
    WorkflowCreated: workflow_created,
    StepAdded: step_added,
    WorkflowActivated: workflow_activated,
    WorkflowArchived: workflow_archived,
    WorkflowRunStarted: run_started,
    StepStarted: step_started,
    StepCompleted: step_ended,
    StepFailed: step_ended,
    WorkflowRunFailed: run_failed,
}
