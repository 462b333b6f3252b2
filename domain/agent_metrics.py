"""An agent's numbers: tokens, durations, whatever its service records of it.

They stand in a stream of their own: however many are recorded, no claim and no heartbeat of the agent is in their way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import field_validator

from .aggregate import Aggregate
from .errors import NotFound
from .messages import Command, Event
from .name_ids import uuid5
from .values import JsonObject, MetricName, Number, without_reserved

RESERVED_METADATA = ("event_id", "seq")


def agent_metrics_id(agent_id: UUID) -> UUID:
    """Return the stream of an agent's numbers."""
    return uuid5(agent_id, "metrics")


class RecordAgentMetric(Command):
    """Record a value of a metric of an agent."""

    reads: ClassVar = ("agent_id",)

    agent_id: UUID
    metric_type: MetricName
    value: Number
    metadata: JsonObject = {}

    @field_validator("metadata")
    @classmethod
    def _own_metadata(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        return without_reserved(metadata, RESERVED_METADATA)


class AgentMetricRecorded(Event):
    topic: ClassVar = "agent_metrics.metric_recorded.v1"

    agent_id: UUID
    metric_type: str
    value: float
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    agent_id: UUID


class Reads(Protocol):
    """What recording a metric asks of other streams."""

    def agent_exists(self, agent_id: UUID) -> bool: ...


def decide(metrics: AgentMetrics | None, command: RecordAgentMetric, reads: Reads) -> list[Event]:
    if not reads.agent_exists(command.agent_id):
        raise NotFound(f"no agent {command.agent_id}", id=command.agent_id)
    return [
        AgentMetricRecorded(
            occurred_at=command.at,
            agent_id=command.agent_id,
            metric_type=command.metric_type,
            value=command.value,
            metadata=command.metadata,
        )
    ]


def evolve(metrics: AgentMetrics | None, event: AgentMetricRecorded) -> AgentMetrics:
    return AgentMetrics(event.agent_id)


AGENT_METRICS = Aggregate[AgentMetrics](
    name="agent_metrics",
    commands=(RecordAgentMetric,),
    events=(AgentMetricRecorded,),
    decide=decide,
    evolve=evolve,
    project_of=lambda stream_id, metrics: None,
    stream_of=lambda command, reads: agent_metrics_id(command.agent_id),
    of_last=True,
)
