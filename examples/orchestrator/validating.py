"""Validation: when a task is completed, what was made of it is looked at, and a run says how much of it is real.

The subscription is durable: a task that is completed while the service is down is validated when it is up again. An
event may be delivered twice, but a command id that follows from it is stored once.
"""

from __future__ import annotations

import ast
import asyncio
import logging
from typing import NamedTuple
from uuid import UUID, uuid5

from claude_tiu import (
    AssessTask,
    AsyncDelivery,
    AsyncSubscription,
    AsyncTiu,
    BeginIssue,
    Command,
    CompleteRun,
    Contended,
    FailFileValidation,
    NotFound,
    Refused,
    ReportIssue,
    ResolveIssue,
    StartRun,
    StoreUnavailable,
    TaskCompleted,
    ValidateFile,
)

from .working import RETRY_SECONDS, file_of

SUBSCRIPTION = "validation"

log = logging.getLogger(__name__)


class Finding(NamedTuple):
    """What a look at a file has come to: how much of it is real (percent), and where it is empty (name, line)."""

    authenticity: float
    empty: list[tuple[str, int]]


def look_at(source: str) -> Finding:
    """Return how many of a file's functions do something. A file without any is all pretence."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    empty = [(one.name, one.lineno) for one in functions if isinstance(one.body[0], ast.Pass)]
    real = len(functions) - len(empty)
    return Finding(100 * real / len(functions) if functions else 0.0, empty)


async def validate(tiu: AsyncTiu, stopping: asyncio.Event) -> None:
    """Validate each task that is completed, until the service stops."""
    subscription = tiu.subscribe(SUBSCRIPTION, TaskCompleted)
    ending = asyncio.create_task(_stop(subscription, stopping))
    try:
        async for delivery in subscription:
            await _validated(tiu, delivery)
    finally:
        ending.cancel()


async def _stop(subscription: AsyncSubscription[TaskCompleted], stopping: asyncio.Event) -> None:
    await stopping.wait()
    subscription.stop()


async def _validated(tiu: AsyncTiu, delivery: AsyncDelivery[TaskCompleted]) -> None:
    """Carry out the run that an event asks for; where it was before, or can not be any more, leave it at that."""
    while True:
        try:
            await tiu.wait_for(delivery.position)
            await tiu.execute_all(await _run(tiu, delivery))
        except (StoreUnavailable, Contended):
            await asyncio.sleep(RETRY_SECONDS)
            continue
        except Refused as refusal:  # delivered again, and found otherwise by now (command_id_reused), or not active
            log.info("task %s is not validated: %s", delivery.stream_id, refusal)
        return


async def _run(tiu: AsyncTiu, delivery: AsyncDelivery[TaskCompleted]) -> list[Command]:
    """Return the commands of a validation run, with ids that follow from the event."""
    task_id, project_id = delivery.stream_id, delivery.project_id
    if project_id is None:
        raise NotFound(f"task {task_id} has no project", id=task_id)
    run_id = delivery.idempotency_key
    path, finding = await _found(tiu, project_id, task_id)
    commands: list[Command] = [
        StartRun(run_id=run_id, project_id=project_id, validation_type="quick"),
        AssessTask(run_id=run_id, task_id=task_id, authenticity=finding.authenticity),
        *(_issue(run_id, task_id, path, *one) for one in finding.empty),
        CompleteRun(run_id=run_id, quality_score=finding.authenticity),
    ]
    if path is not None:
        judge = FailFileValidation if finding.empty else ValidateFile
        commands.append(judge(project_id=project_id, file_path=path, validation_score=finding.authenticity))
    for issue in await tiu.read.open_issues(project_id):
        if issue.task_id == task_id:  # of an earlier run: what it was about has been made anew
            if issue.status == "open":
                commands.append(BeginIssue(run_id=issue.validation_report_id, issue_id=issue.id))
            commands.append(ResolveIssue(run_id=issue.validation_report_id, issue_id=issue.id))
    return [
        command.model_copy(update={"command_id": uuid5(run_id, str(number)), "causation_id": str(delivery.id)})
        for number, command in enumerate(commands)
    ]


async def _found(tiu: AsyncTiu, project_id: UUID, task_id: UUID) -> tuple[str | None, Finding]:
    """Look at what the agent that completed a task has made of it. Where nobody worked on it, nothing is real."""
    for assignment in await tiu.read.assignments(project_id):
        if assignment.task_id == task_id and assignment.status == "completed":
            path = file_of(assignment.id)
            if (content := await tiu.read.file_content(project_id, path)) is not None:
                return path, look_at(content)
    return None, Finding(0.0, [])


def _issue(run_id: UUID, task_id: UUID, path: str | None, function: str, line: int) -> ReportIssue:
    return ReportIssue(
        run_id=run_id,
        task_id=task_id,
        issue_type="empty_function",
        severity="high",
        description=f"{function} does nothing",
        file_path=path,
        line_number=line,
    )
