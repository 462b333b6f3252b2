"""The running state beside the read tables: private to the projection, which reads it back."""

from __future__ import annotations

from ..projection import Kind, Table

PROJECT_STATE = Table(
    "project_state",
    "project_id",
    {
        "project_id": Kind.UUID,
        "real_sum": Kind.EXACT,
        "claimed_sum": Kind.EXACT,
        "weight_sum": Kind.EXACT,
        "real_progress": Kind.DOUBLE,
        "fake_progress": Kind.DOUBLE,
        "authenticity_rate": Kind.DOUBLE,
        "quality_score": Kind.DOUBLE,
        "metric_seq": Kind.INTEGER,
    },
    private=True,
)

TASK_STATE = Table(
    "task_state",
    "task_id",
    {
        "task_id": Kind.UUID,
        "claimed": Kind.INTEGER,
        "authenticity": Kind.INTEGER,
        "weight": Kind.INTEGER,
        "worked": Kind.INTEGER,
        "in_progress_since": Kind.TIME,
    },
    private=True,
)

RUN_STATE = Table(
    "run_state",
    "run_id",
    {"run_id": Kind.UUID, "validation_type": Kind.TEXT},
    private=True,
)

STAGED_ISSUES = Table(
    "staged_issues",
    "id",
    {
        "id": Kind.UUID,
        "run_id": Kind.UUID,
        "position": Kind.INTEGER,
        "task_id": Kind.UUID,
        "issue_type": Kind.TEXT,
        "severity": Kind.TEXT,
        "description": Kind.TEXT,
        "file_path": Kind.TEXT,
        "line_number": Kind.INTEGER,
        "auto_fix_available": Kind.FLAG,
        "suggested_fix": Kind.TEXT,
        "created_at": Kind.TIME,
    },
    parent="run_id",
    private=True,
)

AGENT_STATE = Table(
    "agent_state",
    "agent_id",
    {"agent_id": Kind.UUID, "status": Kind.TEXT, "assignment_metadata": Kind.JSON},
    private=True,
)
