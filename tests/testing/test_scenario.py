"""Given, when, then, as a service writes it: the kit finds what is as expected good, and all else bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    AssignmentClosed,
    ClaimNextTask,
    CreateProject,
    CreateUser,
    FinishTask,
    NotUnique,
    ProjectCreated,
    Refused,
    RegisterAgent,
    StaleVersion,
    StartTask,
    TaskCompleted,
    TaskStarted,
    UnmetDependencies,
    WrongStatus,
)
from claude_tiu.projections.projection import Insert, Operation, Projection, Update
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing import AT, Given, given, uid
from claude_tiu.testing.history import Happened
from tests.testing.own import BOARD, OPEN_TASKS, OWN

USER, PROJECT, FIRST, SECOND = uid("user 1"), uid("project 1"), uid("task 1"), uid("task 2")
HASH = "$argon2id$" + "x" * 22
PLAN = [
    CreateUser(username="ada", email="ada@example.org", password_hash=HASH),
    CreateProject(user_id=USER, name="Billing"),
    AddTask(project_id=PROJECT, name="Parser"),
    AddTask(project_id=PROJECT, name="Printer"),
    AddDependency(task_id=SECOND, depends_on_task_id=FIRST),
]


def planned() -> Given:
    return given(*PLAN)


class TestOfTheDomain:
    def test_a_command_makes_events(self) -> None:
        after = planned().when(StartTask(task_id=FIRST)).then(TaskStarted(occurred_at=AT))
        assert after.state(FIRST).status == "in_progress"

    def test_what_then_stands_goes_on(self) -> None:
        started = planned().when(StartTask(task_id=FIRST)).then((FIRST, TaskStarted(occurred_at=AT)))
        started.when(StartTask(task_id=FIRST)).then_refused(WrongStatus, id=FIRST, status="in_progress")

    def test_a_refusal_is_told_with_what_it_is_about(self) -> None:
        refusal = planned().when(StartTask(task_id=SECOND)).then_refused(UnmetDependencies)
        assert refusal.details["unmet"] == {str(FIRST): "pending"}

    def test_nothing_that_was_given_changes(self) -> None:
        before = planned()
        for _ in range(2):
            before.when(StartTask(task_id=FIRST)).then(TaskStarted(occurred_at=AT))

    def test_unique_values_and_versions_are_held(self) -> None:
        planned().when(PLAN[0]).then_refused(NotUnique, field="username")
        stale = StartTask(task_id=FIRST, expected_version=3)
        planned().when(stale).then_refused(StaleVersion, id=FIRST, version=1)

    def test_agents_claim_what_is_ready(self) -> None:
        agent = uid("agent 1")
        claimed = given(*PLAN, RegisterAgent(agent_type="tester"), ClaimNextTask(agent_id=agent, project_id=PROJECT))
        assert claimed.state(FIRST).status == "in_progress"
        closed = AssignmentClosed(
            occurred_at=AT, assignment_id=uid("assignment 1"), task_id=FIRST, project_id=PROJECT, status="completed"
        )
        finish = FinishTask(agent_id=agent, task_id=FIRST)
        claimed.when(finish).then((agent, closed), (FIRST, TaskCompleted(occurred_at=AT)))

    def test_events_are_put_in_as_they_are(self) -> None:
        created = ProjectCreated(
            occurred_at=AT, user_id=USER, name="Imported", description=None, configuration={}, metadata={}
        )
        assert given((PROJECT, created)).state(PROJECT).name == "Imported"

    def test_an_event_of_no_stream_is_refused(self) -> None:
        with pytest.raises(ValueError, match="of which stream is TaskStarted"):
            given(TaskStarted(occurred_at=AT))

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            (lambda given: given.when(StartTask(task_id=FIRST)).then(), "made"),
            (lambda given: given.when(StartTask(task_id=FIRST)).then(TaskCompleted(occurred_at=AT)), "expected"),
            (lambda given: given.when(StartTask(task_id=FIRST)).then((SECOND, TaskStarted(occurred_at=AT))), "made"),
            (lambda given: given.when(StartTask(task_id=FIRST)).then_refused(WrongStatus), "was not refused"),
            (lambda given: given.when(StartTask(task_id=SECOND)).then_refused(WrongStatus), "by UnmetDependencies"),
            (lambda given: given.when(StartTask(task_id=SECOND)).then_refused(UnmetDependencies, id=FIRST), "details"),
        ],
    )
    def test_what_is_not_as_expected_is_told(self, wrong: Callable[[Given], Any], told: str) -> None:
        with pytest.raises(AssertionError, match=told):
            wrong(planned())

    def test_a_refusal_where_events_were_expected_is_raised(self) -> None:
        with pytest.raises(Refused):
            planned().when(StartTask(task_id=SECOND)).then(TaskStarted(occurred_at=AT))


class TestOfAProjection:
    def test_rows_are_those_of_its_tables(self) -> None:
        rows = planned().project(OWN).then_rows(OPEN_TASKS.name, [{"project_id": PROJECT, "open": 2}])
        rows.then_rows(BOARD.name, [{"name": "Printer", "status": "pending"}, {"name": "Parser", "status": "pending"}])

    def test_changes_are_those_of_the_last_event(self) -> None:
        changed = given(*PLAN[:4]).project(OWN)
        changed.then_changes(
            Insert(BOARD.name, {"task_id": SECOND, "name": "Printer", "status": "pending"}),
            Update(OPEN_TASKS.name, PROJECT, {"open": 2, "last": "Printer", "changed_at": AT}),
        )

    def test_ours_is_projected_too(self) -> None:
        rows = planned().when(StartTask(task_id=FIRST)).then(TaskStarted(occurred_at=AT)).project(READ_MODEL)
        rows.then_rows("tasks", [{"id": FIRST, "status": "in_progress"}, {"id": SECOND, "status": "pending"}])
        rows.then_rows("users", [{"username": "ada"}])
        rows.then_rows("validation_reports", [])

    def test_a_named_operation_does_what_it_is_told(self) -> None:
        def clear(recorded: Any, event: Any, rows: Any) -> list[Any]:
            return [Operation("clear_board", {"status": "pending"})]

        def cleared(tables: Any, parameters: Any) -> None:
            rows = tables[BOARD.name]
            for key in [key for key, row in rows.items() if row["status"] == parameters["status"]]:
                del rows[key]

        clearing = Projection("clearing", 1, OWN.tables, {**OWN.handlers, TaskCompleted: clear})
        done: list[Happened] = [*PLAN, StartTask(task_id=FIRST), (FIRST, TaskCompleted(occurred_at=AT))]
        rows = given(*done).project(clearing, {"clear_board": cleared})
        rows.then_rows(BOARD.name, [{"task_id": FIRST}])

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ([], "rows of board"),
            ([{"name": "Parser"}], "Printer"),
            ([{"name": "Parser"}, {"name": "Parser"}], "expected"),
            ([{"title": "Parser"}], "no columns"),
            ([{"name": "Parser", "status": "completed"}, {"name": "Printer", "status": "pending"}], "completed"),
        ],
    )
    def test_other_rows_are_told(self, rows: list[dict[str, Any]], told: str) -> None:
        with pytest.raises(AssertionError, match=told):
            planned().project(OWN).then_rows(BOARD.name, rows)

    def test_other_changes_are_told(self) -> None:
        with pytest.raises(AssertionError, match="Insert"):
            given(*PLAN[:3]).project(OWN).then_changes()
