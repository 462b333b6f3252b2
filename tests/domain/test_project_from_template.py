"""A project created from a template: who may, and what it then has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given as any_given

from claude_tiu.domain.dependency_graph import DEPENDENCY_GRAPH, DependencyAdded, graph_id
from claude_tiu.domain.errors import AlreadyExists, LimitReached, NotFound, PrivateTemplate
from claude_tiu.domain.messages import Elsewhere, Event
from claude_tiu.domain.project import PROJECT, CreateProject, ProjectCreated
from claude_tiu.domain.project_file import file_id
from claude_tiu.domain.project_from_template import template_step_id, template_task_id, template_workflow_id
from claude_tiu.domain.task import TaskAdded
from claude_tiu.domain.template import (
    TEMPLATE,
    CreateTemplate,
    Template,
    TemplateCreated,
    TemplatePublished,
    TemplateUnpublished,
)
from claude_tiu.domain.values import MAX_JSON_BYTES, json_bytes
from claude_tiu.domain.workflow import WORKFLOW, StepAdded, Workflow, WorkflowActivated, WorkflowCreated
from claude_tiu.testing.strategies import messages
from tests.domain.given import (
    AT,
    COMMAND_ID,
    EARLIER,
    NEW_ID,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    TEMPLATE_ID,
    USER_ID,
    DictReads,
    given,
    project,
    task,
    uid,
    user,
)

DESIGN, PARSER, DOCS = (template_task_id(PROJECT_ID, key) for key in ("design", "parser", "docs"))
LINT, REVIEW = (template_step_id(PROJECT_ID, key) for key in ("lint", "review"))
WORKFLOW_ID = template_workflow_id(PROJECT_ID)

STRUCTURE: dict[str, Any] = {
    "tasks": [
        {
            "key": "parser",
            "name": "Parser",
            "description": "Reads invoices",
            "priority": "high",
            "ai_prompt": "Write a parser.",
            "expected_outputs": ["parser.py"],
            "validation_criteria": {"tests": 12},
            "estimated_duration": 60,
            "depends_on": ["design", {"key": "docs", "dependency_type": "suggests"}],
        },
        {"key": "design", "name": "Design"},
        {"key": "docs", "name": "Docs", "depends_on": [{"key": "design", "dependency_type": "requires"}]},
    ]
}
STEPS: dict[str, Any] = {
    "name": "Review",
    "description": "Of each change",
    "configuration": {"a": 1},
    "global_settings": {"model": "large"},
    "steps": [
        {"key": "review", "name": "Review", "type": "validation", "depends_on": ["lint"], "ai_prompt": "Look."},
        {"key": "lint", "name": "Lint", "type": "external_command", "validation_config": {"strict": True}},
    ],
}


def template(**fields: Any) -> Template:
    """A public template; what is not given is empty."""
    least: dict[str, Any] = {"name": "Service", "structure": {}, "is_public": True}
    return made_by(CreateTemplate(template_id=TEMPLATE_ID, **(least | fields)))


def made_by(command: CreateTemplate) -> Template:
    """The template that a command makes, whoever its owner is."""
    stamped = command.stamped(at=EARLIER, command_id=COMMAND_ID, new_id=NEW_ID)
    (event,) = TEMPLATE.decide(
        None, stamped, DictReads(users={command.created_by: user()} if command.created_by else {})
    )
    assert isinstance(event, TemplateCreated)
    return TEMPLATE.evolve(None, event)


def reads(made: Template | None = None, **more: Any) -> DictReads:
    return DictReads(users={USER_ID: user()}, templates={} if made is None else {TEMPLATE_ID: made}, **more)


def create(**fields: Any) -> CreateProject:
    least: dict[str, Any] = {
        "project_id": PROJECT_ID,
        "user_id": USER_ID,
        "name": "Billing",
        "template_id": TEMPLATE_ID,
    }
    return CreateProject(**(least | fields))


def created(configuration: dict[str, Any] | None = None) -> ProjectCreated:
    return ProjectCreated(
        occurred_at=AT,
        user_id=USER_ID,
        name="Billing",
        description=None,
        configuration=configuration or {},
        metadata={},
        template_id=TEMPLATE_ID,
    )


def added(name: str, **fields: Any) -> TaskAdded:
    left_out: dict[str, Any] = {
        "description": None,
        "priority": "medium",
        "ai_prompt": None,
        "expected_outputs": [],
        "validation_criteria": {},
        "estimated_duration": None,
    }
    return TaskAdded(occurred_at=AT, project_id=PROJECT_ID, name=name, **(left_out | fields))


def depends(task_id: UUID, other: UUID, dependency_type: str) -> Elsewhere:
    event = DependencyAdded(
        occurred_at=AT,
        project_id=PROJECT_ID,
        task_id=task_id,
        depends_on_task_id=other,
        dependency_type=dependency_type,
    )
    return Elsewhere(graph_id(PROJECT_ID), event)


TASKS = [
    Elsewhere(
        PARSER,
        added(
            "Parser",
            description="Reads invoices",
            priority="high",
            ai_prompt="Write a parser.",
            expected_outputs=["parser.py"],
            validation_criteria={"tests": 12},
            estimated_duration=60,
        ),
    ),
    Elsewhere(DESIGN, added("Design")),
    Elsewhere(DOCS, added("Docs")),
    depends(PARSER, DESIGN, "blocks"),
    depends(PARSER, DOCS, "suggests"),
    depends(DOCS, DESIGN, "requires"),
]
STEP_EVENTS = [
    StepAdded(
        occurred_at=AT,
        step_id=LINT,
        name="Lint",
        type="external_command",
        ai_prompt=None,
        depends_on=[],
        validation_config={"strict": True},
        step_order=2,
    ),
    StepAdded(
        occurred_at=AT,
        step_id=REVIEW,
        name="Review",
        type="validation",
        ai_prompt="Look.",
        depends_on=[LINT],
        validation_config={},
        step_order=1,
    ),
]
WORKFLOW_EVENTS: list[Event] = [
    WorkflowCreated(
        occurred_at=AT,
        name="Review",
        description="Of each change",
        template=str(TEMPLATE_ID),
        configuration={"a": 1},
        global_settings={"model": "large"},
    ),
    *STEP_EVENTS,
    WorkflowActivated(occurred_at=AT),
]


class TestWhatItHas:
    def test_tasks_in_the_templates_order_then_their_dependencies(self) -> None:
        when = given(PROJECT, reads=reads(template(structure=STRUCTURE))).when(create())
        assert when.then([created(), *TASKS]) == project("active")

    def test_a_workflow_that_is_active_its_steps_behind_those_they_depend_on(self) -> None:
        """A step's order is its place in the template."""
        when = given(PROJECT, reads=reads(template(workflow_template=STEPS))).when(create())
        when.then([created(), *(Elsewhere(WORKFLOW_ID, event) for event in WORKFLOW_EVENTS)])
        workflow = WORKFLOW.fold(WORKFLOW_EVENTS)
        assert workflow is not None
        assert (workflow.status, workflow.in_order()) == ("active", {REVIEW: [LINT], LINT: []})

    def test_all_of_it_in_one_commit(self) -> None:
        made = template(structure=STRUCTURE, workflow_template=STEPS, default_config={"lang": "py"})
        steps = [Elsewhere(WORKFLOW_ID, event) for event in WORKFLOW_EVENTS]
        given(PROJECT, reads=reads(made)).when(create()).then([created({"lang": "py"}), *TASKS, *steps])

    def test_nothing_where_the_template_has_nothing(self) -> None:
        given(PROJECT, reads=reads(template())).when(create()).then([created()])

    def test_what_it_is_without_a_template_where_none_is_named(self) -> None:
        event = created().model_copy(update={"template_id": None})
        given(PROJECT, reads=reads(template(structure=STRUCTURE))).when(create(template_id=None)).then([event])


class TestIts:
    """Ids follow from the project and the keys."""

    def test_ids_differ_by_project_key_and_kind(self) -> None:
        ids = [
            made(project_id, key)
            for project_id in (PROJECT_ID, OTHER_PROJECT_ID)
            for made in (template_task_id, template_step_id)
            for key in ("a", "b", "workflow")
        ]
        ids += [template_workflow_id(project_id) for project_id in (PROJECT_ID, OTHER_PROJECT_ID)]
        assert len(set(ids)) == len(ids)

    def test_ids_stay_what_they_are(self) -> None:
        """They are stored, and callers keep them."""
        namespace = uuid5(PROJECT_ID, "template")
        assert template_task_id(PROJECT_ID, "a") == uuid5(namespace, "task:a")
        assert template_step_id(PROJECT_ID, "a") == uuid5(namespace, "step:a")
        assert template_workflow_id(PROJECT_ID) == uuid5(namespace, "workflow")

    @pytest.mark.parametrize("path", ["workflow", "task:a", "step:a", "template", "template/workflow"])
    def test_ids_are_those_of_no_file(self, path: str) -> None:
        """A file's stream is uuid5 of the project and its path."""
        ids = {template_task_id(PROJECT_ID, "a"), template_step_id(PROJECT_ID, "a"), WORKFLOW_ID}
        assert file_id(PROJECT_ID, path) not in ids

    @pytest.mark.parametrize("project_id", [PROJECT_ID, OTHER_PROJECT_ID])
    def test_task_may_not_be_there_already(self, project_id: UUID) -> None:
        """Somebody has used its id, in this project's name or in another's."""
        taken = reads(template(structure=STRUCTURE), tasks={DESIGN: task(project_id=project_id)})
        refusal = given(PROJECT, reads=taken).when(create()).then_refused(AlreadyExists, id=DESIGN)
        assert "'design'" in refusal.message

    def test_workflow_may_not_be_there_already(self) -> None:
        taken = reads(template(workflow_template=STEPS), workflows={WORKFLOW_ID: Workflow()})
        given(PROJECT, reads=taken).when(create()).then_refused(AlreadyExists, id=WORKFLOW_ID)


class TestItsConfiguration:
    def test_is_the_templates_overlaid_with_its_own_key_by_key_at_the_top(self) -> None:
        made = template(default_config={"lang": "py", "lint": {"strict": True, "max": 3}, "z": None})
        own = {"lint": {"strict": False}, "a": [1]}
        expected = {"a": [1], "lang": "py", "lint": {"strict": False}, "z": None}
        when = given(PROJECT, reads=reads(made)).when(create(configuration=own))
        when.then([created(expected)])
        (event,) = PROJECT.decide(None, when.command, when.given.reads)
        assert isinstance(event, ProjectCreated)
        assert list(event.configuration) == sorted(expected)  # in its normal form, as any other

    def test_may_have_a_mebibyte(self) -> None:
        room = MAX_JSON_BYTES - json_bytes({"a": "", "b": ""})
        made = template(default_config={"a": "é" * (room // 4)})
        most = {"b": "x" * (room - room // 4 * 2)}
        given(PROJECT, reads=reads(made)).when(create(configuration=most)).then(
            [created({**made.default_config, **most})]
        )
        refused = given(PROJECT, reads=reads(made)).when(create(configuration={"b": most["b"] + "x"}))
        refused.then_refused(LimitReached, id=TEMPLATE_ID, limit=MAX_JSON_BYTES, size=MAX_JSON_BYTES + 1)

    def test_that_replaces_what_is_long_is_not_too_long(self) -> None:
        made = template(default_config={"a": "x" * (MAX_JSON_BYTES - 100)})
        given(PROJECT, reads=reads(made)).when(create(configuration={"a": "y" * 200})).then([created({"a": "y" * 200})])


class TestWhoMay:
    def test_anybody_from_a_public_one(self) -> None:
        made = template(created_by=uid("other user"))
        given(PROJECT, reads=reads(made)).when(create()).then([created()])

    def test_its_owner_from_a_private_one(self) -> None:
        made = template(created_by=USER_ID, is_public=False)
        given(PROJECT, reads=reads(made)).when(create()).then([created()])

    def test_nobody_else(self) -> None:
        made = template(created_by=uid("other user"), is_public=False)
        when = given(PROJECT, reads=reads(made)).when(create())
        refusal = when.then_refused(PrivateTemplate, id=TEMPLATE_ID, user_id=USER_ID)
        assert refusal.code == "private_template"
        assert str(uid("other user")) not in f"{refusal.message}{refusal.details}"

    def test_anybody_while_it_is_public(self) -> None:
        made = template(created_by=uid("other user"), is_public=False)
        public = TEMPLATE.evolve(made, TemplatePublished(occurred_at=EARLIER))
        given(PROJECT, reads=reads(public)).when(create()).then([created()])
        private = TEMPLATE.evolve(public, TemplateUnpublished(occurred_at=EARLIER))
        given(PROJECT, reads=reads(private)).when(create()).then_refused(PrivateTemplate, id=TEMPLATE_ID)

    def test_the_template_exists(self) -> None:
        given(PROJECT, reads=reads()).when(create()).then_refused(NotFound, id=TEMPLATE_ID)

    def test_the_user_exists(self) -> None:
        given(PROJECT, reads=reads(template())).when(create(user_id=NOBODY)).then_refused(NotFound, id=NOBODY)

    def test_the_projects_id_is_new(self) -> None:
        given(PROJECT, reads=reads(template()), state=project()).when(create()).then_refused(
            AlreadyExists, id=PROJECT_ID
        )


@any_given(command=messages(CreateTemplate))
def test_any_template_that_is_accepted_makes_what_it_says(command: CreateTemplate) -> None:
    made = made_by(command)
    stamped = create().stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID)
    asked = reads(replace(made, is_public=True))
    events = PROJECT.decide(None, stamped, asked)
    assert PROJECT.decide(None, stamped, asked) == events  # a decision that is made again makes the same

    elsewhere = [one for one in events if isinstance(one, Elsewhere)]
    tasks = [(stream_id, event) for stream_id, event in elsewhere if isinstance(event, TaskAdded)]
    planned = made.structure["tasks"]
    assert [stream_id for stream_id, _ in tasks] == [template_task_id(PROJECT_ID, entry["key"]) for entry in planned]
    fields = TaskAdded.model_fields.keys() - {"occurred_at", "project_id"}
    assert [event.model_dump(include=fields) for _, event in tasks] == [
        {name: entry[name] for name in fields} for entry in planned
    ]

    graph = DEPENDENCY_GRAPH.fold(event for stream_id, event in elsewhere if stream_id == graph_id(PROJECT_ID))
    assert (graph.dependencies if graph else {}) == {
        template_task_id(PROJECT_ID, entry["key"]): {
            template_task_id(PROJECT_ID, other["key"]): other["dependency_type"] for other in entry["depends_on"]
        }
        for entry in planned
        if entry["depends_on"]
    }

    workflow = WORKFLOW.fold(event for stream_id, event in elsewhere if stream_id == WORKFLOW_ID)
    if made.workflow_template is None:
        assert workflow is None
        return
    assert workflow is not None
    assert workflow.status == "active"
    assert workflow.in_order() == {
        template_step_id(PROJECT_ID, entry["key"]): [template_step_id(PROJECT_ID, key) for key in entry["depends_on"]]
        for entry in made.workflow_template["steps"]
    }
    known = set[UUID]()
    for step_id, step in workflow.steps.items():
        assert set(step.depends_on) <= known  # as AddStep wants it
        known.add(step_id)
