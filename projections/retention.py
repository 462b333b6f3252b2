"""Archiving, restoring and retention: set operations on the read tables and their archives, and cleanup_log.

An archived project's rows stand in the archive's tables, where only retention and restoring reach them. Its running
state stays where it is: it is what the project's numbers go on from once it is restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.messages import Recorded
from ..domain.name_ids import uuid5
from ..domain.project import ProjectArchived, ProjectRestored
from ..domain.retention import RetentionRan
from .projection import Change, Handler, Operation, Rows, Table
from .tables import (
    PROGRESS_METRICS,
    PROGRESS_METRICS_ARCHIVE,
    USER_SESSIONS,
    VALIDATION_ISSUES,
    VALIDATION_ISSUES_ARCHIVE,
    VALIDATION_REPORTS,
    VALIDATION_REPORTS_ARCHIVE,
)

METRICS = (PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE)
REPORTS = (VALIDATION_ISSUES, VALIDATION_REPORTS, VALIDATION_ISSUES_ARCHIVE, VALIDATION_REPORTS_ARCHIVE)
SESSIONS = (USER_SESSIONS,)
RULES: dict[str, tuple[Table, ...]] = {"details": METRICS, "dailies": METRICS, "reports": REPORTS, "sessions": SESSIONS}
"""What retention drops -> the tables that it drops it from, a row of cleanup_log for each."""


def project_archived(recorded: Recorded, event: ProjectArchived, rows: Rows) -> Iterator[Change]:
    yield Operation("archive_project", {"project_id": recorded.stream_id, "at": event.occurred_at})


def project_restored(recorded: Recorded, event: ProjectRestored, rows: Rows) -> Iterator[Change]:
    yield Operation("restore_project", {"project_id": recorded.stream_id, "at": event.occurred_at})


def retention_ran(recorded: Recorded, event: RetentionRan, rows: Rows) -> Iterator[Change]:
    yield from clean_up(event, recorded.event_id)


def clean_up(event: RetentionRan, event_id: UUID) -> Iterator[Operation]:
    """Return what a run of retention does to the read tables."""

    def rule(name: str, before: datetime) -> dict[str, Any]:
        logs = {f"{table.name}_log": log_id(event_id, name, table.name) for table in RULES[name]}
        return {"before": before, "at": event.occurred_at, **logs}

    yield Operation("roll_up_metrics", {"before": event.details_before})
    yield Operation("drop_details", rule("details", event.details_before))
    yield Operation("drop_dailies", rule("dailies", event.dailies_before))
    yield Operation("drop_reports", rule("reports", event.reports_before))
    yield Operation("drop_sessions", rule("sessions", event.sessions_before))


def log_id(event_id: UUID, rule: str, table: str) -> UUID:
    """Return the id of a run's row of cleanup_log."""
    return uuid5(event_id, f"{rule}/{table}")


HANDLERS: dict[type, Handler] = {
    ProjectArchived: project_archived,
    ProjectRestored: project_restored,
    RetentionRan: retention_ran,
}
