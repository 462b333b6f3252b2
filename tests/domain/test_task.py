"""A task: its statuses × its commands, its claims, and the dependencies that keep it from starting."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.assignment import AssignmentClosed
from claude_tiu.domain.errors import AlreadyExists, NotFound, UnmetDependencies, WrongStatus
from claude_tiu.domain.messages import Command, Decided, Elsewhere, Event
from claude_tiu.domain.task import (
    TASK,
    AddTask,
    BlockTask,
    ClaimProgress,
    CompleteTask,
    FailTask,
    ProgressClaimed,
    PutBackTask,
    ReopenTask,
    ResumeTask,
    RetryTask,
    StartTask,
    TaskAdded,
    TaskAssigned,
    TaskBlocked,
    TaskClaimExpired,
    TaskCompleted,
    TaskFailed,
    TaskPutBack,
    TaskReopened,
    TaskResumed,
    TaskRetried,
    TaskStarted,
    TaskUnblocked,
    UnblockTask,
)
from tests.domain.given import (
    AGENT_ID,
    ASSIGNMENT_ID,
    AT,
    EARLIER,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    TASK_ID,
    DictReads,
    given,
    uid,
    with_graph,
    world,
)


def added(at: Any = EARLIER, **fields: Any) -> TaskAdded:
    left_out: dict[str, Any] = {
        "description": None,
        "priority": "medium",
        "ai_prompt": None,
        "expected_outputs": [],
        "validation_criteria": {},
        "estimated_duration": None,
    }
    return TaskAdded(occurred_at=at, project_id=PROJECT_ID, name="Parser", **(left_out | fields))


def claimed(percent: float, at: Any = EARLIER) -> ProgressClaimed:
    return ProgressClaimed(occurred_at=at, claimed=percent)


def claim(percent: float) -> ClaimProgress:
    return ClaimProgress(task_id=TASK_ID, claimed=percent)


STARTED = TaskStarted(occurred_at=EARLIER)
HISTORY: dict[str, list[Event]] = {
    "pending": [added()],
    "in_progress": [added(), STARTED],
    "blocked": [added(), TaskBlocked(occurred_at=EARLIER, reason=None)],
    "failed": [added(), TaskFailed(occurred_at=EARLIER, reason=None)],
    "completed": [added(), STARTED, TaskCompleted(occurred_at=EARLIER)],
}

COMMANDS: tuple[Command, ...] = (
    StartTask(task_id=TASK_ID),
    claim(62.5),
    CompleteTask(task_id=TASK_ID),
    FailTask(task_id=TASK_ID, reason="out of tokens"),
    BlockTask(task_id=TASK_ID, reason="no access"),
    PutBackTask(task_id=TASK_ID),
    UnblockTask(task_id=TASK_ID),
    ResumeTask(task_id=TASK_ID),
    RetryTask(task_id=TASK_ID),
    ReopenTask(task_id=TASK_ID),
)
INTO_PROGRESS = (("pending", StartTask), ("blocked", ResumeTask), ("completed", ReopenTask))
"""Every way into in_progress (the asterisks of the table)."""

FAILED = TaskFailed(occurred_at=AT, reason="out of tokens")
BLOCKED = TaskBlocked(occurred_at=AT, reason="no access")

ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("pending", StartTask): (TaskStarted(occurred_at=AT), "in_progress"),
    ("pending", BlockTask): (BLOCKED, "blocked"),
    ("pending", FailTask): (FAILED, "failed"),
    ("in_progress", ClaimProgress): (claimed(62.5, AT), "in_progress"),
    ("in_progress", CompleteTask): (TaskCompleted(occurred_at=AT), "completed"),
    ("in_progress", FailTask): (FAILED, "failed"),
    ("in_progress", BlockTask): (BLOCKED, "blocked"),
    ("in_progress", PutBackTask): (TaskPutBack(occurred_at=AT), "pending"),
    ("blocked", UnblockTask): (TaskUnblocked(occurred_at=AT), "pending"),
    ("blocked", ResumeTask): (TaskResumed(occurred_at=AT), "in_progress"),
    ("blocked", FailTask): (FAILED, "failed"),
    ("failed", RetryTask): (TaskRetried(occurred_at=AT), "pending"),
    ("completed", ReopenTask): (TaskReopened(occurred_at=AT), "in_progress"),
}
"""The domain rules' table; all else is refused."""

COMMAND_OF = {type(command): command for command in COMMANDS}
STATUS_FOR = {command: status for status, command in ALLOWED}


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else value.__name__ if isinstance(value, type) else type(value).__name__


def test_the_table_knows_every_command_of_a_task() -> None:
    assert set(COMMAND_OF) == set(STATUS_FOR) == set(TASK.commands) - {AddTask}


@pytest.mark.parametrize(("status", "command"), list(product(HISTORY, COMMANDS)), ids=name_of)
def test_statuses_and_commands(status: str, command: Command) -> None:
    when = given(TASK, HISTORY[status]).when(command)
    if allowed := ALLOWED.get((status, type(command))):
        event, after = allowed
        assert when.then([event]).status == after
    else:
        when.then_refused(WrongStatus, id=TASK_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(TASK).when(command).then_refused(NotFound, id=TASK_ID)


class TestAdding:
    def test_a_task_is_pending_and_claims_nothing(self) -> None:
        command = AddTask(task_id=TASK_ID, project_id=PROJECT_ID, name="Parser")
        task = given(TASK).when(command).then([added(AT)])
        assert (task.project_id, task.status, task.priority, task.claimed) == (PROJECT_ID, "pending", "medium", 0.0)

    def test_everything_that_it_was_given_stands_in_the_event(self) -> None:
        fields: dict[str, Any] = {
            "description": "Reads invoices",
            "priority": "critical",
            "ai_prompt": "Write a parser",
            "expected_outputs": ["parser.py"],
            "validation_criteria": {"coverage": 90},
            "estimated_duration": 45,
            "agent_type": "architect",
            "capabilities": ["python", "rust"],
        }
        command = AddTask(project_id=PROJECT_ID, name="Parser", **fields)
        assert given(TASK).when(command).then([added(AT, **fields)]).priority == "critical"

    def test_an_id_is_given_once(self) -> None:
        command = AddTask(task_id=TASK_ID, project_id=PROJECT_ID, name="Parser")
        given(TASK, [added()]).when(command).then_refused(AlreadyExists, id=TASK_ID)

    def test_its_project_exists(self) -> None:
        given(TASK).when(AddTask(project_id=NOBODY, name="Parser")).then_refused(NotFound, id=NOBODY)

    @pytest.mark.parametrize("status", ["completed", "failed", "archived"])
    def test_only_an_active_project_takes_a_task(self, status: str) -> None:
        when = given(TASK, reads=world(status)).when(AddTask(project_id=PROJECT_ID, name="Parser"))
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command="AddTask")


class TestTheStatusOfTheProject:
    @pytest.mark.parametrize(("status", "command"), list(product(("completed", "failed"), COMMANDS)), ids=name_of)
    def test_work_goes_on_in_a_project_that_is_not_archived(self, status: str, command: Command) -> None:
        before = STATUS_FOR[type(command)]
        event, _ = ALLOWED[before, type(command)]
        given(TASK, HISTORY[before], reads=world(status)).when(command).then([event])

    @pytest.mark.parametrize(("status", "command"), list(product(HISTORY, COMMANDS)), ids=name_of)
    def test_an_archived_project_refuses_everything(self, status: str, command: Command) -> None:
        when = given(TASK, HISTORY[status], reads=world("archived")).when(command)
        when.then_refused(WrongStatus, id=PROJECT_ID, status="archived")


class TestClaims:
    def test_a_claim_may_fall(self) -> None:
        task = given(TASK, [added(), STARTED, claimed(80)]).when(claim(20)).then([claimed(20, AT)])
        assert task.claimed == 20

    def test_a_claim_may_repeat(self) -> None:
        task = given(TASK, [added(), STARTED, claimed(80)]).when(claim(80)).then([claimed(80, AT)])
        assert task.claimed == 80

    @pytest.mark.parametrize("percent", [0, 100])
    def test_a_claim_of_nothing_or_of_everything_changes_no_status(self, percent: float) -> None:
        assert given(TASK, [added(), STARTED]).when(claim(percent)).then([claimed(percent, AT)]).status == "in_progress"

    def test_completing_claims_100(self) -> None:
        task = given(TASK, [added(), STARTED, claimed(3)]).when(CompleteTask(task_id=TASK_ID))
        assert task.then([TaskCompleted(occurred_at=AT)]).claimed == 100

    def test_reopening_keeps_the_last_claim(self) -> None:
        task = given(TASK, [*HISTORY["completed"]]).when(ReopenTask(task_id=TASK_ID))
        assert task.then([TaskReopened(occurred_at=AT)]).claimed == 100

    @pytest.mark.parametrize("leave", [FailTask, BlockTask, PutBackTask])
    def test_leaving_progress_keeps_the_last_claim(self, leave: type[Command]) -> None:
        event, _ = ALLOWED["in_progress", leave]
        assert given(TASK, [added(), STARTED, claimed(37.5)]).when(COMMAND_OF[leave]).then([event]).claimed == 37.5

    def test_a_claim_survives_failing_and_retrying_and_starting_again(self) -> None:
        again: list[Event] = [FAILED, TaskRetried(occurred_at=AT), STARTED]
        task = TASK.fold([added(), STARTED, claimed(37.5), *again])
        assert task is not None
        assert (task.status, task.claimed) == ("in_progress", 37.5)


@pytest.mark.parametrize(("status", "command"), INTO_PROGRESS, ids=name_of)
class TestEveryWayIntoProgress:
    """Starting, resuming and reopening all check the dependencies."""

    @pytest.mark.parametrize("dependency_type", ["blocks", "requires"])
    @pytest.mark.parametrize("unmet", ["pending", "in_progress", "blocked", "failed"])
    def test_waits_for_what_binds(self, status: str, command: type[Command], dependency_type: str, unmet: str) -> None:
        reads = with_graph(world(task=status, other=unmet), ("task", "other", dependency_type))
        refusal = self.attempt(status, command, reads).then_refused(UnmetDependencies, id=TASK_ID)
        assert refusal.details["unmet"] == {str(uid("other")): unmet}
        assert str(uid("other")) in refusal.message

    @pytest.mark.parametrize("dependency_type", ["blocks", "requires", "suggests"])
    def test_goes_once_they_are_completed(self, status: str, command: type[Command], dependency_type: str) -> None:
        reads = with_graph(world(task=status, other="completed"), ("task", "other", dependency_type))
        self.attempt(status, command, reads).then([ALLOWED[status, command][0]])

    def test_is_never_refused_by_a_suggestion(self, status: str, command: type[Command]) -> None:
        reads = with_graph(world(task=status, other="failed"), ("task", "other", "suggests"))
        self.attempt(status, command, reads).then([ALLOWED[status, command][0]])

    def test_names_all_that_are_unmet_and_none_that_are_met(self, status: str, command: type[Command]) -> None:
        reads = with_graph(
            world(task=status, a="pending", b="completed", c="failed", d="blocked", e="pending"),
            ("task", "a", "blocks"),
            ("task", "b", "blocks"),
            ("task", "c", "requires"),
            ("task", "d", "blocks"),
            ("task", "e", "suggests"),
        )
        refusal = self.attempt(status, command, reads).then_refused(UnmetDependencies)
        unmet = {str(uid("a")): "pending", str(uid("c")): "failed", str(uid("d")): "blocked"}
        assert refusal.details["unmet"] == unmet
        assert all(other in refusal.message for other in unmet)

    def test_asks_for_its_own_dependencies_alone(self, status: str, command: type[Command]) -> None:
        """Not for those of its dependants, nor for those of its dependencies."""
        reads = with_graph(
            world(task=status, dependant="pending", other="completed", far="pending"),
            ("dependant", "task", "blocks"),
            ("task", "other", "blocks"),
            ("other", "far", "blocks"),
        )
        self.attempt(status, command, reads).then([ALLOWED[status, command][0]])

    @staticmethod
    def attempt(status: str, command: type[Command], reads: DictReads) -> Any:
        return given(TASK, HISTORY[status], reads=reads).when(COMMAND_OF[command])


def test_the_wrong_status_is_told_before_the_dependencies() -> None:
    reads = with_graph(world(task="in_progress", other="pending"), ("task", "other", "blocks"))
    given(TASK, HISTORY["in_progress"], reads=reads).when(StartTask(task_id=TASK_ID)).then_refused(WrongStatus)


@pytest.mark.parametrize("leave", [ClaimProgress, CompleteTask, FailTask, BlockTask, PutBackTask])
def test_an_unmet_dependency_stops_nothing_that_is_in_progress(leave: type[Command]) -> None:
    """A dependency may be added in any status: it binds at the next start."""
    reads = with_graph(world(task="in_progress", other="pending"), ("task", "other", "blocks"))
    given(TASK, HISTORY["in_progress"], reads=reads).when(COMMAND_OF[leave]).then([ALLOWED["in_progress", leave][0]])


def test_unblocking_a_task_asks_for_no_dependency() -> None:
    """It leads to pending: unmet dependencies leave a task there, never blocked."""
    reads = with_graph(world(task="blocked", other="pending"), ("task", "other", "blocks"))
    when = given(TASK, HISTORY["blocked"], reads=reads).when(UnblockTask(task_id=TASK_ID))
    assert when.then([TaskUnblocked(occurred_at=AT)]).status == "pending"


def test_a_task_belongs_to_the_project_that_it_was_added_to() -> None:
    def project_of(event: TaskAdded) -> UUID | None:
        task = TASK.fold([event])
        assert task is not None
        return TASK.project_of(TASK_ID, task)

    assert project_of(added()) == PROJECT_ID
    assert project_of(added().model_copy(update={"project_id": OTHER_PROJECT_ID})) == OTHER_PROJECT_ID


class TestWorkingByClaim:
    """A task that an agent has claimed names it, and leaving in_progress closes the agent's assignment."""

    CLAIMED: tuple[Event, ...] = (
        added(),
        TaskAssigned(occurred_at=EARLIER, agent_id=AGENT_ID, assignment_id=ASSIGNMENT_ID),
        STARTED,
    )
    EXPIRED = TaskClaimExpired(occurred_at=EARLIER, agent_id=AGENT_ID, attempts=2)

    def test_it_names_its_agent(self) -> None:
        task = TASK.fold(self.CLAIMED)
        assert task is not None
        assert (task.status, task.assignment, task.attempts) == ("in_progress", (AGENT_ID, ASSIGNMENT_ID), 0)

    def test_a_claim_of_progress_keeps_it(self) -> None:
        task = given(TASK, self.CLAIMED).when(claim(50)).then([claimed(50, AT)])
        assert task.assignment == (AGENT_ID, ASSIGNMENT_ID)

    @pytest.mark.parametrize(
        ("command", "status"),
        [(CompleteTask, "completed"), (FailTask, "failed"), (BlockTask, "released"), (PutBackTask, "released")],
    )
    def test_whatever_takes_it_out_of_progress_closes_the_assignment(self, command: type[Command], status: str) -> None:
        event, after = ALLOWED["in_progress", command]
        closed = AssignmentClosed(
            occurred_at=AT, assignment_id=ASSIGNMENT_ID, task_id=TASK_ID, project_id=PROJECT_ID, status=status
        )
        expected: list[Decided] = [event, Elsewhere(AGENT_ID, closed)]
        task = given(TASK, self.CLAIMED).when(COMMAND_OF[command]).then(expected)
        assert (task.status, task.assignment) == (after, None)

    @pytest.mark.parametrize("end", [TaskPutBack(occurred_at=EARLIER), EXPIRED], ids=name_of)
    def test_worked_on_again_without_a_claim_it_names_nobody(self, end: Event) -> None:
        when = given(TASK, [*self.CLAIMED, end, STARTED]).when(CompleteTask(task_id=TASK_ID))
        assert when.then([TaskCompleted(occurred_at=AT)]).assignment is None

    def test_expired_claims_are_counted_until_it_is_retried(self) -> None:
        counted = TASK.fold([*self.CLAIMED, self.EXPIRED, STARTED, TaskPutBack(occurred_at=EARLIER)])
        assert counted is not None
        assert (counted.status, counted.attempts) == ("pending", 2)
        failed = TASK.evolve(counted, FAILED)
        assert failed.attempts == 2
        again = given(TASK, state=failed).when(RetryTask(task_id=TASK_ID)).then([TaskRetried(occurred_at=AT)])
        assert again.attempts == 0
