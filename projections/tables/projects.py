"""Projects, their files, their numbers over time, and what they are made from."""

from __future__ import annotations

from ..projection import Kind, Table

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

PROJECT_FILES = Table(
    "project_files",
    "id",
    {
        "id": Kind.UUID,
        "project_id": Kind.UUID,
        "file_path": Kind.TEXT,
        "content": Kind.TEXT,
        "content_hash": Kind.TEXT,
        "size_bytes": Kind.INTEGER,
        "status": Kind.TEXT,
        "validation_score": Kind.DOUBLE,
        "metadata": Kind.JSON,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
    },
    unique=(("project_id", "file_path"),),
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

TEMPLATES = Table(
    "templates",
    "id",
    {
        "id": Kind.UUID,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "category": Kind.TEXT,
        "structure": Kind.JSON,
        "default_config": Kind.JSON,
        "workflow_template": Kind.JSON,
        "is_public": Kind.FLAG,
        "created_by": Kind.UUID,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
    },
)
