"""One example run that makes a row of every table, by commands alone, on both stores; but of what is parked.

A chapter is a function that is told with a Narrator; a new one is added to CHAPTERS. Ids and times are fixed, so that
the rows of both stores can be compared.

No command makes anything wait: `tell_and_park` parks a unit behind all that, so that no table is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from claude_tiu import (
    AddDependency,
    AddTask,
    Answer,
    ArchiveProject,
    AssessTask,
    BeginIssue,
    ClaimNextTask,
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
    DiscardParkedEvents,
    EndSession,
    ExpireClaims,
    FailStep,
    FinishTask,
    ForgetUser,
    GoOffline,
    ModifyFile,
    RecordAgentMetric,
    RecordHeartbeat,
    RecordMetric,
    RegisterAgent,
    RenameUser,
    ReportIssue,
    ResolveIssue,
    RestoreProject,
    RunRetention,
    StartRun,
    StartSession,
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
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import START, create_user, uid
from tests.support.stores import Backend, append, event

USER, TEMPLATE, PROJECT, RUN, WORKFLOW_RUN = map(uid, ("user", "template", "project", "run", "workflow run"))
DESIGN, PARSER = (template_task_id(PROJECT, key) for key in ("design", "parser"))
LINT, REVIEW = (template_step_id(PROJECT, key) for key in ("lint", "review"))
RELEASE, LEGACY = uid("release"), uid("legacy")


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


def somebody_logs_in(narrator: Narrator) -> None:
    """One session lasts, one is ended; a second user comes, and is forgotten."""
    session: dict[str, Any] = {"user_id": USER, "token_hash": "0" * 64, "expires_at": START + timedelta(days=9_000)}
    narrator.tell(StartSession(session_id=uid("session"), metadata={"agent": "firefox"}, **session))
    narrator.tell(StartSession(session_id=uid("ended session"), **session))
    narrator.tell(EndSession(session_id=uid("ended session")))
    narrator.tell(create_user("eve", user_id=uid("eve")), RenameUser(user_id=uid("eve"), username="eva"))
    narrator.tell(ForgetUser(user_id=uid("eve")))


def agents_work(narrator: Narrator) -> None:
    """One finishes a task and has another in hand; the claim of one that is lost expires."""
    ada, eve = uid("agent ada"), uid("agent eve")
    narrator.tell(RegisterAgent(agent_id=ada, agent_type="tester", name="Ada", capabilities=["python"]))
    narrator.tell(RegisterAgent(agent_id=eve, agent_type="architect"))
    for name in ("Load test", "Fuzz test", "Outline"):
        narrator.tell(AddTask(task_id=uid(name), project_id=PROJECT, name=name))
    claim: dict[str, Any] = {"project_id": PROJECT, "lease_seconds": 60}
    narrator.tell(ClaimNextTask(agent_id=eve, assignment_id=uid("lost"), **claim))
    narrator.tell(GoOffline(agent_id=eve), ExpireClaims())
    narrator.tell(ClaimNextTask(agent_id=ada, assignment_id=uid("first"), metadata={"cost": 0.3}, **claim))
    narrator.tell(RecordHeartbeat(agent_id=ada), RecordAgentMetric(agent_id=ada, metric_type="tokens", value=12.5))
    narrator.tell(FinishTask(agent_id=ada, task_id=uid("Load test")))
    narrator.tell(ClaimNextTask(agent_id=ada, assignment_id=uid("second"), **claim))


def a_project_with_everything_is_archived(narrator: Narrator) -> None:
    """And another is archived and comes back."""
    legacy: dict[str, Any] = {"project_id": LEGACY}
    narrator.tell(CreateProject(user_id=USER, name="Legacy", template_id=TEMPLATE, **legacy))
    narrator.tell(CreateFile(file_path="main.py", content="print()", **legacy))
    run, step = uid("legacy run"), template_step_id(LEGACY, "lint")
    narrator.tell(StartWorkflowRun(workflow_run_id=run, workflow_id=template_workflow_id(LEGACY), **legacy))
    narrator.tell(StartStep(workflow_run_id=run, step_id=step))
    agent = uid("agent of legacy")
    narrator.tell(RegisterAgent(agent_id=agent, agent_type="reviewer"))
    claimed = narrator.tell(ClaimNextTask(agent_id=agent, assignment_id=uid("legacy assignment"), **legacy))
    narrator.tell(FinishTask(agent_id=agent, task_id=claimed.id))
    check = uid("legacy check")
    issue: dict[str, Any] = {"issue_type": "mock_data", "severity": "low", "description": "Mock"}
    narrator.tell(StartRun(run_id=check, validation_type="quick", **legacy))
    narrator.tell(ReportIssue(run_id=check, issue_id=uid("legacy issue"), **issue))
    narrator.tell(AssessTask(run_id=check, task_id=claimed.id, authenticity=50))
    narrator.tell(CompleteRun(run_id=check, quality_score=10))
    narrator.tell(ArchiveProject(**legacy))
    narrator.tell(ArchiveProject(project_id=uid("other project")), RestoreProject(project_id=uid("other project")))


def old_rows_go(narrator: Narrator) -> None:
    """Details of the first day are rolled up; what is younger stays."""
    narrator.tell(RunRetention(metric_days=1))


def a_number_is_discarded(narrator: Narrator) -> None:
    """Nobody believes it any more."""
    recorded = narrator.tell(RecordMetric(project_id=uid("other project"), metric_name="velocity", value=9.5))
    at = recorded.position
    project = uid("other project")
    narrator.tell(DiscardParkedEvents(unit_id=project, first_position=at, last_position=at, reason="made up"))


CHAPTERS: tuple[Callable[[Narrator], None], ...] = (
    somebody_has_a_template,
    a_project_is_made_of_it,
    its_tasks_are_worked_on,
    files_are_written,
    they_are_validated,
    its_workflow_is_run,
    another_project_is_completed,
    somebody_logs_in,
    agents_work,
    a_project_with_everything_is_archived,
    old_rows_go,
    a_number_is_discarded,
)


def tell_all(backend: Backend) -> None:
    """Tell every chapter, with the read tables kept up to date meanwhile; they are as far when it returns."""
    with connect(backend.url) as tiu:
        narrator = Narrator(tiu)
        for chapter in CHAPTERS:
            chapter(narrator)
        tiu.wait_for(last_position(tiu))


def tell_and_park(backend: Backend) -> None:
    """Tell every chapter, and then what no projection knows; its unit is parked when this returns."""
    tell_all(backend)
    append(backend.events(), event(uid("parked"), topic="nobody.knows.v1"))
    Projector(backend.events(), backend.reads(), READ_MODEL, parks=True).catch_up()


def last_position(tiu: Tiu) -> int:
    return tiu.lag().last_position
