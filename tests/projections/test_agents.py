"""agents, agent_assignments and agent_metrics: what an event changes; and the agenda beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from claude_tiu.domain.agent import AgentErrorReported, AgentRegistered, AgentWentOffline, HeartbeatRecorded
from claude_tiu.domain.agent_metrics import AgentMetricRecorded, agent_metrics_id
from claude_tiu.domain.assignment import AssignmentClosed, AssignmentOpened
from claude_tiu.domain.messages import Event, event_id
from claude_tiu.domain.task import TaskAssigned, TaskClaimExpired, TaskStarted
from claude_tiu.projections.write_side import Change as WriteSideChange
from claude_tiu.projections.write_side import write_side_changes
from tests.domain.given import AGENT_ID, ASSIGNMENT_ID, AT, PROJECT_ID, TASK_ID, uid
from tests.projections.telling import Changes, Told, added, minutes

METRICS_ID = agent_metrics_id(AGENT_ID)


def registered(at: datetime = AT, name: str | None = "Ada") -> AgentRegistered:
    return AgentRegistered(
        occurred_at=at,
        agent_type="tester",
        name=name,
        capabilities=["python", "rust"],
        configuration={"model": "large"},
        coordination_hooks={"before": ["sync"]},
    )


def opened(at: datetime, deadline: datetime, **metadata: Any) -> AssignmentOpened:
    return AssignmentOpened(
        occurred_at=at,
        assignment_id=ASSIGNMENT_ID,
        task_id=TASK_ID,
        project_id=PROJECT_ID,
        deadline=deadline,
        lease_seconds=600,
        metadata=metadata,
    )


def closed(status: str, at: datetime) -> AssignmentClosed:
    return AssignmentClosed(
        occurred_at=at, assignment_id=ASSIGNMENT_ID, task_id=TASK_ID, project_id=PROJECT_ID, status=status
    )


def heartbeat(at: datetime, deadline: datetime | None = None) -> HeartbeatRecorded:
    of = (ASSIGNMENT_ID, PROJECT_ID) if deadline else (None, None)
    return HeartbeatRecorded(occurred_at=at, assignment_id=of[0], project_id=of[1], deadline=deadline)


def with_agent() -> Told:
    told = Told().with_project().with_task()
    told.tell(registered(), AGENT_ID, None)
    return told


def with_assignment() -> Told:
    told = with_agent()
    told.tell(opened(minutes(1), minutes(11), attempt=1), AGENT_ID, None)
    return told


def agent(told: Told) -> dict[str, Any]:
    return told.tables["agents"][AGENT_ID]


def assignment(told: Told) -> dict[str, Any]:
    return told.tables["agent_assignments"][ASSIGNMENT_ID]


def test_an_agent_is_registered_idle() -> None:
    told = with_agent()
    assert agent(told) == {
        "id": AGENT_ID,
        "agent_type": "tester",
        "name": "Ada",
        "capabilities": ["python", "rust"],
        "status": "idle",
        "configuration": {"model": "large"},
        "coordination_hooks": {"before": ["sync"]},
        "created_at": AT,
        "updated_at": AT,
        "last_active": AT,
    }


def test_a_claim_makes_an_assignment_and_its_agent_busy() -> None:
    told = with_agent()
    changes = told.tell(opened(minutes(1), minutes(11), attempt=1), AGENT_ID, None)
    active = {"status": "busy", "updated_at": minutes(1), "last_active": minutes(1)}
    assert changes["agents"] == Changes(updates={AGENT_ID: active})
    assert assignment(told) == {
        "id": ASSIGNMENT_ID,
        "agent_id": AGENT_ID,
        "task_id": TASK_ID,
        "status": "assigned",
        "assignment_metadata": {"attempt": 1, "deadline": "2026-03-01T12:11:00.000000Z", "lease_seconds": 600},
        "assigned_at": minutes(1),
        "completed_at": None,
    }


def test_of_the_task_a_claim_shows_that_it_is_started() -> None:
    told = with_assignment()
    assert (
        told.tell(TaskAssigned(occurred_at=minutes(1), agent_id=AGENT_ID, assignment_id=ASSIGNMENT_ID), TASK_ID) == {}
    )
    told.tell(TaskStarted(occurred_at=minutes(1)), TASK_ID)
    assert told.task["status"] == "in_progress"


def test_a_claim_that_expired_leaves_the_task_pending_and_its_spell_counted() -> None:
    told = with_assignment()
    told.tell(TaskStarted(occurred_at=minutes(1)), TASK_ID)
    told.tell(TaskClaimExpired(occurred_at=minutes(13), agent_id=AGENT_ID, attempts=1), TASK_ID)
    task = told.task
    assert (task["status"], task["actual_duration"], task["updated_at"]) == ("pending", 12, minutes(13))


@pytest.mark.parametrize("status", ["completed", "failed", "released"])
def test_an_assignment_that_closes_says_how_and_when_and_frees_its_agent(status: str) -> None:
    told = with_assignment()
    changes = told.tell(closed(status, minutes(5)), AGENT_ID, None)
    ended = {"status": status, "completed_at": minutes(5)}
    assert changes["agent_assignments"] == Changes(updates={ASSIGNMENT_ID: ended})
    assert changes["agents"] == Changes(updates={AGENT_ID: {"status": "idle", "updated_at": minutes(5)}})
    assert agent(told)["last_active"] == minutes(1)


AWAY: dict[str, Event] = {
    "offline": AgentWentOffline(occurred_at=minutes(3)),
    "error": AgentErrorReported(occurred_at=minutes(3), reason="out of memory"),
}


@pytest.mark.parametrize("status", AWAY)
def test_who_is_away_stays_away_until_its_next_heartbeat(status: str) -> None:
    told = with_assignment()
    told.tell(AWAY[status], AGENT_ID, None)
    assert (agent(told)["status"], agent(told)["last_active"]) == (status, minutes(3))
    assert assignment(told)["status"] == "assigned"
    told.tell(closed("released", minutes(12)), AGENT_ID, None)
    assert agent(told)["status"] == status
    told.tell(heartbeat(minutes(13)), AGENT_ID, None)
    assert (agent(told)["status"], agent(told)["last_active"]) == ("idle", minutes(13))


@pytest.mark.parametrize("status", AWAY)
def test_who_comes_back_to_its_task_is_busy(status: str) -> None:
    told = with_assignment()
    told.tell(AWAY[status], AGENT_ID, None)
    told.tell(heartbeat(minutes(4), minutes(14)), AGENT_ID, None)
    assert agent(told)["status"] == "busy"


def test_a_heartbeat_moves_the_deadline_and_nothing_else_of_the_assignment() -> None:
    told = with_assignment()
    told.tell(heartbeat(minutes(4), minutes(14)), AGENT_ID, None)
    changes = told.tell(heartbeat(minutes(6), minutes(16)), AGENT_ID, None)
    metadata = {"attempt": 1, "deadline": "2026-03-01T12:16:00.000000Z", "lease_seconds": 600}
    assert changes["agent_assignments"] == Changes(updates={ASSIGNMENT_ID: {"assignment_metadata": metadata}})
    active = {"status": "busy", "updated_at": minutes(6), "last_active": minutes(6)}
    assert changes["agents"] == Changes(updates={AGENT_ID: active})


def test_a_number_of_an_agent_is_a_row() -> None:
    told = with_agent()
    recorded = AgentMetricRecorded(
        occurred_at=minutes(2), agent_id=AGENT_ID, metric_type="tokens", value=0.5, metadata={"model": "large"}
    )
    first, second = (told.tell(recorded, METRICS_ID, None)["agent_metrics"].inserts[0] for _ in range(2))
    id_ = event_id(METRICS_ID, 1)
    assert first == {
        "id": id_,
        "agent_id": AGENT_ID,
        "metric_type": "tokens",
        "value": 0.5,
        "metadata": {"model": "large", "event_id": str(id_), "seq": 1},
        "recorded_at": minutes(2),
    }
    assert second["metadata"]["seq"] == 2
    assert agent(told)["updated_at"] == AT


class TestTheWriteSide:
    """What claims ask of stands in the queue, and what may expire in the agenda."""

    @staticmethod
    def changes(event: Event) -> list[WriteSideChange]:
        return write_side_changes(AGENT_ID, None, event)

    def test_an_assignment_is_due_at_its_deadline(self) -> None:
        scheduled = {"op": "schedule", "kind": "assignment", "id": AGENT_ID, "project_id": PROJECT_ID}
        assert self.changes(opened(AT, minutes(10))) == [{**scheduled, "at": minutes(10)}]
        assert self.changes(heartbeat(minutes(5), minutes(15))) == [{**scheduled, "at": minutes(15)}]
        closing = self.changes(closed("released", minutes(5)))
        assert closing == [{"op": "unschedule", "kind": "assignment", "id": AGENT_ID}]

    def test_an_agent_without_one_is_never_due(self) -> None:
        assert self.changes(registered()) == self.changes(heartbeat(minutes(5))) == []

    def test_a_task_stands_in_the_queue_with_what_it_asks_of_an_agent(self) -> None:
        asking = added().model_copy(update={"agent_type": "architect", "capabilities": ["python"]})
        (queued,) = write_side_changes(TASK_ID, PROJECT_ID, asking)
        assert (queued["agent_type"], queued["capabilities"]) == ("architect", ["python"])
        (queued,) = write_side_changes(TASK_ID, PROJECT_ID, added())
        assert (queued["agent_type"], queued["capabilities"]) == (None, [])

    def test_a_claim_moves_its_task_once(self) -> None:
        assigned = TaskAssigned(occurred_at=AT, agent_id=AGENT_ID, assignment_id=uid("assignment"))
        assert write_side_changes(TASK_ID, PROJECT_ID, assigned) == []
        expired = TaskClaimExpired(occurred_at=AT, agent_id=AGENT_ID, attempts=1)
        moved = [{"op": "move_task", "id": TASK_ID, "status": "pending"}]
        assert write_side_changes(TASK_ID, PROJECT_ID, expired) == moved
