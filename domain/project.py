"""A project: what users own, and what tasks, dependencies and validation runs belong to.

One that is created from a template has more than its own event: project_from_template.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from pydantic import ValidationInfo, field_validator

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, NotFound, OpenWork
from .messages import Command, Decided, Event, given
from .project_from_template import Reads as TemplateReads
from .project_from_template import configuration_from, made_from, template_for
from .project_state import NOT_ARCHIVED, Project
from .user_state import NOT_FORGOTTEN, User, require_user
from .values import JsonObject, LongText, Name, within_bytes

MAX_NAME_AND_DESCRIPTION_BYTES = 16 << 10  # both stand in one text index, rebuilt at every progress update


class CreateProject(Command):
    """Create an active project of a user who is not forgotten.

    An inactive user may be given one: who may act for whom is for the embedding service to say. From a template (a
    public one, or the user's own) it has the tasks, their dependencies and an active workflow; its configuration is
    the template's, but for the keys of its own.
    """

    stream: ClassVar = "project_id"
    creates: ClassVar = "project_id"
    reads: ClassVar = ("user_id", "template_id")

    project_id: UUID | None = None
    user_id: UUID
    template_id: UUID | None = None
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


class ArchiveProject(ProjectCommand):
    """Take a project, and all that belongs to it, out of the read tables into the archive's, until it is restored.

    Refused while an assignment or a validation run is open in it.
    """

    exclusive: ClassVar = True


class RestoreProject(ProjectCommand):
    """Make an archived project active again, with all that retention has left of it."""


class ProjectCreated(Event):
    topic: ClassVar = "project.created.v1"

    user_id: UUID
    name: str
    description: str | None
    configuration: dict[str, Any]
    metadata: dict[str, Any]
    template_id: UUID | None = None


class ProjectCompleted(Event):
    topic: ClassVar = "project.completed.v1"


class ProjectFailed(Event):
    topic: ClassVar = "project.failed.v1"

    reason: str | None


class ProjectReactivated(Event):
    topic: ClassVar = "project.reactivated.v1"


class ProjectArchived(Event):
    topic: ClassVar = "project.archived.v1"


class ProjectRestored(Event):
    topic: ClassVar = "project.restored.v1"


class Reads(TemplateReads, Protocol):
    """What deciding on a project asks of other streams; what is open in it, of the agenda."""

    def user(self, user_id: UUID) -> User | None: ...
    def open_in(self, project_id: UUID) -> list[str]: ...


def decide(project: Project | None, command: Command, reads: Reads) -> list[Decided]:
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
        case ArchiveProject():
            require(*NOT_ARCHIVED)
            _require_no_open_work(command.project_id, reads)
            return [ProjectArchived(occurred_at=command.at)]
        case RestoreProject():
            require("archived")
            return [ProjectRestored(occurred_at=command.at)]
    raise TypeError(f"no command of a project: {type(command).__name__}")


def _create(project: Project | None, command: CreateProject, reads: Reads) -> list[Decided]:
    project_id, template_id = given(command.project_id), command.template_id
    if project is not None:
        raise AlreadyExists(f"project {project_id} exists already", id=project_id)
    require_user(reads.user(command.user_id), command.user_id, NOT_FORGOTTEN, command)
    created = ProjectCreated(
        occurred_at=command.at,
        user_id=command.user_id,
        name=command.name,
        description=command.description,
        configuration=command.configuration,
        metadata=command.metadata,
    )
    if template_id is None:
        return [created]
    template = template_for(command.user_id, template_id, reads)
    configuration = configuration_from(template_id, template, command.configuration)
    return [
        created.model_copy(update={"template_id": template_id, "configuration": configuration}),
        *made_from(template_id, template, project_id, command.at, reads),
    ]


def _require_no_open_work(project_id: UUID, reads: Reads) -> None:
    if kinds := reads.open_in(project_id):
        listed = " and ".join(kind.replace("_", " ") for kind in kinds)
        raise OpenWork(f"ArchiveProject: open in project {project_id}: {listed}", id=project_id, open=kinds)


def evolve(project: Project | None, event: Event) -> Project:
    if isinstance(event, ProjectCreated):
        return Project(user_id=event.user_id, name=event.name, status="active")
    assert project is not None
    match event:
        case ProjectCompleted():
            return replace(project, status="completed")
        case ProjectFailed():
            return replace(project, status="failed")
        case ProjectReactivated() | ProjectRestored():
            return replace(project, status="active")
        case ProjectArchived():
            return replace(project, status="archived")
    return project


PROJECT = Aggregate[Project](
    name="project",
    commands=(CreateProject, CompleteProject, FailProject, ReactivateProject, ArchiveProject, RestoreProject),
    events=(ProjectCreated, ProjectCompleted, ProjectFailed, ProjectReactivated, ProjectArchived, ProjectRestored),
    decide=decide,
    evolve=evolve,
    project_of=lambda project_id, project: project_id,
)
