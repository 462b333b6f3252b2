"""The set operations of our read tables (infrastructure/operations.sql), said once more in plain Python, on dicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from ..projections.parking import LEAVE_OUT
from ..projections.projection import Insert
from ..projections.rollup import roll_up
from ..projections.tables import PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE

Tables = dict[str, dict[UUID, dict[str, Any]]]
"""table -> key -> row"""
Parameters = Mapping[str, Any]
InMemory = Callable[[Tables, Parameters], None]
"""What an operation does to the tables, in memory."""

DEPENDANTS = (
    "tasks",
    "task_dependencies",
    "project_files",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
    "step_executions",
    "agent_assignments",
)
METRICS = (PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE)


def archive(tables: Tables, given: Parameters) -> None:
    """Move a project, and all its rows, into the archive."""
    project_id, at = given["project_id"], given["at"]
    row = tables["projects"].pop(project_id)
    moved = {**row, "status": "archived", "updated_at": at, "archived_at": at}
    tables["projects_archive"][project_id] = moved
    _move(tables, project_id, "", "_archive")


def restore(tables: Tables, given: Parameters) -> None:
    """Move a project, and all its rows, back."""
    row = tables["projects_archive"].pop(given["project_id"])
    del row["archived_at"]
    row.update(status="active", updated_at=given["at"], completed_at=None)
    tables["projects"][row["id"]] = row
    _move(tables, row["id"], "_archive", "")


def _move(tables: Tables, project_id: UUID, source: str, target: str) -> None:
    """Move the dependants of a project from the tables with one suffix to those with another."""
    tasks = {id_ for id_, row in tables[f"tasks{source}"].items() if row["project_id"] == project_id}
    reports = {id_ for id_, row in tables[f"validation_reports{source}"].items() if row["project_id"] == project_id}
    for table in DEPENDANTS:
        rows = tables[table + source]
        for id_, row in list(rows.items()):
            within = row.get("project_id") == project_id or row.get("validation_report_id") in reports
            if within or ("project_id" not in row and "severity" not in row and row["task_id"] in tasks):
                tables[table + target][id_] = rows.pop(id_)


def roll_up_metrics(tables: Tables, given: Parameters) -> None:
    """Make daily rows of the detail rows recorded before a time."""
    for table in METRICS:
        rows = tables[table.name]
        for project_id in {row["project_id"] for row in rows.values()}:
            own = [row for row in rows.values() if row["project_id"] == project_id]
            details = [row for row in own if row["recorded_at"] < given["before"] and not is_daily(row)]
            dailies = [row for row in own if is_daily(row)]
            for change in [*roll_up(table, project_id, details, dailies)]:
                if isinstance(change, Insert):
                    rows[change.row["id"]] = dict(change.row)
                else:
                    rows[change.key].update(change.values)


def drop_metrics(tables: Tables, given: Parameters, *, daily: bool) -> None:
    """Drop the details, or the daily rows, recorded before a time."""
    for table in METRICS:
        rows = tables[table.name].values()
        gone = [row["id"] for row in rows if row["recorded_at"] < given["before"] and is_daily(row) == daily]
        drop(tables, given, table.name, gone)


def drop_reports(tables: Tables, given: Parameters) -> None:
    """Drop the reports made before a time, with their issues, but those of which an issue is open."""
    for suffix in ("", "_archive"):
        issues = tables[f"validation_issues{suffix}"].values()
        reports = tables[f"validation_reports{suffix}"].values()
        kept = {issue["validation_report_id"] for issue in issues if issue["status"] in ("open", "in_progress")}
        gone = [row["id"] for row in reports if row["created_at"] < given["before"] and row["id"] not in kept]
        with_them = [issue["id"] for issue in issues if issue["validation_report_id"] in gone]
        drop(tables, given, f"validation_issues{suffix}", with_them)
        drop(tables, given, f"validation_reports{suffix}", gone)


def drop_sessions(tables: Tables, given: Parameters) -> None:
    """Drop the sessions that expired before a time."""
    sessions = tables["user_sessions"].values()
    drop(tables, given, "user_sessions", [row["id"] for row in sessions if row["expires_at"] < given["before"]])


def end_session(tables: Tables, given: Parameters) -> None:
    """Drop a session, where it is still there."""
    tables["user_sessions"].pop(given["session_id"], None)


def forget_user(tables: Tables, given: Parameters) -> None:
    """Drop every session of a user."""
    sessions = tables["user_sessions"]
    for id_ in [id_ for id_, session in sessions.items() if session["user_id"] == given["user_id"]]:
        del sessions[id_]


def drop(tables: Tables, given: Parameters, table: str, ids: Collection[UUID]) -> None:
    """Drop rows of a table, and log how many."""
    for id_ in ids:
        del tables[table][id_]
    log = given[f"{table}_log"]
    tables["cleanup_log"][log] = {
        "id": log,
        "table_name": table,
        "rows_deleted": len(ids),
        "cutoff": given["before"],
        "cleanup_date": given["at"],
    }


def is_daily(row: Mapping[str, Any]) -> bool:
    """Whether a row of progress_metrics is what was rolled up."""
    return "aggregation_level" in row["metadata"]


OPERATIONS: Mapping[str, InMemory] = {
    "archive_project": archive,
    "restore_project": restore,
    "roll_up_metrics": roll_up_metrics,
    "drop_details": lambda tables, given: drop_metrics(tables, given, daily=False),
    "drop_dailies": lambda tables, given: drop_metrics(tables, given, daily=True),
    "drop_reports": drop_reports,
    "drop_sessions": drop_sessions,
    "end_session": end_session,
    "forget_user": forget_user,
    LEAVE_OUT: lambda tables, given: None,
}
"""Those of READ_MODEL."""
