"""The state of the model, and the rows of the read tables that it means: each recomputed from the whole state.

Nothing is kept up incrementally: a project's numbers are sums of fractions over all its tasks, a task's duration a sum
over its spells. `float(Fraction)` is correctly rounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from .door import INT32_MAX, ISSUE_TYPES, SEVERITIES, STANDARD_METRICS

FULL = 10**8
"""100 percent, in micro-percents."""

Row = dict[str, Any]


class Answer(NamedTuple):
    id: UUID
    version: int
    position: int


@dataclass(frozen=True, slots=True)
class Owned:
    """A user or a project: what was said of it, and when it was made and last touched."""

    fields: Row
    created_at: datetime
    updated_at: datetime
    status: str = "active"
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    fields: Row
    created_at: datetime
    updated_at: datetime
    position: int
    status: str = "pending"
    claimed: int = 0
    authenticity: int = FULL
    completed_at: datetime | None = None
    started_at: datetime | None = None
    """Since when the task is in progress."""
    spells: tuple[timedelta, ...] = ()
    """How long it was, each time before."""

    @property
    def project(self) -> UUID:
        project: UUID = self.fields["project_id"]
        return project

    @property
    def weight(self) -> int:
        estimated: int | None = self.fields["estimated_duration"]
        return estimated or 1

    @property
    def real(self) -> Fraction:
        """real = c·a / 10¹⁴"""
        return Fraction(self.claimed * self.authenticity, 10**14)

    @property
    def fake(self) -> Fraction:
        """fake = claimed − real"""
        return Fraction(self.claimed, 10**6) - self.real

    @property
    def actual_duration(self) -> int | None:
        """The spells added up, a negative one counts 0, floored to minutes once; an INTEGER is bounded to 32 bits."""
        if not self.spells:
            return None
        worked = sum((max(spell, timedelta()) for spell in self.spells), timedelta())
        return min(worked // timedelta(minutes=1), INT32_MAX)


@dataclass(frozen=True, slots=True)
class Dependency:
    id: UUID
    type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    project: UUID
    type: str
    status: str = "started"
    assessments: tuple[tuple[UUID, int], ...] = ()
    report: Row | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    run: UUID
    fields: Row
    created_at: datetime
    status: str = "open"
    resolved_at: datetime | None = None


@dataclass(slots=True)
class World:
    """Everything that the events so far say. Its records are frozen: a copy of its dicts is a copy of it."""

    users: dict[UUID, Owned] = field(default_factory=dict)
    projects: dict[UUID, Owned] = field(default_factory=dict)
    tasks: dict[UUID, Task] = field(default_factory=dict)
    dependencies: dict[tuple[UUID, UUID], Dependency] = field(default_factory=dict)
    runs: dict[UUID, Run] = field(default_factory=dict)
    issues: dict[UUID, Issue] = field(default_factory=dict)
    quality: dict[UUID, int] = field(default_factory=dict)
    """project -> the quality score of its last completed run."""
    metrics: list[Row] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)
    answers: dict[UUID, tuple[Any, Answer]] = field(default_factory=dict)
    """command_id -> what was asked under it, and the first answer."""
    events: int = 0

    def copy(self) -> World:
        copied = {name: getattr(self, name).copy() for name in self.__slots__ if name != "events"}
        return World(**copied, events=self.events)

    def numbers(self, project: UUID) -> dict[str, float]:
        """A project's four numbers, as doubles: means over all its tasks, weighted by estimated_duration."""
        tasks = [task for task in self.tasks.values() if task.project == project]
        weights = sum(task.weight for task in tasks)
        real = sum((task.weight * task.real for task in tasks), Fraction()) / (weights or 1)
        fake = sum((task.weight * task.fake for task in tasks), Fraction()) / (weights or 1)
        authenticity = 100 * real / (real + fake) if real + fake else Fraction(100)
        quality = Fraction(self.quality.get(project, 0), 10**6)
        return dict(zip(STANDARD_METRICS, map(float, (real, fake, authenticity, quality)), strict=True))

    def next_seq(self, project: UUID) -> int:
        """The running number of the project's next metric."""
        return 1 + len([metric for metric in self.metrics if metric["project_id"] == project])

    def needed_by(self, task_id: UUID) -> set[UUID]:
        """A task, and all that it depends on, over any number of dependencies of any type."""
        needed = {task_id}
        while more := {other for task, other in self.dependencies if task in needed} - needed:
            needed |= more
        return needed

    def staged(self) -> set[str]:
        """The issues that wait for their run to end."""
        return {str(id_) for id_, issue in self.issues.items() if self.runs[issue.run].status == "started"}

    def touch_project(self, project: UUID, at: datetime, **changes: Any) -> None:
        self.projects[project] = replace(self.projects[project], updated_at=at, **changes)

    def tables(self) -> dict[str, list[Row]]:
        """The rows of the seven read tables, each table's in the order of their ids."""
        tables = {
            "users": [self._user(*item) for item in self.users.items()],
            "projects": [self._project(*item) for item in self.projects.items()],
            "tasks": [_task(*item) for item in self.tasks.items()],
            "task_dependencies": [_dependency(*item) for item in self.dependencies.items()],
            "validation_reports": [run.report for run in self.runs.values() if run.report],
            "validation_issues": [
                _issue(id_, issue) for id_, issue in self.issues.items() if self.runs[issue.run].report
            ],
            "progress_metrics": self.metrics,
        }
        return {name: sorted(rows, key=lambda row: str(row["id"])) for name, rows in tables.items()}

    @staticmethod
    def _user(id_: UUID, user: Owned) -> Row:
        times = {"created_at": user.created_at, "updated_at": user.updated_at, "last_login": None}
        return {"id": id_, **user.fields, **times, "is_active": True}

    def _project(self, id_: UUID, project: Owned) -> Row:
        return {
            "id": id_,
            **project.fields,
            "status": project.status,
            "template_id": None,
            **self.numbers(id_),
            "created_at": project.created_at,
            "updated_at": project.updated_at,
            "completed_at": project.completed_at,
        }

    def report(self, run_id: UUID, metrics: Row, at: datetime) -> Row:
        """A completed run's report: the project's numbers are those after it."""
        run = self.runs[run_id]
        numbers = self.numbers(run.project)
        issues = [issue.fields for issue in self.issues.values() if issue.run == run_id]
        severities = Counter(issue["severity"] for issue in issues)
        types = Counter(issue["issue_type"] for issue in issues)
        return {
            "id": run_id,
            "project_id": run.project,
            "validation_type": run.type,
            "overall_authenticity": numbers["authenticity_rate"],
            "real_progress": numbers["real_progress"],
            "fake_progress": numbers["fake_progress"],
            "quality_metrics": metrics,
            "issues_summary": {
                "by_severity": {severity: severities[severity] for severity in SEVERITIES},
                "by_type": {issue_type: types[issue_type] for issue_type in ISSUE_TYPES},
            },
            "created_at": at,
        }


def _task(id_: UUID, task: Task) -> Row:
    return {
        "id": id_,
        **task.fields,
        "status": task.status,
        "real_progress": float(task.real),
        "fake_progress": float(task.fake),
        "authenticity_score": task.authenticity / 10**6,
        "actual_duration": task.actual_duration,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "completed_at": task.completed_at,
        "added_position": task.position,
    }


def _dependency(pair: tuple[UUID, UUID], dependency: Dependency) -> Row:
    task, other = pair
    return {
        "id": dependency.id,
        "task_id": task,
        "depends_on_task_id": other,
        "dependency_type": dependency.type,
        "created_at": dependency.created_at,
    }


def _issue(id_: UUID, issue: Issue) -> Row:
    return {
        "id": id_,
        "validation_report_id": issue.run,
        **issue.fields,
        "status": issue.status,
        "created_at": issue.created_at,
        "resolved_at": issue.resolved_at,
    }


def event_id(stream: UUID, version: int) -> UUID:
    """An event is named by its stream and its place in it."""
    return uuid5(stream, str(version))
