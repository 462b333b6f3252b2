"""The HTML report that stands beside an audit bundle: one file that opens offline, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..queries import IssueRow, MetricRow, ProjectRow, ReportRow, TaskRow


@dataclass(frozen=True, slots=True)
class StoryLine:
    """An event in words; `actor` is an id, if one was given."""

    occurred_at: datetime
    sentence: str
    actor: str | None


@dataclass(frozen=True, slots=True)
class Proofs:
    """What can be checked. `facts` are names and values, such as ("Root", "ab12…"); the others are sentences."""

    facts: Sequence[tuple[str, str]]
    proved: Sequence[str]
    not_proved: Sequence[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report tells of a project, as of a position of the log.

    `real` and `fake` are the series of the project's metrics real_progress and fake_progress, in their order.
    """

    project: ProjectRow
    position: int
    recorded_at: datetime
    tasks: Sequence[TaskRow]
    real: Sequence[MetricRow]
    fake: Sequence[MetricRow]
    validations: Sequence[ReportRow]
    issues: Sequence[IssueRow]
    story: Sequence[StoryLine]
    proofs: Proofs
