"""Tasks and what they wait for."""

from __future__ import annotations

from ..projection import Kind, Table

TASKS = Table(
    "tasks",
    "id",
    {
        "id": Kind.UUID,
        "project_id": Kind.UUID,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "status": Kind.TEXT,
        "priority": Kind.TEXT,
        "real_progress": Kind.DOUBLE,
        "fake_progress": Kind.DOUBLE,
        "authenticity_score": Kind.DOUBLE,
        "ai_prompt": Kind.TEXT,
        "expected_outputs": Kind.JSON,
        "validation_criteria": Kind.JSON,
        "estimated_duration": Kind.INTEGER,
        "actual_duration": Kind.INTEGER,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "completed_at": Kind.TIME,
        "added_position": Kind.INTEGER,
    },
)

TASK_DEPENDENCIES = Table(
    "task_dependencies",
    "id",
    {
        "id": Kind.UUID,
        "task_id": Kind.UUID,
        "depends_on_task_id": Kind.UUID,
        "dependency_type": Kind.TEXT,
        "created_at": Kind.TIME,
    },
    unique=(("task_id", "depends_on_task_id"),),
)
