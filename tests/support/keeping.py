"""A history in which projects are worked on, completed, archived, restored, and retention runs, over some years.

Drawn as moves, so that Hypothesis can shrink it: the same commands in every run and on every store. The rules refuse
many of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from claude_tiu import (
    ActivateWorkflow,
    AddDependency,
    AddStep,
    AddTask,
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
    CreateWorkflow,
    DeleteFile,
    EndSession,
    ExpireClaims,
    FailProject,
    FailRun,
    FinishTask,
    IgnoreIssue,
    ModifyFile,
    ReactivateProject,
    RecordMetric,
    RegisterAgent,
    ReleaseTask,
    ReopenIssue,
    ReopenTask,
    ReportIssue,
    ResolveIssue,
    RestoreProject,
    RunRetention,
    StartRun,
    StartSession,
    StartStep,
    StartTask,
    StartWorkflowRun,
)
from tests.support.history import START, USER, create_user, uid

PROJECTS = [uid("kept"), uid("also kept")]
AGENTS = [uid("agent"), uid("another agent")]
WORKFLOW, STEPS = uid("workflow"), [uid("first step"), uid("second step")]
KINDS = (
    "work",
    "work",
    "metric",
    "metric",
    "validate",
    "issue",
    "issue",
    "file",
    "flow",
    "agent",
    "session",
    "project",
    "project",
    "retention",
)
PASSES = (*[0.0] * 6, *[0.1] * 6, 1.0, 1.0, 7.0, 40.0, 400.0, -30.0)
"""How many days go by; clocks of imported history may fall."""


class Move(NamedTuple):
    """What happens next: of which kind, to what, and how many days later."""

    kind: str
    turn: int
    days: float


def task_of(project: UUID, turn: int) -> UUID:
    return uid(f"{project} task {turn % 3}")


def begun() -> Iterator[Command]:
    """A user, a workflow, two agents, and two projects of three tasks, one of which waits for another."""
    yield create_user(user_id=USER)
    yield CreateWorkflow(workflow_id=WORKFLOW, name="Review")
    for number, step in enumerate(STEPS):
        yield AddStep(workflow_id=WORKFLOW, step_id=step, name="Lint", type="validation", depends_on=STEPS[:number])
    yield ActivateWorkflow(workflow_id=WORKFLOW)
    for agent in AGENTS:
        yield RegisterAgent(agent_id=agent, agent_type="tester")
    for project in PROJECTS:
        yield CreateProject(project_id=project, user_id=USER, name="Billing", description="Invoices ☃")
        for turn in range(3):
            task = task_of(project, turn)
            yield AddTask(task_id=task, project_id=project, name="Parser", estimated_duration=turn + 1)
        yield AddDependency(task_id=task_of(project, 2), depends_on_task_id=task_of(project, 1))
        yield StartTask(task_id=task_of(project, 0))


def commands_of(move: Move, number: int) -> Iterator[Command]:
    """The commands that a move, the `number`th of its history, comes to."""
    turn, project = move.turn // 2, PROJECTS[move.turn % 2]
    task = task_of(project, turn)
    match move.kind:
        case "work":
            claim = ClaimProgress(task_id=task, claimed=percent(move.turn))
            ways = (claim, StartTask(task_id=task), claim, CompleteTask(task_id=task), ReopenTask(task_id=task))
            yield ways[turn % 5]
        case "metric":
            name, value = ("velocity", "coverage")[turn % 2], (0.1, 1e300, -1e300, 3.0, 5e-324)[turn % 5]
            yield RecordMetric(project_id=project, metric_name=name, value=value, metadata={"unit": "points"})
        case "validate":
            yield from _validation(project, task, turn, number)
        case "issue":
            for run in (uid(f"run {number - past}") for past in range(turn % 20)):
                yield ReopenIssue(run_id=run, issue_id=uid(f"{run} issue {turn % 2}"))
                if turn % 3:
                    yield from _settled(run, turn % 2)
        case "file":
            place: dict[str, Any] = {"project_id": project, "file_path": "parser.py"}
            yield (CreateFile, ModifyFile)[turn % 2](**place, content=f"words {turn} ☃")
            if turn % 3 == 0:
                yield DeleteFile(**place)
        case "flow":
            run = uid(f"flow {number}")
            yield StartWorkflowRun(workflow_run_id=run, workflow_id=WORKFLOW, project_id=project)
            for step in STEPS[: turn % 3]:
                yield StartStep(workflow_run_id=run, step_id=step)
                yield CompleteStep(workflow_run_id=run, step_id=step, result_data={"n": 0.5})
        case "agent":
            agent = AGENTS[turn % 2]
            yield ExpireClaims()
            yield ClaimNextTask(agent_id=agent, project_id=project, assignment_id=uid(f"assignment {number}"))
            if turn % 8:
                end_of_claim = (FinishTask, ReleaseTask, FinishTask)[turn % 3]
                yield from (end_of_claim(agent_id=agent, task_id=task_of(project, one)) for one in range(3))
        case "session":
            at = START + timedelta(days=20 * turn)
            session = uid(f"session {number}")
            yield StartSession(session_id=session, user_id=USER, token_hash="f" * 64, expires_at=at)
            if turn % 3 == 0:
                yield EndSession(session_id=session)
        case "project":
            end = (CompleteProject, CompleteProject, FailProject)[turn % 3]
            yield (end, ArchiveProject, RestoreProject, ReactivateProject)[turn % 4](project_id=project)
        case _:
            report, metric, daily, over = ((90, 30, 365, 365), (1, 1, 36_500, 1), (30, 1, 36_500, 30))[turn % 3]
            yield RunRetention(report_days=report, metric_days=metric, daily_days=daily, project_days=over)


def _validation(project: UUID, task: UUID, turn: int, number: int) -> Iterator[Command]:
    """A run with issues, that is completed, fails, or stays open."""
    run = uid(f"run {number}")
    yield StartRun(run_id=run, project_id=project, validation_type="deep")
    for issue in range(turn % 3):
        yield ReportIssue(
            run_id=run,
            issue_id=uid(f"{run} issue {issue}"),
            task_id=task if turn % 2 else None,
            issue_type="placeholder",
            severity="low",
            description="Empty",
        )
    yield AssessTask(run_id=run, task_id=task, authenticity=percent(turn))
    if turn % 7 < 5:
        yield CompleteRun(run_id=run, quality_score=percent(turn + 1), quality_metrics={"lines": turn})
        for issue in range(turn % 3 - turn % 2):
            yield from _settled(run, issue)
    elif turn % 7 == 5:
        yield FailRun(run_id=run)
    else:
        yield FailRun(run_id=uid(f"run {number - turn % 20}"))  # of those that stayed open, this one ends


def _settled(run: UUID, issue: int) -> Iterator[Command]:
    yield BeginIssue(run_id=run, issue_id=uid(f"{run} issue {issue}"))
    yield (ResolveIssue, IgnoreIssue)[issue](run_id=run, issue_id=uid(f"{run} issue {issue}"))


def percent(turn: int) -> float:
    return turn * 13 % 1000 / 10


def history(moves: Sequence[Move]) -> list[Command]:
    """The commands of these moves, with ids and times."""
    commands = [(command, START) for command in begun()]
    at = START
    for number, move in enumerate(moves):
        at = max(at + timedelta(days=move.days), datetime(1950, 1, 1, tzinfo=START.tzinfo))
        commands += [(command, at) for command in commands_of(move, number)]
    return [
        command.model_copy(update={"command_id": uid(f"keeping {number}"), "occurred_at": at})
        for number, (command, at) in enumerate(commands)
    ]


def drawn(seed: int, count: int) -> list[Move]:
    """Moves from a seed."""
    dice = Random(seed)
    return [Move(dice.choice(KINDS), dice.randrange(1_000), dice.choice(PASSES)) for _ in range(count)]
