"""Workflows, their steps, and what became of the steps in each run."""

from __future__ import annotations

from ..projection import Kind, Table

WORKFLOWS = Table(
    "workflows",
    "id",
    {
        "id": Kind.UUID,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "template": Kind.TEXT,
        "configuration": Kind.JSON,
        "global_settings": Kind.JSON,
        "status": Kind.TEXT,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
    },
)

WORKFLOW_STEPS = Table(
    "workflow_steps",
    "id",
    {
        "id": Kind.UUID,
        "workflow_id": Kind.UUID,
        "name": Kind.TEXT,
        "type": Kind.TEXT,
        "ai_prompt": Kind.TEXT,
        "dependencies": Kind.JSON,
        "validation_config": Kind.JSON,
        "step_order": Kind.INTEGER,
        "created_at": Kind.TIME,
    },
)

STEP_EXECUTIONS = Table(
    "step_executions",
    "id",
    {
        "id": Kind.UUID,
        "run_id": Kind.UUID,
        "workflow_step_id": Kind.UUID,
        "project_id": Kind.UUID,
        "status": Kind.TEXT,
        "result_data": Kind.JSON,
        "execution_metadata": Kind.JSON,
        "started_at": Kind.TIME,
        "completed_at": Kind.TIME,
    },
    unique=(("run_id", "workflow_step_id"),),
)
