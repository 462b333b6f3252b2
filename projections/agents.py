"""agents, agent_assignments and agent_metrics: one row an agent, one a claimed task, one a recorded number.

An agent's `last_active` is when it last registered, sent a heartbeat, claimed, went offline or reported an error:
what closes its assignment may be somebody else. An assignment's metadata are the claim's own, with `lease_seconds`, and
`deadline` as the last heartbeat left it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..domain.agent import AgentErrorReported, AgentRegistered, AgentWentOffline, HeartbeatRecorded
from ..domain.agent_metrics import AgentMetricRecorded
from ..domain.assignment import AssignmentClosed, AssignmentOpened
from ..domain.messages import Recorded
from .projection import Change, Handler, Insert, Rows, Update
from .tables import AGENT_ASSIGNMENTS, AGENT_METRICS, AGENT_STATE, AGENTS


def registered(recorded: Recorded, event: AgentRegistered, rows: Rows) -> Iterator[Change]:
    yield Insert(
        AGENTS.name,
        {
            "id": recorded.stream_id,
            "agent_type": event.agent_type,
            "name": event.name,
            "capabilities": event.capabilities,
            "status": "idle",
            "configuration": event.configuration,
            "coordination_hooks": event.coordination_hooks,
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
            "last_active": event.occurred_at,
        },
    )
    state = {"agent_id": recorded.stream_id, "status": "idle", "assignment_metadata": None}
    yield Insert(AGENT_STATE.name, state)


def heartbeat_recorded(recorded: Recorded, event: HeartbeatRecorded, rows: Rows) -> Iterator[Change]:
    if event.assignment_id is None or event.deadline is None:
        yield from _active(recorded, "idle")
        return
    metadata = rows.get(AGENT_STATE.name, recorded.stream_id)["assignment_metadata"]
    metadata = {**metadata, "deadline": _time(event.deadline)}
    yield Update(AGENT_ASSIGNMENTS.name, event.assignment_id, {"assignment_metadata": metadata})
    yield from _active(recorded, "busy", {"assignment_metadata": metadata})


def went_offline(recorded: Recorded, event: AgentWentOffline, rows: Rows) -> Iterator[Change]:
    yield from _active(recorded, "offline")


def error_reported(recorded: Recorded, event: AgentErrorReported, rows: Rows) -> Iterator[Change]:
    yield from _active(recorded, "error")


def assignment_opened(recorded: Recorded, event: AssignmentOpened, rows: Rows) -> Iterator[Change]:
    metadata = {**event.metadata, "deadline": _time(event.deadline), "lease_seconds": event.lease_seconds}
    yield Insert(
        AGENT_ASSIGNMENTS.name,
        {
            "id": event.assignment_id,
            "agent_id": recorded.stream_id,
            "task_id": event.task_id,
            "status": "assigned",
            "assignment_metadata": metadata,
            "assigned_at": event.occurred_at,
            "completed_at": None,
        },
    )
    yield from _active(recorded, "busy", {"assignment_metadata": metadata})


def assignment_closed(recorded: Recorded, event: AssignmentClosed, rows: Rows) -> Iterator[Change]:
    closed = {"status": event.status, "completed_at": event.occurred_at}
    yield Update(AGENT_ASSIGNMENTS.name, event.assignment_id, closed)
    before = rows.get(AGENT_STATE.name, recorded.stream_id)["status"]
    status = "idle" if before == "busy" else before
    yield from _moved(recorded, status, {"updated_at": event.occurred_at}, {"assignment_metadata": None})


def _active(recorded: Recorded, status: str, state: dict[str, Any] | None = None) -> Iterator[Change]:
    """What the agent itself did."""
    at = recorded.event.occurred_at
    yield from _moved(recorded, status, {"updated_at": at, "last_active": at}, state or {})


def _moved(recorded: Recorded, status: str, values: dict[str, Any], state: dict[str, Any]) -> Iterator[Change]:
    agent_id: UUID = recorded.stream_id
    yield Update(AGENTS.name, agent_id, {"status": status, **values})
    yield Update(AGENT_STATE.name, agent_id, {"status": status, **state})


def _time(time: datetime) -> str:
    """A time as text in JSON: ISO 8601, in UTC, with microseconds, so that it sorts."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def metric_recorded(recorded: Recorded, event: AgentMetricRecorded, rows: Rows) -> Iterator[Change]:
    event_id = recorded.event_id
    yield Insert(
        AGENT_METRICS.name,
        {
            "id": event_id,
            "agent_id": event.agent_id,
            "metric_type": event.metric_type,
            "value": event.value,
            "metadata": {**event.metadata, "event_id": str(event_id), "seq": recorded.version},
            "recorded_at": event.occurred_at,
        },
    )


HANDLERS: dict[type, Handler] = {
    AgentRegistered: registered,
    HeartbeatRecorded: heartbeat_recorded,
    AgentWentOffline: went_offline,
    AgentErrorReported: error_reported,
    AssignmentOpened: assignment_opened,
    AssignmentClosed: assignment_closed,
    AgentMetricRecorded: metric_recorded,
}
