"""A workflow: the definition of steps that depend on each other.

It belongs to no project; its runs do (workflow_run.py).

A step may depend on steps that were added before it, and on no others: so no cycle can ever close, and the order in
which steps were added is one in which they can run. Steps are added to drafts alone: what an active workflow runs never
changes. An archived workflow can be activated again, but never becomes a draft again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, NamedTuple
from uuid import UUID

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, DependencyCycle, EmptyWorkflow, LimitReached, NotFound, NotUnique
from .messages import Command, Event, given
from .values import INT32_MAX, JsonObject, LongText, Name, StepType

MAX_STEPS = 500
MAX_STEP_DEPENDENCIES = 100  # with MAX_STEPS, a run's started event stays below 2 MiB


def _each_once(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("repeated", "Each step may be named once")
    return ids


StepOrder = Annotated[int, Strict(), Field(ge=0, le=INT32_MAX)]
StepIds = Annotated[list[UUID], Field(max_length=MAX_STEP_DEPENDENCIES), AfterValidator(_each_once)]


class CreateWorkflow(Command):
    """Create a draft of a workflow, without steps; `template` is the caller's own name of what it was made from."""

    stream: ClassVar = "workflow_id"
    creates: ClassVar = "workflow_id"

    workflow_id: UUID | None = None
    name: Name
    description: LongText | None = None
    template: Name | None = None
    configuration: JsonObject = {}
    global_settings: JsonObject = {}


class WorkflowCommand(Command):
    """The base of the commands to a workflow that exists."""

    stream: ClassVar = "workflow_id"

    workflow_id: UUID


class AddStep(WorkflowCommand):
    """Add a step to a draft; it may depend on steps of the workflow that were added before it.

    Without `step_order` it comes behind all steps so far (the first has 1).
    """

    creates: ClassVar = "step_id"

    step_id: UUID | None = None
    name: Name
    type: StepType
    ai_prompt: LongText | None = None
    depends_on: StepIds = []
    validation_config: JsonObject = {}
    step_order: StepOrder | None = None


class ActivateWorkflow(WorkflowCommand):
    """Let a workflow that has steps be run; its steps stay as they are from now on."""


class ArchiveWorkflow(WorkflowCommand):
    """Let a workflow be run no more; the runs that have started go on."""


class WorkflowCreated(Event):
    topic: ClassVar = "workflow.created.v1"

    name: str
    description: str | None
    template: str | None
    configuration: dict[str, Any]
    global_settings: dict[str, Any]


class StepAdded(Event):
    topic: ClassVar = "workflow.step_added.v1"
    creates: ClassVar = "step_id"
    unique: ClassVar = ("step_id",)

    step_id: UUID
    name: str
    type: str
    ai_prompt: str | None
    depends_on: list[UUID]
    validation_config: dict[str, Any]
    step_order: int


class WorkflowActivated(Event):
    topic: ClassVar = "workflow.activated.v1"


class WorkflowArchived(Event):
    topic: ClassVar = "workflow.archived.v1"


class Step(NamedTuple):
    """What a workflow remembers of a step: its place, and the steps that it depends on."""

    order: int
    depends_on: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    status: str = "draft"
    steps: Mapping[UUID, Step] = field(default_factory=dict)
    """step -> what is remembered of it, in the order in which they were added."""

    def in_order(self) -> dict[UUID, list[UUID]]:
        """Return step -> the steps that it depends on, by step_order, then by the order in which they were added."""
        listed = sorted(self.steps.items(), key=lambda item: item[1].order)
        return {step_id: list(step.depends_on) for step_id, step in listed}


def decide(workflow: Workflow | None, command: Command, reads: object) -> list[Event]:
    if isinstance(command, CreateWorkflow):
        return _create(workflow, command)
    assert isinstance(command, WorkflowCommand)
    if workflow is None:
        raise NotFound(f"no workflow {command.workflow_id}", id=command.workflow_id)

    def require(*allowed: str) -> None:
        require_status("workflow", command.workflow_id, workflow.status, allowed, command)

    match command:
        case AddStep():
            require("draft")
            return [_add_step(workflow, command)]
        case ActivateWorkflow():
            require("draft", "archived")
            if not workflow.steps:
                raise EmptyWorkflow(f"workflow {command.workflow_id} has no steps", id=command.workflow_id)
            return [WorkflowActivated(occurred_at=command.at)]
        case ArchiveWorkflow():
            require("draft", "active")
            return [WorkflowArchived(occurred_at=command.at)]
    raise TypeError(f"no command of a workflow: {type(command).__name__}")


def _create(workflow: Workflow | None, command: CreateWorkflow) -> list[Event]:
    if workflow is not None:
        raise AlreadyExists(f"workflow {command.workflow_id} exists already", id=given(command.workflow_id))
    return [
        WorkflowCreated(
            occurred_at=command.at,
            name=command.name,
            description=command.description,
            template=command.template,
            configuration=command.configuration,
            global_settings=command.global_settings,
        )
    ]


def _add_step(workflow: Workflow, command: AddStep) -> StepAdded:
    step_id = given(command.step_id)
    _require_new_and_known(workflow, step_id, command)
    last = max((step.order for step in workflow.steps.values()), default=0)
    return StepAdded(
        occurred_at=command.at,
        step_id=step_id,
        name=command.name,
        type=command.type,
        ai_prompt=command.ai_prompt,
        depends_on=command.depends_on,
        validation_config=command.validation_config,
        step_order=min(last + 1, INT32_MAX) if command.step_order is None else command.step_order,
    )


def _require_new_and_known(workflow: Workflow, step_id: UUID, command: AddStep) -> None:
    """A new step, and known ones that it depends on: these are what keeps cycles out."""
    if step_id in workflow.steps:
        raise NotUnique(f"step_id {step_id} is taken", field="step_id", value=str(step_id))
    if len(workflow.steps) >= MAX_STEPS:
        raise LimitReached(
            f"workflow {command.workflow_id} has {MAX_STEPS} steps, and may not have more",
            id=command.workflow_id,
            limit=MAX_STEPS,
        )
    if step_id in command.depends_on:
        cycle = [str(step_id), str(step_id)]
        raise DependencyCycle(f"step {step_id} would wait for itself", cycle=cycle)
    if unknown := [str(other) for other in command.depends_on if other not in workflow.steps]:
        raise NotFound(
            f"workflow {command.workflow_id} has no step {', '.join(unknown)}; "
            "a step may depend on steps that were added before it",
            id=unknown[0],
            unknown=unknown,
        )


def evolve(workflow: Workflow | None, event: Event) -> Workflow:
    if isinstance(event, WorkflowCreated):
        return Workflow()
    assert workflow is not None
    match event:
        case StepAdded():
            step = Step(event.step_order, tuple(event.depends_on))
            return replace(workflow, steps={**workflow.steps, event.step_id: step})
        case WorkflowActivated():
            return replace(workflow, status="active")
        case WorkflowArchived():
            return replace(workflow, status="archived")
    raise TypeError(f"no event of a workflow: {type(event).__name__}")


WORKFLOW = Aggregate[Workflow](
    name="workflow",
    commands=(CreateWorkflow, AddStep, ActivateWorkflow, ArchiveWorkflow),
    events=(WorkflowCreated, StepAdded, WorkflowActivated, WorkflowArchived),
    decide=decide,
    evolve=evolve,
    project_of=lambda workflow_id, workflow: None,
    grows=True,
)
