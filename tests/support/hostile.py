"""Both stores with rows in every table, copied for each history of hostile lines, and what must hold behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from uuid import UUID

from claude_tiu import (
    ActivateWorkflow,
    AddStep,
    AddTask,
    CreateProject,
    CreateTemplate,
    CreateWorkflow,
    RegisterAgent,
    ReportIssue,
    StartRun,
    StartSession,
    StartTask,
    StartWorkflowRun,
    connect,
)
from claude_tiu.infrastructure import decision
from tests.model.stores import ram
from tests.support.every_table import Narrator, last_position, tell_all
from tests.support.history import create_user, uid
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend, copy_sqlite, sqlite_at

IDS = {
    "user_id": "SELECT id FROM users",
    "created_by": "SELECT id FROM users",
    "project_id": "SELECT id FROM projects UNION SELECT id FROM projects_archive",
    "unit_id": "SELECT id FROM projects",
    "task_id": "SELECT id FROM tasks UNION SELECT id FROM tasks_archive",
    "depends_on_task_id": "SELECT id FROM tasks",
    "run_id": "SELECT id FROM validation_reports UNION SELECT run_id FROM run_state",
    "issue_id": "SELECT id FROM validation_issues UNION SELECT id FROM staged_issues",
    "session_id": "SELECT id FROM user_sessions",
    "template_id": "SELECT id FROM templates",
    "workflow_id": "SELECT id FROM workflows",
    "workflow_run_id": "SELECT run_id FROM step_executions UNION SELECT run_id FROM step_executions_archive",
    "step_id": "SELECT id FROM workflow_steps",
    "agent_id": "SELECT id FROM agents",
    "assignment_id": "SELECT id FROM agent_assignments",
    "file_path": "SELECT file_path FROM project_files",
}
"""Field of a command -> what finds the values that mean something."""
USER, PROJECT, TEMPLATE, AGENT, SESSION, WORKFLOW, STEP, WORKFLOW_RUN, RUN, ISSUE = (
    uid(f"under way: {what}")
    for what in ("user", "project", "template", "agent", "session", "workflow", "step", "workflow run", "run", "issue")
)
TASKS = PENDING, STARTED, OTHER = [uid(f"under way: task {number}") for number in range(3)]
UNDER_WAY: Mapping[str, Sequence[UUID]] = {
    "user_id": [USER],
    "created_by": [USER],
    "project_id": [PROJECT],
    "task_id": TASKS,
    "depends_on_task_id": TASKS,
    "run_id": [RUN],
    "issue_id": [ISSUE],
    "session_id": [SESSION],
    "template_id": [TEMPLATE],
    "workflow_id": [WORKFLOW],
    "workflow_run_id": [WORKFLOW_RUN],
    "step_id": [STEP],
    "agent_id": [AGENT],
}
"""Field of a command -> what most commands may still do something with."""
NOW = datetime(2027, 1, 1, tzinfo=UTC)


class Told:
    """Two databases with the same history, the templates of those that tests spoil."""

    def __init__(self, sqlite: SQLiteBackend, server: str, template: str, empty: str) -> None:
        self.sqlite, self._server, self._template, self._empty = sqlite, server, template, empty
        ids = {field: sorted(str(id_) for (id_,) in sqlite.on_reads(sql)) for field, sql in IDS.items()}
        open_ids = {field: [*map(str, found)] * (150 // len(found)) for field, found in UNDER_WAY.items()}
        new = [str(UUID(int=n)) for n in range(7, 12)]
        each = {field: [*open_ids.get(field, ()), *found * (50 // len(found)), *new] for field, found in ids.items()}
        self.ids: Mapping[str, Sequence[str]] = {**each, "file_path": ids["file_path"]}

    @contextmanager
    def empty(self) -> Iterator[list[Backend]]:
        """Give both stores with nothing in them."""
        with ExitStack() as made:
            folder = Path(made.enter_context(TemporaryDirectory(prefix="tiu-hostile-", dir=ram())))
            name = made.enter_context(new_database(self._server, "hostile", self._empty))
            backends = [sqlite_at(folder / "tiu.db"), PostgreSQLBackend(database_url(self._server, name))]
            for backend in backends:
                made.callback(backend.close)
            yield backends

    @contextmanager
    def copies(self) -> Iterator[list[Backend]]:
        """Give both, to be changed."""
        with ExitStack() as made:
            folder = Path(made.enter_context(TemporaryDirectory(prefix="tiu-hostile-", dir=ram())))
            sqlite = copy_sqlite(self.sqlite, folder / "tiu.db")
            name = made.enter_context(new_database(self._server, "hostile", self._template))
            backends = [sqlite, PostgreSQLBackend(database_url(self._server, name))]
            for backend in backends:
                made.callback(backend.close)
            yield backends


def begin(backend: Backend) -> None:
    """Leave one of everything in the midst of its life."""
    planned: dict[str, Any] = {"project_id": PROJECT, "name": "Under way"}
    with connect(backend.url) as tiu:
        narrator = Narrator(tiu)
        narrator.told = 10_000
        narrator.tell(
            create_user("open", user_id=USER),
            StartSession(session_id=SESSION, user_id=USER, token_hash="0" * 64, expires_at=NOW + timedelta(days=365)),
            CreateTemplate(template_id=TEMPLATE, name="Under way", created_by=USER, structure={"tasks": []}),
            CreateProject(project_id=PROJECT, user_id=USER, name="Under way"),
            *(AddTask(task_id=task, **planned) for task in TASKS),
            StartTask(task_id=STARTED),
            RegisterAgent(agent_id=AGENT, agent_type="tester"),
            CreateWorkflow(workflow_id=WORKFLOW, name="Under way"),
            AddStep(workflow_id=WORKFLOW, step_id=STEP, name="Step", type="validation"),
            ActivateWorkflow(workflow_id=WORKFLOW),
            StartWorkflowRun(workflow_run_id=WORKFLOW_RUN, workflow_id=WORKFLOW, project_id=PROJECT),
            StartRun(run_id=RUN, project_id=PROJECT, validation_type="quick"),
            ReportIssue(run_id=RUN, issue_id=ISSUE, issue_type="mock_data", severity="low", description="Mock"),
        )
        tiu.wait_for(last_position(tiu))


@contextmanager
def told(folder: Path, server: str, template: str) -> Iterator[Told]:
    """Tell both stores the history that makes a row of every table."""
    with ExitStack() as made:
        sqlite = sqlite_at(folder / "tiu.db")
        made.callback(sqlite.close)
        name = made.enter_context(new_database(server, "told", template))
        with closing(PostgreSQLBackend(database_url(server, name))) as postgresql:
            for backend in (sqlite, postgresql):
                tell_all(backend)
                begin(backend)
        yield Told(sqlite, server, name, template)


@contextmanager
def same_ids_and_times() -> Iterator[None]:
    """Where a command names no id or time, it gets the next of a fixed series: both stores the same."""
    made = iter(range(1, 1_000_000))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return NOW + timedelta(seconds=next(made))

    def new_id() -> UUID:
        return UUID(int=(1 << 90) + next(made))

    with patch.object(decision, "new_id", new_id), patch.object(decision, "datetime", Clock):
        yield
