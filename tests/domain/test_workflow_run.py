"""A run of a workflow: each step once, behind those that it depends on; one that fails ends the run."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from claude_tiu.domain.errors import AlreadyExists, InvalidCommand, NotFound, UnmetDependencies, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.workflow import Step, Workflow
from claude_tiu.domain.workflow_run import (
    WORKFLOW_RUN,
    CompleteStep,
    FailStep,
    FailWorkflowRun,
    StartStep,
    StartWorkflowRun,
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunCompleted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)
from tests.domain.given import (
    AT,
    EARLIER,
    NOBODY,
    PROJECT_ID,
    STEP_ID,
    WORKFLOW_ID,
    WORKFLOW_RUN_ID,
    DictReads,
    given,
    uid,
    world,
)


def run_of(**steps: str) -> WorkflowRunStarted:
    """A run of steps by name, each with the names of those that it depends on: run_of(a="", b="a", c="a b")."""
    graph = {uid(name): [uid(other) for other in others.split()] for name, others in steps.items()}
    return WorkflowRunStarted(occurred_at=EARLIER, workflow_id=WORKFLOW_ID, project_id=PROJECT_ID, steps=graph)


def started(name: str, at: Any = EARLIER) -> StepStarted:
    return StepStarted(occurred_at=at, step_id=uid(name))


def completed(name: str, at: Any = EARLIER) -> StepCompleted:
    return StepCompleted(occurred_at=at, step_id=uid(name), result_data={"files": 2}, execution_metadata={"tokens": 9})


def failed(name: str, at: Any = EARLIER) -> StepFailed:
    return StepFailed(
        occurred_at=at, step_id=uid(name), reason="exit 2", result_data={"log": "…"}, execution_metadata={}
    )


def run_failed(*skipped: str, at: Any = EARLIER) -> WorkflowRunFailed:
    return WorkflowRunFailed(occurred_at=at, reason="exit 2", skipped=[uid(name) for name in skipped])


def done(*names: str) -> list[Event]:
    return [event for name in names for event in (started(name), completed(name))]


def start(name: str = "step") -> StartStep:
    return StartStep(workflow_run_id=WORKFLOW_RUN_ID, step_id=uid(name))


def complete(name: str = "step") -> CompleteStep:
    return CompleteStep(
        workflow_run_id=WORKFLOW_RUN_ID, step_id=uid(name), result_data={"files": 2}, execution_metadata={"tokens": 9}
    )


def fail(name: str = "step") -> FailStep:
    return FailStep(workflow_run_id=WORKFLOW_RUN_ID, step_id=uid(name), reason="exit 2", result_data={"log": "…"})


FAIL_RUN = FailWorkflowRun(workflow_run_id=WORKFLOW_RUN_ID, reason="exit 2")
STEP_COMMANDS: tuple[Command, ...] = (start(), complete(), fail())
COMMANDS = (*STEP_COMMANDS, FAIL_RUN)
RUN = run_of(step="", other="")

STEP_HISTORY: dict[str, list[Event]] = {
    "pending": [RUN],
    "running": [RUN, started("step")],
    "completed": [RUN, *done("step")],
}
STEP_ALLOWED: dict[tuple[str, type[Command]], tuple[list[Event], str]] = {
    ("pending", StartStep): ([started("step", AT)], "running"),
    ("running", CompleteStep): ([completed("step", AT)], "completed"),
    ("running", FailStep): ([failed("step", AT), run_failed("other", at=AT)], "failed"),
}
RUN_HISTORY: dict[str, list[Event]] = {
    "running": [RUN],
    "completed": [RUN, *done("step", "other"), WorkflowRunCompleted(occurred_at=EARLIER)],
    "failed": [RUN, started("step"), failed("step"), run_failed("other")],
}
"""The domain rules' tables, of steps of running runs and of runs; all else is refused."""


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


def test_the_tables_know_every_command_of_a_run() -> None:
    assert {type(command) for command in COMMANDS} == set(WORKFLOW_RUN.commands) - {StartWorkflowRun}


@pytest.mark.parametrize(("status", "command"), list(product(STEP_HISTORY, STEP_COMMANDS)), ids=name_of)
def test_statuses_and_commands_of_a_step(status: str, command: Command) -> None:
    when = given(WORKFLOW_RUN, STEP_HISTORY[status]).when(command)
    if allowed := STEP_ALLOWED.get((status, type(command))):
        events, after = allowed
        assert when.then(events).steps[STEP_ID] == after
    else:
        when.then_refused(WrongStatus, id=STEP_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize(("status", "command"), list(product(("completed", "failed"), COMMANDS)), ids=name_of)
def test_a_run_that_has_ended_takes_no_command(status: str, command: Command) -> None:
    when = given(WORKFLOW_RUN, RUN_HISTORY[status]).when(command)
    when.then_refused(WrongStatus, id=WORKFLOW_RUN_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(WORKFLOW_RUN).when(command).then_refused(NotFound, id=WORKFLOW_RUN_ID)


@pytest.mark.parametrize("command", [start("nobody"), complete("nobody"), fail("nobody")], ids=name_of)
def test_a_step_that_the_run_does_not_have_takes_no_command(command: Command) -> None:
    given(WORKFLOW_RUN, [RUN]).when(command).then_refused(NotFound, id=NOBODY)


class TestStarting:
    START = StartWorkflowRun(workflow_run_id=WORKFLOW_RUN_ID, workflow_id=WORKFLOW_ID, project_id=PROJECT_ID)

    @staticmethod
    def reads(workflow: str = "active", project: str = "active") -> DictReads:
        steps = {uid("b"): Step(2, (uid("a"),)), uid("a"): Step(1, ())}
        return replace(world(project), workflows={WORKFLOW_ID: Workflow(workflow, steps)})

    def test_it_takes_the_workflows_steps_with_it_all_pending(self) -> None:
        started_ = run_of(a="", b="a").model_copy(update={"occurred_at": AT})
        run = given(WORKFLOW_RUN, reads=self.reads()).when(self.START).then([started_])
        assert (run.status, list(run.steps.items())) == ("running", [(uid("a"), "pending"), (uid("b"), "pending")])
        assert WORKFLOW_RUN.project_of(WORKFLOW_RUN_ID, run) == PROJECT_ID

    def test_an_id_is_given_once(self) -> None:
        when = given(WORKFLOW_RUN, [RUN], reads=self.reads()).when(self.START)
        when.then_refused(AlreadyExists, id=WORKFLOW_RUN_ID)

    def test_its_workflow_exists(self) -> None:
        given(WORKFLOW_RUN).when(self.START).then_refused(NotFound, id=WORKFLOW_ID)

    def test_its_project_exists(self) -> None:
        command = StartWorkflowRun(workflow_id=WORKFLOW_ID, project_id=NOBODY)
        given(WORKFLOW_RUN, reads=self.reads()).when(command).then_refused(NotFound, id=NOBODY)

    @pytest.mark.parametrize("status", ["draft", "archived"])
    def test_only_an_active_workflow_is_run(self, status: str) -> None:
        when = given(WORKFLOW_RUN, reads=self.reads(workflow=status)).when(self.START)
        when.then_refused(WrongStatus, id=WORKFLOW_ID, status=status, command="StartWorkflowRun")

    @pytest.mark.parametrize("status", ["completed", "failed", "archived"])
    def test_only_an_active_project_starts_a_run(self, status: str) -> None:
        when = given(WORKFLOW_RUN, reads=self.reads(project=status)).when(self.START)
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command="StartWorkflowRun")


class TestTheStatusOfTheProject:
    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_a_run_goes_on_in_a_project_that_is_not_archived(self, status: str) -> None:
        for (before, command_type), (events, _) in STEP_ALLOWED.items():
            (command,) = (one for one in STEP_COMMANDS if type(one) is command_type)
            given(WORKFLOW_RUN, STEP_HISTORY[before], reads=world(status)).when(command).then(events)
        given(WORKFLOW_RUN, [RUN], reads=world(status)).when(FAIL_RUN).then([run_failed("step", "other", at=AT)])

    @pytest.mark.parametrize(("status", "command"), list(product(RUN_HISTORY, COMMANDS)), ids=name_of)
    def test_an_archived_project_refuses_everything(self, status: str, command: Command) -> None:
        when = given(WORKFLOW_RUN, RUN_HISTORY[status], reads=world("archived")).when(command)
        when.then_refused(WrongStatus, id=PROJECT_ID, status="archived", command=type(command).__name__)


class TestDependencies:
    DIAMOND = run_of(a="", b="a", c="a", d="b c")

    @pytest.mark.parametrize(
        ("history", "unmet"),
        [
            ([], {"b": "pending", "c": "pending"}),
            (done("a"), {"b": "pending", "c": "pending"}),
            ([*done("a", "b"), started("c")], {"c": "running"}),
        ],
    )
    def test_a_step_waits_for_all_that_it_depends_on(self, history: list[Event], unmet: dict[str, str]) -> None:
        refusal = given(WORKFLOW_RUN, [self.DIAMOND, *history]).when(start("d")).then_refused(UnmetDependencies)
        assert refusal.details["unmet"] == {str(uid(name)): status for name, status in unmet.items()}
        assert all(f"{uid(name)} ({status})" in refusal.message for name, status in unmet.items())

    def test_it_starts_when_they_are_completed(self) -> None:
        history = [self.DIAMOND, *done("a", "c", "b")]
        given(WORKFLOW_RUN, history).when(start("d")).then([started("d", AT)])

    def test_steps_that_do_not_wait_for_each_other_run_side_by_side(self) -> None:
        history = [self.DIAMOND, *done("a"), started("b")]
        run = given(WORKFLOW_RUN, history).when(start("c")).then([started("c", AT)])
        assert [run.steps[uid(name)] for name in "abcd"] == ["completed", "running", "running", "pending"]


class TestEnding:
    def test_with_the_last_step_the_run_is_completed(self) -> None:
        history = [RUN, *done("other"), started("step")]
        when = given(WORKFLOW_RUN, history).when(complete())
        run = when.then([completed("step", AT), WorkflowRunCompleted(occurred_at=AT)])
        assert (run.status, set(run.steps.values())) == ("completed", {"completed"})

    def test_what_was_not_finished_is_skipped_running_or_not(self) -> None:
        history = [run_of(a="", b="", c="", d="c"), *done("a"), started("b"), started("c")]
        run = given(WORKFLOW_RUN, history).when(fail("b")).then([failed("b", AT), run_failed("c", "d", at=AT)])
        assert [run.steps[uid(name)] for name in "abcd"] == ["completed", "failed", "skipped", "skipped"]
        assert (run.status, run.unfinished()) == ("failed", [])

    def test_a_run_may_be_given_up(self) -> None:
        history = [RUN, started("step")]
        run = given(WORKFLOW_RUN, history).when(FAIL_RUN).then([run_failed("step", "other", at=AT)])
        assert (run.status, set(run.steps.values())) == ("failed", {"skipped"})

    @pytest.mark.parametrize("command", [CompleteStep, FailStep])
    def test_the_reason_has_its_own_field(self, command: type[Command]) -> None:
        with pytest.raises(InvalidCommand) as caught:
            command(workflow_run_id=WORKFLOW_RUN_ID, step_id=STEP_ID, execution_metadata={"reason": "mine"})
        assert [fault.field for fault in caught.value.faults] == ["execution_metadata"]
