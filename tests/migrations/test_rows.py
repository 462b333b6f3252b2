"""Both stores take the same rows, refuse the same rows, and fill in the same defaults."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.migrations.samples import ROWS, VALUES, uid
from tests.migrations.stores import Store, add_tasks, fill

PARENTS = (
    "tasks",
    "validation_reports",
    "workflows",
    "workflow_steps",
    "agents",
    "tasks_archive",
    "validation_reports_archive",
)


def put(store: Store, table: str) -> object:
    """Insert a table's good row, and return its id."""
    store.insert(table)
    return ROWS[table]["id"]


def test_both_stores_take_and_refuse_the_same_values(graph: Store) -> None:
    add_tasks(graph, "other task")
    graph.insert("tasks_archive", id=uid("other task"), project_id=put(graph, "projects_archive"))
    for parent in PARENTS:
        put(graph, parent)
    fresh = {"id": uid("fresh")}
    own = dict.fromkeys(ROWS, fresh) | {"users": {**fresh, "username": "grace", "email": "grace@example.org"}}

    wrong = [
        f"{table}.{column} = {str(value)[:40]!r} should be {'taken' if good else 'refused'}"
        for table in ROWS
        for column, (taken, refused) in VALUES[table].items()
        for value, good in [*((v, True) for v in taken), *((v, False) for v in refused)]
        if graph.accepts(table, **{**own[table], column: value}) != good
    ]

    assert wrong == []


def test_a_row_that_names_nothing_more_than_it_must_gets_the_same_defaults(graph: Store) -> None:
    fill(graph)

    def row(columns: str, table: str) -> list[tuple[Any, ...]]:
        where = f"WHERE id = '{ROWS[table]['id']}'"
        return [
            tuple({"{}": {}, "[]": []}.get(v, v) if isinstance(v, str) else v for v in r)
            for r in graph.rows(f"SELECT {columns} FROM {table} {where}")
        ]

    assert row("role, preferences, last_login, is_active", "users") == [("developer", {}, None, True)]
    assert row(
        "status, configuration, metadata, real_progress, fake_progress, authenticity_rate, quality_score, completed_at",
        "projects",
    ) == [("active", {}, {}, 0.0, 0.0, 100.0, 0.0, None)]
    assert row(
        "status, priority, real_progress, fake_progress, authenticity_score, expected_outputs, validation_criteria",
        "tasks",
    ) == [("pending", "medium", 0.0, 0.0, 100.0, [], {})]
    assert row("dependency_type", "task_dependencies") == [("blocks",)]
    assert row("overall_authenticity, quality_metrics, issues_summary", "validation_reports") == [(None, {}, {})]
    assert row("status, auto_fix_available, task_id", "validation_issues") == [("open", False, None)]
    assert row("metadata", "progress_metrics") == [({},)]
    assert row("metadata", "user_sessions") == [({},)]
    assert row("content, content_hash, size_bytes, status, validation_score, metadata", "project_files") == [
        (None, None, 0, "created", 0.0, {})
    ]
    assert row("template, configuration, global_settings, status", "workflows") == [(None, {}, {}, "draft")]
    assert row("dependencies, validation_config", "workflow_steps") == [([], {})]
    assert row("status, result_data, execution_metadata, started_at, completed_at", "step_executions") == [
        ("pending", {}, {}, None, None)
    ]
    assert row("name, capabilities, status, configuration, coordination_hooks", "agents") == [
        (None, [], "idle", {}, {})
    ]
    assert row("status, assignment_metadata, completed_at", "agent_assignments") == [("assigned", {}, None)]
    assert row("metadata", "agent_metrics") == [({},)]
    assert row("category, default_config, workflow_template, is_public, created_by", "templates") == [
        (None, {}, None, False, None)
    ]
    assert row("cutoff", "cleanup_log") == [(None,)]


def test_a_username_and_an_email_are_taken_once(graph: Store) -> None:
    assert graph.accepts("users", id=uid("fresh"), username="grace", email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), username="grace")


def test_a_pair_of_tasks_depends_once_whatever_the_type(graph: Store) -> None:
    add_tasks(graph, "a", "b")
    graph.insert("task_dependencies", task_id=uid("a"), depends_on_task_id=uid("b"), dependency_type="suggests")

    assert not graph.accepts("task_dependencies", id=uid(1), task_id=uid("a"), depends_on_task_id=uid("b"))


def test_a_path_is_taken_once_in_a_project(graph: Store) -> None:
    graph.insert("projects", id=uid("another project"))
    graph.insert("project_files")

    assert not graph.accepts("project_files", id=uid(1))
    assert graph.accepts("project_files", id=uid(1), file_path="SRC/rates.py")
    assert graph.accepts("project_files", id=uid(1), project_id=uid("another project"))


def test_a_step_is_executed_once_in_a_run(graph: Store) -> None:
    for table in ("workflows", "workflow_steps", "step_executions"):
        graph.insert(table)

    assert not graph.accepts("step_executions", id=uid(1))
    assert graph.accepts("step_executions", id=uid(1), run_id=uid("another run"))


def test_on_sqlite_a_time_without_all_its_digits_is_refused_because_it_would_not_sort(sqlite: Store) -> None:
    sqlite.up()

    assert sqlite.accepts("users", created_at="2026-03-01T12:00:00.000000Z")
    for time in ("2026-03-01T12:00:00Z", "2026-03-01 12:00:00.000000Z", "2026-03-01T12:00:00.000000+00:00"):
        assert not sqlite.accepts("users", created_at=time)


def test_the_longest_path_and_the_longest_capabilities_fit_their_indexes(graph: Store) -> None:
    """2,000 bytes each, that no index can make smaller."""
    random = Random(1)
    letters = [chr(code) for code in range(0x20, 0x7F) if chr(code) not in '"\\\\']
    wide = [chr(code) for code in range(0x80, 0x800)]

    for longest in ("".join(random.choices(wide, k=1000)), "".join(random.choices(letters, k=1000))):
        assert graph.accepts("project_files", file_path=longest)
    for length in (0, 1, 2, 20, 1994):
        names: list[str] = []
        while len(capabilities := json.dumps([*names, "x" * length], separators=(",", ":"))) <= 2000:
            names.append("".join(random.choices(letters, k=length)))
        assert names, capabilities
        assert graph.accepts("agents", agent_type="frontend-developer", capabilities=json.dumps(names))


def test_deleting_a_user_takes_all_that_stands_on_it_and_a_task_leaves_its_issues(graph: Store) -> None:
    add_tasks(graph, "task", "other task")
    for table in ("task_dependencies", "validation_reports", "progress_metrics"):
        graph.insert(table)
    graph.insert("validation_issues", task_id=uid("task"))

    graph.rows("DELETE FROM tasks")
    assert graph.rows("SELECT task_id FROM validation_issues") == [(None,)]
    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(0,)]

    graph.rows("DELETE FROM users")
    assert [table for table in ROWS if graph.rows(f"SELECT 1 FROM {table}")] == []
    assert graph.search("Billing") == set()
