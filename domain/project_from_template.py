"""What a project has from the template that it is created from: configuration, tasks, dependencies and a workflow.

All of it is stored with the project, in one commit and at one time. Its ids follow from the project's id and the keys
in the template (blueprint.py): a decision that is made again makes the same, and whoever knows a task's key knows its
id. Afterwards it is like any other: nothing that becomes of the template changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from .blueprint import in_running_order
from .dependency_graph import DependencyAdded, graph_id
from .errors import AlreadyExists, LimitReached, NotFound, PrivateTemplate
from .messages import Elsewhere
from .name_ids import uuid5
from .task import Task, TaskAdded
from .template import Template
from .values import MAX_JSON_BYTES, json_bytes
from .workflow import StepAdded, Workflow, WorkflowActivated, WorkflowCreated


def template_task_id(project_id: UUID, key: str) -> UUID:
    """Return the id of the task that a project has of the key in its template."""
    return uuid5(_namespace(project_id), f"task:{key}")


def template_workflow_id(project_id: UUID) -> UUID:
    """Return the id of the workflow that a project has from its template, if that has one."""
    return uuid5(_namespace(project_id), "workflow")


def template_step_id(project_id: UUID, key: str) -> UUID:
    """Return the id of the step that a project's workflow has of the key in its template."""
    return uuid5(_namespace(project_id), f"step:{key}")


def _namespace(project_id: UUID) -> UUID:
    """One of its own: uuid5 of the project itself and any text is the stream of a file of that path."""
    return uuid5(project_id, "template")


class Reads(Protocol):
    """What creating from a template asks of other streams."""

    def template(self, template_id: UUID) -> Template | None: ...
    def task(self, task_id: UUID) -> Task | None: ...
    def workflow(self, workflow_id: UUID) -> Workflow | None: ...
    def will_read(self, *stream_ids: UUID) -> None: ...


def template_for(user_id: UUID, template_id: UUID, reads: Reads) -> Template:
    """Return a template that this user may create projects from: a public one, or their own.

    Raises NotFound, PrivateTemplate.
    """
    template = reads.template(template_id)
    if template is None:
        raise NotFound(f"no template {template_id}", id=template_id)
    if not template.is_public and template.created_by != user_id:
        raise PrivateTemplate(
            f"template {template_id} is private, and not of user {user_id}", id=template_id, user_id=user_id
        )
    return template


def configuration_from(template_id: UUID, template: Template, own: dict[str, Any]) -> dict[str, Any]:
    """Return the template's default_config, overlaid with a project's own: of each key at the top, its own value.

    Raises LimitReached where they have more than 1 MiB together.
    """
    merged = {**template.default_config, **own}
    size = json_bytes(merged)
    if size > MAX_JSON_BYTES:
        raise LimitReached(
            f"the configuration has {size} bytes of JSON with the default_config of template {template_id}, "
            f"and may not have more than {MAX_JSON_BYTES}",
            id=template_id,
            limit=MAX_JSON_BYTES,
            size=size,
        )
    return dict(sorted(merged.items()))


def made_from(
    template_id: UUID, template: Template, project_id: UUID, at: datetime, reads: Reads
) -> Iterator[Elsewhere]:
    """Yield the events that make a project's tasks, their dependencies, and its workflow, which is active.

    Raises AlreadyExists where one of the ids is another's.
    """
    tasks, workflow = template.structure["tasks"], template.workflow_template
    ids = {entry["key"]: template_task_id(project_id, entry["key"]) for entry in tasks}
    reads.will_read(graph_id(project_id), template_workflow_id(project_id), *ids.values())
    yield from _tasks(tasks, ids, project_id, at, reads)
    yield from _dependencies(tasks, ids, project_id, at)
    if workflow is not None:
        yield from _workflow(workflow, str(template_id), project_id, at, reads)


def _tasks(
    tasks: list[dict[str, Any]], ids: Mapping[str, UUID], project_id: UUID, at: datetime, reads: Reads
) -> Iterator[Elsewhere]:
    """In the template's order: it is the last that ready tasks are put in order by."""
    for entry in tasks:
        task_id = ids[entry["key"]]
        if reads.task(task_id) is not None:
            raise AlreadyExists(f"task {task_id} exists already: it would be {entry['key']!r} here", id=task_id)
        yield Elsewhere(task_id, TaskAdded(occurred_at=at, project_id=project_id, **_own_fields(entry)))


def _dependencies(
    tasks: list[dict[str, Any]], ids: Mapping[str, UUID], project_id: UUID, at: datetime
) -> Iterator[Elsewhere]:
    """None can close a cycle: the template has none (blueprint.reference_faults), and its tasks are new."""
    graph = graph_id(project_id)
    for entry in tasks:
        for other in entry["depends_on"]:
            event = DependencyAdded(
                occurred_at=at,
                project_id=project_id,
                task_id=ids[entry["key"]],
                depends_on_task_id=ids[other["key"]],
                dependency_type=other["dependency_type"],
            )
            yield Elsewhere(graph, event)


def _workflow(
    planned: dict[str, Any], template: str, project_id: UUID, at: datetime, reads: Reads
) -> Iterator[Elsewhere]:
    """Each step behind those that it depends on; its step_order is its place in the template."""
    workflow_id = template_workflow_id(project_id)
    if reads.workflow(workflow_id) is not None:
        raise AlreadyExists(f"workflow {workflow_id} exists already: it would be this project's", id=workflow_id)
    fields = {name: value for name, value in planned.items() if name != "steps"}
    yield Elsewhere(workflow_id, WorkflowCreated(occurred_at=at, template=template, **fields))
    ids = {entry["key"]: template_step_id(project_id, entry["key"]) for entry in planned["steps"]}
    places = {key: place for place, key in enumerate(ids, 1)}
    for entry in in_running_order(planned["steps"]):
        event = StepAdded(
            occurred_at=at,
            step_id=ids[entry["key"]],
            depends_on=[ids[key] for key in entry["depends_on"]],
            step_order=places[entry["key"]],
            **_own_fields(entry),
        )
        yield Elsewhere(workflow_id, event)
    yield Elsewhere(workflow_id, WorkflowActivated(occurred_at=at))


def _own_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's fields but for those that name entries: they are those of the event."""
    return {name: value for name, value in entry.items() if name not in ("key", "depends_on")}
