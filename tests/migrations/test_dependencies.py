"""Dependencies never close a cycle, whoever writes them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.migrations.samples import uid
from tests.migrations.stores import Store, add_tasks, depend

CYCLE = "Circular dependency detected"
KINDS = ("blocks", "requires", "suggests")


@pytest.mark.parametrize("length", [1, 2, 3, 10])
@pytest.mark.parametrize("closing_kind", KINDS)
def test_a_cycle_of_any_length_is_refused(graph: Store, length: int, closing_kind: str) -> None:
    add_tasks(graph, *range(length))
    for task, on in pairwise(range(length)):
        depend(graph, task, on, KINDS[task % 3])

    with pytest.raises(graph.refusals, match=CYCLE):
        depend(graph, length - 1, 0, closing_kind)


def test_a_diamond_is_no_cycle(graph: Store) -> None:
    add_tasks(graph, "top", "left", "right", "bottom")
    depend(graph, "top", "left")
    depend(graph, "right", "bottom", "suggests")
    depend(graph, "top", "right", "requires")
    depend(graph, "left", "bottom")
    depend(graph, "top", "bottom")

    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(5,)]


def test_a_cycle_within_one_statement_is_refused(graph: Store) -> None:
    add_tasks(graph, "a", "b", "c")
    edges = [("a", "b"), ("b", "c"), ("c", "a")]

    with pytest.raises(graph.refusals, match=CYCLE):
        graph.rows(
            f"INSERT INTO task_dependencies (id, task_id, depends_on_task_id) VALUES {', '.join(['(?, ?, ?)'] * 3)}",
            *(value for task, on in edges for value in (uid(task + on), uid(task), uid(on))),
        )


def test_a_cycle_closed_by_an_update_is_refused(graph: Store) -> None:
    add_tasks(graph, "a", "b", "c")
    depend(graph, "a", "b")
    depend(graph, "c", "a")

    with pytest.raises(graph.refusals, match=CYCLE):
        graph.rows("UPDATE task_dependencies SET depends_on_task_id = ? WHERE task_id = ?", uid("c"), uid("a"))


def test_a_dependency_may_turn_round(graph: Store) -> None:
    """Its own old direction does not count against it, neither in an update nor in a delete and an insert."""
    add_tasks(graph, "a", "b")
    depend(graph, "a", "b")

    graph.rows("UPDATE task_dependencies SET task_id = ?, depends_on_task_id = ?", uid("b"), uid("a"))
    graph.rows("DELETE FROM task_dependencies")
    depend(graph, "a", "b")

    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(1,)]


def test_a_dependency_written_again_under_its_id_is_no_cycle(graph: Store) -> None:
    add_tasks(graph, "a", "b")
    depend(graph, "a", "b")

    graph.rows(
        "INSERT INTO task_dependencies (id, task_id, depends_on_task_id, dependency_type) VALUES (?, ?, ?, 'suggests') "
        "ON CONFLICT (id) DO UPDATE SET dependency_type = excluded.dependency_type",
        uid("a on b"),
        uid("a"),
        uid("b"),
    )

    assert graph.rows("SELECT dependency_type FROM task_dependencies") == [("suggests",)]


def test_every_task_is_visited_once_however_many_paths_lead_to_it(graph: Store) -> None:
    """Forty diamonds in a row have 2⁴⁰ paths from end to end: who walks each of them never comes back."""
    diamonds = 40
    add_tasks(graph, *range(diamonds * 3 + 1))
    for top in range(0, diamonds * 3, 3):
        for task, on in ((top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3)):
            depend(graph, task, on)

    with pytest.raises(graph.refusals, match=CYCLE):
        depend(graph, diamonds * 3, 0)
