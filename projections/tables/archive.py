"""What archived projects leave the read tables for: a table beside each that depends on a project. And a log."""

from __future__ import annotations

from dataclasses import replace

from ..projection import Kind, Table
from .agents import AGENT_ASSIGNMENTS
from .projects import PROGRESS_METRICS, PROJECT_FILES, PROJECTS
from .tasks import TASK_DEPENDENCIES, TASKS
from .validation import VALIDATION_ISSUES, VALIDATION_REPORTS
from .workflows import STEP_EXECUTIONS


def _archive_of(table: Table) -> Table:
    return replace(table, name=f"{table.name}_archive", expires=False)


PROJECTS_ARCHIVE = replace(_archive_of(PROJECTS), columns={**PROJECTS.columns, "archived_at": Kind.TIME})
TASKS_ARCHIVE = _archive_of(TASKS)
TASK_DEPENDENCIES_ARCHIVE = _archive_of(TASK_DEPENDENCIES)
PROJECT_FILES_ARCHIVE = _archive_of(PROJECT_FILES)
VALIDATION_REPORTS_ARCHIVE = _archive_of(VALIDATION_REPORTS)
VALIDATION_ISSUES_ARCHIVE = _archive_of(VALIDATION_ISSUES)
PROGRESS_METRICS_ARCHIVE = _archive_of(PROGRESS_METRICS)
STEP_EXECUTIONS_ARCHIVE = _archive_of(STEP_EXECUTIONS)
AGENT_ASSIGNMENTS_ARCHIVE = _archive_of(AGENT_ASSIGNMENTS)

CLEANUP_LOG = Table(
    "cleanup_log",
    "id",
    {
        "id": Kind.UUID,
        "table_name": Kind.TEXT,
        "rows_deleted": Kind.INTEGER,
        "cutoff": Kind.TIME,
        "cleanup_date": Kind.TIME,
    },
)
