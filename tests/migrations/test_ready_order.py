"""The ready tasks are read from an index, in the order in which agents claim them."""

from __future__ import annotations

import re

from tests.migrations.samples import NOW, uid
from tests.migrations.stores import Store

PRIORITY = "CASE priority WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END"
READY = f"""
    SELECT id, name, priority, created_at FROM tasks
    WHERE project_id = ? AND status = 'pending'
    ORDER BY {PRIORITY}, created_at, added_position
    LIMIT 1
"""


def test_the_ready_order_is_read_from_its_index_and_never_sorted(graph: Store) -> None:
    statuses = ("pending", "completed", "in_progress", "failed", "blocked")
    projects = range(4)
    for project in projects:
        graph.insert("projects", id=uid(project))
    graph.many(
        "INSERT INTO tasks (id, project_id, name, status, priority, created_at, updated_at, added_position) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                uid(n),
                uid(n % len(projects)),
                f"Task {n}",
                statuses[n // 4 % 5],
                ("low", "critical", "medium", "high")[n // 20 % 4],
                f"2026-03-{1 + n // 80 % 28:02}T00:00:00.000000Z",
                NOW,
                n,
            )
            for n in range(4_000)
        ],
    )
    graph.rows("ANALYZE")

    plan = graph.plan(READY, uid(1))

    assert "idx_tasks_incomplete" in plan, plan
    assert not re.search("sort|temp b-tree", plan, re.IGNORECASE), plan


def test_the_first_ready_task_is_the_most_pressing_then_the_oldest_then_the_first_added(graph: Store) -> None:
    early, late = "2026-03-01T12:00:00.000000Z", "2026-03-01T12:00:00.000001Z"
    order = [
        ("critical", early, 9),
        ("critical", late, 1),
        ("high", late, 2),
        ("high", late, 10),
        ("medium", early, 3),
        ("low", early, 4),
    ]
    for priority, created_at, position in reversed(order):
        graph.insert("tasks", id=uid(position), priority=priority, created_at=created_at, added_position=position)

    found = graph.rows(READY.replace("SELECT id,", "SELECT added_position,").replace("LIMIT 1", ""), uid("project"))

    assert [row[0] for row in found] == [position for _, _, position in order]
