"""validation_reports and validation_issues: one report a completed run, with its issues, that live on after it.

Until a run completes, its issues wait as staged rows; those of a failed run end there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from ..domain.messages import Recorded
from ..domain.progress import micros, task_numbers
from ..domain.validation_run import (
    ISSUE_STATUS_AFTER,
    IssueEvent,
    IssueReported,
    RunCompleted,
    RunFailed,
    RunStarted,
)
from ..domain.values import IssueType, Severity
from .numbers import change_numbers, sums_of
from .projection import Change, Delete, Handler, Insert, Row, Rows, Update
from .tables import PROJECT_STATE, RUN_STATE, STAGED_ISSUES, TASK_STATE, TASKS, VALIDATION_ISSUES, VALIDATION_REPORTS
from .tasks import term_of

STAGING_ONLY = ("run_id", "position")


def run_started(recorded: Recorded, event: RunStarted, rows: Rows) -> Iterator[Change]:
    yield Insert(RUN_STATE.name, {"run_id": recorded.stream_id, "validation_type": event.validation_type})


def issue_reported(recorded: Recorded, event: IssueReported, rows: Rows) -> Iterator[Change]:
    yield Insert(
        STAGED_ISSUES.name,
        {
            "id": event.issue_id,
            "run_id": recorded.stream_id,
            "position": recorded.position,
            "task_id": event.task_id,
            "issue_type": event.issue_type,
            "severity": event.severity,
            "description": event.description,
            "file_path": event.file_path,
            "line_number": event.line_number,
            "auto_fix_available": event.auto_fix_available,
            "suggested_fix": event.suggested_fix,
            "created_at": event.occurred_at,
        },
    )


def run_completed(recorded: Recorded, event: RunCompleted, rows: Rows) -> Iterator[Change]:
    assert recorded.project_id is not None
    project = rows.get(PROJECT_STATE.name, recorded.project_id)
    sums = sums_of(project)
    tasks = rows.get_many(TASK_STATE.name, event.assessments)  # all of a project's, some of them not touched for long
    for (task_id, authenticity), task in zip(event.assessments.items(), tasks, strict=True):
        assessed = micros(authenticity)
        sums = sums.reassessed(*term_of(task), assessed)
        real, fake = task_numbers(task["claimed"], assessed)
        numbers = {"real_progress": real, "fake_progress": fake, "authenticity_score": authenticity}
        yield Update(TASKS.name, task_id, {**numbers, "updated_at": event.occurred_at})
        yield Update(TASK_STATE.name, task_id, {"authenticity": assessed})
    yield from change_numbers(recorded, project, sums, event.quality_score, ("run_id", recorded.stream_id))
    issues = sorted(rows.children(STAGED_ISSUES.name, recorded.stream_id), key=lambda issue: issue["position"])
    real, fake, rate = sums.numbers()
    yield Insert(
        VALIDATION_REPORTS.name,
        {
            "id": recorded.stream_id,
            "project_id": recorded.project_id,
            "validation_type": rows.get(RUN_STATE.name, recorded.stream_id)["validation_type"],
            "overall_authenticity": rate,
            "real_progress": real,
            "fake_progress": fake,
            "quality_metrics": {**event.quality_metrics, "quality_score": event.quality_score},
            "issues_summary": summary(issues),
            "created_at": event.occurred_at,
        },
    )
    for issue in issues:
        published = {name: value for name, value in issue.items() if name not in STAGING_ONLY}
        report = {"validation_report_id": recorded.stream_id, "status": "open", "resolved_at": None}
        yield Insert(VALIDATION_ISSUES.name, published | report)
    yield from _end_of_run(recorded, issues)


def run_failed(recorded: Recorded, event: RunFailed, rows: Rows) -> Iterator[Change]:
    yield from _end_of_run(recorded, rows.children(STAGED_ISSUES.name, recorded.stream_id))


def _end_of_run(recorded: Recorded, issues: list[Row]) -> Iterator[Change]:
    for issue in issues:
        yield Delete(STAGED_ISSUES.name, issue["id"])
    yield Delete(RUN_STATE.name, recorded.stream_id)


def summary(issues: list[Row]) -> dict[str, Any]:
    """Return how many issues there are of every severity and of every type."""
    severities = Counter(issue["severity"] for issue in issues)
    types = Counter(issue["issue_type"] for issue in issues)
    return {
        "by_severity": {name: severities[name] for name in get_args(Severity)},
        "by_type": {name: types[name] for name in get_args(IssueType)},
    }


def issue_moved(recorded: Recorded, event: IssueEvent, rows: Rows) -> Iterator[Change]:
    status = ISSUE_STATUS_AFTER[type(event)]
    settled = status in ("resolved", "ignored")
    values = {"status": status, "resolved_at": event.occurred_at if settled else None}
    yield Update(VALIDATION_ISSUES.name, event.issue_id, values)


HANDLERS: dict[type, Handler] = {
    **dict.fromkeys(ISSUE_STATUS_AFTER, issue_moved),
    RunStarted: run_started,
    IssueReported: issue_reported,
    RunCompleted: run_completed,
    RunFailed: run_failed,
}
