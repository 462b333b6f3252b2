"""A small project, as the commands that `tiu apply` reads: two tasks, one validation run, two issues, one metric."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.cli.running import done, json_lines
from tests.support.stores import Backend

Command = dict[str, Any]


def uid(number: int) -> str:
    return str(UUID(int=(0xC11 << 116) + number))


USER, PROJECT, FIRST, SECOND, RUN, ISSUE, OTHER_ISSUE, THIRD = (uid(number) for number in range(1, 9))
NOBODY = uid(99)
NAME = "'; DROP TABLE projects; -- [bold]x[/bold] :smile: \u202etxt.exe\x1b[31m\x07\x7f\x9b1m \u200b\u2066é𝄞"
"""A name that means something to a database, a terminal, a reader and a markup language."""
SHOWN_NAME = r"'; DROP TABLE projects; -- [bold]x[/bold] :smile: \u202etxt.exe\x1b[31m\x07\x7f\x9b1m \u200b\u2066é𝄞"
"""The name as a table shows it."""


def at(minute: int) -> str:
    return f"2026-03-01T12:{minute:02}:00.000000Z"


def user(**fields: Any) -> Command:
    return {
        "command": "CreateUser",
        "user_id": USER,
        "username": "ada",
        "email": "ada@example.org",
        "password_hash": "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "occurred_at": at(0),
        **fields,
    }


def project(**fields: Any) -> Command:
    given = {"project_id": PROJECT, "user_id": USER, "name": NAME, "occurred_at": at(1)}
    return {"command": "CreateProject", **given, **fields}


def task(task_id: str, **fields: Any) -> Command:
    return {"command": "AddTask", "task_id": task_id, "project_id": PROJECT, "occurred_at": at(2), **fields}


def depends(task_id: str, on: str) -> Command:
    return {"command": "AddDependency", "task_id": task_id, "depends_on_task_id": on}


def of_run(name: str, minute: int, **fields: Any) -> Command:
    return {"command": name, "run_id": RUN, "occurred_at": at(minute), **fields}


def issue(issue_id: str, severity: str) -> Command:
    found = {"task_id": FIRST, "issue_type": "mock_data", "severity": severity, "description": "a constant"}
    return of_run("ReportIssue", 7, issue_id=issue_id, **found)


STORY: list[Command] = [
    user(),
    project(),
    task(FIRST, name="Parse"),
    task(SECOND, name="Print", priority="low", estimated_duration=30),
    task(THIRD, name="Publish", priority="critical", description="[red]"),
    depends(THIRD, FIRST),
    {"command": "StartTask", "task_id": FIRST, "occurred_at": at(3)},
    {"command": "ClaimProgress", "task_id": FIRST, "claimed": 60, "occurred_at": at(4)},
    of_run("StartRun", 5, project_id=PROJECT, validation_type="quick"),
    of_run("AssessTask", 6, task_id=FIRST, authenticity=50),
    issue(ISSUE, "high"),
    issue(OTHER_ISSUE, "high"),
    of_run("CompleteRun", 8, quality_score=75),
    {
        "command": "RecordMetric",
        "project_id": PROJECT,
        "metric_name": "lines :smile:",
        "value": 12.5,
        "metadata": {"by": "[bold]\u202e\x9b"},
        "occurred_at": at(9),
    },
]


def tell(backend: Backend) -> None:
    """Put the story into a database, and its read tables up to date."""
    done("apply", "-", "--db", backend.url, stdin=json_lines(STORY))
    done("projector", "run", "--once", "--db", backend.url)
