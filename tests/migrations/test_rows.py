"""Both stores take the same rows, refuse the same rows, and fill in the same defaults."""

from __future__ import annotations

from typing import Any

import pytest

from tests.migrations.samples import ROWS, VALUES, uid
from tests.migrations.stores import Store, add_tasks, depend


@pytest.mark.parametrize("table", ROWS)
def test_both_stores_take_and_refuse_the_same_values(table: str, graph: Store) -> None:
    add_tasks(graph, "other task")
    for parent in ("tasks", "validation_reports"):
        if parent != table:
            graph.insert(parent)
    own: dict[str, object] = {"id": uid("fresh")}
    if table == "users":
        own |= {"username": "grace", "email": "grace@example.org"}

    wrong = [
        f"{column} = {str(value)[:40]!r} should be {'taken' if good else 'refused'}"
        for column, (taken, refused) in VALUES[table].items()
        for value, good in [*((v, True) for v in taken), *((v, False) for v in refused)]
        if graph.accepts(table, **{**own, column: value}) != good
    ]

    assert wrong == []


def test_a_row_that_names_nothing_more_than_it_must_gets_the_same_defaults(graph: Store) -> None:
    add_tasks(graph, "other task")
    for table in list(ROWS)[2:]:
        graph.insert(table)

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


def test_a_username_and_an_email_are_taken_once(graph: Store) -> None:
    assert graph.accepts("users", id=uid("fresh"), username="grace", email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), username="grace")


def test_a_pair_of_tasks_depends_once_whatever_the_type(graph: Store) -> None:
    add_tasks(graph, "a", "b")
    depend(graph, "a", on="b", kind="suggests")

    assert not graph.accepts("task_dependencies", id=uid(1), task_id=uid("a"), depends_on_task_id=uid("b"))


def test_on_sqlite_a_time_without_all_its_digits_is_refused_because_it_would_not_sort(sqlite: Store) -> None:
    sqlite.up()

    assert sqlite.accepts("users", created_at="2026-03-01T12:00:00.000000Z")
    for time in ("2026-03-01T12:00:00Z", "2026-03-01 12:00:00.000000Z", "2026-03-01T12:00:00.000000+00:00"):
        assert not sqlite.accepts("users", created_at=time)


def test_deleting_a_user_takes_all_that_stands_on_it_and_a_task_leaves_its_issues(graph: Store) -> None:
    add_tasks(graph, "task", "other task")
    for table in ("task_dependencies", "validation_reports", "progress_metrics"):
        graph.insert(table)
    graph.insert("validation_issues", task_id=uid("task"))

    graph.rows("DELETE FROM tasks")
    assert graph.rows("SELECT task_id FROM validation_issues") == [(None,)]
    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(0,)]

    graph.rows("DELETE FROM users")
    assert [graph.rows(f"SELECT count(*) FROM {table}") for table in ROWS] == [[(0,)]] * len(ROWS)
    assert graph.search("Billing") == set()
