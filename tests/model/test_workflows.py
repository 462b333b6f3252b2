"""Any workflow and any commands to its runs: no step runs before those it depends on, and a rebuild is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu import (
    ActivateWorkflow,
    AddStep,
    ArchiveWorkflow,
    Command,
    CompleteStep,
    CreateProject,
    CreateWorkflow,
    DependencyCycle,
    FailStep,
    FailWorkflowRun,
    NotFound,
    NotUnique,
    Refused,
    StartStep,
    StartWorkflowRun,
)
from claude_tiu.projections.projection import Kind
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.model.machine import batch_sizes
from tests.model.stores import PostgreSQL, SQLite, Store, exactly
from tests.support.flows import flows
from tests.support.history import PROJECT, USER, create_user, uid

WORKFLOW, RUN = uid("the workflow"), uid("the run")
TABLES = ("workflows", "workflow_steps", "step_executions", "templates", "projects", "tasks", "task_dependencies")

graphs = st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=5).map(
    lambda drawn: [{other for other in others if other < step} for step, others in enumerate(drawn)]
)
"""step -> the steps that it depends on, all before it."""
moves = st.lists(
    st.tuples(st.sampled_from([StartStep] * 8 + [CompleteStep] * 6 + [FailStep, FailWorkflowRun]), st.integers(0, 5)),
    max_size=30,
)


def step_id(number: int) -> UUID:
    return uid(f"the step {number}")


def definition(graph: Sequence[set[int]]) -> list[Command]:
    add = partial(AddStep, workflow_id=WORKFLOW, name="S", type="validation")
    return [
        create_user(user_id=USER),
        CreateProject(project_id=PROJECT, user_id=USER, name="P"),
        CreateWorkflow(workflow_id=WORKFLOW, name="W"),
        *(add(step_id=step_id(n), depends_on=[step_id(m) for m in others]) for n, others in enumerate(graph)),
        ActivateWorkflow(workflow_id=WORKFLOW),
        StartWorkflowRun(workflow_run_id=RUN, workflow_id=WORKFLOW, project_id=PROJECT),
    ]


def expected(
    graph: Sequence[set[int]], steps: dict[int, str], move: type[Command], number: int
) -> dict[int, str] | None:
    """The steps' statuses after a command, by the rules alone; None where they refuse it."""
    if "failed" in steps.values() or "skipped" in steps.values() or set(steps.values()) == {"completed"}:
        return None
    left = {step: "skipped" for step, status in steps.items() if status in ("pending", "running")}
    if move is FailWorkflowRun:
        return {**steps, **left}
    if move is StartStep and steps.get(number) == "pending" and all(steps[n] == "completed" for n in graph[number]):
        return {**steps, number: "running"}
    if move is CompleteStep and steps.get(number) == "running":
        return {**steps, number: "completed"}
    return {**steps, **left, number: "failed"} if move is FailStep and steps.get(number) == "running" else None


def command_of(move: type[Command], number: int) -> Command:
    fields: dict[str, Any] = {"workflow_run_id": RUN}
    return move(**fields) if move is FailWorkflowRun else move(**fields, step_id=step_id(number))


@given(graph=graphs, moves=moves, sizes=st.tuples(batch_sizes, batch_sizes))
def test_a_step_never_runs_before_what_it_depends_on(
    graph: list[set[int]], moves: list[tuple[type[Command], int]], sizes: tuple[int, int]
) -> None:
    with closing(SQLite()) as store:
        store.tiu.execute_all(definition(graph))
        steps = dict.fromkeys(range(len(graph)), "pending")
        for move, number in moves:
            after = expected(graph, steps, move, number)
            try:
                store.tiu.execute(command_of(move, number))
            except Refused:
                assert after is None
                continue
            assert after is not None
            steps = after
        store.projector(sizes[0]).catch_up()
        rows = {row.workflow_step_id: row for row in store.tiu.read.workflow_run(RUN)}
        assert {number: rows[step_id(number)].status for number in steps} == steps
        ready = [row.workflow_step_id for row in store.tiu.read.ready_steps(RUN)]
        assert ready == [step_id(n) for n in steps if expected(graph, steps, StartStep, n)]
        assert_rebuilt_alike(store, sizes[1])


@given(edges=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 3), unique=True)), max_size=8))
def test_the_steps_that_were_accepted_form_no_cycle(edges: list[tuple[int, list[int]]]) -> None:
    """Each stands behind all that it depends on, in the order in which they were added."""
    with closing(SQLite()) as store:
        store.tiu.execute(CreateWorkflow(workflow_id=WORKFLOW, name="W"))
        added: list[UUID] = []
        for number, others in edges:
            depends_on = [step_id(other) for other in others]
            step = AddStep(
                workflow_id=WORKFLOW, step_id=step_id(number), name="S", type="validation", depends_on=depends_on
            )
            allowed = step_id(number) not in added and set(depends_on) <= set(added)
            try:
                store.tiu.execute(step)
            except (NotFound, NotUnique, DependencyCycle):
                assert not allowed
            else:
                assert allowed
                added.append(step_id(number))
        assert list(store.tiu.get(WORKFLOW).steps) == added


def test_a_step_id_is_unique_in_the_whole_store_and_is_the_commands_answer() -> None:
    with closing(SQLite()) as store:
        ids = [store.tiu.execute(CreateWorkflow(name=name)).id for name in ("one", "two")]
        first, second = (AddStep(workflow_id=id_, step_id=step_id(0), name="S", type="validation") for id_ in ids)
        assert store.tiu.execute(first).id == step_id(0)
        with pytest.raises(NotUnique, match="step_id"):
            store.tiu.execute(second)


def test_what_becomes_of_the_definition_does_not_reach_a_run() -> None:
    with closing(SQLite()) as store:
        store.tiu.execute_all(definition([set(), {0}]))
        store.tiu.execute(ArchiveWorkflow(workflow_id=WORKFLOW))
        store.tiu.execute_all([command_of(move, number) for number in (0, 1) for move in (StartStep, CompleteStep)])
        assert store.tiu.get(RUN).status == "completed"


def assert_rebuilt_alike(store: Store, size: int) -> None:
    live = store.dump()
    store.tiu.projector.reset()
    store.projector(size).catch_up()
    assert exactly(store.dump()) == exactly(live)


def plain_rows(store: Store, table: str) -> list[dict[str, Any]]:
    """A table's rows in Python's terms, by the kinds of its columns."""
    kinds = next(described.columns for described in READ_MODEL.tables if described.name == table)
    rows = [{name: plain(kinds[name], value) for name, value in row.items()} for row in store.raw(table)]
    return sorted(rows, key=exactly)


def plain(kind: Kind, value: Any) -> Any:
    match kind, value:
        case Kind.UUID, str():
            return UUID(value)
        case Kind.JSON, str():
            return json.loads(value)
        case Kind.FLAG, int():
            return bool(value)
        case Kind.TIME, str():
            return datetime.fromisoformat(value)
        case Kind.TIME, datetime():
            return value.astimezone(UTC)
    return value


def told(store: Store, seed: int) -> list[str]:
    """Give a seeded history to a store: the position of each answer, or the code of the refusal."""
    outcomes = []
    for command in flows(seed):
        try:
            outcomes.append(str(store.tiu.execute(command)))
        except Refused as refusal:
            outcomes.append(refusal.code)
    store.projector(7).catch_up()
    return outcomes


def asked(store: Store) -> list[Any]:
    """What the queries say of every run."""
    runs = [uid(f"run {number} {run}") for number in range(3) for run in range(3)]
    return [(store.tiu.read.workflow_run(run), store.tiu.read.ready_steps(run)) for run in runs]


@pytest.mark.parametrize("seed", range(3))
def test_a_seeded_history_is_the_same_on_both_stores(seed: int, pg_server: str, pg_template: str) -> None:
    with closing(SQLite()) as sqlite, closing(PostgreSQL(pg_server, pg_template)) as postgresql:
        outcomes = told(sqlite, seed)
        assert told(postgresql, seed) == outcomes
        assert {"unmet_dependencies", "wrong_status", "not_found", "private_template"} <= set(outcomes)
        assert asked(postgresql) == asked(sqlite)
        assert "completed" in {step.status for steps, _ in asked(sqlite) for step in steps}
        for table in TABLES:
            rows = plain_rows(sqlite, table)
            assert rows
            assert exactly(plain_rows(postgresql, table)) == exactly(rows), table
        for store in (sqlite, postgresql):
            store.check_hash_chain()
            assert_rebuilt_alike(store, 3)
