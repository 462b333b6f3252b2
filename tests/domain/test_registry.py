"""Every command and event stands in the registry, and what was stored or sent once can be read for ever."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from claude_tiu.domain import registry
from claude_tiu.domain.agent import AgentCommand, HeldTaskCommand
from claude_tiu.domain.dependency_graph import DependencyCommand
from claude_tiu.domain.errors import InvalidCommand
from claude_tiu.domain.messages import ENVELOPE, Command, Event
from claude_tiu.domain.project import ProjectCommand
from claude_tiu.domain.project_file import ContentCommand, ContentEvent, FileCommand
from claude_tiu.domain.registry import (
    AGGREGATE_OF,
    AGGREGATES,
    COMMANDS,
    EVENTS,
    UPCASTERS,
    UndecodableEvent,
    aggregate_of,
    command_json,
    command_schema,
    decode_event,
    encode_event,
    event_schema,
    parse_command,
)
from claude_tiu.domain.task import TASK, ProgressClaimed, TaskCommand
from claude_tiu.domain.template import TemplateCommand
from claude_tiu.domain.user import UserCommand, UserEvent
from claude_tiu.domain.validation_run import IssueCommand, IssueEvent, RunCommand
from claude_tiu.domain.workflow import WorkflowCommand
from claude_tiu.domain.workflow_run import EndStep, StepCommand, WorkflowRunCommand
from claude_tiu.infrastructure.mapper import decode, encode
from claude_tiu.testing.strategies import FIELDS, commands, events
from tests.domain.given import AT, TASK_ID, USER_ID
from tests.domain.golden import ADDED_LATER, EXAMPLES, GOLDEN, first_golden_file, golden_file, write_missing

BASES: set[type[Any]] = {
    AgentCommand,
    Command,
    DependencyCommand,
    EndStep,
    Event,
    HeldTaskCommand,
    IssueCommand,
    IssueEvent,
    ProjectCommand,
    RunCommand,
    StepCommand,
    TaskCommand,
    TemplateCommand,
    UserCommand,
    UserEvent,
    WorkflowCommand,
    WorkflowRunCommand,
    ContentCommand,
    ContentEvent,
    FileCommand,
}
"""What nobody sends or stores: the bases of commands and events."""

ALL_COMMANDS, ALL_EVENTS = list(COMMANDS.values()), list(EVENTS.values())
EACH = settings(max_examples=max(10, settings().max_examples // 5))
"""Of each type there are so many examples; there are some 140 types."""
schema_of_command, schema_of_event = cache(command_schema), cache(event_schema)


def below(base: type[Any]) -> set[type[Any]]:
    """Every subclass of the product's own, at any depth."""
    direct = {kind for kind in base.__subclasses__() if kind.__module__.startswith("claude_tiu.")}
    return direct.union(*map(below, direct))


class TestEverythingIsRegistered:
    def test_every_command(self) -> None:
        assert set(COMMANDS.values()) == below(Command) - BASES

    def test_every_event(self) -> None:
        assert set(EVENTS.values()) == below(Event) - BASES

    def test_a_base_has_no_topic_and_no_place_in_the_registry(self) -> None:
        assert not BASES & {*COMMANDS.values(), *EVENTS.values()}
        assert all("topic" not in vars(base) for base in BASES)

    def test_once(self) -> None:
        listed = Counter(message for aggregate in AGGREGATES for message in (*aggregate.commands, *aggregate.events))
        assert set(listed.values()) == {1}
        assert set(listed) == set(AGGREGATE_OF)
        assert len(COMMANDS) == len({kind.__name__ for kind in below(Command) - BASES})

    def test_under_its_own_name(self) -> None:
        assert all(name == kind.__name__ for name, kind in COMMANDS.items())
        assert all(topic == kind.topic for topic, kind in EVENTS.items())

    def test_with_the_aggregate_whose_stream_holds_it(self) -> None:
        assert all(AGGREGATE_OF[event] is aggregate for aggregate in AGGREGATES for event in aggregate.events)
        assert all(aggregate_of(event.topic) is aggregate for aggregate in AGGREGATES for event in aggregate.events)
        assert len({aggregate.name for aggregate in AGGREGATES}) == len(AGGREGATES)


class TestTopics:
    @pytest.mark.parametrize("event", ALL_EVENTS)
    def test_a_topic_is_an_explicit_string_with_a_version(self, event: type[Event]) -> None:
        """Written in the class itself: inherited or made from a name it would change with the code."""
        assert type(vars(event)["topic"]) is str
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+\.v\d+", event.topic)

    @pytest.mark.parametrize("event", ALL_EVENTS)
    def test_a_topic_begins_with_its_aggregates_name(self, event: type[Event]) -> None:
        assert event.topic.split(".")[0] == AGGREGATE_OF[event].name

    def test_a_state_that_is_that_of_its_last_event_is_so_whatever_was_before(self) -> None:
        of_last = [aggregate for aggregate in AGGREGATES if aggregate.of_last]
        assert {aggregate.name for aggregate in of_last} == {"project_metrics", "agent_metrics", "retention", "parking"}
        for aggregate in of_last:
            for event in aggregate.events:
                last = EXAMPLES[event.topic]
                assert aggregate.evolve(object(), last) == aggregate.evolve(None, last)

    def test_a_topic_names_one_event(self) -> None:
        topics = Counter(event.topic for event in below(Event) - BASES)
        assert set(topics.values()) == {1}
        assert not topics.keys() & UPCASTERS.keys()


class TestFields:
    @pytest.mark.parametrize("command", ALL_COMMANDS)
    def test_a_command_names_fields_that_it_has(self, command: type[Command]) -> None:
        named = {command.stream, command.creates, command.person, *command.reads, *command.personal} - {None}
        assert named <= command.model_fields.keys()
        assert command.stream is not None or AGGREGATE_OF[command].stream_of is not None

    @pytest.mark.parametrize("event", ALL_EVENTS)
    def test_an_event_names_fields_that_it_has(self, event: type[Event]) -> None:
        assert {event.creates, event.person, *event.unique, *event.personal} - {None} <= event.model_fields.keys()

    @pytest.mark.parametrize("command", ALL_COMMANDS)
    def test_a_new_id_may_be_left_out_and_the_envelope_too(self, command: type[Command]) -> None:
        optional = {*ENVELOPE, "occurred_at"} | ({command.creates} if command.creates else set())
        assert not any(command.model_fields[name].is_required() for name in optional)

    @pytest.mark.parametrize("command", [command for command in ALL_COMMANDS if command.personal])
    def test_a_command_with_personal_fields_names_the_person_unless_it_is_new(self, command: type[Command]) -> None:
        assert (command.person is None) == (command.stream == command.creates and command.stream == "user_id")

    @pytest.mark.parametrize("event", ALL_EVENTS)
    def test_something_stands_in_for_every_personal_field_of_a_forgotten_person(self, event: type[Event]) -> None:
        one, another = (event.forgotten(id_) for id_ in (TASK_ID, USER_ID))
        assert one.keys() == event.personal
        assert all(one[name] != another[name] for name in event.personal & set(event.unique))
        example = EXAMPLES[event.topic].model_dump(mode="json") | one
        again = decode_event(event.topic, to_json(example))
        assert {name: getattr(again, name) for name in event.personal} == one

    @pytest.mark.parametrize("event", ALL_EVENTS)
    def test_an_event_leaves_nothing_out(self, event: type[Event]) -> None:
        """What a default filled in would change with the code; what was stored without a field has always the same."""
        defaults = {name: field.default for name, field in event.model_fields.items() if not field.is_required()}
        assert defaults == ADDED_LATER.get(event.topic, {})

    def test_every_field_has_a_strategy_here(self) -> None:
        assert {name for kind in (*ALL_COMMANDS, *ALL_EVENTS) for name in kind.model_fields} == FIELDS.keys()


KEY = bytes(32)


def fits(schema: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether a body has the properties that its schema requires, and none that it does not know."""
    required: set[str] = set(schema.get("required", ()))
    known: set[str] = set(schema["properties"])
    return required <= body.keys() <= known


class TestCommandsAreData:
    @pytest.mark.parametrize("command", ALL_COMMANDS)
    @EACH
    @given(data=st.data())
    def test_a_command_reads_back_the_same(self, command: type[Command], data: st.DataObject) -> None:
        original = data.draw(commands(command))
        sent = command_json(original)
        assert fits(schema_of_command(command.__name__), from_json(sent))
        again = parse_command(sent)
        assert type(again) is command
        assert again == original
        assert again.asked() == original.asked()
        assert command_json(again) == sent

    @given(data=st.data())
    def test_a_retry_may_change_the_envelope_but_not_the_content(self, data: st.DataObject) -> None:
        command = data.draw(commands())
        names = ("command_id", "actor", "correlation_id", "causation_id", "expected_version")
        envelope = {name: data.draw(FIELDS[name]) for name in names}
        assert set(names) == set(ENVELOPE)
        assert command.model_copy(update=envelope).asked() == command.asked()

    def test_a_file_of_text_is_read_like_one_of_bytes(self) -> None:
        line = f'{{"command": "StartTask", "task_id": "{TASK_ID}"}}'
        assert parse_command(line) == parse_command(line.encode())

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{",
            b"[]",
            b"7",
            b'"StartTask"',
            b"null",
            b"{}",
            b'{"command": null}',
            b'{"command": "NoSuchCommand"}',
            b'{"command": {"StartTask": 1}}',
            b'{"command": ["StartTask"]}',
            b'{"command": "TaskCommand"}',
            b'{"command": "starttask"}',
            b'{"command": "StartTask"}',
            b'{"command": "StartTask", "task_id": NaN}',
            b'{"command": "StartTask", "task_id": "\xff"}',
            b'{"command": "StartTask", "task_id": "\\ud800"}',
            b'{"command": "StartTask", "unheard_of": 1}',
            b"[" * 100_000,
        ],
        ids=lambda line: line[:40].decode(errors="replace"),
    )
    def test_what_is_no_command_is_refused_at_the_door(self, line: bytes) -> None:
        with pytest.raises(InvalidCommand):
            parse_command(line)

    def test_a_field_may_have_any_name_and_is_refused_at_the_door(self) -> None:
        with pytest.raises(InvalidCommand) as caught:
            parse_command(f'{{"command": "StartTask", "task_id": "{TASK_ID}", "self": 1, "values": 2}}')
        assert {fault.field for fault in caught.value.faults} == {"self", "values"}


class TestEventsAreKept:
    @pytest.mark.parametrize("event", ALL_EVENTS)
    @EACH
    @given(data=st.data())
    def test_an_event_reads_back_the_same(self, event: type[Event], data: st.DataObject) -> None:
        original = data.draw(events(event))
        stored = encode_event(original)
        assert fits(schema_of_event(event.topic), from_json(stored))
        assert decode(event.topic, encode(original, TASK_ID, 1, KEY), TASK_ID, 1, KEY) == original
        again = decode_event(event.topic, stored)
        assert type(again) is event
        assert again == original
        assert encode_event(again) == stored

    @pytest.mark.parametrize("topic", ["", "task.started", "task.started.v0", "TaskStarted", "task.added.v1\n"])
    def test_an_unknown_topic_is_undecodable(self, topic: str) -> None:
        with pytest.raises(UndecodableEvent) as caught:
            decode_event(topic, b'{"occurred_at": "2026-03-01T12:00:00Z"}')
        assert caught.value.details == {"topic": topic}
        with pytest.raises(UndecodableEvent):
            aggregate_of(topic)

    @pytest.mark.parametrize(
        "state",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"occurred_at": "2026-03-01T12:00:00Z"}',
            b'{"occurred_at": "2026-03-01T12:00:00Z", "claimed": "much"}',
            b'{"occurred_at": "2026-03-01T12:00:00Z", "claimed": 1, "more": 2}',
            b'{"occurred_at": "2026-03-01T12:00:00Z", "claimed": 1',
            b"[" * 100_000,
        ],
        ids=lambda state: state[:60].decode(errors="replace"),
    )
    def test_bytes_that_are_not_what_the_topic_says_are_undecodable(self, state: bytes) -> None:
        with pytest.raises(UndecodableEvent) as caught:
            decode_event("task.progress_claimed.v1", state)
        assert caught.value.details == {"topic": "task.progress_claimed.v1"}


class TestUpcasting:
    """Two older forms of a claim, that never were: a fraction, and before it a count of tenths."""

    @pytest.fixture(autouse=True)
    def _older_topics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        upcasters = {
            "task.tenths_told.v1": (
                "task.fraction_told.v1",
                lambda body: {"occurred_at": body["occurred_at"], "fraction": body["tenths"] / 10},
            ),
            "task.fraction_told.v1": (
                "task.progress_claimed.v1",
                lambda body: {"occurred_at": body["occurred_at"], "claimed": body["fraction"] * 100},
            ),
        }
        monkeypatch.setattr(registry, "UPCASTERS", upcasters)

    @pytest.mark.parametrize(
        ("topic", "state"),
        [
            ("task.tenths_told.v1", b'{"occurred_at": "2026-03-01T12:00:00Z", "tenths": 5}'),
            ("task.fraction_told.v1", b'{"occurred_at": "2026-03-01T12:00:00Z", "fraction": 0.5}'),
            ("task.progress_claimed.v1", b'{"occurred_at": "2026-03-01T12:00:00Z", "claimed": 50}'),
        ],
    )
    def test_an_event_of_every_version_loads_as_the_newest(self, topic: str, state: bytes) -> None:
        assert decode_event(topic, state) == ProgressClaimed(occurred_at=AT, claimed=50)
        assert aggregate_of(topic) is TASK

    @pytest.mark.parametrize("state", [b"{}", b"[]", b"null", b"7", b"{", b"\xff", b'{"tenths": "many"}'])
    def test_bytes_that_an_upcaster_cannot_read_are_undecodable(self, state: bytes) -> None:
        with pytest.raises(UndecodableEvent, match="these bytes"):
            decode_event("task.tenths_told.v1", state)


class TestGoldenFiles:
    def test_every_topic_ever_stored_has_one(self) -> None:
        """A topic without: add an example to golden.py, and write its file with `python -m tests.domain.golden`."""
        topics = EVENTS.keys() | UPCASTERS.keys()
        assert EXAMPLES.keys() == topics
        expected = {*map(golden_file, topics), *map(first_golden_file, ADDED_LATER)}
        assert set(GOLDEN.iterdir()) == expected

    @pytest.mark.parametrize("topic", EXAMPLES)
    def test_what_was_stored_decodes_for_ever(self, topic: str) -> None:
        assert decode_event(topic, golden_file(topic).read_bytes()) == EXAMPLES[topic]

    @pytest.mark.parametrize("topic", ADDED_LATER)
    def test_what_was_stored_before_a_field_was_added_decodes_for_ever(self, topic: str) -> None:
        stored = first_golden_file(topic).read_bytes()
        assert not any(f'"{field}"'.encode() in stored for field in ADDED_LATER[topic])
        assert decode_event(topic, stored) == EXAMPLES[topic].model_copy(update=ADDED_LATER[topic])

    @pytest.mark.parametrize("topic", EVENTS)
    def test_what_is_stored_now_is_the_same_to_the_byte(self, topic: str) -> None:
        assert encode_event(EXAMPLES[topic]) == golden_file(topic).read_bytes()

    @pytest.mark.parametrize("topic", EVENTS)
    def test_an_example_is_full(self, topic: str) -> None:
        assert all(value not in (None, "", [], {}) for value in dict(EXAMPLES[topic]).values())

    def test_a_golden_file_is_never_written_twice(self, tmp_path: Path) -> None:
        topic, *others = EVENTS
        golden_file(topic, tmp_path).write_bytes(b"stored long ago")
        written = write_missing(tmp_path)
        assert set(written) == {golden_file(other, tmp_path) for other in others}
        assert golden_file(topic, tmp_path).read_bytes() == b"stored long ago"
        assert write_missing(tmp_path) == []


class TestSchemas:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_a_command_has_a_schema_that_says_what_must_be_given(self, name: str) -> None:
        schema = command_schema(name)
        fields = COMMANDS[name].model_fields
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert schema["properties"].keys() == {"command", *fields}
        assert schema["properties"]["command"] == {"const": name}
        assert set(schema["required"]) == {"command", *(field for field in fields if fields[field].is_required())}

    def test_a_schema_is_made_anew_each_time(self) -> None:
        assert command_schema("StartTask") == command_schema("StartTask")

    def test_a_schema_says_the_bounds(self) -> None:
        claimed = command_schema("ClaimProgress")["properties"]["claimed"]
        assert (claimed["minimum"], claimed["maximum"]) == (0, 100)

    @pytest.mark.parametrize("topic", EVENTS)
    def test_an_event_has_a_schema_in_which_all_that_it_always_had_is_required(self, topic: str) -> None:
        schema = event_schema(topic)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert schema["properties"].keys() == EVENTS[topic].model_fields.keys()
        assert set(schema["required"]) == schema["properties"].keys() - ADDED_LATER.get(topic, {}).keys()

    @pytest.mark.parametrize("name", ["", "NoSuchCommand", "TaskCommand", "x" * 100_000])
    def test_an_unknown_command_has_none(self, name: str) -> None:
        with pytest.raises(InvalidCommand) as caught:
            command_schema(name)
        assert len(caught.value.message) < 300
