"""The definition of a workflow: its statuses × its commands, and steps that depend on earlier ones alone."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from claude_tiu.domain.errors import (
    AlreadyExists,
    DependencyCycle,
    EmptyWorkflow,
    InvalidCommand,
    LimitReached,
    NotFound,
    NotUnique,
    WrongStatus,
)
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.values import INT32_MAX
from claude_tiu.domain.workflow import (
    MAX_STEP_DEPENDENCIES,
    MAX_STEPS,
    WORKFLOW,
    ActivateWorkflow,
    AddStep,
    ArchiveWorkflow,
    CreateWorkflow,
    Step,
    StepAdded,
    Workflow,
    WorkflowActivated,
    WorkflowArchived,
    WorkflowCreated,
)
from tests.domain.given import AT, EARLIER, NEW_ID, NOBODY, STEP_ID, WORKFLOW_ID, given, uid


def added(key: str = "step", /, *others: str, order: int = 1, at: Any = EARLIER, **fields: Any) -> StepAdded:
    left_out: dict[str, Any] = {"step_id": uid(key), "ai_prompt": None, "validation_config": {}}
    step = {"name": "Lint", "type": "validation", "step_order": order, "depends_on": [uid(other) for other in others]}
    return StepAdded(occurred_at=at, **(left_out | step | fields))


def add(key: str = "step", /, *others: str, **fields: Any) -> AddStep:
    step: dict[str, Any] = {"step_id": uid(key), "name": "Lint", "type": "validation"}
    return AddStep(workflow_id=WORKFLOW_ID, depends_on=[uid(other) for other in others], **(step | fields))


CREATED = WorkflowCreated(
    occurred_at=EARLIER, name="Review", description=None, template=None, configuration={}, global_settings={}
)
GOOD: dict[str, Any] = {"workflow_id": WORKFLOW_ID, "name": "Lint", "type": "validation"}
ACTIVATED, ARCHIVED = WorkflowActivated(occurred_at=EARLIER), WorkflowArchived(occurred_at=EARLIER)
HISTORY: dict[str, list[Event]] = {
    "draft": [CREATED, added()],
    "active": [CREATED, added(), ACTIVATED],
    "archived": [CREATED, added(), ARCHIVED],
}
COMMANDS: tuple[Command, ...] = (
    add("next"),
    ActivateWorkflow(workflow_id=WORKFLOW_ID),
    ArchiveWorkflow(workflow_id=WORKFLOW_ID),
)
ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("draft", AddStep): (added("next", order=2, at=AT), "draft"),
    ("draft", ActivateWorkflow): (WorkflowActivated(occurred_at=AT), "active"),
    ("draft", ArchiveWorkflow): (WorkflowArchived(occurred_at=AT), "archived"),
    ("active", ArchiveWorkflow): (WorkflowArchived(occurred_at=AT), "archived"),
    ("archived", ActivateWorkflow): (WorkflowActivated(occurred_at=AT), "active"),
}
"""The domain rules' table; all else is refused. A definition is never completed, and never failed."""


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


def test_the_table_knows_every_command_of_a_workflow() -> None:
    assert {type(command) for command in COMMANDS} == set(WORKFLOW.commands) - {CreateWorkflow}


@pytest.mark.parametrize(("status", "command"), list(product(HISTORY, COMMANDS)), ids=name_of)
def test_statuses_and_commands(status: str, command: Command) -> None:
    when = given(WORKFLOW, HISTORY[status]).when(command)
    if allowed := ALLOWED.get((status, type(command))):
        event, after = allowed
        assert when.then([event]).status == after
    else:
        when.then_refused(WrongStatus, id=WORKFLOW_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(WORKFLOW).when(command).then_refused(NotFound, id=WORKFLOW_ID)


class TestCreating:
    def test_a_workflow_begins_as_a_draft_without_steps_and_in_no_project(self) -> None:
        fields: dict[str, Any] = {
            "name": "Review",
            "description": "of every change",
            "template": "review-2",
            "configuration": {"a": 1},
            "global_settings": {"model": "large"},
        }
        command = CreateWorkflow(workflow_id=WORKFLOW_ID, **fields)
        workflow = given(WORKFLOW).when(command).then([WorkflowCreated(occurred_at=AT, **fields)])
        assert workflow == Workflow("draft", {})
        assert WORKFLOW.project_of(WORKFLOW_ID, workflow) is None

    def test_an_id_is_given_once(self) -> None:
        command = CreateWorkflow(workflow_id=WORKFLOW_ID, name="Review")
        given(WORKFLOW, [CREATED]).when(command).then_refused(AlreadyExists, id=WORKFLOW_ID)

    @pytest.mark.parametrize("status", ["draft", "archived"])
    def test_a_workflow_without_steps_is_not_activated(self, status: str) -> None:
        history = [CREATED] if status == "draft" else [CREATED, ARCHIVED]
        when = given(WORKFLOW, history).when(ActivateWorkflow(workflow_id=WORKFLOW_ID))
        when.then_refused(EmptyWorkflow, id=WORKFLOW_ID)


class TestSteps:
    def test_everything_that_was_said_stands_in_the_event(self) -> None:
        fields: dict[str, Any] = {
            "name": "Generate",
            "type": "ai_generation",
            "ai_prompt": "Write it.",
            "validation_config": {"tests": True},
            "step_order": 7,
        }
        command = add("next", "step", **fields)
        workflow = given(WORKFLOW, HISTORY["draft"]).when(command).then([added("next", "step", at=AT, **fields)])
        assert workflow.steps == {STEP_ID: Step(1, ()), uid("next"): Step(7, (STEP_ID,))}

    def test_a_new_id_may_be_left_out(self) -> None:
        command = AddStep(workflow_id=WORKFLOW_ID, name="Lint", type="validation")
        given(WORKFLOW, [CREATED]).when(command).then([added(at=AT, step_id=NEW_ID)])

    @pytest.mark.parametrize(
        ("orders", "after"), [((), 1), ((1, 2), 3), ((7, 3), 8), ((0,), 1), ((INT32_MAX,), INT32_MAX)]
    )
    def test_without_an_order_a_step_comes_behind_all_so_far(self, orders: tuple[int, ...], after: int) -> None:
        history = [CREATED, *(added(f"step {number}", order=order) for number, order in enumerate(orders))]
        given(WORKFLOW, history).when(add("next")).then([added("next", order=after, at=AT)])

    def test_a_run_takes_them_by_order_then_by_when_they_were_added(self) -> None:
        history = [CREATED, added("c", order=2), added("a", order=1), added("d", "a", order=2), added("b", order=1)]
        workflow = WORKFLOW.fold(history)
        assert workflow is not None
        assert list(workflow.in_order().items()) == [
            (uid("a"), []),
            (uid("b"), []),
            (uid("c"), []),
            (uid("d"), [uid("a")]),
        ]

    def test_an_id_is_unique_in_the_whole_store_and_in_its_workflow(self) -> None:
        assert StepAdded.unique == ("step_id",)
        when = given(WORKFLOW, HISTORY["draft"]).when(add("step"))
        when.then_refused(NotUnique, field="step_id", value=STEP_ID)

    def test_a_step_depends_on_steps_that_were_added_before_it(self) -> None:
        refusal = given(WORKFLOW, HISTORY["draft"]).when(add("next", "step", "later", "last")).then_refused(NotFound)
        assert refusal.details == {"id": str(uid("later")), "unknown": [str(uid("later")), str(uid("last"))]}

    def test_so_no_two_steps_can_wait_for_each_other(self) -> None:
        """Neither a step that is yet to come can be named, nor one that is there be given another dependency."""
        given(WORKFLOW, [CREATED]).when(add("a", "b")).then_refused(NotFound, id=uid("b"))
        given(WORKFLOW, [CREATED, added("a"), added("b", "a")]).when(add("a", "b")).then_refused(NotUnique)

    def test_a_step_does_not_wait_for_itself(self) -> None:
        refusal = given(WORKFLOW, HISTORY["draft"]).when(add("next", "step", "next")).then_refused(DependencyCycle)
        assert refusal.details == {"cycle": [str(uid("next"))] * 2}

    def test_a_step_of_another_workflow_is_none_of_this_one(self) -> None:
        when = given(WORKFLOW, HISTORY["draft"]).when(
            AddStep(workflow_id=WORKFLOW_ID, name="Lint", type="validation", depends_on=[NOBODY])
        )
        when.then_refused(NotFound, id=NOBODY)

    def test_there_is_a_limit(self) -> None:
        steps = {uid(f"step {number}"): Step(number, ()) for number in range(MAX_STEPS - 1)}
        before = Workflow("draft", steps)
        after = given(WORKFLOW, state=before).when(add("next")).then([added("next", order=MAX_STEPS - 1, at=AT)])
        assert len(after.steps) == MAX_STEPS
        given(WORKFLOW, state=after).when(add("more")).then_refused(LimitReached, id=WORKFLOW_ID, limit=MAX_STEPS)

    @pytest.mark.parametrize(
        ("fields", "faulty"),
        [
            ({"depends_on": [STEP_ID, STEP_ID]}, "depends_on"),
            ({"depends_on": [uid(str(n)) for n in range(MAX_STEP_DEPENDENCIES + 1)]}, "depends_on"),
            ({"depends_on": ["no id"]}, "depends_on.0"),
            ({"type": "manual"}, "type"),
            ({"step_order": -1}, "step_order"),
            ({"step_order": INT32_MAX + 1}, "step_order"),
            ({"step_order": True}, "step_order"),
            ({"name": ""}, "name"),
            ({"validation_config": []}, "validation_config"),
        ],
    )
    def test_bad_input_is_refused_at_the_door(self, fields: dict[str, Any], faulty: str) -> None:
        with pytest.raises(InvalidCommand) as caught:
            AddStep(**GOOD | fields)
        assert [fault.field for fault in caught.value.faults] == [faulty]
