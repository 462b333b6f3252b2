"""tasks and task_dependencies: a task's row follows its events, and how long it was worked on."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid5

import pytest

from claude_tiu.domain.dependency_graph import DependencyAdded, DependencyRemoved, graph_id
from claude_tiu.domain.messages import Event
from claude_tiu.domain.task import (
    ProgressClaimed,
    TaskBlocked,
    TaskCompleted,
    TaskFailed,
    TaskPutBack,
    TaskReopened,
    TaskResumed,
    TaskRetried,
    TaskStarted,
    TaskUnblocked,
)
from claude_tiu.domain.values import INT32_MAX
from tests.domain.given import AT, PROJECT_ID, TASK_ID
from tests.projections.telling import OTHER_ID, Changes, Told, added, minutes


def in_progress() -> Told:
    told = Told().with_project().with_task(weight=60)
    told.tell(TaskStarted(occurred_at=AT), TASK_ID)
    return told


def test_a_task_begins_pending_with_nothing_claimed() -> None:
    told = Told().with_project()
    changes = told.tell(added(at=minutes(1), estimated_duration=60), TASK_ID)
    assert changes["tasks"] == Changes(
        [
            {
                "id": TASK_ID,
                "project_id": PROJECT_ID,
                "name": "Parser",
                "description": "reads",
                "status": "pending",
                "priority": "high",
                "real_progress": 0.0,
                "fake_progress": 0.0,
                "authenticity_score": 100.0,
                "ai_prompt": None,
                "expected_outputs": ["parser.py"],
                "validation_criteria": {"tests": True},
                "estimated_duration": 60,
                "actual_duration": None,
                "created_at": minutes(1),
                "updated_at": minutes(1),
                "completed_at": None,
                "added_position": 2,
            }
        ]
    )
    assert changes["project_state"].updates[PROJECT_ID]["weight_sum"] == 60
    assert changes.keys() == {"tasks", "task_state", "project_state"}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (TaskStarted(occurred_at=minutes(2)), "in_progress"),
        (TaskBlocked(occurred_at=minutes(2), reason=None), "blocked"),
        (TaskFailed(occurred_at=minutes(2), reason="tired"), "failed"),
        (TaskPutBack(occurred_at=minutes(2)), "pending"),
        (TaskUnblocked(occurred_at=minutes(2)), "pending"),
        (TaskResumed(occurred_at=minutes(2)), "in_progress"),
        (TaskRetried(occurred_at=minutes(2)), "pending"),
        (TaskReopened(occurred_at=minutes(2)), "in_progress"),
    ],
)
def test_every_event_gives_its_status_and_its_time(event: Event, status: str) -> None:
    told = Told().with_project().with_task()
    changes = told.tell(event, TASK_ID)
    assert changes["tasks"] == Changes(
        updates={TASK_ID: {"status": status, "updated_at": minutes(2), "completed_at": None}}
    )
    assert not {"projects", "progress_metrics"} & changes.keys()


def test_a_claim_is_split_by_what_is_authentic() -> None:
    told = in_progress()
    changes = told.tell(ProgressClaimed(occurred_at=minutes(3), claimed=33.333333), TASK_ID)
    assert changes["tasks"] == Changes(
        updates={TASK_ID: {"real_progress": 33.333333, "fake_progress": 0.0, "updated_at": minutes(3)}}
    )


def test_completing_claims_100_and_sets_completed_at() -> None:
    told = in_progress()
    changes = told.tell(TaskCompleted(occurred_at=minutes(30)), TASK_ID)
    assert changes["tasks"].updates[TASK_ID] == {
        "status": "completed",
        "real_progress": 100.0,
        "fake_progress": 0.0,
        "actual_duration": 30,
        "updated_at": minutes(30),
        "completed_at": minutes(30),
    }


def test_reopening_clears_completed_at_and_keeps_the_claim() -> None:
    told = in_progress()
    told.tell(TaskCompleted(occurred_at=minutes(30)), TASK_ID)
    changes = told.tell(TaskReopened(occurred_at=minutes(40)), TASK_ID)
    assert changes["tasks"].updates[TASK_ID] == {
        "status": "in_progress",
        "updated_at": minutes(40),
        "completed_at": None,
    }
    assert (told.task["real_progress"], told.task["actual_duration"]) == (100.0, 30)
    assert "projects" not in changes


def test_leaving_progress_keeps_the_claim() -> None:
    told = in_progress()
    told.tell(ProgressClaimed(occurred_at=AT, claimed=40.0), TASK_ID)
    told.tell(TaskPutBack(occurred_at=AT), TASK_ID)
    assert (told.task["status"], told.task["real_progress"]) == ("pending", 40.0)


def test_spells_in_progress_add_up_and_are_floored_once() -> None:
    """90 s and 45 s are 2 minutes; each floored alone they would be 1."""
    told = in_progress()
    told.tell(TaskBlocked(occurred_at=minutes(1.5), reason=None), TASK_ID)
    assert told.task["actual_duration"] == 1
    told.tell(TaskResumed(occurred_at=minutes(100)), TASK_ID)
    assert told.task["actual_duration"] == 1
    told.tell(TaskCompleted(occurred_at=minutes(100.75)), TASK_ID)
    assert told.task["actual_duration"] == 2


def test_a_spell_of_a_falling_clock_counts_0() -> None:
    told = in_progress()
    told.tell(TaskPutBack(occurred_at=minutes(10)), TASK_ID)
    told.tell(TaskStarted(occurred_at=minutes(8)), TASK_ID)
    told.tell(TaskPutBack(occurred_at=minutes(-50)), TASK_ID)
    assert told.task["actual_duration"] == 10
    assert told.task["updated_at"] == minutes(-50)
    told.tell(TaskStarted(occurred_at=minutes(-50)), TASK_ID)
    told.tell(TaskFailed(occurred_at=minutes(-45), reason=None), TASK_ID)
    assert told.task["actual_duration"] == 15


def test_a_spell_that_ends_as_it_began_is_0_and_not_none() -> None:
    told = in_progress()
    told.tell(TaskPutBack(occurred_at=AT), TASK_ID)
    assert told.task["actual_duration"] == 0


def test_a_task_that_failed_before_it_began_has_no_duration() -> None:
    told = Told().with_project().with_task()
    told.tell(TaskFailed(occurred_at=minutes(5), reason=None), TASK_ID)
    assert told.task["actual_duration"] is None


def test_a_duration_is_clamped_to_32_bits() -> None:
    told = Told().with_project().with_task()
    for _ in range(5):  # each spell is 578 million minutes
        told.tell(TaskStarted(occurred_at=datetime(1900, 1, 2, tzinfo=UTC)), TASK_ID)
        told.tell(TaskPutBack(occurred_at=datetime(2999, 12, 30, tzinfo=UTC)), TASK_ID)
    assert told.task["actual_duration"] == INT32_MAX


def test_claims_within_a_spell_do_not_end_it() -> None:
    told = in_progress()
    told.tell(ProgressClaimed(occurred_at=minutes(5), claimed=10.0), TASK_ID)
    told.tell(TaskCompleted(occurred_at=minutes(20)), TASK_ID)
    assert told.task["actual_duration"] == 20


def test_a_dependency_is_a_row_until_it_is_removed_and_can_come_again() -> None:
    told = Told().with_project().with_task().with_task(OTHER_ID)
    graph = graph_id(PROJECT_ID)
    add = DependencyAdded(
        occurred_at=minutes(1),
        project_id=PROJECT_ID,
        task_id=TASK_ID,
        depends_on_task_id=OTHER_ID,
        dependency_type="suggests",
    )
    id_ = uuid5(TASK_ID, str(OTHER_ID))
    row = {
        "id": id_,
        "task_id": TASK_ID,
        "depends_on_task_id": OTHER_ID,
        "dependency_type": "suggests",
        "created_at": minutes(1),
    }
    assert told.tell(add, graph) == {"task_dependencies": Changes([row])}
    remove = DependencyRemoved(occurred_at=minutes(2), task_id=TASK_ID, depends_on_task_id=OTHER_ID)
    assert told.tell(remove, graph) == {"task_dependencies": Changes(deletes=[id_])}
    assert told.tell(add, graph) == {"task_dependencies": Changes([row])}
