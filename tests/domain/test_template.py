"""A template: public or owned, and made of tasks and steps that could be carried out."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given as any_given

from claude_tiu.domain.blueprint import MAX_TASKS, in_running_order, reference_faults
from claude_tiu.domain.errors import AlreadyExists, InvalidCommand, NoOwner, NotFound, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.template import (
    TEMPLATE,
    CreateTemplate,
    PublishTemplate,
    TemplateCreated,
    TemplatePublished,
    TemplateUnpublished,
    UnpublishTemplate,
)
from claude_tiu.testing.strategies import FIELDS
from tests.domain.given import AT, EARLIER, NOBODY, TEMPLATE_ID, USER_ID, given


def created(at: Any = EARLIER, **fields: Any) -> TemplateCreated:
    left_out: dict[str, Any] = {
        "description": None,
        "category": None,
        "structure": {"tasks": []},
        "default_config": {},
        "workflow_template": None,
        "is_public": False,
        "created_by": USER_ID,
    }
    return TemplateCreated(occurred_at=at, name="Service", **(left_out | fields))


PUBLISH, UNPUBLISH = PublishTemplate(template_id=TEMPLATE_ID), UnpublishTemplate(template_id=TEMPLATE_ID)
COMMANDS: tuple[Command, ...] = (PUBLISH, UNPUBLISH)
HISTORY: dict[str, list[Event]] = {"private": [created()], "public": [created(is_public=True)]}
ALLOWED: dict[tuple[str, Command], tuple[Event, str]] = {
    ("private", PUBLISH): (TemplatePublished(occurred_at=AT), "public"),
    ("public", UNPUBLISH): (TemplateUnpublished(occurred_at=AT), "private"),
}


def create(**fields: Any) -> CreateTemplate:
    least: dict[str, Any] = {"template_id": TEMPLATE_ID, "name": "Service", "structure": {}, "created_by": USER_ID}
    return CreateTemplate(**(least | fields))


def faults(**fields: Any) -> dict[str, str]:
    """field -> what is wrong with it."""
    with pytest.raises(InvalidCommand) as caught:
        create(**fields)
    assert caught.value.message.isprintable()
    return {fault.field: fault.message for fault in caught.value.faults}


def task(key: Any, *others: Any, **fields: Any) -> dict[str, Any]:
    return {"key": key, "name": "Task", "depends_on": list(others)} | fields


def step(key: str, *others: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "name": "Step", "type": "validation", "depends_on": list(others)} | fields


@pytest.mark.parametrize(
    ("status", "command"), list(product(HISTORY, COMMANDS)), ids=lambda x: x if isinstance(x, str) else type(x).__name__
)
def test_statuses_and_commands(status: str, command: Command) -> None:
    when = given(TEMPLATE, HISTORY[status]).when(command)
    if allowed := ALLOWED.get((status, command)):
        event, after = allowed
        assert when.then([event]).status == after
    else:
        when.then_refused(WrongStatus, id=TEMPLATE_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(TEMPLATE).when(command).then_refused(NotFound, id=TEMPLATE_ID)


class TestOwners:
    def test_one_that_is_not_public_has_an_owner(self) -> None:
        assert list(faults(created_by=None)) == ["created_by"]
        given(TEMPLATE).when(create(created_by=None, is_public=True)).then(
            [created(AT, created_by=None, is_public=True)]
        )

    def test_and_keeps_it(self) -> None:
        history = [created(created_by=None, is_public=True)]
        given(TEMPLATE, history).when(UNPUBLISH).then_refused(NoOwner, id=TEMPLATE_ID)

    def test_the_owner_exists(self) -> None:
        given(TEMPLATE).when(create(created_by=NOBODY)).then_refused(NotFound, id=NOBODY)

    def test_an_id_is_given_once(self) -> None:
        given(TEMPLATE, [created()]).when(create()).then_refused(AlreadyExists, id=TEMPLATE_ID)


class TestItsForm:
    def test_what_is_stored_has_every_field(self) -> None:
        structure = {"tasks": [task("a", "b", {"key": "c", "dependency_type": "suggests"}), task("b"), task("c")]}
        workflow = {"name": "Review", "steps": [step("x", "y"), step("y", ai_prompt="Look.")]}
        when = given(TEMPLATE).when(create(structure=structure, workflow_template=workflow))
        rest: dict[str, Any] = {
            "description": None,
            "priority": "medium",
            "ai_prompt": None,
            "expected_outputs": [],
            "validation_criteria": {},
            "estimated_duration": None,
            "agent_type": None,
            "capabilities": [],
        }
        depends_on = [{"key": "b", "dependency_type": "blocks"}, {"key": "c", "dependency_type": "suggests"}]
        tasks = [task("a", *depends_on) | rest, task("b") | rest, task("c") | rest]
        steps = [
            step("x", "y", ai_prompt=None, validation_config={}),
            step("y", ai_prompt="Look.", validation_config={}),
        ]
        stored: dict[str, Any] = {
            "name": "Review",
            "description": None,
            "configuration": {},
            "global_settings": {},
            "steps": steps,
        }
        template = when.then([created(AT, structure={"tasks": tasks}, workflow_template=stored)])
        assert (template.structure, template.workflow_template) == ({"tasks": tasks}, stored)

    def test_every_fault_is_told_at_once(self) -> None:
        found = faults(
            name="",
            created_by=None,
            structure={"tasks": [task("a", "b", "nobody", "b"), task("b", "a"), task("a", priority="urgent"), 7]},
            workflow_template={"name": "Review", "steps": [step("x", "x", typ="validation")], "more": 1},
        )
        assert found.keys() == {
            "name",
            "created_by",
            "structure.tasks",
            "structure.tasks.0.depends_on.1",
            "structure.tasks.0.depends_on.2",
            "structure.tasks.2.key",
            "structure.tasks.2.priority",
            "structure.tasks.3",
            "workflow_template.more",
            "workflow_template.steps",
            "workflow_template.steps.0.typ",
        }
        assert found["structure.tasks"] == "These tasks would wait for each other: a -> b -> a"
        assert found["workflow_template.steps"] == "These steps would wait for each other: x -> x"

    @pytest.mark.parametrize("length", [1, 2, 3, 50])
    def test_a_cycle_of_any_length_is_refused(self, length: int) -> None:
        keys = [f"k{number}" for number in range(length)]
        tasks = [task(key, other) for key, other in pairwise([*keys, keys[0]])]
        assert list(faults(structure={"tasks": [task("free"), task("behind", "k0"), *tasks]})) == ["structure.tasks"]
        steps = [step(key, other) for key, other in pairwise([*keys, keys[0]])]
        assert list(faults(workflow_template={"name": "W", "steps": steps})) == ["workflow_template.steps"]

    def test_cycles_apart_from_each_other_are_told_each(self) -> None:
        entries = [task("a", "b"), task("b", "a"), task("c", "c"), task("d", "a", "c")]
        told = [fault.message.partition(": ")[2] for fault in reference_faults("t", "task", entries)]
        assert told == ["a -> b -> a", "c -> c"]

    @pytest.mark.parametrize(
        "structure", [None, [], 7, {"tasks": {}}, {"tasks": [None]}, {"tsaks": []}, {"tasks": [task("a b")]}]
    )
    def test_what_has_another_form_is_refused(self, structure: Any) -> None:
        assert all(field.startswith("structure") for field in faults(structure=structure))

    @pytest.mark.parametrize("key", ["", " ", "a b", "\0", "x" * 65, 7, None, "-a", "é"])
    def test_a_key_is_a_plain_word(self, key: Any) -> None:
        assert list(faults(structure={"tasks": [task(key)]})) == ["structure.tasks.0.key"]

    def test_there_are_limits(self) -> None:
        create(structure={"tasks": [task(f"k{number}") for number in range(MAX_TASKS)]})
        assert list(faults(structure={"tasks": [task(f"k{n}") for n in range(MAX_TASKS + 1)]})) == ["structure.tasks"]
        assert list(faults(workflow_template={"name": "W", "steps": []})) == ["workflow_template.steps"]
        prompts = [task(f"k{number}", ai_prompt="x" * 400_000) for number in range(3)]
        assert list(faults(structure={"tasks": prompts})) == ["structure"]


@any_given(workflow=FIELDS["workflow_template"])
def test_entries_can_be_put_behind_what_they_depend_on(workflow: dict[str, Any]) -> None:
    stored = create(workflow_template=workflow).workflow_template
    assert stored is not None
    steps = stored.model_dump(mode="json")["steps"]
    order = [entry["key"] for entry in in_running_order(steps)]
    assert sorted(order) == sorted(entry["key"] for entry in steps)
    places = {key: place for place, key in enumerate(order)}
    assert all(places[other] < places[entry["key"]] for entry in steps for other in entry["depends_on"])


def test_what_waits_for_itself_has_no_order() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        in_running_order([task("a", {"key": "a"})])
