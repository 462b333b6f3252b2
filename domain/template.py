"""A template: what projects can be created from. Its configuration, tasks and workflow have the form of blueprint.py.

What a template makes never changes: projects made from it can be told from its id. Who wants another makes another.
A public one is for everybody; one that is not has an owner, and is for its owner alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

from pydantic import Field

from .aggregate import Aggregate, require_status
from .blueprint import Structure, WorkflowTemplate, reference_faults, stored
from .errors import AlreadyExists, Fault, InvalidCommand, NoOwner, NotFound
from .messages import Command, Event, given
from .user_state import NOT_FORGOTTEN, User, require_user
from .values import Flag, JsonObject, LongText, Name

Category = Annotated[Name, Field(max_length=100)]


class CreateTemplate(Command):
    """Create a template, public or owned by its creator: `default_config` becomes a project's configuration,
    `structure` its tasks, `workflow_template` its workflow.

    Its creator may be inactive, but not forgotten.
    """

    stream: ClassVar = "template_id"
    creates: ClassVar = "template_id"
    reads: ClassVar = ("created_by",)

    template_id: UUID | None = None
    name: Name
    description: LongText | None = None
    category: Category | None = None
    structure: Structure
    default_config: JsonObject = {}
    workflow_template: WorkflowTemplate | None = None
    is_public: Flag = False
    created_by: UUID | None = None

    def __init__(self, /, **values: Any) -> None:
        """Add the faults that lie between the parts to those within them, so that all are told at once."""
        faults = [*_faults_between(values)]
        try:
            super().__init__(**values)
        except InvalidCommand as error:
            faults = [*error.faults, *faults]
        if faults:
            raise InvalidCommand(type(self).__name__, faults)


def _faults_between(values: dict[str, Any]) -> list[Fault]:
    def part(field: str, name: str) -> Any:
        value = values.get(field)
        return value.get(name) if isinstance(value, dict) else getattr(value, name, None)

    faults = [
        *reference_faults("structure.tasks", "task", part("structure", "tasks")),
        *reference_faults("workflow_template.steps", "step", part("workflow_template", "steps")),
    ]
    if values.get("is_public", False) is False and values.get("created_by") is None:
        faults.append(Fault("created_by", "A template that is not public has an owner"))
    return faults


class TemplateCommand(Command):
    """The base of the commands to a template that exists."""

    stream: ClassVar = "template_id"

    template_id: UUID


class PublishTemplate(TemplateCommand):
    """Let everybody create projects from a template."""


class UnpublishTemplate(TemplateCommand):
    """Let nobody but its owner create projects from a template."""


class TemplateCreated(Event):
    topic: ClassVar = "template.created.v1"

    name: str
    description: str | None
    category: str | None
    structure: dict[str, Any]
    default_config: dict[str, Any]
    workflow_template: dict[str, Any] | None
    is_public: bool
    created_by: UUID | None


class TemplatePublished(Event):
    topic: ClassVar = "template.published.v1"


class TemplateUnpublished(Event):
    topic: ClassVar = "template.unpublished.v1"


@dataclass(frozen=True, slots=True)
class Template:
    """`structure` and `workflow_template` as they are stored: blueprint.py has their form."""

    created_by: UUID | None
    is_public: bool
    structure: dict[str, Any]
    default_config: dict[str, Any]
    workflow_template: dict[str, Any] | None

    @property
    def status(self) -> str:
        return "public" if self.is_public else "private"


class Reads(Protocol):
    """What deciding on a template asks of other streams."""

    def user(self, user_id: UUID) -> User | None: ...


def decide(template: Template | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, CreateTemplate):
        return _create(template, command, reads)
    assert isinstance(command, TemplateCommand)
    if template is None:
        raise NotFound(f"no template {command.template_id}", id=command.template_id)
    match command:
        case PublishTemplate():
            require_status("template", command.template_id, template.status, ("private",), command)
            return [TemplatePublished(occurred_at=command.at)]
        case UnpublishTemplate():
            require_status("template", command.template_id, template.status, ("public",), command)
            if template.created_by is None:
                raise NoOwner(f"template {command.template_id} has no owner to keep it for", id=command.template_id)
            return [TemplateUnpublished(occurred_at=command.at)]
    raise TypeError(f"no command of a template: {type(command).__name__}")


def _create(template: Template | None, command: CreateTemplate, reads: Reads) -> list[Event]:
    if template is not None:
        raise AlreadyExists(f"template {command.template_id} exists already", id=given(command.template_id))
    if command.created_by is not None:
        require_user(reads.user(command.created_by), command.created_by, NOT_FORGOTTEN, command)
    return [
        TemplateCreated(
            occurred_at=command.at,
            name=command.name,
            description=command.description,
            category=command.category,
            structure=stored(command.structure),
            default_config=command.default_config,
            workflow_template=stored(command.workflow_template) if command.workflow_template else None,
            is_public=command.is_public,
            created_by=command.created_by,
        )
    ]


def evolve(template: Template | None, event: Event) -> Template:
    if isinstance(event, TemplateCreated):
        return Template(
            created_by=event.created_by,
            is_public=event.is_public,
            structure=event.structure,
            default_config=event.default_config,
            workflow_template=event.workflow_template,
        )
    assert template is not None
    match event:
        case TemplatePublished():
            return replace(template, is_public=True)
        case TemplateUnpublished():
            return replace(template, is_public=False)
    raise TypeError(f"no event of a template: {type(event).__name__}")


TEMPLATE = Aggregate[Template](
    name="template",
    commands=(CreateTemplate, PublishTemplate, UnpublishTemplate),
    events=(TemplateCreated, TemplatePublished, TemplateUnpublished),
    decide=decide,
    evolve=evolve,
    project_of=lambda template_id, template: None,
)
