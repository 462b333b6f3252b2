"""An agent: who works on tasks. It claims the next that is ready, and holds one at a time.

An agent that is not heard of loses its task after a while (claim_expiry.py); each heartbeat puts that off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

from pydantic import Field, Strict, field_validator

from .aggregate import Aggregate, require_status
from .assignment import Assignment, AssignmentClosed, AssignmentOpened
from .errors import AlreadyExists, NotAssigned, NotFound, NothingReady
from .messages import Command, Decided, Elsewhere, Event, given
from .project_state import NOT_ARCHIVED, Project, require_project
from .task import TaskAssigned, TaskCompleted, TaskPutBack, TaskStarted
from .values import AgentType, Capabilities, JsonObject, LongText, Name, Priority, without_reserved

MAX_LEASE_SECONDS = 86_400
RESERVED_METADATA = ("deadline", "lease_seconds")

LeaseSeconds = Annotated[int, Strict(), Field(ge=1, le=MAX_LEASE_SECONDS)]


class RegisterAgent(Command):
    """Register an agent; it is idle. It is only given tasks that ask for no more than its type and capabilities."""

    stream: ClassVar = "agent_id"
    creates: ClassVar = "agent_id"

    agent_id: UUID | None = None
    agent_type: AgentType
    name: Name | None = None
    capabilities: Capabilities = []
    configuration: JsonObject = {}
    coordination_hooks: JsonObject = {}


class AgentCommand(Command):
    """The base of the commands to an agent that exists."""

    stream: ClassVar = "agent_id"

    agent_id: UUID


class RecordHeartbeat(AgentCommand):
    """Say that an agent is alive: it is idle or busy, and has its whole lease again for the task that it holds."""


class GoOffline(AgentCommand):
    """Say that an agent is away; it keeps its task, until the claim runs out."""


class ReportAgentError(AgentCommand):
    """Say that an agent has failed; it keeps its task, until the claim runs out."""

    reason: LongText | None = None


class ClaimNextTask(AgentCommand):
    """Give an idle agent the next task that is ready in an active project, and start it; the answer's id is the task's.

    With a `priority`, only tasks of that priority count. The claim runs out `lease_seconds` after it, or after the
    agent's last heartbeat.
    """

    creates: ClassVar = "assignment_id"
    exclusive: ClassVar = True
    reads: ClassVar = ("project_id",)

    assignment_id: UUID | None = None
    project_id: UUID
    priority: Priority | None = None
    lease_seconds: LeaseSeconds = 900
    metadata: JsonObject = {}

    @field_validator("metadata")
    @classmethod
    def _own_metadata(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        return without_reserved(metadata, RESERVED_METADATA)


class HeldTaskCommand(AgentCommand):
    """The base of the commands to the task that an agent holds: they are refused for any other."""

    reads: ClassVar = ("task_id",)

    task_id: UUID


class ReleaseTask(HeldTaskCommand):
    """Give back the task that an agent holds; it is pending again."""


class FinishTask(HeldTaskCommand):
    """Complete the task that an agent holds."""


class AgentRegistered(Event):
    topic: ClassVar = "agent.registered.v1"

    agent_type: str
    name: str | None
    capabilities: list[str]
    configuration: dict[str, Any]
    coordination_hooks: dict[str, Any]


class HeartbeatRecorded(Event):
    topic: ClassVar = "agent.heartbeat_recorded.v1"

    assignment_id: UUID | None
    project_id: UUID | None
    deadline: datetime | None


class AgentWentOffline(Event):
    topic: ClassVar = "agent.went_offline.v1"


class AgentErrorReported(Event):
    topic: ClassVar = "agent.error_reported.v1"

    reason: str | None


@dataclass(frozen=True, slots=True)
class Agent:
    agent_type: str
    capabilities: tuple[str, ...] = ()
    status: str = "idle"
    """'busy' is one who holds an assignment; who is 'offline' or in 'error' may hold one, too."""
    assignment: Assignment | None = None


class Reads(Protocol):
    """What deciding on an agent asks of other streams, and of the queue of tasks."""

    def project(self, project_id: UUID) -> Project | None: ...
    def next_ready(
        self, project_id: UUID, agent_type: str, capabilities: Sequence[str], priority: str | None
    ) -> UUID | None: ...


def decide(agent: Agent | None, command: Command, reads: Reads) -> list[Decided]:
    if isinstance(command, RegisterAgent):
        return [_register(agent, command)]
    assert isinstance(command, AgentCommand)
    if agent is None:
        raise NotFound(f"no agent {command.agent_id}", id=command.agent_id)
    match command:
        case RecordHeartbeat():
            return [_heartbeat(agent.assignment, command)]
        case GoOffline():
            return [AgentWentOffline(occurred_at=command.at)]
        case ReportAgentError(reason=reason):
            return [AgentErrorReported(occurred_at=command.at, reason=reason)]
        case ClaimNextTask():
            return _claim(agent, command, reads)
        case ReleaseTask():
            held = _held(agent, command, reads)
            return [
                held.closed(command.at, "released"),
                Elsewhere(command.task_id, TaskPutBack(occurred_at=command.at)),
            ]
        case FinishTask():
            held = _held(agent, command, reads)
            return [
                held.closed(command.at, "completed"),
                Elsewhere(command.task_id, TaskCompleted(occurred_at=command.at)),
            ]
    raise TypeError(f"no command of an agent: {type(command).__name__}")


def _register(agent: Agent | None, command: RegisterAgent) -> Event:
    if agent is not None:
        raise AlreadyExists(f"agent {command.agent_id} exists already", id=given(command.agent_id))
    return AgentRegistered(
        occurred_at=command.at,
        agent_type=command.agent_type,
        name=command.name,
        capabilities=command.capabilities,
        configuration=command.configuration,
        coordination_hooks=command.coordination_hooks,
    )


def _heartbeat(held: Assignment | None, command: RecordHeartbeat) -> Event:
    if held is None:
        return HeartbeatRecorded(occurred_at=command.at, assignment_id=None, project_id=None, deadline=None)
    deadline = max(held.deadline, command.at + timedelta(seconds=held.lease_seconds))  # clocks of agents may fall
    return HeartbeatRecorded(
        occurred_at=command.at, assignment_id=held.assignment_id, project_id=held.project_id, deadline=deadline
    )


def _claim(agent: Agent, command: ClaimNextTask, reads: Reads) -> list[Decided]:
    require_status("agent", command.agent_id, agent.status, ("idle",), command)
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    task_id = reads.next_ready(command.project_id, agent.agent_type, agent.capabilities, command.priority)
    if task_id is None:
        raise NothingReady(
            f"no task of project {command.project_id} is ready for agent {command.agent_id}",
            id=command.project_id,
            agent_id=command.agent_id,
        )
    # The dependency graph is not asked again: the queue changes with every event, while no other writes, so it knows.
    opened = AssignmentOpened(
        occurred_at=command.at,
        assignment_id=given(command.assignment_id),
        task_id=task_id,
        project_id=command.project_id,
        deadline=command.at + timedelta(seconds=command.lease_seconds),
        lease_seconds=command.lease_seconds,
        metadata=command.metadata,
    )
    assigned = TaskAssigned(
        occurred_at=command.at, agent_id=command.agent_id, assignment_id=given(command.assignment_id)
    )
    return [opened, Elsewhere(task_id, assigned), Elsewhere(task_id, TaskStarted(occurred_at=command.at))]


def _held(agent: Agent, command: HeldTaskCommand, reads: Reads) -> Assignment:
    """Return the open assignment, which must be that of the command's task."""
    held = agent.assignment
    if held is None or held.task_id != command.task_id:
        holds = f"holds {held.task_id}" if held else "holds none"
        raise NotAssigned(
            f"{type(command).__name__}: agent {command.agent_id} {holds}, not task {command.task_id}: "
            "its claim may have run out",
            agent_id=command.agent_id,
            task_id=command.task_id,
            holds=held.task_id if held else None,
        )
    require_project(reads.project(held.project_id), held.project_id, NOT_ARCHIVED, command)
    return held


def evolve(agent: Agent | None, event: Event) -> Agent:
    if isinstance(event, AgentRegistered):
        return Agent(agent_type=event.agent_type, capabilities=tuple(event.capabilities))
    assert agent is not None
    match event:
        case HeartbeatRecorded(deadline=deadline):
            held = agent.assignment
            if held is None or deadline is None:
                return replace(agent, status="idle")
            return replace(agent, status="busy", assignment=replace(held, deadline=deadline))
        case AssignmentOpened():
            opened = Assignment(
                event.assignment_id, event.task_id, event.project_id, event.deadline, event.lease_seconds
            )
            return replace(agent, status="busy", assignment=opened)
        case AssignmentClosed():
            return replace(agent, status="idle" if agent.status == "busy" else agent.status, assignment=None)
        case AgentWentOffline():
            return replace(agent, status="offline")
        case AgentErrorReported():
            return replace(agent, status="error")
    raise TypeError(f"no event of an agent: {type(event).__name__}")


AGENT = Aggregate[Agent](
    name="agent",
    commands=(RegisterAgent, RecordHeartbeat, GoOffline, ReportAgentError, ClaimNextTask, ReleaseTask, FinishTask),
    events=(
        AgentRegistered,
        HeartbeatRecorded,
        AgentWentOffline,
        AgentErrorReported,
        AssignmentOpened,
        AssignmentClosed,
    ),
    decide=decide,
    evolve=evolve,
    project_of=lambda agent_id, agent: None,
)
