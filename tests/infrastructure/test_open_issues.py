"""A project's open issues: of every report, as long as nobody has resolved or ignored them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from claude_tiu import (
    BeginIssue,
    Command,
    CompleteRun,
    CreateProject,
    IgnoreIssue,
    ReopenIssue,
    ReportIssue,
    ResolveIssue,
    StartRun,
    connect,
)
from claude_tiu.domain.values import Severity
from tests.support.history import PROJECT, START, USER, plan, uid
from tests.support.stores import Backend

OTHER = uid("other project")


def run(name: str, project: UUID = PROJECT, **issues: Severity) -> list[Command]:
    """A validation run that finds issues, each by its name and severity."""
    run_id = uid(name)
    return [
        StartRun(run_id=run_id, project_id=project, validation_type="quick"),
        *(
            ReportIssue(
                run_id=run_id,
                issue_id=uid(issue),
                task_id=uid("task 0") if issue == "old" else None,
                issue_type="mock_data",
                severity=severity,
                description=issue,
            )
            for issue, severity in issues.items()
        ),
        CompleteRun(run_id=run_id, quality_score=50),
    ]


def test_those_of_every_report_come_with_the_newest_report_first_and_of_each_the_most_severe(backend: Backend) -> None:
    first: dict[str, Any] = {"run_id": uid("first")}
    commands = [
        *plan(),
        *run("first", old="low", resolved="critical", ignored="high", reopened="high", begun="medium"),
        *run("second", new="low", worst="critical"),
        CreateProject(project_id=OTHER, user_id=USER, name="Other"),
        *run("third", OTHER, elsewhere="critical"),
        StartRun(run_id=uid("open"), project_id=PROJECT, validation_type="quick"),
        ReportIssue(
            run_id=uid("open"), issue_id=uid("staged"), issue_type="mock_data", severity="low", description="staged"
        ),
        *(BeginIssue(issue_id=uid(name), **first) for name in ("resolved", "ignored", "reopened", "begun")),
        ResolveIssue(issue_id=uid("resolved"), **first),
        IgnoreIssue(issue_id=uid("ignored"), **first),
        ResolveIssue(issue_id=uid("reopened"), **first),
        ReopenIssue(issue_id=uid("reopened"), **first),
    ]
    with connect(backend.url) as tiu:
        times = (START + timedelta(minutes=number) for number in range(len(commands)))
        stamped = [c.model_copy(update={"occurred_at": at}) for c, at in zip(commands, times, strict=True)]
        tiu.wait_for(tiu.execute_all(stamped)[-1])

        found = tiu.read.open_issues(PROJECT)

        assert [(row.description, row.severity, row.status, row.task_name) for row in found] == [
            ("worst", "critical", "open", None),
            ("new", "low", "open", None),
            ("reopened", "high", "open", None),
            ("begun", "medium", "in_progress", None),
            ("old", "low", "open", "Task 0"),
        ]
        assert tiu.read.open_issues(PROJECT, limit=2) == found[:2]
        assert [row.description for row in tiu.read.open_issues(OTHER)] == ["elsewhere"]
        assert tiu.read.open_issues(uid("nothing")) == []
