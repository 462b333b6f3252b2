"""Retention: how long the read tables keep what grows without end. Events are never deleted; a run of it is an event.

The specification's policies: validation reports 90 days, metric details 30 days, daily values a year, completed
projects archived after a year. Sessions are kept until they expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, ClassVar, Protocol
from uuid import UUID

from pydantic import Field, Strict

from .agenda import COMPLETED_PROJECT
from .aggregate import Aggregate
from .messages import Command, Decided, Elsewhere, Event
from .name_ids import uuid5
from .project import ProjectArchived
from .project_state import Project
from .values import INT32_MAX

RETENTION_ID = uuid5(UUID(int=0), "claude-tiu retention")
"""The one stream of all runs of retention."""

MAX_ARCHIVED = 1_000
"""How many projects one run archives at most, for they are archived in one commit; the next run goes on."""

Days = Annotated[int, Strict(), Field(ge=1, le=36_500)]


class RunRetention(Command):
    """Let go of what the read tables have kept long enough, as of occurred_at, and archive projects long completed.

    Validation reports older than report_days go with their issues, unless one of those is open or in progress. Metric
    rows older than metric_days are rolled up into one a day, and those are kept for daily_days. Expired sessions go.
    Projects completed more than project_days ago are archived, unless an assignment or a validation run is open in
    them; 1,000 a run, the longest completed first. A run as of an earlier time than the last one is no error.
    """

    exclusive: ClassVar = True

    report_days: Days = 90
    metric_days: Days = 30
    daily_days: Days = 365
    project_days: Days = 365


class RetentionRan(Event):
    """What is older than these times goes; events of their own, in the same commit, tell of archived projects."""

    topic: ClassVar = "retention.ran.v1"

    reports_before: datetime
    details_before: datetime
    dailies_before: datetime
    sessions_before: datetime
    projects_before: datetime


@dataclass(frozen=True, slots=True)
class Retention:
    last_run: datetime
    """As of when retention ran last; not the latest such time: it may fall."""


class Reads(Protocol):
    """What deciding on retention asks of other streams, and of the agenda."""

    def project(self, project_id: UUID) -> Project | None: ...
    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]: ...
    def will_read(self, *stream_ids: UUID) -> None: ...
    def open_in(self, project_id: UUID) -> list[str]: ...


def decide(retention: Retention | None, command: RunRetention, reads: Reads) -> list[Decided]:
    ran = cutoffs(command)
    archived = ProjectArchived(occurred_at=command.at)
    return [ran, *(Elsewhere(project_id, archived) for project_id in long_completed(ran.projects_before, reads))]


def cutoffs(command: RunRetention) -> RetentionRan:
    """Return the event of a run of retention."""
    at = command.at
    return RetentionRan(
        occurred_at=at,
        reports_before=at - timedelta(days=command.report_days),
        details_before=at - timedelta(days=command.metric_days),
        dailies_before=at - timedelta(days=command.daily_days),
        sessions_before=at,
        projects_before=at - timedelta(days=command.project_days),
    )


def long_completed(before: datetime, reads: Reads) -> list[UUID]:
    """Return the projects that a run archives: completed before a time, the oldest first, and nothing open in them."""
    due = reads.due(COMPLETED_PROJECT, before, INT32_MAX)
    reads.will_read(*due[:MAX_ARCHIVED])
    return list(islice((project_id for project_id in due if _may_be_archived(project_id, reads)), MAX_ARCHIVED))


def _may_be_archived(project_id: UUID, reads: Reads) -> bool:
    project = reads.project(project_id)
    return project is not None and project.status == "completed" and not reads.open_in(project_id)


def evolve(retention: Retention | None, event: RetentionRan) -> Retention:
    return Retention(event.occurred_at)


RETENTION = Aggregate[Retention](
    name="retention",
    commands=(RunRetention,),
    events=(RetentionRan,),
    decide=decide,
    evolve=evolve,
    project_of=lambda retention_id, retention: None,
    stream_of=lambda command, reads: RETENTION_ID,
    of_last=True,
)
