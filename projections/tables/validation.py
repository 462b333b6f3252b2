"""Validation reports and the issues they found."""

from __future__ import annotations

from ..projection import Kind, Table

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
    expires=True,
)
