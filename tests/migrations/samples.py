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
    "user_sessions": {
        "id": uid("session"),
        "user_id": uid("user"),
        "token_hash": "d0c5",
        "expires_at": NOW,
        "created_at": NOW,
    },
    "project_files": {"id": uid("file"), "project_id": uid("project"), "file_path": "src/rates.py", **TIMES},
    "workflows": {"id": uid("workflow"), "name": "Release", **TIMES},
    "workflow_steps": {
        "id": uid("step"),
        "workflow_id": uid("workflow"),
        "name": "Build",
        "type": "external_command",
        "step_order": 1,
        "created_at": NOW,
    },
    "step_executions": {
        "id": uid("execution"),
        "run_id": uid("run"),
        "workflow_step_id": uid("step"),
        "project_id": uid("project"),
    },
    "agents": {"id": uid("agent"), "agent_type": "tester", "last_active": NOW, **TIMES},
    "agent_assignments": {
        "id": uid("assignment"),
        "agent_id": uid("agent"),
        "task_id": uid("task"),
        "assigned_at": NOW,
    },
    "agent_metrics": {
        "id": uid("agent metric"),
        "agent_id": uid("agent"),
        "metric_type": "tokens",
        "value": 12.5,
        "recorded_at": NOW,
    },
    "templates": {"id": uid("template"), "name": "Service", "structure": "{}", **TIMES},
    "cleanup_log": {"id": uid("cleanup"), "table_name": "progress_metrics", "rows_deleted": 3, "cleanup_date": NOW},
}
"""A good row for each table, parents first, with nothing that has a default but its times."""

ARCHIVED = (
    "projects",
    "tasks",
    "task_dependencies",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
    "project_files",
    "step_executions",
    "agent_assignments",
)
"""The tables that have an archive table beside them, parents first."""

ROWS |= {f"{table}_archive": dict(ROWS[table]) for table in ARCHIVED}
ROWS["projects_archive"]["archived_at"] = NOW

PRIVATE: dict[str, dict[str, object]] = {
    "checkpoints": {"projection": "read_model", "version": 1, "epoch": uid("store"), "position": 9, "event_hash": b"h"},
    "project_state": {
        "project_id": uid("project"),
        "real_sum": "0",
        "claimed_sum": "0",
        "weight_sum": "1",
        "quality_score": 0.0,
        "metric_seq": 0,
    },
    "task_state": {"task_id": uid("task"), "claimed": 0, "authenticity": 0, "weight": 1, "worked": 0},
    "run_state": {"run_id": uid("run"), "validation_type": "quick"},
    "staged_issues": {
        "id": uid("issue"),
        "run_id": uid("run"),
        "position": 9,
        "issue_type": "mock_data",
        "severity": "low",
        "description": "a constant where a rate belongs",
        "auto_fix_available": False,
        "created_at": NOW,
    },
    "agent_state": {"agent_id": uid("agent"), "status": "idle"},
}
"""A good row for each table that the specification does not have."""

Values = tuple[list[object], list[object]]
"""What a column takes, and what it refuses."""

PERCENT: Values = ([0, 0.0, 33.333333333333336, 100.0, None], [-0.1, 100.1, float("inf"), "half"])
JSON: Values = (["{}", "[]", '{"a": [1, 2.5, null, "é"]}', None], ["", "{", "{'a': 1}", "NaN"])
TIME: Values = ([NOW, "1900-01-01T00:00:00.000001Z", None], ["", "soon"])
REQUIRED_TIME: Values = ([NOW], ["", "soon", None])
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
    "user_sessions": {
        "id": ID,
        "user_id": REFERENCE,
        "token_hash": words(255, required=True),
        "expires_at": REQUIRED_TIME,
        "metadata": JSON,
        "created_at": TIME,
    },
    "project_files": {
        "id": ID,
        "project_id": REFERENCE,
        "file_path": words(1000, required=True),
        "content": TEXT,
        "content_hash": words(64),
        "size_bytes": INTEGER,
        "status": choice("created", "modified", "validated", "failed_validation", "deleted"),
        "validation_score": PERCENT,
        "metadata": JSON,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "workflows": {
        "id": ID,
        "name": words(255, required=True),
        "description": TEXT,
        "template": words(255),
        "configuration": JSON,
        "global_settings": JSON,
        "status": choice("draft", "active", "completed", "failed", "archived"),
        "created_at": TIME,
        "updated_at": TIME,
    },
    "workflow_steps": {
        "id": ID,
        "workflow_id": REFERENCE,
        "name": words(255, required=True),
        "type": choice("ai_generation", "validation", "file_operation", "external_command", required=True),
        "ai_prompt": TEXT,
        "dependencies": JSON,
        "validation_config": JSON,
        "step_order": ([0, 1, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, "one", None]),
        "created_at": TIME,
    },
    "step_executions": {
        "id": ID,
        "run_id": ([uid("another run")], [None, "no uuid", ""]),
        "workflow_step_id": REFERENCE,
        "project_id": REFERENCE,
        "status": choice("pending", "running", "completed", "failed", "skipped"),
        "result_data": JSON,
        "execution_metadata": JSON,
        "started_at": TIME,
        "completed_at": TIME,
    },
    "agents": {
        "id": ID,
        "agent_type": choice(
            "backend-developer",
            "frontend-developer",
            "tester",
            "reviewer",
            "architect",
            "coordinator",
            "analyst",
            required=True,
        ),
        "name": words(255),
        "capabilities": JSON,
        "status": choice("idle", "busy", "offline", "error"),
        "configuration": JSON,
        "coordination_hooks": JSON,
        "created_at": TIME,
        "updated_at": TIME,
        "last_active": TIME,
    },
    "agent_assignments": {
        "id": ID,
        "agent_id": REFERENCE,
        "task_id": REFERENCE,
        "status": choice("assigned", "completed", "released", "failed"),
        "assignment_metadata": JSON,
        "assigned_at": TIME,
        "completed_at": TIME,
    },
    "agent_metrics": {
        "id": ID,
        "agent_id": REFERENCE,
        "metric_type": words(100, required=True),
        "value": ([0, -1.5, 1e308, float("inf")], [None, "much"]),
        "metadata": JSON,
        "recorded_at": TIME,
    },
    "templates": {
        "id": ID,
        "name": words(255, required=True),
        "description": TEXT,
        "category": words(100),
        "structure": (["{}", "[]"], ["", "{", "NaN", None]),
        "default_config": JSON,
        "workflow_template": JSON,
        "is_public": BOOLEAN,
        "created_by": ([uid("user"), None], [uid("nobody"), "no uuid", ""]),
        "created_at": TIME,
        "updated_at": TIME,
    },
    "cleanup_log": {
        "id": ID,
        "table_name": words(100, required=True),
        "rows_deleted": ([0, 2**31 - 1], [-1, 2**31, "one", None]),
        "cutoff": TIME,
        "cleanup_date": TIME,
    },
}
VALUES |= {f"{table}_archive": dict(VALUES[table]) for table in ARCHIVED}
VALUES["projects_archive"]["archived_at"] = REQUIRED_TIME
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
    "idx_user_sessions_user_id",
    "idx_user_sessions_token_hash",
    "idx_user_sessions_expires_at",
    "idx_project_files_project_id",
    "idx_project_files_file_path",
    "idx_project_files_status",
    "idx_project_files_validation_score",
    "idx_project_files_updated_at",
    "idx_files_project_status_updated",
    "idx_project_files_content_search",
    "idx_workflows_name",
    "idx_workflows_template",
    "idx_workflows_status",
    "idx_workflow_steps_workflow_id",
    "idx_workflow_steps_step_order",
    "idx_workflow_steps_type",
    "idx_step_executions_workflow_step_id",
    "idx_step_executions_project_id",
    "idx_step_executions_status",
    "idx_step_executions_started_at",
    "idx_step_executions_completed_at",
    "idx_agents_type",
    "idx_agents_status",
    "idx_agents_last_active",
    "idx_agents_available",
    "idx_agent_assignments_agent_id",
    "idx_agent_assignments_task_id",
    "idx_agent_assignments_status",
    "idx_agent_assignments_assigned_at",
    "idx_agent_assignments_completed_at",
    "idx_agent_metrics_agent_id",
    "idx_agent_metrics_metric_type",
    "idx_agent_metrics_recorded_at",
    "idx_agent_metrics_agent_type_time",
    "idx_templates_name",
    "idx_templates_category",
    "idx_templates_is_public",
    "idx_templates_created_by",
    "idx_projects_archive_user_id",
    "idx_projects_archive_created_at",
    "idx_projects_archive_updated_at",
    "idx_projects_archive_completed_at",
    "idx_projects_archive_archived_at",
    "idx_tasks_archive_project_id",
    "idx_tasks_archive_created_at",
    "idx_tasks_archive_updated_at",
    "idx_tasks_archive_completed_at",
    "idx_task_dependencies_archive_task_id",
    "idx_task_dependencies_archive_depends_on_task_id",
    "idx_task_dependencies_archive_created_at",
    "idx_project_files_archive_project_id",
    "idx_project_files_archive_created_at",
    "idx_project_files_archive_updated_at",
    "idx_validation_reports_archive_project_id",
    "idx_validation_reports_archive_created_at",
    "idx_validation_issues_archive_validation_report_id",
    "idx_validation_issues_archive_task_id",
    "idx_validation_issues_archive_created_at",
    "idx_validation_issues_archive_resolved_at",
    "idx_progress_metrics_archive_project_id",
    "idx_progress_metrics_archive_recorded_at",
    "idx_step_executions_archive_workflow_step_id",
    "idx_step_executions_archive_project_id",
    "idx_step_executions_archive_started_at",
    "idx_step_executions_archive_completed_at",
    "idx_agent_assignments_archive_agent_id",
    "idx_agent_assignments_archive_task_id",
    "idx_agent_assignments_archive_assigned_at",
    "idx_agent_assignments_archive_completed_at",
    "idx_cleanup_log_table_name",
    "idx_cleanup_log_cutoff",
    "idx_cleanup_log_cleanup_date",
}
