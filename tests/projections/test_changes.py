"""What an event changes: each field with its value before and behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.agent import AgentErrorReported, AgentRegistered, HeartbeatRecorded
from claude_tiu.domain.assignment import AssignmentClosed, AssignmentOpened
from claude_tiu.domain.dependency_graph import DependencyAdded, DependencyRemoved
from claude_tiu.domain.messages import Event
from claude_tiu.domain.project_file import FileCreated, FileModified, FileValidated
from claude_tiu.domain.project_metrics import MetricRecorded
from claude_tiu.domain.registry import EVENTS
from claude_tiu.domain.task import (
    ProgressClaimed,
    TaskAdded,
    TaskAssigned,
    TaskClaimExpired,
    TaskCompleted,
    TaskFailed,
    TaskRetried,
    TaskStarted,
)
from claude_tiu.domain.user import PasswordChanged, UserCreated, UserForgotten, UserRenamed
from claude_tiu.domain.validation_run import IssueBegun, IssueReported, RunCompleted, RunStarted, TaskAssessed
from claude_tiu.domain.workflow_run import StepStarted, WorkflowRunFailed, WorkflowRunStarted
from claude_tiu.projections.changes import SETS, Change, Picture
from tests.domain.golden import EXAMPLES

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
A, B, C = (UUID(int=n) for n in (1, 2, 3))
HASH = "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


def added(**fields: Any) -> TaskAdded:
    values: dict[str, Any] = {
        "project_id": A,
        "name": "Parser",
        "description": None,
        "priority": "high",
        "ai_prompt": None,
        "expected_outputs": [],
        "validation_criteria": {},
        "estimated_duration": 30,
    }
    return TaskAdded(occurred_at=AT, **(values | fields))


def told(*events: Event) -> tuple[Change, ...]:
    """Return what the last of some events changes."""
    picture = Picture()
    for event in events:
        changes = picture.tell(event)
    return changes


def moved(*events: Event) -> dict[str, tuple[Any, Any]]:
    """Return what the last of some events changes: field -> (before, after)."""
    changes = told(*events)
    assert len({change.field for change in changes}) == len(changes), "a field is told once"
    return {change.field: (change.before, change.after) for change in changes}


def test_what_something_begins_with_was_nothing_before() -> None:
    assert moved(added(description="Reads")) == {
        "project_id": (None, A),
        "name": (None, "Parser"),
        "priority": (None, "high"),
        "status": (None, "pending"),
        "claimed": (None, 0.0),
        "attempts": (None, 0),
        "description": (None, "Reads"),
        "expected_outputs": (None, []),
        "validation_criteria": (None, {}),
        "estimated_duration": (None, 30),
        "capabilities": (None, []),
    }


def test_a_claim_may_fall_and_a_claim_that_repeats_changes_nothing() -> None:
    began = [added(), TaskStarted(occurred_at=AT), ProgressClaimed(occurred_at=AT, claimed=40)]
    assert moved(*began, ProgressClaimed(occurred_at=AT, claimed=10)) == {"claimed": (40.0, 10.0)}
    assert moved(*began, ProgressClaimed(occurred_at=AT, claimed=40)) == {}
    assert moved(*began, TaskCompleted(occurred_at=AT)) == {
        "claimed": (40.0, 100.0),
        "status": ("in_progress", "completed"),
    }


def test_a_reason_is_that_of_the_status_and_goes_with_it() -> None:
    failed = [added(), TaskFailed(occurred_at=AT, reason="no disk")]
    assert moved(*failed) == {"status": ("pending", "failed"), "reason": (None, "no disk")}
    assert moved(*failed, TaskRetried(occurred_at=AT)) == {"status": ("failed", "pending"), "reason": ("no disk", None)}
    registered = AgentRegistered(
        occurred_at=AT, agent_type="tester", name=None, capabilities=[], configuration={}, coordination_hooks={}
    )
    again = [AgentErrorReported(occurred_at=AT, reason=reason) for reason in ("one", "two")]
    assert moved(registered, *again) == {"reason": ("one", "two")}


def test_an_assignment_is_told_of_the_task_and_of_its_agent() -> None:
    task = [added(), TaskAssigned(occurred_at=AT, agent_id=B, assignment_id=C)]
    assert moved(*task) == {"assignment.agent_id": (None, B), "assignment.assignment_id": (None, C)}
    expired = TaskClaimExpired(occurred_at=AT, agent_id=B, attempts=1)
    assert moved(*task, TaskStarted(occurred_at=AT), expired) == {
        "status": ("in_progress", "pending"),
        "attempts": (0, 1),
        "assignment.agent_id": (B, None),
        "assignment.assignment_id": (C, None),
    }
    registered = AgentRegistered(
        occurred_at=AT, agent_type="tester", name=None, capabilities=[], configuration={}, coordination_hooks={}
    )
    opened = AssignmentOpened(
        occurred_at=AT, assignment_id=C, task_id=B, project_id=A, deadline=AT, lease_seconds=9, metadata={"cost": 1}
    )
    assert moved(registered, opened) == {
        "status": ("idle", "busy"),
        "assignment.assignment_id": (None, C),
        "assignment.task_id": (None, B),
        "assignment.project_id": (None, A),
        "assignment.deadline": (None, AT),
        "assignment.lease_seconds": (None, 9),
        "assignment.metadata": (None, {"cost": 1}),
    }
    later = AT.replace(hour=13)
    heard = HeartbeatRecorded(occurred_at=AT, assignment_id=C, project_id=A, deadline=later)
    assert moved(registered, opened, heard) == {"assignment.deadline": (AT, later)}
    closed = AssignmentClosed(occurred_at=AT, assignment_id=C, task_id=B, project_id=A, status="released")
    ended = moved(registered, opened, closed)
    assert ended.pop("status") == ("busy", "idle")
    assert ended == {name: (after, None) for name, (_, after) in moved(registered, opened).items() if "." in name}


def test_what_stands_under_an_id_is_told_under_it() -> None:
    graph = [
        DependencyAdded(occurred_at=AT, project_id=A, task_id=B, depends_on_task_id=C, dependency_type="requires"),
        DependencyRemoved(occurred_at=AT, task_id=B, depends_on_task_id=C),
    ]
    assert moved(graph[0]) == {"project_id": (None, A), f"dependencies.{B}.{C}": (None, "requires")}
    assert moved(*graph) == {f"dependencies.{B}.{C}": ("requires", None)}
    assert moved(*graph, graph[0]) == {f"dependencies.{B}.{C}": (None, "requires")}
    metric = [MetricRecorded(occurred_at=AT, project_id=A, metric_name="m", value=v, metadata={}) for v in (1.5, 2.5)]
    assert moved(*metric) == {"metrics.m": (1.5, 2.5)}
    assert moved(metric[0]) == {"project_id": (None, A), "metrics.m": (None, 1.5), "metrics.m.metadata": (None, {})}


def test_a_run_tells_assessments_and_issues_each_under_its_id() -> None:
    issue = IssueReported(
        occurred_at=AT,
        issue_id=C,
        task_id=B,
        issue_type="mock_data",
        severity="low",
        description="Mock",
        file_path=None,
        line_number=None,
        auto_fix_available=False,
        suggested_fix=None,
    )
    run = [
        RunStarted(occurred_at=AT, project_id=A, validation_type="deep"),
        TaskAssessed(occurred_at=AT, task_id=B, authenticity=40),
        TaskAssessed(occurred_at=AT, task_id=B, authenticity=60),
        issue,
        RunCompleted(occurred_at=AT, quality_score=70, quality_metrics={"coverage": 0.5}, assessments={B: 60}),
        IssueBegun(occurred_at=AT, issue_id=C),
    ]
    assert moved(*run[:3]) == {f"assessments.{B}": (40.0, 60.0)}
    assert moved(*run[:4]) == {
        f"issues.{C}": (None, "open"),
        f"issues.{C}.task_id": (None, B),
        f"issues.{C}.issue_type": (None, "mock_data"),
        f"issues.{C}.severity": (None, "low"),
        f"issues.{C}.description": (None, "Mock"),
        f"issues.{C}.auto_fix_available": (None, False),
    }
    assert moved(*run[:5]) == {
        "status": ("started", "completed"),
        "quality_score": (None, 70.0),
        "quality_metrics": (None, {"coverage": 0.5}),
    }
    assert moved(*run) == {f"issues.{C}": ("open", "in_progress")}


def test_steps_that_a_failed_run_skips_are_told() -> None:
    run = [
        WorkflowRunStarted(occurred_at=AT, workflow_id=A, project_id=A, steps={B: [], C: [B]}),
        StepStarted(occurred_at=AT, step_id=B),
        WorkflowRunFailed(occurred_at=AT, reason="no time", skipped=[B, C]),
    ]
    assert moved(*run) == {
        "status": ("running", "failed"),
        "reason": (None, "no time"),
        f"steps.{B}": ("running", "skipped"),
        f"steps.{C}": ("pending", "skipped"),
    }


def test_of_a_files_content_its_hash_and_size_are_told_and_its_score_falls_to_nothing() -> None:
    content: dict[str, Any] = {"content_zlib": "eJwrKMrMK9FQP7zyw/yZTeqaXAA+Awbt", "size_bytes": 16}
    file = [
        FileCreated(
            occurred_at=AT, project_id=A, file_path="a.py", metadata={"by": "x"}, content_hash="0" * 64, **content
        ),
        FileValidated(occurred_at=AT, validation_score=92.5),
        FileModified(occurred_at=AT, metadata=None, content_hash="1" * 64, **content),
    ]
    assert moved(*file) == {
        "status": ("validated", "modified"),
        "content_hash": ("0" * 64, "1" * 64),
        "validation_score": (92.5, 0.0),
    }


class TestPersonal:
    CREATED = UserCreated(
        occurred_at=AT, username="ada", email="ada@example.org", password_hash=HASH, role="admin", preferences={}
    )

    def test_it_is_told_to_whom_has_the_key(self) -> None:
        assert moved(self.CREATED, UserRenamed(occurred_at=AT, username="grace")) == {"username": ("ada", "grace")}

    def test_a_secret_is_never_told_only_that_it_changed(self) -> None:
        (change,) = told(self.CREATED, PasswordChanged(occurred_at=AT, password_hash=HASH))
        assert change == Change("password_hash", None, None, "secret", personal=True)
        assert HASH not in str([getattr(change, name) for change in told(self.CREATED) for name in ("before", "after")])

    def test_without_the_key_it_is_forgotten(self) -> None:
        picture = Picture()
        changes = {change.field: change for change in picture.tell(self.CREATED, has_key=False)}
        for name in ("username", "email", "password_hash"):
            assert changes[name] == Change(name, None, None, "forgotten", personal=True)
        assert changes["role"].after == "admin"
        forgotten = {change.field: change.after for change in picture.tell(UserForgotten(occurred_at=AT))}
        assert forgotten == {"is_active": False, "forgotten": True}

    def test_no_repr_shows_it(self) -> None:
        assert "ada" not in repr(told(self.CREATED))
        assert "admin" in repr(told(self.CREATED))


def test_what_came_before_is_not_known_behind_an_event_that_nobody_can_read() -> None:
    """The state is lost with the first event, and the bodies of the others still say what they say."""
    picture = Picture()
    assert picture.tell(None) == ()
    assert picture.tell(TaskStarted(occurred_at=AT)) == ()
    assert [c.field for c in picture.tell(UserRenamed(occurred_at=AT, username="grace"))] == ["username"]
    assert picture.version == 3
    behind = Picture()
    behind.tell(added())
    behind.tell(None)
    assert [(c.field, c.before) for c in behind.tell(TaskStarted(occurred_at=AT))] == [("status", "pending")]


def test_a_picture_holds_no_more_than_what_may_change_yet() -> None:
    picture = Picture()
    picture.tell(RunStarted(occurred_at=AT, project_id=A, validation_type="deep"))
    before = picture.size
    picture.tell(EXAMPLES["validation_run.issue_reported.v1"])
    assert picture.size == before + 1, "the issue's status alone"


@pytest.mark.parametrize("topic", sorted(EVENTS))
def test_every_event_can_be_told_first_as_after_a_gap(topic: str) -> None:
    picture = Picture()
    for _ in range(2):
        for change in picture.tell(EXAMPLES[topic]):
            assert change.before != change.after or change.withheld
    assert picture.version == 2


def test_only_events_of_the_registry_are_spoken_for() -> None:
    assert {kind for kind in SETS if not any(issubclass(event, kind) for event in EVENTS.values())} == set()
