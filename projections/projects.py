"""projects: one row a project; its numbers are changed by its tasks and runs (numbers.py)."""

from __future__ import annotations

from collections.abc import Iterator

from ..domain.messages import Recorded
from ..domain.progress import Sums
from ..domain.project import ProjectCompleted, ProjectCreated, ProjectFailed, ProjectReactivated
from ..domain.project_metrics import MetricRecorded
from .numbers import metric_row
from .projection import Change, Handler, Insert, Rows, Update
from .tables import PROJECT_STATE, PROJECTS


def project_created(recorded: Recorded, event: ProjectCreated, rows: Rows) -> Iterator[Change]:
    real, fake, rate = Sums().numbers()
    yield Insert(
        PROJECTS.name,
        {
            "id": recorded.stream_id,
            "user_id": event.user_id,
            "name": event.name,
            "description": event.description,
            "status": "active",
            "template_id": None if event.template_id is None else str(event.template_id),
            "configuration": event.configuration,
            "metadata": event.metadata,
            "real_progress": real,
            "fake_progress": fake,
            "authenticity_rate": rate,
            "quality_score": 0.0,
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
            "completed_at": None,
        },
    )
    yield Insert(
        PROJECT_STATE.name,
        {
            "project_id": recorded.stream_id,
            "real_sum": 0,
            "claimed_sum": 0,
            "weight_sum": 0,
            "real_progress": real,
            "fake_progress": fake,
            "authenticity_rate": rate,
            "quality_score": 0.0,
            "metric_seq": 0,
        },
    )


def project_completed(recorded: Recorded, event: ProjectCompleted, rows: Rows) -> Iterator[Change]:
    at = event.occurred_at
    yield Update(PROJECTS.name, recorded.stream_id, {"status": "completed", "completed_at": at, "updated_at": at})


def project_failed(recorded: Recorded, event: ProjectFailed, rows: Rows) -> Iterator[Change]:
    yield Update(PROJECTS.name, recorded.stream_id, {"status": "failed", "updated_at": event.occurred_at})


def project_reactivated(recorded: Recorded, event: ProjectReactivated, rows: Rows) -> Iterator[Change]:
    values = {"status": "active", "completed_at": None, "updated_at": event.occurred_at}
    yield Update(PROJECTS.name, recorded.stream_id, values)


def metric_recorded(recorded: Recorded, event: MetricRecorded, rows: Rows) -> Iterator[Change]:
    seq = rows.get(PROJECT_STATE.name, event.project_id)["metric_seq"] + 1
    yield metric_row(recorded, event.project_id, event.metric_name, event.value, {**event.metadata, "seq": seq})
    yield Update(PROJECT_STATE.name, event.project_id, {"metric_seq": seq})


HANDLERS: dict[type, Handler] = {
    ProjectCreated: project_created,
    ProjectCompleted: project_completed,
    ProjectFailed: project_failed,
    ProjectReactivated: project_reactivated,
    MetricRecorded: metric_recorded,
}
