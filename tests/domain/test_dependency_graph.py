"""The dependencies among a project's tasks: no cycle of any length, each pair once, all inside the project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise, product

import pytest

from claude_tiu.domain.dependency_graph import (
    DEPENDENCY_GRAPH,
    AddDependency,
    DependencyAdded,
    DependencyRemoved,
    RemoveDependency,
    graph_id,
)
from claude_tiu.domain.errors import DependencyCycle, DuplicateDependency, NotFound, OutsideProject, WrongStatus
from claude_tiu.domain.messages import Event
from claude_tiu.domain.values import DependencyType
from tests.domain.given import (
    AT,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    DictReads,
    given,
    project,
    task,
    uid,
    world,
)

TYPES: tuple[DependencyType, ...] = ("blocks", "requires", "suggests")
TASKS = world(a="pending", b="pending", c="pending")


def add(name: str, other: str, dependency_type: DependencyType = "blocks") -> AddDependency:
    return AddDependency(task_id=uid(name), depends_on_task_id=uid(other), dependency_type=dependency_type)


def added(name: str, other: str, dependency_type: DependencyType = "blocks") -> DependencyAdded:
    return DependencyAdded(
        occurred_at=AT,
        project_id=PROJECT_ID,
        task_id=uid(name),
        depends_on_task_id=uid(other),
        dependency_type=dependency_type,
    )


def remove(name: str, other: str) -> RemoveDependency:
    return RemoveDependency(task_id=uid(name), depends_on_task_id=uid(other))


def removed(name: str, other: str) -> DependencyRemoved:
    return DependencyRemoved(occurred_at=AT, task_id=uid(name), depends_on_task_id=uid(other))


def chain(names: Iterable[str], dependency_type: DependencyType = "blocks") -> list[Event]:
    return [added(name, other, dependency_type) for name, other in pairwise(names)]


def two_projects() -> DictReads:
    reads = world(a="pending")
    return replace(
        reads,
        projects=reads.projects | {OTHER_PROJECT_ID: project()},
        tasks=reads.tasks | {uid("elsewhere"): task(project_id=OTHER_PROJECT_ID)},
    )


@pytest.mark.parametrize("dependency_type", TYPES)
def test_a_task_comes_to_depend_on_another(dependency_type: DependencyType) -> None:
    graph = (
        given(DEPENDENCY_GRAPH, reads=TASKS)
        .when(add("a", "b", dependency_type))
        .then([added("a", "b", dependency_type)])
    )
    assert graph.of(uid("a")) == {uid("b"): dependency_type}
    assert graph.of(uid("b")) == {}


def test_a_dependency_blocks_unless_told_otherwise() -> None:
    command = AddDependency(task_id=uid("a"), depends_on_task_id=uid("b"))
    given(DEPENDENCY_GRAPH, reads=TASKS).when(command).then([added("a", "b", "blocks")])


def test_only_blocks_and_requires_bind() -> None:
    graph = DEPENDENCY_GRAPH.fold([added("a", "b", "blocks"), added("a", "c", "suggests"), added("a", "d", "requires")])
    assert graph is not None
    assert sorted(graph.binding(uid("a"))) == sorted([uid("b"), uid("d")])
    assert graph.binding(uid("nobody's")) == []


@pytest.mark.parametrize("status", ["pending", "in_progress", "completed", "failed", "blocked"])
def test_a_task_of_any_status_takes_and_loses_dependencies(status: str) -> None:
    reads = world(a=status, b=status)
    given(DEPENDENCY_GRAPH, reads=reads).when(add("a", "b")).then([added("a", "b")])
    given(DEPENDENCY_GRAPH, [added("a", "b")], reads=reads).when(remove("a", "b")).then([removed("a", "b")])


class TestCycles:
    @pytest.mark.parametrize("dependency_type", TYPES)
    def test_a_task_never_waits_for_itself(self, dependency_type: DependencyType) -> None:
        when = given(DEPENDENCY_GRAPH, reads=TASKS).when(add("a", "a", dependency_type))
        when.then_refused(DependencyCycle, cycle=[str(uid("a"))] * 2)

    @pytest.mark.parametrize("length", [2, 3, 4, 17, 500])
    def test_a_cycle_of_any_length_is_refused_and_named(self, length: int) -> None:
        names = [f"t{i}" for i in range(length)]
        reads = world(**dict.fromkeys(names, "pending"))
        when = given(DEPENDENCY_GRAPH, chain(names), reads=reads).when(add(names[-1], names[0]))
        cycle = [str(uid(name)) for name in (names[-1], *names)]
        refusal = when.then_refused(DependencyCycle, cycle=cycle)
        assert all(task_id in refusal.message for task_id in cycle)

    @pytest.mark.parametrize(("first", "second", "closing"), list(product(TYPES, repeat=3)))
    def test_a_cycle_over_any_types_is_refused(
        self, first: DependencyType, second: DependencyType, closing: DependencyType
    ) -> None:
        history = [added("a", "b", first), added("b", "c", second)]
        given(DEPENDENCY_GRAPH, history, reads=TASKS).when(add("c", "a", closing)).then_refused(DependencyCycle)

    def test_a_cycle_is_found_behind_a_fork(self) -> None:
        reads = world(**dict.fromkeys("abcde", "pending"))
        history = [added("a", "b"), added("a", "c"), added("b", "d"), added("c", "e")]
        for end in "bcde":
            given(DEPENDENCY_GRAPH, history, reads=reads).when(add(end, "a")).then_refused(DependencyCycle)

    def test_two_ways_to_the_same_task_are_no_cycle(self) -> None:
        reads = world(**dict.fromkeys("abcd", "pending"))
        history = [added("a", "b"), added("a", "c"), added("b", "d")]
        given(DEPENDENCY_GRAPH, history, reads=reads).when(add("c", "d")).then([added("c", "d")])
        given(DEPENDENCY_GRAPH, history, reads=reads).when(add("a", "d")).then([added("a", "d")])

    def test_a_cycle_that_was_opened_may_be_closed_elsewhere(self) -> None:
        history = [added("a", "b"), added("b", "c"), removed("a", "b")]
        given(DEPENDENCY_GRAPH, history, reads=TASKS).when(add("c", "a")).then([added("c", "a")])


class TestEachPairOnce:
    @pytest.mark.parametrize(("first", "second"), list(product(TYPES, repeat=2)))
    def test_a_pair_depends_once_whatever_the_type(self, first: DependencyType, second: DependencyType) -> None:
        when = given(DEPENDENCY_GRAPH, [added("a", "b", first)], reads=TASKS).when(add("a", "b", second))
        when.then_refused(DuplicateDependency, task_id=uid("a"), depends_on_task_id=uid("b"))

    def test_a_dependency_taken_away_may_come_again_with_another_type(self) -> None:
        history = [added("a", "b", "blocks"), removed("a", "b")]
        when = given(DEPENDENCY_GRAPH, history, reads=TASKS).when(add("a", "b", "suggests"))
        assert when.then([added("a", "b", "suggests")]).of(uid("a")) == {uid("b"): "suggests"}


class TestRemoving:
    def test_a_dependency_taken_away_is_gone_and_the_others_stay(self) -> None:
        history = [added("a", "b"), added("a", "c", "requires"), added("b", "c")]
        graph = given(DEPENDENCY_GRAPH, history, reads=TASKS).when(remove("a", "b")).then([removed("a", "b")])
        assert graph.of(uid("a")) == {uid("c"): "requires"}
        assert graph.of(uid("b")) == {uid("c"): "blocks"}

    @pytest.mark.parametrize(
        "history", [[], [added("b", "a")], [added("a", "c")], [added("a", "b"), removed("a", "b")]]
    )
    def test_what_does_not_depend_cannot_be_removed(self, history: list[Event]) -> None:
        when = given(DEPENDENCY_GRAPH, history, reads=TASKS).when(remove("a", "b"))
        when.then_refused(NotFound, task_id=uid("a"), depends_on_task_id=uid("b"))


class TestInsideTheProject:
    def test_a_dependency_across_projects_is_refused(self) -> None:
        when = given(DEPENDENCY_GRAPH, reads=two_projects()).when(add("a", "elsewhere"))
        when.then_refused(
            OutsideProject,
            task_id=uid("a"),
            depends_on_task_id=uid("elsewhere"),
            project_id=PROJECT_ID,
            other_project_id=OTHER_PROJECT_ID,
        )

    def test_both_tasks_exist(self) -> None:
        for_command = given(DEPENDENCY_GRAPH, reads=TASKS)
        for_command.when(add("nobody", "a")).then_refused(NotFound, id=NOBODY)
        for_command.when(add("a", "nobody")).then_refused(NotFound, id=NOBODY)
        for_command.when(remove("nobody", "a")).then_refused(NotFound, id=NOBODY)

    def test_every_project_has_one_graph_and_one_stream(self) -> None:
        assert DEPENDENCY_GRAPH.stream_of is not None
        assert DEPENDENCY_GRAPH.stream_of(add("a", "b"), TASKS) == graph_id(PROJECT_ID)
        assert DEPENDENCY_GRAPH.stream_of(remove("c", "a"), TASKS) == graph_id(PROJECT_ID)
        assert graph_id(PROJECT_ID) not in (PROJECT_ID, graph_id(OTHER_PROJECT_ID))
        graph = DEPENDENCY_GRAPH.fold([added("a", "b")])
        assert graph is not None
        assert DEPENDENCY_GRAPH.project_of(graph_id(PROJECT_ID), graph) == PROJECT_ID

    @pytest.mark.parametrize("status", ["completed", "failed", "archived"])
    def test_only_an_active_project_takes_a_dependency(self, status: str) -> None:
        when = given(DEPENDENCY_GRAPH, reads=world(status, a="pending", b="pending")).when(add("a", "b"))
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command="AddDependency")

    @pytest.mark.parametrize("status", ["active", "completed", "failed"])
    def test_a_project_that_is_not_archived_loses_dependencies(self, status: str) -> None:
        reads = world(status, a="pending", b="pending")
        given(DEPENDENCY_GRAPH, [added("a", "b")], reads=reads).when(remove("a", "b")).then([removed("a", "b")])

    def test_an_archived_project_keeps_its_dependencies(self) -> None:
        reads = world("archived", a="pending", b="pending")
        when = given(DEPENDENCY_GRAPH, [added("a", "b")], reads=reads).when(remove("a", "b"))
        when.then_refused(WrongStatus, id=PROJECT_ID, status="archived", command="RemoveDependency")
