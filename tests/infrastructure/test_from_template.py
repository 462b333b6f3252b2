"""Projects created from templates: all of one is there, or nothing, and a retry adds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu import (
    AddStep,
    AddTask,
    AlreadyExists,
    Command,
    CompleteTask,
    CreateFile,
    CreateProject,
    CreateTemplate,
    CreateWorkflow,
    LimitReached,
    NotFound,
    NotUnique,
    PrivateTemplate,
    Refused,
    StartStep,
    StartTask,
    StartWorkflowRun,
    Tiu,
    UnmetDependencies,
    UnpublishTemplate,
    connect,
    template_step_id,
    template_task_id,
    template_workflow_id,
)
from claude_tiu.domain.dependency_graph import graph_id
from claude_tiu.domain.values import MAX_JSON_BYTES
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import create_user, uid
from tests.support.stores import Backend

USER, OTHER_USER, TEMPLATE, PROJECT = map(uid, ("user", "other user", "template", "project"))
STRUCTURE: dict[str, list[dict[str, Any]]] = {
    "tasks": [
        {"key": "release", "name": "Release", "priority": "high", "depends_on": ["parser", "docs"]},
        {"key": "docs", "name": "Docs", "depends_on": [{"key": "parser", "dependency_type": "suggests"}]},
        {"key": "logo", "name": "Logo", "priority": "low", "expected_outputs": ["logo.svg"]},
        {"key": "parser", "name": "Parser", "estimated_duration": 60, "validation_criteria": {"tests": 12}},
    ]
}
STEPS = [
    {"key": "review", "name": "Review", "type": "validation", "depends_on": ["lint"]},
    {"key": "lint", "name": "Lint", "type": "external_command"},
]


def task_id(key: str) -> UUID:
    return template_task_id(PROJECT, key)


def step_id(key: str) -> UUID:
    return template_step_id(PROJECT, key)


def create_template(**fields: Any) -> CreateTemplate:
    whole: dict[str, Any] = {
        "template_id": TEMPLATE,
        "name": "Service",
        "structure": STRUCTURE,
        "workflow_template": {"name": "Review", "steps": STEPS},
        "default_config": {"lang": "py", "lint": {"strict": True}},
        "created_by": USER,
    }
    return CreateTemplate(**(whole | fields))


def create_project(**fields: Any) -> CreateProject:
    whole: dict[str, Any] = {"project_id": PROJECT, "user_id": USER, "name": "Billing", "template_id": TEMPLATE}
    return CreateProject(**(whole | fields))


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    """With two users, and a template that is its owner's alone."""
    with connect(backend.url) as tiu:
        tiu.execute_all([create_user(user_id=USER), create_user("grace", user_id=OTHER_USER), create_template()])
        yield tiu


def last_position(tiu: Tiu) -> int:
    return tiu.events.max_notification_id() or 0


class TestWhatItHas:
    @pytest.fixture(autouse=True)
    def _created(self, tiu: Tiu) -> None:
        tiu.wait_for(tiu.execute(create_project(configuration={"lint": {"strict": False}})))

    def test_its_row_names_the_template_and_has_both_configurations(self, tiu: Tiu) -> None:
        row = tiu.read.project(PROJECT)
        assert row is not None
        assert (row.template_id, row.status) == (str(TEMPLATE), "active")
        assert row.configuration == {"lang": "py", "lint": {"strict": False}}

    def test_its_tasks_are_pending_and_in_the_templates_order(self, tiu: Tiu, backend: Backend) -> None:
        tasks = tiu.read.tasks(PROJECT)
        assert {task.id: task.name for task in tasks} == {
            task_id(entry["key"]): entry["name"] for entry in STRUCTURE["tasks"]
        }
        assert {task.status for task in tasks} == {"pending"}
        rows = backend.on_reads("SELECT name FROM tasks ORDER BY added_position")
        assert [name for (name,) in rows] == ["Release", "Docs", "Logo", "Parser"]

    def test_those_that_wait_for_none_are_ready_by_priority_then_in_that_order(self, tiu: Tiu) -> None:
        assert [task.name for task in tiu.read.ready_tasks(PROJECT)] == ["Docs", "Parser", "Logo"]

    def test_its_dependencies_bind(self, tiu: Tiu) -> None:
        with pytest.raises(UnmetDependencies) as caught:
            tiu.execute(StartTask(task_id=task_id("release")))
        assert caught.value.details["unmet"] == {
            str(task_id("parser")): "pending",
            str(task_id("docs")): "pending",
        }
        work: list[Command] = [
            kind(task_id=task_id(key)) for key in ("docs", "parser") for kind in (StartTask, CompleteTask)
        ]
        tiu.execute_all([*work, StartTask(task_id=task_id("release"))])

    def test_its_workflow_can_be_run(self, tiu: Tiu) -> None:
        run = tiu.execute(StartWorkflowRun(workflow_id=template_workflow_id(PROJECT), project_id=PROJECT))
        last = tiu.execute(StartStep(workflow_run_id=run.id, step_id=step_id("lint")))
        tiu.wait_for(last)
        steps = tiu.read.workflow_run(run.id)
        assert [(step.workflow_step_id, step.status) for step in steps] == [
            (step_id("review"), "pending"),
            (step_id("lint"), "running"),
        ]
        assert [step.depends_on for step in steps] == [[step_id("lint")], []]

    def test_its_workflow_names_the_template(self, backend: Backend) -> None:
        assert backend.on_reads("SELECT template, status FROM workflows") == [(str(TEMPLATE), "active")]

    def test_files_of_any_path_can_be_created_in_it(self, tiu: Tiu) -> None:
        """No stream of its own is where a file's would be."""
        for path in ("workflow", "task:parser", "step:lint", "template", "dependency_graph"):
            tiu.execute(CreateFile(project_id=PROJECT, file_path=path, content=""))

    def test_a_rebuild_gives_the_same(self, tiu: Tiu, backend: Backend) -> None:
        live = backend.tables(READ_MODEL)
        assert live["task_dependencies"]
        tiu.rebuild()
        tiu.wait_for(last_position(tiu))
        assert backend.tables(READ_MODEL) == live


class TestARetry:
    def test_answers_the_same_and_stores_nothing(self, tiu: Tiu, backend: Backend) -> None:
        before = last_position(tiu)
        command = create_project(project_id=None, command_id=uuid4())
        first = tiu.execute(command)
        last = last_position(tiu)
        assert (first.version, first.position) == (1, last)
        assert last - before == 1 + len(STRUCTURE["tasks"]) + 3 + 2 + len(STEPS)
        assert tiu.execute(command) == first
        tiu.execute(StartTask(task_id=template_task_id(first.id, "parser")))
        with connect(backend.url, project=False) as another:
            assert another.execute(command) == first
        assert last_position(tiu) == last + 1

    def test_is_answered_though_the_template_is_private_by_now(self, tiu: Tiu) -> None:
        public = create_template(template_id=uid("public"), is_public=True)
        command = create_project(template_id=uid("public"), user_id=OTHER_USER, command_id=uuid4())
        _, first = tiu.execute_all([public, command])
        tiu.execute(UnpublishTemplate(template_id=uid("public")))
        assert tiu.execute(command) == first

    def test_with_another_template_is_refused(self, tiu: Tiu) -> None:
        command = create_project(command_id=uuid4())
        tiu.execute(command)
        with pytest.raises(Refused, match="other content"):
            tiu.execute(command.model_copy(update={"template_id": None}))


class TestARefusal:
    """Nothing is stored: no project, and no part of one."""

    def refused(self, tiu: Tiu, error: type[Refused], *units: Command, **fields: Any) -> Refused:
        before = last_position(tiu)
        with pytest.raises(error) as caught:
            tiu.execute_all([*units, create_project(**fields)])
        assert last_position(tiu) == before
        with pytest.raises(NotFound):
            tiu.get(PROJECT)
        return caught.value

    def test_of_a_private_template_of_anothers(self, tiu: Tiu) -> None:
        self.refused(tiu, PrivateTemplate, user_id=OTHER_USER)

    @pytest.mark.parametrize("template_id", [uid("nothing"), USER])
    def test_of_what_is_no_template(self, tiu: Tiu, template_id: UUID) -> None:
        self.refused(tiu, NotFound, template_id=template_id)

    def test_of_a_configuration_that_is_too_long_with_the_templates(self, tiu: Tiu) -> None:
        self.refused(tiu, LimitReached, configuration={"long": "x" * (MAX_JSON_BYTES - 20)})

    @pytest.mark.parametrize("name", ["task", "workflow", "graph"])
    def test_where_an_id_is_another_things(self, tiu: Tiu, name: str) -> None:
        """Somebody has made a user of it."""
        ids = {"task": task_id("logo"), "workflow": template_workflow_id(PROJECT), "graph": graph_id(PROJECT)}
        tiu.execute(create_user("squatter", user_id=ids[name]))
        refusal = self.refused(tiu, AlreadyExists)
        assert refusal.details == {"id": str(ids[name])}
        kind = "dependency_graph" if name == "graph" else name
        assert refusal.message == f"CreateProject would make a {kind} of {ids[name]}, which is a user already"

    def test_where_an_id_is_another_projects_tasks(self, tiu: Tiu) -> None:
        other = tiu.execute(CreateProject(user_id=OTHER_USER, name="Other")).id
        tiu.execute(AddTask(task_id=task_id("logo"), project_id=other, name="Squatter"))
        assert self.refused(tiu, AlreadyExists).details == {"id": str(task_id("logo"))}
        assert tiu.get(task_id("logo")).project_id == other

    def test_where_an_id_is_another_workflow_or_its_step(self, tiu: Tiu) -> None:
        workflow = tiu.execute(CreateWorkflow(name="Other")).id
        tiu.execute(AddStep(workflow_id=workflow, step_id=step_id("lint"), name="Squatter", type="validation"))
        self.refused(tiu, NotUnique)
        tiu.execute(CreateWorkflow(workflow_id=template_workflow_id(PROJECT), name="Other"))
        self.refused(tiu, AlreadyExists)

    def test_takes_its_unit_with_it(self, tiu: Tiu) -> None:
        template = create_template(template_id=uid("private"), created_by=OTHER_USER)
        self.refused(tiu, PrivateTemplate, template, template_id=uid("private"))
        with pytest.raises(NotFound):
            tiu.get(uid("private"))


def test_a_template_and_a_project_of_it_can_be_one_unit(tiu: Tiu) -> None:
    """And so can what is then done to its tasks."""
    answers = tiu.execute_all(
        [
            create_template(template_id=uid("new")),
            create_project(template_id=uid("new")),
            StartTask(task_id=task_id("parser")),
            CompleteTask(task_id=task_id("parser")),
            StartWorkflowRun(workflow_id=template_workflow_id(PROJECT), project_id=PROJECT),
        ]
    )
    assert [answer.version for answer in answers] == [1, 1, 2, 3, 1]
    assert len({row.recorded_at for row in tiu.events.read_rows(answers[0].position - 1, 99)}) == 1
    tiu.wait_for(answers[-1])
    assert [task.name for task in tiu.read.ready_tasks(PROJECT)] == ["Docs", "Logo"]


def test_two_projects_of_one_template_have_nothing_in_common(tiu: Tiu) -> None:
    first, second = (tiu.execute(create_project(project_id=uid(name))) for name in ("one", "two"))
    assert second.position - first.position == first.position - 3
    tiu.wait_for(second)
    ids = [{task.id for task in tiu.read.tasks(answer.id)} for answer in (first, second)]
    assert len(ids[0] | ids[1]) == 2 * len(STRUCTURE["tasks"])
