"""A project's own metrics: numbers that the embedding service records beside those that the core computes.

They stand in a stream of their own: however many are recorded, no decision on the project's tasks is in their way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate
from .messages import Command, Event
from .name_ids import uuid5
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import JsonObject, MetricName, Number, without_reserved

STANDARD_METRICS = ("real_progress", "fake_progress", "authenticity_rate", "quality_score")
"""The metric names that the core writes itself, in the order in which one event writes them."""

RESERVED_METADATA = ("aggregation_level", "event_id", "seq")


def metrics_id(project_id: UUID) -> UUID:
    """Return the stream of a project's own metrics."""
    return uuid5(project_id, "metrics")


class RecordMetric(Command):
    """Record a value of a metric of the caller's own; the four standard names are the core's."""

    reads: ClassVar = ("project_id",)

    project_id: UUID
    metric_name: MetricName
    value: Number
    metadata: JsonObject = {}

    @field_validator("metric_name")
    @classmethod
    def _own_name(cls, name: str) -> str:
        if name in STANDARD_METRICS:
            raise PydanticCustomError("reserved_metric", "This metric is computed, and may not be recorded")
        return name

    @field_validator("metadata")
    @classmethod
    def _own_metadata(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        return without_reserved(metadata, RESERVED_METADATA)


class MetricRecorded(Event):
    topic: ClassVar = "project_metrics.metric_recorded.v1"

    project_id: UUID
    metric_name: str
    value: float
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProjectMetrics:
    project_id: UUID


class Reads(Protocol):
    """What recording a metric asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...


def decide(metrics: ProjectMetrics | None, command: RecordMetric, reads: Reads) -> list[Event]:
    require_project(reads.project(command.project_id), command.project_id, NOT_ARCHIVED, command)
    return [
        MetricRecorded(
            occurred_at=command.at,
            project_id=command.project_id,
            metric_name=command.metric_name,
            value=command.value,
            metadata=command.metadata,
        )
    ]


def evolve(metrics: ProjectMetrics | None, event: MetricRecorded) -> ProjectMetrics:
    return ProjectMetrics(event.project_id)


PROJECT_METRICS = Aggregate[ProjectMetrics](
    name="project_metrics",
    commands=(RecordMetric,),
    events=(MetricRecorded,),
    decide=decide,
    evolve=evolve,
    project_of=lambda stream_id, metrics: metrics.project_id,
    stream_of=lambda command, reads: metrics_id(command.project_id),
    of_last=True,
)
