"""The example run told with other texts: one in every field, of every command, that takes any text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from claude_tiu import (
    ActivateWorkflow,
    AddStep,
    AddTask,
    BlockTask,
    ChangePreferences,
    Command,
    CreateFile,
    CreateProject,
    CreateWorkflow,
    FailFileValidation,
    FailProject,
    FailRun,
    FailTask,
    FailWorkflowRun,
    ModifyFile,
    RegisterAgent,
    ReportAgentError,
    StartRun,
    StartWorkflowRun,
)
from claude_tiu.domain.registry import COMMANDS, command_schema
from tests.support import every_table
from tests.support.every_table import Narrator
from tests.support.history import create_user, uid
from tests.support.stores import Backend

Text = Callable[[str, str, int | None], str]
"""From a field, what stood in it, and how many characters it may have, what stands in it."""


def has_text(name: str) -> bool:
    """Whether a command has a field that takes any text."""
    schemas = command_schema(name)["properties"].values()
    return any(_takes_text(one) for schema in schemas for one in [schema, *schema.get("anyOf", ())])


def _takes_text(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and not schema.keys() & {"pattern", "format", "enum", "const"}


def spoiled(command: Command, text: Text) -> Command:
    """A command with another text in each of its fields that takes any, and in JSON."""
    fields = command.model_dump(mode="json", exclude_none=True)
    for field, schema in command_schema(type(command).__name__)["properties"].items():
        for one in [schema, *schema.get("anyOf", ())]:
            if _takes_text(one):
                fields[field] = text(field, fields.get(field, ""), one.get("maxLength"))
            elif one.get("type") == "object" and "$ref" not in one and "properties" not in one:
                value = text("json", field, None)
                fields[field] = {value: [value, {value: value}], **fields.get(field, {})}
            elif field == "expected_outputs":
                value = text("json", field, None)
                fields[field] = [value, {value: value}]
            elif field == "capabilities" and isinstance(command, RegisterAgent):
                fields[field] = [text(field, "", 490)]
    for planned in [
        *fields.get("structure", {}).get("tasks", ()),
        *fields.get("workflow_template", {}).get("steps", ()),
    ]:
        planned |= {"name": text("name", planned["key"], 255), "ai_prompt": text("ai_prompt", planned["key"], None)}
    for derived in ("content_hash", "size_bytes"):
        if isinstance(command, CreateFile | ModifyFile):
            fields.pop(derived, None)
    return COMMANDS[type(command).__name__](**fields)


def more_is_told(narrator: Narrator) -> None:
    """By the commands with a text of their own that the example run has no use for."""
    user, project, task, run, workflow = map(uid, ("evil user", "evil", "evil task", "evil run", "evil workflow"))
    other, step, agent, workflow_run = map(uid, ("other evil", "evil step", "evil agent", "evil workflow run"))
    narrator.tell(create_user("mallory", user_id=user), ChangePreferences(user_id=user, preferences={}))
    narrator.tell(CreateProject(project_id=project, user_id=user, name="x"))
    narrator.tell(AddTask(task_id=task, project_id=project, name="x"), BlockTask(task_id=task), FailTask(task_id=task))
    narrator.tell(CreateFile(project_id=project, file_path="f", content="x"))
    narrator.tell(FailFileValidation(project_id=project, file_path="f"))
    narrator.tell(StartRun(run_id=run, project_id=project, validation_type="quick"), FailRun(run_id=run))
    narrator.tell(
        CreateWorkflow(workflow_id=workflow, name="x"),
        AddStep(workflow_id=workflow, step_id=step, name="x", type="validation"),
        ActivateWorkflow(workflow_id=workflow),
        StartWorkflowRun(workflow_run_id=workflow_run, workflow_id=workflow, project_id=project),
        FailWorkflowRun(workflow_run_id=workflow_run),
    )
    narrator.tell(RegisterAgent(agent_id=agent, agent_type="tester"), ReportAgentError(agent_id=agent))
    narrator.tell(CreateProject(project_id=other, user_id=user, name="x"), FailProject(project_id=other))


def tell_spoiled(backend: Backend, text: Text) -> set[str]:
    """Tell the example run and more, every text another. Return the names of the commands that there were."""
    told: set[str] = set()
    dressed = Narrator._dressed

    def spoil(narrator: Narrator, command: Command) -> Command:
        told.add(type(command).__name__)
        return spoiled(dressed(narrator, command), text)

    with (
        patch.object(Narrator, "_dressed", spoil),
        patch.object(every_table, "CHAPTERS", (*every_table.CHAPTERS, more_is_told)),
    ):
        every_table.tell_all(backend)
    return told
