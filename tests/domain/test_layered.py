"""A mapping that grows without being copied whole: like a dict in all that it says, and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.domain.dependency_graph import DEPENDENCY_GRAPH, DependencyAdded
from claude_tiu.domain.layered import SMALL, Layered, having
from claude_tiu.domain.validation_run import VALIDATION_RUN, IssueReported, RunStarted, TaskAssessed
from tests.domain.given import AT, PROJECT_ID, uid

steps = st.lists(st.tuples(st.integers(0, 150), st.integers()), max_size=300)
"""Keys come again, and more often are new."""


@given(beginning=st.dictionaries(st.integers(0, 150), st.integers(), max_size=80), steps=steps)
def test_it_says_what_a_dict_would(beginning: dict[int, int], steps: list[tuple[int, int]]) -> None:
    found: Mapping[int, int] = beginning
    expected = dict(beginning)
    for key, value in steps:
        found = having(found, key, value)
        expected[key] = value
        assert found == expected
        assert list(found.items()) == list(expected.items())
        assert len(found) == len(expected)
        assert found[key] == found.get(key) == value
    for key in range(152):
        assert (key in found) == (key in expected)
        assert found.get(key, "none") == expected.get(key, "none")
    assert dict(found) == expected
    assert repr(found) == repr(expected)


@given(steps)
def test_none_is_changed_by_those_made_of_it(steps: list[tuple[int, int]]) -> None:
    """Two are made of each: states are shared."""
    made: list[tuple[Mapping[int, int], dict[int, int]]] = [({}, {})]
    for key, value in steps:
        last, expected = made[-1]
        made.append((having(last, key, -value - 1), {**expected, key: -value - 1}))
        made.append((having(last, key, value), {**expected, key: value}))
    assert all(found == expected for found, expected in made)


def items_copied(count: int) -> int:
    """How many items are copied to make a mapping of so many, one by one."""
    copied, found = 0, Layered[int, int]({}, {})
    for number in range(count):
        after = having(found, number, number)
        assert isinstance(after, Layered)
        copied += len(after.recent) if after.many is found.many else len(after.many)
        found = after
    return copied


def test_making_one_of_many_items_copies_far_fewer_than_their_square() -> None:
    assert items_copied(10_000) < 10_000**1.5 * 2


def reported(issue_id: UUID) -> IssueReported:
    nothing: dict[str, Any] = {"task_id": None, "file_path": None, "line_number": None, "suggested_fix": None}
    what: dict[str, Any] = {"issue_type": "placeholder", "severity": "low", "description": "pass"}
    return IssueReported(occurred_at=AT, issue_id=issue_id, auto_fix_available=False, **what, **nothing)


def test_long_streams_are_kept_in_them() -> None:
    """Each of these grows by an item with each event."""
    ids = [uuid5(PROJECT_ID, str(number)) for number in range(SMALL * 2)]
    edges = [
        DependencyAdded(
            occurred_at=AT, project_id=PROJECT_ID, task_id=task, depends_on_task_id=other, dependency_type="blocks"
        )
        for task, other in [*((id_, uid("last")) for id_ in ids), *((uid("first"), id_) for id_ in ids)]
    ]
    graph = DEPENDENCY_GRAPH.fold(edges)
    assert graph is not None
    assert isinstance(graph.dependencies, Layered)
    assert isinstance(graph.of(uid("first")), Layered)
    assert graph.path(uid("first"), uid("last")) is not None
    run = VALIDATION_RUN.fold(
        [
            RunStarted(occurred_at=AT, project_id=PROJECT_ID, validation_type="deep"),
            *(TaskAssessed(occurred_at=AT, task_id=id_, authenticity=50.0) for id_ in ids),
            *(reported(id_) for id_ in ids),
        ]
    )
    assert run is not None
    assert isinstance(run.assessments, Layered)
    assert isinstance(run.reported, Layered)
