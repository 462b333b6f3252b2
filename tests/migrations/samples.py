"""What the read tables are tried with: good rows, what each column takes and refuses, and the names they have."""

from __future__ import annotations

from uuid import UUID, uuid5

NOW = "2026-03-01T12:00:00.000000Z"


def uid(name: object) -> str:
    """The same UUID for the same name, in every run and on every store."""
    return str(uuid5(UUID(int=0), str(name)))


TIMES: dict[str, object] = {"created_at": NOW, "updated_at": NOW}
ROWS: dict[str, dict[str, object]] = {
    "users": {"id": uid("user"), "username": "ada", "email": "ada@example.org", "password_hash": "!", **TIMES},
    "projects": {"id": uid("project"), "user_id": uid("user"), "name": "Billing", **TIMES},
    "tasks": {"id": uid("task"), "project_id": uid("project"), "name": "Invoices", "added_position": 3, **TIMES},
    "task_dependencies": {
        "id": uid("dependency"),
        "task_id": uid("task"),
        "depends_on_task_id": uid("other task"),
        "created_at": NOW,
    },
    "validation_reports": {
        "id": uid("report"),
        "project_id": uid("project"),
        "validation_type": "quick",
        "created_at": NOW,
    },
    "validation_issues": {
        "id": uid("issue"),
        "validation_report_id": uid("report"),
        "issue_type": "mock_data",
        "severity": "low",
        "description": "a constant where a rate belongs",
        "created_at": NOW,
    },
    "progress_metrics": {
        "id": uid("metric"),
        "project_id": uid("project"),
        "metric_name": "real_progress",
        "value": 12.5,
        "recorded_at": NOW,
    },
}
"""A good row for each table, parents first, with nothing that has a default but its times."""

Values = tuple[list[object], list[object]]

"""What a column takes, and what it refuses."""

PERCENT: Values = ([0, 0.0, 33.333333333333336, 100.0, None], [-0.1, 100.1, float("inf"), "half"])
JSON: Values = (["{}", "[]", '{"a": [1, 2.5, null, "é"]}', None], ["", "{", "{'a': 1}", "NaN"])
TIME: Values = ([NOW, "1900-01-01T00:00:00.000001Z", None], ["", "soon"])
INTEGER: Values = ([0, 1, 2**31 - 1, -(2**31), None], [2**31, -(2**31) - 1, "one"])
BOOLEAN: Values = ([True, False, None], [2, "perhaps"])
TEXT: Values = (["", "é" * 100_000, None], [])
REFERENCE: Values = ([], [None, uid("nobody"), "no uuid", ""])
ID: Values = ([uid("fresh")], [None, "", "no uuid", uid("fresh")[:-1]])


def words(length: int, *, required: bool = False) -> Values:
    """Text of at most this many characters, counted as characters and not as bytes."""
    good: list[object] = ["", "é" * length, "𝄞" * length]
    none: list[object] = [None]
    return (good, ["x" * (length + 1), *none]) if required else (good + none, ["x" * (length + 1)])


def choice(*values: str, required: bool = False) -> Values:
    bad: list[object] = ["", "other", values[0].upper(), f"{values[0]} "]
    return (list(values), [*bad, None]) if required else ([*values, None], bad)


VALUES: dict[str, dict[str, Values]] = {
    "users": {
        "id": ID,
        "username": words(255, required=True),
        "email": words(255, required=True),
        "password_hash": words(255, required=True),
        "role": choice("admin", "developer", "viewer"),
        "preferences": JSON,
        "created_at": TIME,
        "updated_at": TIME,
        "last_login": TIME,
        "is_active": BOOLEAN,
    },
    "projects": {
        "id": ID,
        "user_id": REFERENCE,
        "name": words(255, required=True),
        "description": TEXT,
        "status": choice("active", "completed", "archived", "failed"),
        "template_id": words(255),
        "configuration": JSON,
        "metadata": JSON,
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "authenticity_rate": PERCENT,
        "quality_score": PERCENT,
        "created_at": TIME,
        "updated_at": TIME,
        "completed_at": TIME,
    },
    "tasks": {
        "id": ID,
        "project_id": REFERENCE,
        "name": words(255, required=True),
        "description": TEXT,
        "status": choice("pending", "in_progress", "completed", "failed", "blocked"),
        "priority": choice("low", "medium", "high", "critical"),
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "authenticity_score": PERCENT,
        "ai_prompt": TEXT,
        "expected_outputs": JSON,
        "validation_criteria": JSON,
        "estimated_duration": INTEGER,
        "actual_duration": INTEGER,
        "created_at": TIME,
        "updated_at": TIME,
        "completed_at": TIME,
        "added_position": ([1, 2**63 - 1], [None, "first"]),
    },
    "task_dependencies": {
        "id": ID,
        "task_id": REFERENCE,
        "depends_on_task_id": ([uid("other task")], [None, uid("nobody"), "no uuid", ""]),
        "dependency_type": choice("blocks", "requires", "suggests"),
        "created_at": TIME,
    },
    "validation_reports": {
        "id": ID,
        "project_id": REFERENCE,
        "validation_type": choice("quick", "deep", "comprehensive", "scheduled", required=True),
        "overall_authenticity": PERCENT,
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "quality_metrics": JSON,
        "issues_summary": JSON,
        "created_at": TIME,
    },
    "validation_issues": {
        "id": ID,
        "validation_report_id": REFERENCE,
        "task_id": ([uid("task"), None], [uid("nobody"), "no uuid", ""]),
        "issue_type": choice(
            "placeholder", "empty_function", "mock_data", "broken_logic", "security_risk", required=True
        ),
        "severity": choice("low", "medium", "high", "critical", required=True),
        "description": (["", "é" * 100_000], [None]),
        "file_path": (["é" * 1000, None], ["x" * 1001]),
        "line_number": INTEGER,
        "auto_fix_available": BOOLEAN,
        "suggested_fix": TEXT,
        "status": choice("open", "in_progress", "resolved", "ignored"),
        "created_at": TIME,
        "resolved_at": TIME,
    },
    "progress_metrics": {
        "id": ID,
        "project_id": REFERENCE,
        "metric_name": words(100, required=True),
        "value": ([0, -1.5, 1e308, float("inf")], [None, "much"]),
        "metadata": JSON,
        "recorded_at": TIME,
    },
}
"""For each column of each table the values that both stores take, and those that both refuse."""

SQLITE_TYPES = {
    "uuid": "TEXT",
    "text": "TEXT",
    "jsonb": "TEXT",
    "timestamp with time zone": "TEXT",
    "double precision": "REAL",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "boolean": "INTEGER",
}
INDEXES = {
    "idx_users_email",
    "idx_users_username",
    "idx_users_role",
    "idx_users_last_login",
    "idx_projects_user_id",
    "idx_projects_status",
    "idx_projects_created_at",
    "idx_projects_real_progress",
    "idx_projects_authenticity_rate",
    "idx_projects_search",
    "idx_projects_active",
    "idx_projects_list_covering",
    "idx_tasks_project_id",
    "idx_tasks_status",
    "idx_tasks_priority",
    "idx_tasks_real_progress",
    "idx_tasks_authenticity_score",
    "idx_tasks_created_at",
    "idx_tasks_project_status_priority",
    "idx_tasks_incomplete",
    "idx_tasks_summary_covering",
    "idx_task_dependencies_task_id",
    "idx_task_dependencies_depends_on",
    "idx_validation_reports_project_id",
    "idx_validation_reports_validation_type",
    "idx_validation_reports_created_at",
    "idx_validation_reports_authenticity",
    "idx_validation_project_type_created",
    "idx_validation_issues_report_id",
    "idx_validation_issues_task_id",
    "idx_validation_issues_issue_type",
    "idx_validation_issues_severity",
    "idx_validation_issues_status",
    "idx_validation_issues_file_path",
    "idx_progress_metrics_project_id",
    "idx_progress_metrics_metric_name",
    "idx_progress_metrics_recorded_at",
    "idx_progress_metrics_project_metric_time",
}
