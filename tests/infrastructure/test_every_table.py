"""One example run that makes a row of every table of the specification, by commands alone, on both stores.

A chapter is a function that is told with a Narrator; a new one is added to CHAPTERS, and what it fills leaves
NO_CHAPTER_YET. Ids and times are fixed, so that the rows of both stores can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    Answer,
    AssessTask,
    BeginIssue,
    ClaimProgress,
    Command,
    CompleteProject,
    CompleteRun,
    CompleteStep,
    CompleteTask,
    CreateFile,
    CreateProject,
    CreateTemplate,
    DeleteFile,
    FailStep,
    ModifyFile,
    RecordMetric,
    ReportIssue,
    ResolveIssue,
    StartRun,
    StartStep,
    StartTask,
    StartWorkflowRun,
    Tiu,
    ValidateFile,
    connect,
    template_step_id,
    template_task_id,
    template_workflow_id,
)
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import READ_TABLES
from tests.support.history import START, create_user, uid
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

USER, TEMPLATE, PROJECT, RUN, WORKFLOW_RUN = map(uid, ("user", "template", "project", "run", "workflow run"))
DESIGN, PARSER = (template_task_id(PROJECT, key) for key in ("design", "parser"))
LINT, REVIEW = (template_step_id(PROJECT, key) for key in ("lint", "review"))
RELEASE = uid("release")


class Narrator:
    """Executes what it is told, each time an hour later, under ids of its own that are the same in every run."""

    def __init__(self, tiu: Tiu) -> None:
        self.tiu = tiu
        self.told = 0

    def tell(self, *commands: Command) -> Answer:
        """Execute commands as one unit; return the answer to the last."""
        return self.tiu.execute_all([self._dressed(command) for command in commands])[-1]

    def _dressed(self, command: Command) -> Command:
        self.told += 1
        at, command_id = START + timedelta(hours=self.told), uid(f"told {self.told}")
        return command.model_copy(update={"occurred_at": at, "command_id": command_id})


def somebody_has_a_template(narrator: Narrator) -> None:
    structure: Any = {
        "tasks": [
            {"key": "parser", "name": "Parser", "priority": "high", "estimated_duration": 90, "depends_on": ["design"]},
            {"key": "design", "name": "Design", "expected_outputs": ["design.md"]},
        ]
    }
    workflow: Any = {
        "name": "Review",
        "steps": [
            {"key": "lint", "name": "Lint", "type": "external_command"},
            {"key": "review", "name": "Review", "type": "validation", "depends_on": ["lint"]},
        ],
    }
    narrator.tell(
        create_user(user_id=USER, preferences={"theme": "dark"}),
        CreateTemplate(
            template_id=TEMPLATE,
            name="Service",
            category="backend",
            structure=structure,
            workflow_template=workflow,
            default_config={"lang": "py"},
            created_by=USER,
        ),
    )


def a_project_is_made_of_it(narrator: Narrator) -> None:
    narrator.tell(CreateProject(project_id=PROJECT, user_id=USER, name="Billing", template_id=TEMPLATE))
    narrator.tell(
        AddTask(task_id=RELEASE, project_id=PROJECT, name="Release"),
        AddDependency(task_id=RELEASE, depends_on_task_id=PARSER, dependency_type="requires"),
    )


def its_tasks_are_worked_on(narrator: Narrator) -> None:
    narrator.tell(StartTask(task_id=DESIGN))
    narrator.tell(CompleteTask(task_id=DESIGN))
    narrator.tell(StartTask(task_id=PARSER), ClaimProgress(task_id=PARSER, claimed=70))


def files_are_written(narrator: Narrator) -> None:
    file: dict[str, Any] = {"project_id": PROJECT, "file_path": "src/parser.py"}
    narrator.tell(CreateFile(**file, content="def parse(): pass\n"))
    narrator.tell(ModifyFile(**file, content="def parse():\n    return {}\n", metadata={"by": "agent"}))
    narrator.tell(ValidateFile(**file, validation_score=92.5))
    narrator.tell(CreateFile(project_id=PROJECT, file_path="workflow", content_hash="0" * 64, size_bytes=2_000_000))
    narrator.tell(DeleteFile(project_id=PROJECT, file_path="workflow"))


def they_are_validated(narrator: Narrator) -> None:
    """One run completes; another is still open at the end, with an issue that nobody sees yet."""
    issue: dict[str, Any] = {"issue_type": "mock_data", "severity": "high", "description": "Returns {}"}
    narrator.tell(StartRun(run_id=RUN, project_id=PROJECT, validation_type="deep"))
    narrator.tell(ReportIssue(run_id=RUN, issue_id=uid("issue"), task_id=PARSER, file_path="src/parser.py", **issue))
    narrator.tell(AssessTask(run_id=RUN, task_id=PARSER, authenticity=40))
    narrator.tell(CompleteRun(run_id=RUN, quality_score=61.5, quality_metrics={"coverage": 0.5}))
    narrator.tell(BeginIssue(run_id=RUN, issue_id=uid("issue")), ResolveIssue(run_id=RUN, issue_id=uid("issue")))
    narrator.tell(RecordMetric(project_id=PROJECT, metric_name="velocity", value=1.5))
    narrator.tell(StartRun(run_id=uid("open run"), project_id=PROJECT, validation_type="scheduled"))
    narrator.tell(ReportIssue(run_id=uid("open run"), issue_id=uid("staged"), **issue))


def its_workflow_is_run(narrator: Narrator) -> None:
    workflow_id = template_workflow_id(PROJECT)
    narrator.tell(StartWorkflowRun(workflow_run_id=WORKFLOW_RUN, workflow_id=workflow_id, project_id=PROJECT))
    narrator.tell(StartStep(workflow_run_id=WORKFLOW_RUN, step_id=LINT))
    narrator.tell(CompleteStep(workflow_run_id=WORKFLOW_RUN, step_id=LINT, result_data={"warnings": 0}))
    narrator.tell(StartStep(workflow_run_id=WORKFLOW_RUN, step_id=REVIEW))
    narrator.tell(FailStep(workflow_run_id=WORKFLOW_RUN, step_id=REVIEW, reason="mock data"))


def another_project_is_completed(narrator: Narrator) -> None:
    other = uid("other project")
    narrator.tell(CreateProject(project_id=other, user_id=USER, name="Old"), CompleteProject(project_id=other))


CHAPTERS: tuple[Callable[[Narrator], None], ...] = (
    somebody_has_a_template,
    a_project_is_made_of_it,
    its_tasks_are_worked_on,
    files_are_written,
    they_are_validated,
    its_workflow_is_run,
    another_project_is_completed,
)

NO_CHAPTER_YET = {
    "user_sessions",
    "agents",
    "agent_assignments",
    "agent_metrics",
    "cleanup_log",
    *(table.name for table in READ_TABLES if table.name.endswith("_archive")),
}
"""Tables that stand ready; each leaves this list with the chapter that makes a row of it."""


def tell_all(backend: Backend) -> None:
    """Tell every chapter, with the read tables kept up to date meanwhile; they are as far when it returns."""
    with connect(backend.url) as tiu:
        narrator = Narrator(tiu)
        for chapter in CHAPTERS:
            chapter(narrator)
        tiu.wait_for(last_position(tiu))


def last_position(tiu: Tiu) -> int:
    return tiu.lag().last_position


def test_every_table_has_rows_and_a_rebuild_gives_the_same(backend: Backend) -> None:
    tell_all(backend)
    live = backend.tables(READ_MODEL)
    assert {name for name, rows in live.items() if not rows} == NO_CHAPTER_YET
    with connect(backend.url) as tiu:
        tiu.rebuild()
        tiu.wait_for(last_position(tiu))
    assert backend.tables(READ_MODEL) == live


def test_both_stores_have_the_same_rows(sqlite: SQLiteBackend, postgresql: PostgreSQLBackend) -> None:
    for backend in (sqlite, postgresql):
        tell_all(backend)
    rows = sqlite.rows(READ_MODEL)
    assert {name for name, found in rows.items() if not found} == NO_CHAPTER_YET
    assert postgresql.rows(READ_MODEL) == rows


@pytest.mark.parametrize("table", ["schema_migrations", "migration_rollbacks"])
def test_what_the_migrations_record_is_there(backend: Backend, table: str) -> None:
    """The two tables of the specification that no event fills."""
    assert backend.on_reads(f"SELECT count(*) FROM {table}")[0][0] > 0
