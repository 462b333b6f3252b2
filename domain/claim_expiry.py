"""Claims run out: tasks of agents that were not heard of in time go back to the queue, or fail.

This is of no stream of its own. It asks what is due, and everything that it makes are events of agents and their tasks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, NoReturn, Protocol
from uuid import UUID

from pydantic import Field, Strict

from .agenda import ASSIGNMENT
from .agent import Agent
from .aggregate import Aggregate
from .assignment import Assigned, Assignment
from .errors import NothingOverdue
from .messages import Command, Decided, Elsewhere, Event
from .task import Task, TaskClaimExpired, TaskFailed

MAX_EXPIRED = 1_000
MAX_ATTEMPTS = 1_000

AttemptsLimit = Annotated[int, Strict(), Field(ge=1, le=MAX_ATTEMPTS)]


class ExpireClaims(Command):
    """Close the assignments whose deadline is before the command's time, at most 1,000 at once, the longest overdue
    first. Their tasks are pending again; one whose claims have now expired `attempts_limit` times fails."""

    exclusive: ClassVar = True

    attempts_limit: AttemptsLimit = 3


class Reads(Protocol):
    """What expiring asks of the agenda, and of the streams that it names."""

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]: ...
    def agent(self, agent_id: UUID) -> Agent | None: ...
    def task(self, task_id: UUID) -> Task | None: ...
    def will_read(self, *stream_ids: UUID) -> None: ...


def decide(state: None, command: ExpireClaims, reads: Reads) -> list[Decided]:
    due = reads.due(ASSIGNMENT, command.at, MAX_EXPIRED)
    reads.will_read(*due)
    overdue: dict[UUID, Assignment] = {}
    for agent_id in due:
        agent = reads.agent(agent_id)
        held = agent.assignment if agent else None
        if held is not None and held.deadline < command.at:
            overdue[agent_id] = held
    reads.will_read(*(held.task_id for held in overdue.values()))
    decided: list[Decided] = []
    for agent_id, held in overdue.items():
        decided += _expire(agent_id, held, command, reads.task(held.task_id))
    if not decided:
        before = command.at.isoformat()
        raise NothingOverdue(f"no assignment's deadline is before {before}", before=before)
    return decided


def _expire(agent_id: UUID, held: Assignment, command: ExpireClaims, task: Task | None) -> list[Decided]:
    """Close an assignment, and put its task back or fail it; a task that is not its agent's is left alone."""
    if task is None or task.assignment != Assigned(agent_id, held.assignment_id):
        return [Elsewhere(agent_id, held.closed(command.at, "released"))]
    attempts = task.attempts + 1
    if attempts < command.attempts_limit:
        expired = TaskClaimExpired(occurred_at=command.at, agent_id=agent_id, attempts=attempts)
        return [Elsewhere(agent_id, held.closed(command.at, "released")), Elsewhere(held.task_id, expired)]
    reason = f"claims expired: {attempts}, the last of agent {agent_id}; the limit is {command.attempts_limit}"
    failed = TaskFailed(occurred_at=command.at, reason=reason)
    return [Elsewhere(agent_id, held.closed(command.at, "failed")), Elsewhere(held.task_id, failed)]


def evolve(state: Any, event: Event) -> NoReturn:
    raise TypeError("the expiry of claims has no stream")


CLAIM_EXPIRY = Aggregate[None](
    name="claim_expiry",
    commands=(ExpireClaims,),
    events=(),
    decide=decide,
    evolve=evolve,
    project_of=lambda stream_id, state: None,
    stream_of=lambda command, reads: None,
)
