"""validation_reports and validation_issues: what a run found appears when it completes, all of it at once."""

from __future__ import annotations

from uuid import UUID

import pytest

from claude_tiu.domain.messages import Event
from claude_tiu.domain.validation_run import (
    IssueBegun,
    IssueIgnored,
    IssueReopened,
    IssueResolved,
    RunFailed,
    TaskAssessed,
)
from tests.domain.given import AT, ISSUE_ID, PROJECT_ID, RUN_ID, TASK_ID, uid
from tests.projections.telling import OTHER_ID, Changes, Told, issue, minutes, run_completed

NO_SEVERITY = {"low": 0, "medium": 0, "high": 0, "critical": 0}
NO_TYPE = {"placeholder": 0, "empty_function": 0, "mock_data": 0, "broken_logic": 0, "security_risk": 0}
READ_ONLY = {"tasks", "projects", "validation_reports", "validation_issues", "progress_metrics"}


def with_issue() -> Told:
    """A completed run, with an open issue."""
    told = Told().with_project().with_task().with_run(issue())
    told.tell(run_completed(), RUN_ID)
    return told


def test_nothing_of_a_run_shows_before_it_completes() -> None:
    told = Told().with_project().with_task(claimed=50)
    before = {name: dict(told.tables[name]) for name in READ_ONLY}
    told.with_run(issue())
    assert not told.tell(TaskAssessed(occurred_at=AT, task_id=TASK_ID, authenticity=1.0), RUN_ID)
    assert {name: told.tables[name] for name in READ_ONLY} == before


def test_a_failed_run_leaves_nothing() -> None:
    told = Told().with_project().with_task(claimed=50)
    before = {name: dict(rows) for name, rows in told.tables.items()}
    told.with_run(issue(), issue("another"))
    told.tell(TaskAssessed(occurred_at=AT, task_id=TASK_ID, authenticity=1.0), RUN_ID)
    told.tell(RunFailed(occurred_at=AT, reason=None), RUN_ID)
    assert told.tables == before


def test_a_report_tells_the_projects_numbers_after_it() -> None:
    told = Told().with_project().with_task(claimed=80).with_task(OTHER_ID, weight=3, claimed=40).with_run()
    changes = told.tell(run_completed({TASK_ID: 25.0}, at=minutes(7), quality_score=62.5), RUN_ID)
    assert changes["validation_reports"] == Changes(
        [
            {
                "id": RUN_ID,
                "project_id": PROJECT_ID,
                "validation_type": "deep",
                "overall_authenticity": 70.0,
                "real_progress": 35.0,
                "fake_progress": 15.0,
                "quality_metrics": {"lines": 10, "quality_score": 62.5},
                "issues_summary": {"by_severity": NO_SEVERITY, "by_type": NO_TYPE},
                "created_at": minutes(7),
            }
        ]
    )
    assert {name: told.project[name] for name in ("real_progress", "fake_progress", "authenticity_rate")} == {
        "real_progress": 35.0,
        "fake_progress": 15.0,
        "authenticity_rate": 70.0,
    }


def test_an_assessment_splits_what_its_task_claims() -> None:
    told = Told().with_project().with_task(claimed=33.333333).with_run()
    changes = told.tell(run_completed({TASK_ID: 66.666667}, at=minutes(7)), RUN_ID)
    assert changes["tasks"] == Changes(
        updates={
            TASK_ID: {
                "real_progress": 33_333_333 * 66_666_667 / 10**14,
                "fake_progress": 33_333_333 * (10**8 - 66_666_667) / 10**14,
                "authenticity_score": 66.666667,
                "updated_at": minutes(7),
            }
        }
    )


def test_an_assessment_of_what_is_not_claimed_yet_counts_when_it_is() -> None:
    told = Told().with_project().with_run()
    told.with_task()
    told.tell(run_completed({TASK_ID: 10.0}), RUN_ID)
    assert (told.project["authenticity_rate"], told.task["authenticity_score"]) == (100.0, 10.0)


def test_issues_appear_with_the_report_at_their_own_times() -> None:
    reported = [issue("first", at=minutes(3)), issue("second", at=minutes(1))]
    told = Told().with_project().with_task().with_run(*reported)
    changes = told.tell(run_completed(at=minutes(9)), RUN_ID)
    assert changes["validation_issues"] == Changes(
        [
            {
                "id": uid(name),
                "validation_report_id": RUN_ID,
                "task_id": TASK_ID,
                "issue_type": "placeholder",
                "severity": "high",
                "description": "pass",
                "file_path": "parser.py",
                "line_number": 7,
                "auto_fix_available": True,
                "suggested_fix": None,
                "status": "open",
                "created_at": minutes(at),
                "resolved_at": None,
            }
            for name, at in (("first", 3), ("second", 1))
        ]
    )
    assert not told.tables["staged_issues"]
    assert not told.tables["run_state"]


def test_the_summary_lists_every_severity_and_every_type() -> None:
    issues = [
        issue("a", severity="low", issue_type="mock_data"),
        issue("b", severity="low", issue_type="broken_logic"),
        issue("c", severity="critical", issue_type="mock_data"),
    ]
    told = Told().with_project().with_task().with_run(*issues).with_run(issue("d"), run_id=OTHER_ID)
    told.tell(run_completed(), RUN_ID)
    assert told.tables["validation_reports"][RUN_ID]["issues_summary"] == {
        "by_severity": {**NO_SEVERITY, "low": 2, "critical": 1},
        "by_type": {**NO_TYPE, "mock_data": 2, "broken_logic": 1},
    }
    assert OTHER_ID not in told.tables["validation_reports"]


def test_the_summary_never_changes_later() -> None:
    told = with_issue()
    before = dict(told.tables["validation_reports"][RUN_ID])
    for kind in (IssueBegun, IssueResolved):
        told.tell(kind(occurred_at=AT, issue_id=ISSUE_ID), RUN_ID)
    assert told.tables["validation_reports"][RUN_ID] == before


@pytest.mark.parametrize(
    ("kind", "status", "resolved_at"),
    [
        (IssueBegun, "in_progress", None),
        (IssueResolved, "resolved", minutes(4)),
        (IssueIgnored, "ignored", minutes(4)),
        (IssueReopened, "open", None),
    ],
)
def test_resolving_and_ignoring_set_resolved_at_and_reopening_clears_it(
    kind: type[Event], status: str, resolved_at: object
) -> None:
    told = with_issue()
    assert told.tell(kind.model_validate({"occurred_at": minutes(4), "issue_id": ISSUE_ID}), RUN_ID) == {
        "validation_issues": Changes(updates={ISSUE_ID: {"status": status, "resolved_at": resolved_at}})
    }


def test_two_runs_of_a_project_do_not_touch_each_other() -> None:
    told = Told().with_project().with_task(claimed=50).with_run(issue("mine")).with_run(issue("other"), run_id=OTHER_ID)
    told.tell(run_completed({TASK_ID: 50.0}), RUN_ID)
    told.tell(RunFailed(occurred_at=AT, reason=None), OTHER_ID)
    issues: list[UUID] = list(told.tables["validation_issues"])
    assert issues == [uid("mine")]
    assert told.project["real_progress"] == 25.0
