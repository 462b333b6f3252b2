"""The read tables as dicts, with what archiving, restoring and retention mean for them, said once more in plain Python.

What was rolled up is remembered value by value: a daily row is made from all of them anew, so nothing merges here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid5

from claude_tiu.domain.messages import Event
from tests.domain.given import PROJECT_ID
from tests.projections.telling import Changes, Told

Row = dict[str, Any]
Value = tuple[datetime, int, float]
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


class Operated(Told):
    """Told, and the set operations done."""

    def __init__(self) -> None:
        super().__init__()
        self.rolled: dict[UUID, list[Value]] = {}
        """daily row -> the values that it is made of."""

    def tell(self, event: Event, stream_id: UUID, project_id: UUID | None = PROJECT_ID) -> dict[str, Changes]:
        changes = super().tell(event, stream_id, project_id)
        for operation in self.operations:
            OPERATIONS[operation.name](self, operation.parameters)
        return changes

    def _move(self, project_id: UUID, source: str, target: str) -> None:
        """Move the dependants of a project from the tables with one suffix to those with another."""
        tasks = {id_ for id_, row in self.tables[f"tasks{source}"].items() if row["project_id"] == project_id}
        reports = {
            id_ for id_, row in self.tables[f"validation_reports{source}"].items() if row["project_id"] == project_id
        }
        for table in DEPENDANTS:
            rows = self.tables[table + source]
            for id_, row in list(rows.items()):
                within = row.get("project_id") == project_id or row.get("validation_report_id") in reports
                if within or ("project_id" not in row and "severity" not in row and row["task_id"] in tasks):
                    self.tables[table + target][id_] = rows.pop(id_)

    def archive(self, given: Mapping[str, Any]) -> None:
        project_id, at = given["project_id"], given["at"]
        row = self.tables["projects"].pop(project_id)
        self.tables["projects_archive"][project_id] = {
            **row,
            "status": "archived",
            "updated_at": at,
            "archived_at": at,
        }
        self._move(project_id, "", "_archive")

    def restore(self, given: Mapping[str, Any]) -> None:
        row = self.tables["projects_archive"].pop(given["project_id"])
        del row["archived_at"]
        row.update(status="active", updated_at=given["at"], completed_at=None)
        self.tables["projects"][row["id"]] = row
        self._move(row["id"], "_archive", "")

    def roll_up(self, given: Mapping[str, Any]) -> None:
        for table in ("progress_metrics", "progress_metrics_archive"):
            rows = self.tables[table]
            for row in [row for row in rows.values() if row["recorded_at"] < given["before"] and not is_daily(row)]:
                day = row["recorded_at"].astimezone(UTC).date()
                id_ = uuid5(row["project_id"], f"{row['metric_name']}/{day}")
                values = self.rolled.setdefault(id_, [])
                values.append((row["recorded_at"], row["metadata"]["seq"], row["value"]))
                rows[id_] = {
                    "id": id_,
                    "project_id": row["project_id"],
                    "metric_name": row["metric_name"],
                    "value": max(values)[2],
                    "metadata": daily_metadata(values),
                    "recorded_at": datetime(day.year, day.month, day.day, tzinfo=UTC),
                }

    def drop(self, given: Mapping[str, Any], table: str, ids: list[UUID]) -> None:
        """Drop rows, and log how many."""
        for id_ in ids:
            del self.tables[table][id_]
            self.rolled.pop(id_, None)
        log = given[f"{table}_log"]
        self.tables["cleanup_log"][log] = {
            "id": log,
            "table_name": table,
            "rows_deleted": len(ids),
            "cutoff": given["before"],
            "cleanup_date": given["at"],
        }

    def drop_metrics(self, given: Mapping[str, Any], *, daily: bool) -> None:
        for table in ("progress_metrics", "progress_metrics_archive"):
            rows = self.tables[table].values()
            gone = [row["id"] for row in rows if row["recorded_at"] < given["before"] and is_daily(row) == daily]
            self.drop(given, table, gone)

    def drop_reports(self, given: Mapping[str, Any]) -> None:
        for suffix in ("", "_archive"):
            issues = self.tables[f"validation_issues{suffix}"].values()
            reports = self.tables[f"validation_reports{suffix}"].values()
            kept = {issue["validation_report_id"] for issue in issues if issue["status"] in ("open", "in_progress")}
            gone = [row["id"] for row in reports if row["created_at"] < given["before"] and row["id"] not in kept]
            with_them = [issue["id"] for issue in issues if issue["validation_report_id"] in gone]
            self.drop(given, f"validation_issues{suffix}", with_them)
            self.drop(given, f"validation_reports{suffix}", gone)

    def end_session(self, given: Mapping[str, Any]) -> None:
        self.tables["user_sessions"].pop(given["session_id"], None)

    def drop_sessions(self, given: Mapping[str, Any]) -> None:
        sessions = self.tables["user_sessions"].values()
        self.drop(given, "user_sessions", [row["id"] for row in sessions if row["expires_at"] < given["before"]])


def is_daily(row: Row) -> bool:
    return "aggregation_level" in row["metadata"]


def daily_metadata(values: list[Value]) -> dict[str, Any]:
    """The metadata of a daily row that is made of these values."""
    numbers = [value for _, _, value in values]
    total = sum(map(Fraction, numbers), Fraction(0))
    last_at, seq, _ = max(values)
    return {
        "aggregation_level": "daily",
        "count": len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "mean": float(total / len(numbers)),
        "sum": str(total),
        "last_at": last_at.astimezone(UTC).isoformat(),
        "seq": seq,
    }


OPERATIONS: Mapping[str, Callable[[Operated, Mapping[str, Any]], None]] = {
    "archive_project": Operated.archive,
    "restore_project": Operated.restore,
    "roll_up_metrics": Operated.roll_up,
    "drop_details": lambda told, given: told.drop_metrics(given, daily=False),
    "drop_dailies": lambda told, given: told.drop_metrics(given, daily=True),
    "drop_reports": Operated.drop_reports,
    "drop_sessions": Operated.drop_sessions,
    "end_session": Operated.end_session,
}
