"""A history of workflows, runs and templates, drawn from a seed: the same commands in every run and on every store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from uuid import UUID

from claude_tiu import (
    ActivateWorkflow,
    AddStep,
    ArchiveWorkflow,
    Command,
    CompleteStep,
    CreateProject,
    CreateTemplate,
    CreateWorkflow,
    FailStep,
    FailWorkflowRun,
    PublishTemplate,
    StartStep,
    StartTask,
    StartWorkflowRun,
    UnpublishTemplate,
    template_task_id,
)
from claude_tiu.domain.values import StepType
from tests.support.history import PROJECT, START, USER, create_user, uid

TYPES: tuple[StepType, ...] = ("ai_generation", "validation", "file_operation", "external_command")
TEMPLATES = [uid("public template"), uid("private template")]


def definition(workflow_id: UUID, random: Random) -> Iterator[Command]:
    """A workflow of some steps, each depending on some that were added before it, and active."""
    yield CreateWorkflow(workflow_id=workflow_id, name="Ünïcödé ☃", configuration={"a": 1.5}, template="t")
    steps: list[UUID] = []
    for number in range(random.randint(1, 6)):
        step_id = uid(f"{workflow_id} {number}")
        yield AddStep(
            workflow_id=workflow_id,
            step_id=step_id,
            name=f"Step {number}",
            type=random.choice(TYPES),
            ai_prompt=random.choice([None, "Do it."]),
            depends_on=random.sample(steps, random.randint(0, min(3, len(steps)))),
            validation_config={"deep": [None, 1, "é"]},
            step_order=random.choice([None, None, 1, 0]),
        )
        steps.append(step_id)
    yield ActivateWorkflow(workflow_id=workflow_id)


def work(run_id: UUID, workflow_id: UUID, random: Random) -> Iterator[Command]:
    """A run, and commands to its steps in no order, of which the rules refuse many."""
    yield StartWorkflowRun(workflow_run_id=run_id, workflow_id=workflow_id, project_id=PROJECT)
    for _ in range(40):
        step_id = uid(f"{workflow_id} {random.randint(0, 5)}")
        match random.choices(["start", "complete", "fail", "give up"], weights=[20, 20, 1, 0.2])[0]:
            case "start":
                yield StartStep(workflow_run_id=run_id, step_id=step_id)
            case "complete":
                yield CompleteStep(
                    workflow_run_id=run_id, step_id=step_id, result_data={"n": 0.5}, execution_metadata={"tokens": 3}
                )
            case "fail":
                yield FailStep(workflow_run_id=run_id, step_id=step_id, reason="exit 2", result_data={"log": "…"})
            case _:
                yield FailWorkflowRun(workflow_run_id=run_id, reason="no time")


def templates() -> Iterator[Command]:
    """A template that is public, and one that was."""
    structure = {"tasks": [{"key": "a", "name": "A", "depends_on": ["b"]}, {"key": "b", "name": "B"}]}
    steps = [{"key": "lint", "name": "Lint", "type": "validation"}]
    public, private = TEMPLATES
    for template_id, workflow in ((public, {"name": "W", "steps": steps}), (private, None)):
        fields = {"name": "T", "structure": structure, "workflow_template": workflow, "created_by": USER}
        yield CreateTemplate(template_id=template_id, category="backend", **fields)
        yield PublishTemplate(template_id=template_id)
    yield UnpublishTemplate(template_id=private)


def from_templates() -> Iterator[Command]:
    """Projects of both; the private one is its owner's alone."""
    yield create_user("grace", user_id=uid("grace"))
    for user in (USER, uid("grace")):
        for template_id in TEMPLATES:
            yield CreateProject(
                project_id=uid(f"{user} {template_id}"), user_id=user, name="P", template_id=template_id
            )
    yield StartTask(task_id=template_task_id(uid(f"{USER} {TEMPLATES[0]}"), "b"))


def flows(seed: int) -> list[Command]:
    """Commands with ids and times, a minute apart; the rules refuse some of them."""
    random = Random(seed)
    commands: list[Command] = [create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")]
    commands += [*templates(), *from_templates()]
    for number in range(3):
        workflow_id = uid(f"workflow {number}")
        commands += definition(workflow_id, random)
        for run in range(3):
            commands += work(uid(f"run {number} {run}"), workflow_id, random)
    commands.append(ArchiveWorkflow(workflow_id=uid("workflow 0")))
    return [
        command.model_copy(update={"command_id": uid(f"flow {n}"), "occurred_at": START + timedelta(minutes=n)})
        for n, command in enumerate(commands)
    ]
