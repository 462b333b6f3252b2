"""The questions that the read tables answer, typed: the same SQL (queries.sql) on every store.

The specification's queries stand here under its column names, corrected as its README says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, TypeAdapter

from ..domain.values import EARLIEST_YEAR, LATEST_YEAR
from .errors import InvalidQuery
from .read_store import ReadStore
from .sql import statements

SQL = statements("queries.sql")
FIRST_TIME = datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC)
MAX_SEARCH_TEXT = 1_000
LAST_TIME = datetime(LATEST_YEAR, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def _ordered(value: Any) -> Any:
    """JSON in one order of keys on every store: JSONB has an order of its own."""
    match value:
        case dict():
            return {key: _ordered(value[key]) for key in sorted(value)}
        case list():
            return [_ordered(item) for item in value]
    return value


Json = Annotated[Any, BeforeValidator(lambda value: _ordered(json.loads(value) if isinstance(value, str) else value))]
StepIds = Annotated[list[UUID], BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)]
Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]
RowType = TypeVar("RowType")


@dataclass(frozen=True, slots=True)
class DashboardRow:
    """A project of a user's dashboard; progress, rates and scores in percent."""

    id: UUID
    name: str
    status: str
    real_progress: float
    fake_progress: float
    authenticity_rate: float
    quality_score: float
    task_count: int
    completed_tasks: int
    last_validation: Time | None


@dataclass(frozen=True, slots=True)
class ProjectRow:
    id: UUID
    user_id: UUID
    name: str
    description: str | None
    status: str
    template_id: str | None
    configuration: Json
    metadata: Json
    real_progress: float
    fake_progress: float
    authenticity_rate: float
    quality_score: float
    created_at: Time
    updated_at: Time
    completed_at: Time | None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task; durations in minutes."""

    id: UUID
    project_id: UUID
    name: str
    status: str
    priority: str
    real_progress: float
    fake_progress: float
    authenticity_score: float
    estimated_duration: int | None
    actual_duration: int | None
    created_at: Time
    updated_at: Time
    completed_at: Time | None


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """A pending task of an active project, whose binding dependencies are all completed."""

    id: UUID
    project_id: UUID
    name: str
    priority: str
    estimated_duration: int | None
    created_at: Time


@dataclass(frozen=True, slots=True)
class IssueGroup:
    """How many issues of a type and severity are open in the newest reports."""

    issue_type: str
    severity: str
    issue_count: int
    avg_authenticity: float


@dataclass(frozen=True, slots=True)
class ReportRow:
    id: UUID
    project_id: UUID
    validation_type: str
    overall_authenticity: float
    real_progress: float
    fake_progress: float
    quality_metrics: Json
    issues_summary: Json
    created_at: Time
    issue_count: int


@dataclass(frozen=True, slots=True)
class IssueRow:
    """An issue that is open or in progress; `task_name` is that of its task, if it has one."""

    id: UUID
    validation_report_id: UUID
    task_id: UUID | None
    task_name: str | None
    issue_type: str
    severity: str
    description: str
    file_path: str | None
    line_number: int | None
    status: str
    created_at: Time


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """That a task was given to an agent; 'assigned' is one that the agent holds."""

    id: UUID
    task_id: UUID
    task_name: str
    agent_id: UUID
    agent_name: str | None
    agent_type: str
    status: str
    assigned_at: Time
    completed_at: Time | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    id: UUID
    project_id: UUID
    metric_name: str
    value: float
    metadata: Json
    recorded_at: Time


@dataclass(frozen=True, slots=True)
class CleanupRow:
    """How many rows of a table a run of retention dropped by one of its rules: those older than `cutoff`."""

    id: UUID
    table_name: str
    rows_deleted: int
    cutoff: Time
    cleanup_date: Time


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file without its content; the score in percent."""

    id: UUID
    project_id: UUID
    file_path: str
    content_hash: str
    size_bytes: int
    status: str
    validation_score: float
    metadata: Json
    created_at: Time
    updated_at: Time


@dataclass(frozen=True, slots=True)
class ProjectCounts:
    """How many rows of each kind a project has."""

    tasks: int
    reports: int
    issues: int
    metrics: int


@dataclass(frozen=True, slots=True)
class StepExecution:
    """A step of a workflow run; `depends_on` holds ids of steps of the same run."""

    id: UUID
    run_id: UUID
    workflow_step_id: UUID
    workflow_id: UUID
    project_id: UUID
    name: str
    type: str
    step_order: int
    depends_on: StepIds
    status: str
    result_data: Json
    execution_metadata: Json
    started_at: Time | None
    completed_at: Time | None


@dataclass(frozen=True, slots=True)
class ReadyStep:
    """A pending step of a workflow run, whose dependencies are all completed."""

    run_id: UUID
    workflow_step_id: UUID
    project_id: UUID
    name: str
    type: str
    ai_prompt: str | None
    validation_config: Json
    step_order: int


def as_id(value: Any) -> UUID:
    """Return the UUID that a caller means, by itself or as text. Raises InvalidQuery."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        hint = "; did you mean its .id?" if hasattr(value, "id") else ""
        raise InvalidQuery(f"an id is a UUID: not {type(value).__name__} {value!a:.60}{hint}") from None


class Queries:
    """The read side of one read store. Every method may raise StoreUnavailable or InvalidQuery.

    `now` is when it is asked as of; without it, when it is asked.
    """

    def __init__(self, store: ReadStore, *, now: datetime | None = None) -> None:
        self._store = store
        self._now = now
        self._adapters: dict[type, TypeAdapter[Any]] = {}

    def _rows(self, row_type: type[RowType], name: str, parameters: Mapping[str, Any]) -> list[RowType]:
        return self._typed(row_type, self._query(name, parameters))

    def _query(self, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        for value in parameters.values():
            if isinstance(value, str):
                _possible(value, name)
        try:
            return self._store.query(SQL[name], parameters)
        except (UnicodeError, OverflowError) as error:
            raise InvalidQuery(f"{name}: cannot be asked: {error}") from None

    def _typed(self, row_type: type[RowType], rows: list[dict[str, Any]]) -> list[RowType]:
        adapter = self._adapters.get(row_type)
        if adapter is None:
            adapter = self._adapters[row_type] = TypeAdapter(row_type)
        return [adapter.validate_python(row) for row in rows]

    def dashboard(self, user_id: UUID, *, limit: int = 20) -> list[DashboardRow]:
        """Return a user's active projects, the one that changed last first (the specification's dashboard)."""
        return self._rows(DashboardRow, "dashboard", {"user_id": as_id(user_id), "limit": limit})

    def projects(self, *, limit: int = 20) -> list[ProjectRow]:
        """Return projects of any user and status, the one that changed last first."""
        return self._rows(ProjectRow, "projects", {"limit": limit})

    def project(self, project_id: UUID) -> ProjectRow | None:
        """Return a project's row."""
        rows = self._rows(ProjectRow, "project", {"project_id": as_id(project_id)})
        return rows[0] if rows else None

    def user_id(self, username: str) -> UUID | None:
        """Return the id of the user of a name."""
        rows = self._query("user_by_name", {"username": username})
        return UUID(str(rows[0]["id"])) if rows else None

    def tasks(self, project_id: UUID) -> list[TaskRow]:
        """Return a project's tasks, the oldest first."""
        return self._rows(TaskRow, "tasks", {"project_id": as_id(project_id)})

    def ready_tasks(self, project_id: UUID, *, limit: int = 100) -> list[ReadyTask]:
        """Return the tasks that can be started: by priority, then age, then the order of AddTask."""
        return self._rows(ReadyTask, "ready_tasks", {"project_id": as_id(project_id), "limit": limit})

    def validation_issues(
        self, *, until: datetime | None = None, within: timedelta = timedelta(hours=24)
    ) -> list[IssueGroup]:
        """Return the open issues of each project's newest report of the time `within` before `until` (default: now),
        counted by type and severity, the most severe first (the specification's validation-issues query)."""
        until = until or self._now or datetime.now(UTC)
        return self._rows(IssueGroup, "validation_issues", {"since": until - within, "until": until})

    def reports(self, project_id: UUID, *, limit: int = 100) -> list[ReportRow]:
        """Return a project's validation reports, the newest first."""
        return self._rows(ReportRow, "reports", {"project_id": as_id(project_id), "limit": limit})

    def open_issues(self, project_id: UUID, *, limit: int = 1_000) -> list[IssueRow]:
        """Return a project's issues that are open or in progress, in any of its reports: those of the newest report
        first, of each the most severe."""
        return self._rows(IssueRow, "open_issues", {"project_id": as_id(project_id), "limit": limit})

    def assignments(self, project_id: UUID, *, limit: int = 1_000) -> list[AssignmentRow]:
        """Return which agent was given which of a project's tasks, the latest first."""
        return self._rows(AssignmentRow, "assignments", {"project_id": as_id(project_id), "limit": limit})

    def file_content(self, project_id: UUID, file_path: str) -> str | None:
        """Return the text of a project's file; None where there is none, or of it only hash and size are known."""
        rows = self._query("file_content", {"project_id": as_id(project_id), "file_path": file_path})
        return rows[0]["content"] if rows else None

    def metrics(
        self,
        project_id: UUID,
        metric_name: str,
        *,
        since: datetime = FIRST_TIME,
        until: datetime = LAST_TIME,
        limit: int = 1_000_000,
    ) -> list[MetricRow]:
        """Return the series of a project's metric, in its order: by time, then by the project's metric number."""
        parameters = {"project_id": as_id(project_id), "metric_name": metric_name, "since": since, "until": until}
        return self._rows(MetricRow, "metrics", {**parameters, "limit": limit})

    def counts(self, project_id: UUID) -> ProjectCounts:
        """Return how many tasks, reports, issues and metric rows a project has."""
        return self._rows(ProjectCounts, "counts", {"project_id": as_id(project_id)})[0]

    def cleanup_log(
        self, *, since: datetime = FIRST_TIME, until: datetime = LAST_TIME, limit: int = 1_000
    ) -> list[CleanupRow]:
        """Return what runs of retention dropped, the latest run first."""
        return self._rows(CleanupRow, "cleanup_log", {"since": since, "until": until, "limit": limit})

    def workflow_run(self, run_id: UUID) -> list[StepExecution]:
        """Return the steps of a workflow run, by step_order, then by when they were added; [] for an unknown run."""
        return self._rows(StepExecution, "workflow_run", {"run_id": as_id(run_id)})

    def ready_steps(self, run_id: UUID) -> list[ReadyStep]:
        """Return the steps of a workflow run that can be started now, in the order of `workflow_run`."""
        return self._rows(ReadyStep, "ready_steps", {"run_id": as_id(run_id)})

    def search_projects(self, text: str, *, user_id: UUID | None = None, limit: int = 20) -> list[ProjectRow]:
        """Return the projects, of one user or of all, whose name and description hold every word of `text`.

        Words are found by their English stem, and nothing in `text` is an operator; the project that changed last comes
        first. Raises InvalidQuery where `text` is over 1,000 characters, or no text that a database could hold.
        """
        parameters = {"user_id": None if user_id is None else as_id(user_id), "limit": limit}
        return self._typed(ProjectRow, self._store.search("projects", _searchable(text), parameters))

    def search_files(self, text: str, *, project_id: UUID | None = None, limit: int = 20) -> list[FileRow]:
        """Return the files, of one project or of all, whose content holds every word of `text`; as `search_projects`.

        Of a long file the first 65,536 characters are searched.
        """
        parameters = {"project_id": None if project_id is None else as_id(project_id), "limit": limit}
        return self._typed(FileRow, self._store.search("files", _searchable(text), parameters))


def _searchable(text: str) -> str:
    if len(text) > MAX_SEARCH_TEXT:
        raise InvalidQuery(f"a search takes at most {MAX_SEARCH_TEXT:,} characters, not {len(text):,}")
    return _possible(text, "search")


def _possible(text: str, asking: str) -> str:
    """Return a text that a database can look for. Raises InvalidQuery."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise InvalidQuery(f"{asking}: no text has NUL characters or lone surrogates")
    return text
