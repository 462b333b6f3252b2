"""A validation run: what it assesses and reports takes effect with its completion, or never."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from claude_tiu.domain.errors import AlreadyExists, NotFound, OutsideProject, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.validation_run import (
    VALIDATION_RUN,
    AssessTask,
    BeginIssue,
    CompleteRun,
    FailRun,
    IgnoreIssue,
    IssueBegun,
    IssueIgnored,
    IssueReopened,
    IssueReported,
    IssueResolved,
    ReopenIssue,
    ReportIssue,
    ResolveIssue,
    RunCompleted,
    RunFailed,
    RunStarted,
    StartRun,
    TaskAssessed,
)
from claude_tiu.domain.values import ValidationType
from tests.domain.given import (
    AT,
    EARLIER,
    ISSUE_ID,
    NEW_ID,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    RUN_ID,
    TASK_ID,
    given,
    task,
    uid,
    world,
)

READS = world(task="in_progress", other="completed")


def reported(at: Any = EARLIER, **fields: Any) -> IssueReported:
    left_out: dict[str, Any] = {
        "issue_id": ISSUE_ID,
        "task_id": None,
        "file_path": None,
        "line_number": None,
        "auto_fix_available": False,
        "suggested_fix": None,
    }
    issue = {"issue_type": "placeholder", "severity": "high", "description": "TODO"}
    return IssueReported(occurred_at=at, **(issue | left_out | fields))


def assessed(name: str, authenticity: float, at: Any = EARLIER) -> TaskAssessed:
    return TaskAssessed(occurred_at=at, task_id=uid(name), authenticity=authenticity)


def completed(at: Any = EARLIER, **assessments: float) -> RunCompleted:
    return RunCompleted(
        occurred_at=at,
        quality_score=70,
        quality_metrics={"lint": 3},
        assessments={uid(name): authenticity for name, authenticity in assessments.items()},
    )


STARTED = RunStarted(occurred_at=EARLIER, project_id=PROJECT_ID, validation_type="deep")
COMPLETE = CompleteRun(run_id=RUN_ID, quality_score=70, quality_metrics={"lint": 3})
ASSESS = AssessTask(run_id=RUN_ID, task_id=TASK_ID, authenticity=40)
REPORT = ReportIssue(run_id=RUN_ID, issue_id=ISSUE_ID, issue_type="placeholder", severity="high", description="TODO")
FAIL = FailRun(run_id=RUN_ID, reason="no agent")
RUN_COMMANDS: tuple[Command, ...] = (ASSESS, REPORT, COMPLETE, FAIL)

RUN_HISTORY: dict[str, list[Event]] = {
    "started": [STARTED, reported()],
    "completed": [STARTED, reported(), completed()],
    "failed": [STARTED, reported(), RunFailed(occurred_at=EARLIER, reason=None)],
}
RUN_ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("started", AssessTask): (assessed("task", 40, AT), "started"),
    ("started", ReportIssue): (reported(AT), "started"),
    ("started", CompleteRun): (completed(AT), "completed"),
    ("started", FailRun): (RunFailed(occurred_at=AT, reason="no agent"), "failed"),
}

ISSUE_COMMANDS: tuple[Command, ...] = (
    BeginIssue(run_id=RUN_ID, issue_id=ISSUE_ID),
    ResolveIssue(run_id=RUN_ID, issue_id=ISSUE_ID),
    IgnoreIssue(run_id=RUN_ID, issue_id=ISSUE_ID),
    ReopenIssue(run_id=RUN_ID, issue_id=ISSUE_ID),
)
BEGUN = IssueBegun(occurred_at=EARLIER, issue_id=ISSUE_ID)
ISSUE_HISTORY: dict[str, list[Event]] = {
    "open": [*RUN_HISTORY["completed"]],
    "in_progress": [*RUN_HISTORY["completed"], BEGUN],
    "resolved": [*RUN_HISTORY["completed"], BEGUN, IssueResolved(occurred_at=EARLIER, issue_id=ISSUE_ID)],
    "ignored": [*RUN_HISTORY["completed"], BEGUN, IssueIgnored(occurred_at=EARLIER, issue_id=ISSUE_ID)],
}
REOPENED = IssueReopened(occurred_at=AT, issue_id=ISSUE_ID)
ISSUE_ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("open", BeginIssue): (IssueBegun(occurred_at=AT, issue_id=ISSUE_ID), "in_progress"),
    ("in_progress", ResolveIssue): (IssueResolved(occurred_at=AT, issue_id=ISSUE_ID), "resolved"),
    ("in_progress", IgnoreIssue): (IssueIgnored(occurred_at=AT, issue_id=ISSUE_ID), "ignored"),
    ("in_progress", ReopenIssue): (REOPENED, "open"),
    ("resolved", ReopenIssue): (REOPENED, "open"),
    ("ignored", ReopenIssue): (REOPENED, "open"),
}
"""The domain rules' table, of runs and of the issues of completed runs; all else is refused."""


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


def test_the_tables_know_every_command_of_a_run() -> None:
    known = {type(command) for command in (*RUN_COMMANDS, *ISSUE_COMMANDS)}
    assert known == set(VALIDATION_RUN.commands) - {StartRun}


@pytest.mark.parametrize(("status", "command"), list(product(RUN_HISTORY, RUN_COMMANDS)), ids=name_of)
def test_statuses_and_commands_of_a_run(status: str, command: Command) -> None:
    when = given(VALIDATION_RUN, RUN_HISTORY[status], reads=READS).when(command)
    if allowed := RUN_ALLOWED.get((status, type(command))):
        event, after = allowed
        assert when.then([event]).status == after
    else:
        when.then_refused(WrongStatus, id=RUN_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize(("status", "command"), list(product(ISSUE_HISTORY, ISSUE_COMMANDS)), ids=name_of)
def test_statuses_and_commands_of_an_issue(status: str, command: Command) -> None:
    when = given(VALIDATION_RUN, ISSUE_HISTORY[status], reads=READS).when(command)
    if allowed := ISSUE_ALLOWED.get((status, type(command))):
        event, after = allowed
        run = when.then([event])
        assert (run.status, run.issues) == ("completed", {ISSUE_ID: after})
    else:
        when.then_refused(WrongStatus, id=ISSUE_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize(("status", "command"), list(product(("started", "failed"), ISSUE_COMMANDS)), ids=name_of)
def test_only_a_completed_run_has_issues_to_work_on(status: str, command: Command) -> None:
    when = given(VALIDATION_RUN, RUN_HISTORY[status], reads=READS).when(command)
    when.then_refused(WrongStatus, id=RUN_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("command", [*RUN_COMMANDS, *ISSUE_COMMANDS], ids=name_of)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(VALIDATION_RUN, reads=READS).when(command).then_refused(NotFound, id=RUN_ID)


class TestStarting:
    @pytest.mark.parametrize("validation_type", ["quick", "deep", "comprehensive", "scheduled"])
    def test_a_run_starts_with_nothing_assessed_and_nothing_reported(self, validation_type: ValidationType) -> None:
        command = StartRun(project_id=PROJECT_ID, validation_type=validation_type)
        started = RunStarted(occurred_at=AT, project_id=PROJECT_ID, validation_type=validation_type)
        run = given(VALIDATION_RUN).when(command).then([started])
        assert (run.status, run.assessments, run.issues) == ("started", {}, {})
        assert VALIDATION_RUN.project_of(RUN_ID, run) == PROJECT_ID

    def test_an_id_is_given_once(self) -> None:
        command = StartRun(run_id=RUN_ID, project_id=PROJECT_ID, validation_type="deep")
        given(VALIDATION_RUN, [STARTED]).when(command).then_refused(AlreadyExists, id=RUN_ID)

    def test_its_project_exists(self) -> None:
        command = StartRun(project_id=NOBODY, validation_type="deep")
        given(VALIDATION_RUN).when(command).then_refused(NotFound, id=NOBODY)

    @pytest.mark.parametrize("status", ["completed", "failed", "archived"])
    def test_only_an_active_project_starts_a_run(self, status: str) -> None:
        command = StartRun(project_id=PROJECT_ID, validation_type="deep")
        when = given(VALIDATION_RUN, reads=world(status)).when(command)
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command="StartRun")


class TestTheStatusOfTheProject:
    @pytest.mark.parametrize(("status", "command"), list(product(("completed", "failed"), RUN_COMMANDS)), ids=name_of)
    def test_a_run_goes_on_in_a_project_that_is_not_archived(self, status: str, command: Command) -> None:
        event, _ = RUN_ALLOWED["started", type(command)]
        given(VALIDATION_RUN, RUN_HISTORY["started"], reads=world(status, task="completed")).when(command).then([event])

    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_so_does_the_work_on_its_issues(self, status: str) -> None:
        for (before, command_type), (event, _) in ISSUE_ALLOWED.items():
            command = command_type(run_id=RUN_ID, issue_id=ISSUE_ID)
            given(VALIDATION_RUN, ISSUE_HISTORY[before], reads=world(status)).when(command).then([event])

    @pytest.mark.parametrize(
        ("status", "command"),
        list(product((*RUN_HISTORY, *ISSUE_HISTORY), (*RUN_COMMANDS, *ISSUE_COMMANDS))),
        ids=name_of,
    )
    def test_an_archived_project_refuses_everything(self, status: str, command: Command) -> None:
        history = (RUN_HISTORY | ISSUE_HISTORY)[status]
        when = given(VALIDATION_RUN, history, reads=world("archived", task="pending")).when(command)
        when.then_refused(WrongStatus, id=PROJECT_ID, status="archived", command=type(command).__name__)


class TestAssessments:
    @pytest.mark.parametrize("status", ["pending", "in_progress", "completed", "failed", "blocked"])
    def test_a_task_of_any_status_may_be_assessed(self, status: str) -> None:
        given(VALIDATION_RUN, [STARTED], reads=world(task=status)).when(ASSESS).then([assessed("task", 40, AT)])

    @pytest.mark.parametrize("authenticities", [(90, 10), (10, 90), (50, 50), (10, 90, 0)])
    def test_the_last_of_several_counts(self, authenticities: tuple[float, ...]) -> None:
        history = [STARTED, *(assessed("task", authenticity) for authenticity in authenticities)]
        when = given(VALIDATION_RUN, history, reads=READS).when(COMPLETE)
        when.then([completed(AT, task=authenticities[-1])])

    def test_the_completed_event_carries_those_of_every_task(self) -> None:
        history = [STARTED, assessed("task", 90), assessed("other", 12.5), assessed("task", 33.333333)]
        when = given(VALIDATION_RUN, history, reads=READS).when(COMPLETE)
        when.then([completed(AT, task=33.333333, other=12.5)])

    def test_a_run_may_complete_without_any(self) -> None:
        given(VALIDATION_RUN, [STARTED], reads=READS).when(COMPLETE).then([completed(AT)])


class TestIssues:
    def test_everything_that_was_reported_stands_in_the_event(self) -> None:
        fields: dict[str, Any] = {
            "issue_id": uid("other issue"),
            "task_id": TASK_ID,
            "issue_type": "security_risk",
            "severity": "critical",
            "description": "eval of input",
            "file_path": "src/parser.py",
            "line_number": 12,
            "auto_fix_available": True,
            "suggested_fix": "ast.literal_eval",
        }
        command = ReportIssue(run_id=RUN_ID, **fields)
        given(VALIDATION_RUN, [STARTED], reads=READS).when(command).then([reported(AT, **fields)])

    def test_a_new_id_may_be_left_out(self) -> None:
        command = ReportIssue(run_id=RUN_ID, issue_type="placeholder", severity="high", description="TODO")
        given(VALIDATION_RUN, [STARTED], reads=READS).when(command).then([reported(AT, issue_id=NEW_ID)])

    def test_all_are_open_once_the_run_is_completed_and_none_before(self) -> None:
        ids = [uid(f"issue {i}") for i in range(3)]
        history = [STARTED, *(reported(issue_id=issue_id) for issue_id in ids)]
        before = VALIDATION_RUN.fold(history)
        assert before is not None
        assert before.issues == {}
        after = given(VALIDATION_RUN, history, reads=READS).when(COMPLETE).then([completed(AT)])
        assert list(after.issues.items()) == [(issue_id, "open") for issue_id in ids]

    def test_one_changes_and_the_others_stay(self) -> None:
        history = [STARTED, reported(), reported(issue_id=uid("other issue")), completed()]
        when = given(VALIDATION_RUN, history, reads=READS).when(BeginIssue(run_id=RUN_ID, issue_id=ISSUE_ID))
        run = when.then([IssueBegun(occurred_at=AT, issue_id=ISSUE_ID)])
        assert run.issues == {ISSUE_ID: "in_progress", uid("other issue"): "open"}

    @pytest.mark.parametrize("command", ISSUE_COMMANDS, ids=name_of)
    def test_one_that_no_report_holds_takes_no_command(self, command: Command) -> None:
        when = given(VALIDATION_RUN, [STARTED, reported(issue_id=uid("other issue")), completed()], reads=READS)
        when.when(command).then_refused(NotFound, id=ISSUE_ID)

    def test_a_thousand_cost_no_recursion(self) -> None:
        history = [STARTED, *(reported(issue_id=uid(f"issue {i}")) for i in range(2_000))]
        run = given(VALIDATION_RUN, history, reads=READS).when(COMPLETE).then([completed(AT)])
        assert len(run.issues) == 2_000

    def test_an_issue_id_is_unique_in_the_whole_store(self) -> None:
        assert IssueReported.unique == ("issue_id",)


def test_a_failed_run_has_neither_assessments_in_force_nor_issues() -> None:
    history = [STARTED, assessed("task", 10), reported()]
    run = given(VALIDATION_RUN, history, reads=READS).when(FAIL).then([RunFailed(occurred_at=AT, reason="no agent")])
    assert (run.status, run.issues, run.reported) == ("failed", {}, {})


class TestInsideTheProject:
    """What a run assesses and reports is of its own project."""

    @pytest.mark.parametrize("command", [ASSESS, REPORT.model_copy(update={"task_id": TASK_ID})], ids=name_of)
    def test_a_task_of_another_project_is_refused(self, command: Command) -> None:
        reads = replace(READS, tasks={TASK_ID: task(project_id=OTHER_PROJECT_ID)})
        when = given(VALIDATION_RUN, [STARTED], reads=reads).when(command)
        when.then_refused(OutsideProject, task_id=TASK_ID, project_id=PROJECT_ID, other_project_id=OTHER_PROJECT_ID)

    @pytest.mark.parametrize("command", [ASSESS, REPORT.model_copy(update={"task_id": TASK_ID})], ids=name_of)
    def test_a_task_that_does_not_exist_is_refused(self, command: Command) -> None:
        given(VALIDATION_RUN, [STARTED], reads=world()).when(command).then_refused(NotFound, id=TASK_ID)

    def test_an_issue_may_be_in_no_task(self) -> None:
        given(VALIDATION_RUN, [STARTED], reads=world()).when(REPORT).then([reported(AT)])
