"""An assignment: a task that an agent has claimed, from the claim until the task leaves in_progress.

Its events stand in its agent's stream, so that no two commands can give an agent two tasks; the task's own stream names
its agent, so that whatever takes the task out of in_progress knows which assignment it closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from .messages import Elsewhere, Event


class AssignmentOpened(Event):
    topic: ClassVar = "agent.assignment_opened.v1"
    creates: ClassVar = "task_id"
    unique: ClassVar = ("assignment_id",)

    assignment_id: UUID
    task_id: UUID
    project_id: UUID
    deadline: datetime
    lease_seconds: int
    metadata: dict[str, Any]


class AssignmentClosed(Event):
    topic: ClassVar = "agent.assignment_closed.v1"

    assignment_id: UUID
    task_id: UUID
    project_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """An agent's open assignment. It runs out where nothing is heard of the agent until the deadline has passed."""

    assignment_id: UUID
    task_id: UUID
    project_id: UUID
    deadline: datetime
    lease_seconds: int

    def closed(self, at: datetime, status: str) -> AssignmentClosed:
        """Return the event that closes it: as 'completed', 'failed' or 'released'."""
        return AssignmentClosed(
            occurred_at=at,
            assignment_id=self.assignment_id,
            task_id=self.task_id,
            project_id=self.project_id,
            status=status,
        )


class Assigned(NamedTuple):
    """Of a task that is worked on by claim: by which agent, under which assignment."""

    agent_id: UUID
    assignment_id: UUID

    def closed(self, at: datetime, task_id: UUID, project_id: UUID, status: str) -> Elsewhere:
        """Return the event that closes the assignment in its agent's stream."""
        closed = AssignmentClosed(
            occurred_at=at, assignment_id=self.assignment_id, task_id=task_id, project_id=project_id, status=status
        )
        return Elsewhere(self.agent_id, closed)
