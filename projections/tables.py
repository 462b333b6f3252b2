"""The read tables of the specification, and the private ones beside them, as data; the migrations hold their DDL."""

from __future__ import annotations

from .projection import Kind, Table

USERS = Table(
    "users",
    "id",
    {
        "id": Kind.UUID,
        "username": Kind.TEXT,
        "email": Kind.TEXT,
        "password_hash": Kind.TEXT,
        "role": Kind.TEXT,
        "preferences": Kind.JSON,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "last_login": Kind.TIME,
        "is_active": Kind.FLAG,
    },
    unique=(("username",), ("email",)),
)

PROJECTS = Table(
    "projects",
    "id",
    {
        "id": Kind.UUID,
        "user_id": Kind.UUID,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "status": Kind.TEXT,
        "template_id": Kind.TEXT,
        "configuration": Kind.JSON,
        "metadata": Kind.JSON,
        "real_progress": Kind.DOUBLE,
        "fake_progress": Kind.DOUBLE,
        "authenticity_rate": Kind.DOUBLE,
        "quality_score": Kind.DOUBLE,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "completed_at": Kind.TIME,
    },
)

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

VALIDATION_REPORTS = Table(
    "validation_reports",
    "id",
    {
        "id": Kind.UUID,
        "project_id": Kind.UUID,
        "validation_type": Kind.TEXT,
        "overall_authenticity": Kind.DOUBLE,
        "real_progress": Kind.DOUBLE,
        "fake_progress": Kind.DOUBLE,
        "quality_metrics": Kind.JSON,
        "issues_summary": Kind.JSON,
        "created_at": Kind.TIME,
    },
)

VALIDATION_ISSUES = Table(
    "validation_issues",
    "id",
    {
        "id": Kind.UUID,
        "validation_report_id": Kind.UUID,
        "task_id": Kind.UUID,
        "issue_type": Kind.TEXT,
        "severity": Kind.TEXT,
        "description": Kind.TEXT,
        "file_path": Kind.TEXT,
        "line_number": Kind.INTEGER,
        "auto_fix_available": Kind.FLAG,
        "suggested_fix": Kind.TEXT,
        "status": Kind.TEXT,
        "created_at": Kind.TIME,
        "resolved_at": Kind.TIME,
    },
)

PROGRESS_METRICS = Table(
    "progress_metrics",
    "id",
    {
        "id": Kind.UUID,
        "project_id": Kind.UUID,
        "metric_name": Kind.TEXT,
        "value": Kind.DOUBLE,
        "metadata": Kind.JSON,
        "recorded_at": Kind.TIME,
    },
)

PROJECT_STATE = Table(
    "project_state",
    "project_id",
    {
        "project_id": Kind.UUID,
        "real_sum": Kind.EXACT,
        "claimed_sum": Kind.EXACT,
        "weight_sum": Kind.EXACT,
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

READ_TABLES = (
    USERS,
    PROJECTS,
    TASKS,
    TASK_DEPENDENCIES,
    VALIDATION_REPORTS,
    VALIDATION_ISSUES,
    PROGRESS_METRICS,
)
PRIVATE_TABLES = (PROJECT_STATE, TASK_STATE, RUN_STATE, STAGED_ISSUES)
