"""The read tables as dicts, told one event after another: what an event changes, and what the tables then hold.

    told = Told().with_project(); told.tell(added(), TASK_ID); told.tell(started(at=minutes(5)), TASK_ID)
    assert told.tell(...) == {"tasks": Changes(updates={TASK_ID: {"status": "completed", ...}}), ...}

Changes are applied one by one and strictly (testing/rows.py): what a database would refuse is refused here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from claude_tiu.domain.messages import Event, Recorded
from claude_tiu.domain.project import ProjectCreated
from claude_tiu.domain.task import ProgressClaimed, TaskAdded, TaskStarted
from claude_tiu.domain.validation_run import IssueReported, RunCompleted, RunStarted
from claude_tiu.projections.fold import Fold
from claude_tiu.projections.projection import Operation, RowChange
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.operations import OPERATIONS, InMemory
from claude_tiu.testing.rows import Projected
from tests.domain.given import AT, ISSUE_ID, PROJECT_ID, RUN_ID, TASK_ID, USER_ID, uid

OTHER_ID = uid("other task")
NOTHING_DONE: Mapping[str, InMemory] = dict.fromkeys(OPERATIONS, lambda tables, given: None)


def minutes(count: float) -> datetime:
    """So long after AT; before it, where negative."""
    return AT + timedelta(minutes=count)


@dataclass
class Changes:
    """What an event changes in one table."""

    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    deletes: list[UUID] = field(default_factory=list)


def folded(changes: Iterable[RowChange]) -> dict[str, Changes]:
    """The changes of an event, by table, at most one of a row; tables that it leaves alone are left out."""
    fold = Fold(READ_MODEL.tables)
    for change in changes:
        fold.add(change)
    return {
        table.name: Changes([dict(row) for row in inserts], dict(updates), deletes)
        for table, deletes, updates, inserts in fold.writes()
    }


class Told(Projected):
    """The read tables, in memory. `operations`: those that the last event told of; they change no table here."""

    def __init__(self, operations: Mapping[str, InMemory] = NOTHING_DONE) -> None:
        super().__init__(READ_MODEL, operations)
        self.operations: list[Operation] = []
        self.position = 0
        self._versions: Counter[UUID] = Counter()

    def next(self, event: Event, stream_id: UUID, project_id: UUID | None = PROJECT_ID) -> Recorded:
        """Where an event would stand."""
        return Recorded(event, stream_id, self._versions[stream_id] + 1, self.position + 1, project_id)

    def tell(self, event: Event, stream_id: UUID, project_id: UUID | None = PROJECT_ID) -> dict[str, Changes]:
        """Project an event; return what it changed."""
        told = self.take(self.next(event, stream_id, project_id))
        self.position += 1
        self._versions[stream_id] += 1
        self.operations = [change for change in told if isinstance(change, Operation)]
        return folded([change for change in told if not isinstance(change, Operation)])

    def with_project(self, project_id: UUID = PROJECT_ID) -> Told:
        self.tell(project_created(), project_id, project_id)
        return self

    def with_task(self, task_id: UUID = TASK_ID, *, weight: int | None = None, claimed: float | None = None) -> Told:
        """A task of a weight; in progress, if something is claimed of it."""
        self.tell(added(estimated_duration=weight), task_id)
        if claimed is not None:
            self.tell(TaskStarted(occurred_at=AT), task_id)
            self.tell(ProgressClaimed(occurred_at=AT, claimed=claimed), task_id)
        return self

    def with_run(self, *issues: IssueReported, run_id: UUID = RUN_ID) -> Told:
        self.tell(RunStarted(occurred_at=AT, project_id=PROJECT_ID, validation_type="deep"), run_id)
        for issue in issues:
            self.tell(issue, run_id)
        return self

    @property
    def project(self) -> dict[str, Any]:
        return self.tables["projects"][PROJECT_ID]

    @property
    def task(self) -> dict[str, Any]:
        return self.tables["tasks"][TASK_ID]

    @property
    def series(self) -> list[tuple[int, str, float]]:
        """(seq, metric, value) of all there is, in the order of the rows."""
        rows = self.tables["progress_metrics"].values()
        return [(row["metadata"]["seq"], row["metric_name"], row["value"]) for row in rows]


def project_created(at: datetime = AT) -> ProjectCreated:
    return ProjectCreated(
        occurred_at=at,
        user_id=USER_ID,
        name="Billing",
        description=None,
        configuration={"a": 1},
        metadata={},
    )


def added(at: datetime = AT, estimated_duration: int | None = None) -> TaskAdded:
    return TaskAdded(
        occurred_at=at,
        project_id=PROJECT_ID,
        name="Parser",
        description="reads",
        priority="high",
        ai_prompt=None,
        expected_outputs=["parser.py"],
        validation_criteria={"tests": True},
        estimated_duration=estimated_duration,
    )


def issue(
    name: str = "issue", *, at: datetime = AT, severity: str = "high", issue_type: str = "placeholder"
) -> IssueReported:
    return IssueReported(
        occurred_at=at,
        issue_id=ISSUE_ID if name == "issue" else uid(name),
        task_id=TASK_ID,
        issue_type=issue_type,
        severity=severity,
        description="pass",
        file_path="parser.py",
        line_number=7,
        auto_fix_available=True,
        suggested_fix=None,
    )


def run_completed(
    assessments: dict[UUID, float] | None = None, *, at: datetime = AT, quality_score: float = 0.0
) -> RunCompleted:
    return RunCompleted(
        occurred_at=at,
        quality_score=quality_score,
        quality_metrics={"lines": 10},
        assessments=assessments or {},
    )
