"""A project: what users own, and what tasks, dependencies and validation runs belong to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import ValidationInfo, field_validator

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, NotFound
from .messages import Command, Event, given
from .project_state import Project
from .values import JsonObject, LongText, Name, within_bytes

MAX_NAME_AND_DESCRIPTION_BYTES = 16 << 10  # both stand in one text index, rebuilt at every progress update


class CreateProject(Command):
    """Create an active project of an existing user."""

    stream: ClassVar = "project_id"
    creates: ClassVar = "project_id"

    project_id: UUID | None = None
    user_id: UUID
    name: Name
    description: LongText | None = None
    configuration: JsonObject = {}
    metadata: JsonObject = {}

    @field_validator("description")
    @classmethod
    def _fits_the_text_index(cls, description: str | None, info: ValidationInfo) -> str | None:
        text = info.data.get("name", "") + (description or "")
        within_bytes(text, MAX_NAME_AND_DESCRIPTION_BYTES, "Name and description")
        return description


class ProjectCommand(Command):
    """The base of the commands to a project that exists."""

    stream: ClassVar = "project_id"

    project_id: UUID


class CompleteProject(ProjectCommand):
    """Declare an active project completed, whatever its tasks say."""


class FailProject(ProjectCommand):
    """Declare an active project failed."""

    reason: LongText | None = None


class ReactivateProject(ProjectCommand):
    """Make a completed or failed project active again."""


class ProjectCreated(Event):
    topic: ClassVar = "project.created.v1"

    user_id: UUID
    name: str
    description: str | None
    configuration: dict[str, Any]
    metadata: dict[str, Any]


class ProjectCompleted(Event):
    topic: ClassVar = "project.completed.v1"


class ProjectFailed(Event):
    topic: ClassVar = "project.failed.v1"

    reason: str | None


class ProjectReactivated(Event):
    topic: ClassVar = "project.reactivated.v1"


class Reads(Protocol):
    """What deciding on a project asks of other streams."""

    def user_exists(self, user_id: UUID) -> bool: ...


def decide(project: Project | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, CreateProject):
        return _create(project, command, reads)
    assert isinstance(command, ProjectCommand)
    if project is None:
        raise NotFound(f"no project {command.project_id}", id=command.project_id)

    def require(*allowed: str) -> None:
        require_status("project", command.project_id, project.status, allowed, command)

    match command:
        case CompleteProject():
            require("active")
            return [ProjectCompleted(occurred_at=command.at)]
        case FailProject():
            require("active")
            return [ProjectFailed(occurred_at=command.at, reason=command.reason)]
        case ReactivateProject():
            require("completed", "failed")
            return [ProjectReactivated(occurred_at=command.at)]
    raise TypeError(f"no command of a project: {type(command).__name__}")


def _create(project: Project | None, command: CreateProject, reads: Reads) -> list[Event]:
    if project is not None:
        raise AlreadyExists(f"project {command.project_id} exists already", id=given(command.project_id))
    if not reads.user_exists(command.user_id):
        raise NotFound(f"no user {command.user_id}", id=command.user_id)
    return [
        ProjectCreated(
            occurred_at=command.at,
            user_id=command.user_id,
            name=command.name,
            description=command.description,
            configuration=command.configuration,
            metadata=command.metadata,
        )
    ]


def evolve(project: Project | None, event: Event) -> Project:
    if isinstance(event, ProjectCreated):
        return Project(user_id=event.user_id, name=event.name, status="active")
    assert project is not None
    match event:
        case ProjectCompleted():
            return replace(project, status="completed")
        case ProjectFailed():
            return replace(project, status="failed")
        case ProjectReactivated():
            return replace(project, status="active")
    return project


PROJECT = Aggregate[Project](
    name="project",
    commands=(CreateProject, CompleteProject, FailProject, ReactivateProject),
    events=(ProjectCreated, ProjectCompleted, ProjectFailed, ProjectReactivated),
    decide=decide,
    evolve=evolve,
    project_of=lambda project_id, project: project_id,
)
