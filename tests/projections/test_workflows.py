"""workflows, workflow_steps, step_executions and templates: what an event changes."""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from claude_tiu.domain.template import TemplateCreated, TemplatePublished, TemplateUnpublished
from claude_tiu.domain.workflow import StepAdded, WorkflowActivated, WorkflowArchived, WorkflowCreated
from claude_tiu.domain.workflow_run import (
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunCompleted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)
from tests.domain.given import AT, PROJECT_ID, STEP_ID, TEMPLATE_ID, USER_ID, WORKFLOW_ID, WORKFLOW_RUN_ID, uid
from tests.projections.telling import Changes, Told, minutes

OTHER_STEP_ID = uid("other step")
EXECUTION_ID, OTHER_EXECUTION_ID = (uuid5(WORKFLOW_RUN_ID, str(step)) for step in (STEP_ID, OTHER_STEP_ID))


def with_workflow() -> Told:
    told = Told().with_project()
    told.tell(
        WorkflowCreated(
            occurred_at=AT, name="Review", description=None, template=None, configuration={}, global_settings={}
        ),
        WORKFLOW_ID,
        None,
    )
    return told


def with_run() -> Told:
    told = with_workflow()
    steps = {STEP_ID: [], OTHER_STEP_ID: [STEP_ID]}
    started = WorkflowRunStarted(occurred_at=AT, workflow_id=WORKFLOW_ID, project_id=PROJECT_ID, steps=steps)
    told.tell(started, WORKFLOW_RUN_ID)
    return told


def execution(told: Told) -> dict[str, Any]:
    return told.tables["step_executions"][EXECUTION_ID]


def test_a_workflow_is_a_draft_then_active_then_archived() -> None:
    told = with_workflow()
    assert told.tables["workflows"][WORKFLOW_ID] == {
        "id": WORKFLOW_ID,
        "name": "Review",
        "description": None,
        "template": None,
        "configuration": {},
        "global_settings": {},
        "status": "draft",
        "created_at": AT,
        "updated_at": AT,
    }
    assert told.tell(WorkflowActivated(occurred_at=minutes(1)), WORKFLOW_ID, None) == {
        "workflows": Changes(updates={WORKFLOW_ID: {"status": "active", "updated_at": minutes(1)}})
    }
    assert told.tell(WorkflowArchived(occurred_at=minutes(2)), WORKFLOW_ID, None) == {
        "workflows": Changes(updates={WORKFLOW_ID: {"status": "archived", "updated_at": minutes(2)}})
    }


def test_a_step_holds_the_ids_it_depends_on_as_text() -> None:
    event = StepAdded(
        occurred_at=minutes(3),
        step_id=STEP_ID,
        name="Lint",
        type="validation",
        ai_prompt="Look.",
        depends_on=[OTHER_STEP_ID],
        validation_config={"a": 1},
        step_order=4,
    )
    assert with_workflow().tell(event, WORKFLOW_ID, None) == {
        "workflow_steps": Changes(
            [
                {
                    "id": STEP_ID,
                    "workflow_id": WORKFLOW_ID,
                    "name": "Lint",
                    "type": "validation",
                    "ai_prompt": "Look.",
                    "dependencies": [str(OTHER_STEP_ID)],
                    "validation_config": {"a": 1},
                    "step_order": 4,
                    "created_at": minutes(3),
                }
            ]
        )
    }


def test_every_step_of_a_run_is_pending_from_its_start() -> None:
    rows = with_run().tables["step_executions"]
    assert list(rows) == [EXECUTION_ID, OTHER_EXECUTION_ID]
    assert rows[EXECUTION_ID] == {
        "id": EXECUTION_ID,
        "run_id": WORKFLOW_RUN_ID,
        "workflow_step_id": STEP_ID,
        "project_id": PROJECT_ID,
        "status": "pending",
        "result_data": {},
        "execution_metadata": {},
        "started_at": None,
        "completed_at": None,
    }


def test_a_step_runs_and_completes_with_what_it_made() -> None:
    told = with_run()
    told.tell(StepStarted(occurred_at=minutes(1), step_id=STEP_ID), WORKFLOW_RUN_ID)
    assert (execution(told)["status"], execution(told)["started_at"]) == ("running", minutes(1))
    ended = StepCompleted(
        occurred_at=minutes(2), step_id=STEP_ID, result_data={"files": 2}, execution_metadata={"tokens": 9}
    )
    assert told.tell(ended, WORKFLOW_RUN_ID) == {
        "step_executions": Changes(
            updates={
                EXECUTION_ID: {
                    "status": "completed",
                    "result_data": {"files": 2},
                    "execution_metadata": {"tokens": 9},
                    "completed_at": minutes(2),
                }
            }
        )
    }
    assert told.tell(WorkflowRunCompleted(occurred_at=minutes(2)), WORKFLOW_RUN_ID) == {}


def test_a_failed_step_says_why_and_the_others_are_skipped() -> None:
    told = with_run()
    told.tell(StepStarted(occurred_at=minutes(1), step_id=STEP_ID), WORKFLOW_RUN_ID)
    failed = StepFailed(
        occurred_at=minutes(2), step_id=STEP_ID, reason="exit 2", result_data={}, execution_metadata={"tokens": 9}
    )
    told.tell(failed, WORKFLOW_RUN_ID)
    assert (execution(told)["status"], execution(told)["completed_at"]) == ("failed", minutes(2))
    assert execution(told)["execution_metadata"] == {"tokens": 9, "reason": "exit 2"}
    ended = WorkflowRunFailed(occurred_at=minutes(2), reason="exit 2", skipped=[OTHER_STEP_ID])
    assert told.tell(ended, WORKFLOW_RUN_ID) == {
        "step_executions": Changes(updates={OTHER_EXECUTION_ID: {"status": "skipped"}})
    }


def test_a_template_is_published_and_taken_back() -> None:
    told = Told()
    event = TemplateCreated(
        occurred_at=AT,
        name="Service",
        description=None,
        category="backend",
        structure={"tasks": []},
        default_config={"a": 1},
        workflow_template=None,
        is_public=False,
        created_by=USER_ID,
    )
    changes = told.tell(event, TEMPLATE_ID, None)
    fields = {name: value for name, value in dict(event).items() if name != "occurred_at"}
    assert changes == {"templates": Changes([{"id": TEMPLATE_ID, **fields, "created_at": AT, "updated_at": AT}])}
    for kind, is_public in ((TemplatePublished, True), (TemplateUnpublished, False)):
        assert told.tell(kind(occurred_at=minutes(1)), TEMPLATE_ID, None) == {
            "templates": Changes(updates={TEMPLATE_ID: {"is_public": is_public, "updated_at": minutes(1)}})
        }
