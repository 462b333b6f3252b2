"""Free JSON at the command's door: what both databases hold alike comes in, in its normal form; all else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from math import inf, nan
from typing import Any

import pytest

from claude_tiu.domain.project import CreateProject
from claude_tiu.domain.task import AddTask
from tests.domain.door import faulty_fields, made
from tests.domain.given import AT, TASK_ID


class Colour(str, Enum):  # noqa: UP042 - a StrEnum would have the same str()
    """Text with another str()."""

    RED = "red"


def nested(levels: int, inner: Any, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(levels):
        inner = wrap(inner)
    return inner


class TestFreeJson:
    @pytest.mark.parametrize(
        ("given", "held"),
        [
            (1.0, 1),
            (-3.0, -3),
            (0.0, 0),
            (-0.0, 0),
            (1e15, 10**15),
            (0.5, 0.5),
            (2**53 - 1, 2**53 - 1),
            (-(2**53) + 1, -(2**53) + 1),
            (True, True),
            (None, None),
            ((1.0, (2.0,)), [1, [2]]),
            ({"b": 2.0, "a": [{"d": -0.0, "c": 1}]}, {"a": [{"c": 1, "d": 0}], "b": 2}),
            (Colour.RED, "red"),
            ({Colour.RED: 1}, {"red": 1}),
        ],
        ids=repr,
    )
    def test_the_normal_form(self, given: Any, held: Any) -> None:
        """Compared as text: 1 == 1.0 == True in Python."""
        expected = json.dumps(held)
        assert json.dumps(made(CreateProject, metadata={"x": given}).metadata["x"]) == expected
        assert json.dumps(made(AddTask, expected_outputs=[given]).expected_outputs[0]) == expected

    @pytest.mark.parametrize(
        "value",
        [
            *(2**53, -(2**53), float(2**53), 1e300, 10**400, nan, inf, -inf),
            *("\0", "a\0b", "\ud800", "a\udfffb", {"\0": 1}, {"\ud800": 1}, {1: 2}, {None: 1}, {True: 1}),
            *({1, 2}, b"bytes", Decimal(1), AT, TASK_ID, object, 1j),
        ],
        ids=lambda value: ascii(value)[:30],
    )
    def test_what_one_of_the_databases_would_change_is_refused(self, value: Any) -> None:
        for inner in (value, [value], {"deep": [{"er": value}]}):
            assert faulty_fields(CreateProject, metadata={"x": inner}) == ["metadata"]
            assert faulty_fields(AddTask, expected_outputs=[inner]) == ["expected_outputs"]

    @pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]], ids=["objects", "arrays"])
    @pytest.mark.parametrize("inner", [1, None, "text", {}, []], ids=repr)
    def test_64_levels_below_the_field_are_deep_enough(self, inner: Any, wrap: Callable[[Any], Any]) -> None:
        made(CreateProject, metadata={"a": nested(63, inner, wrap)})
        for levels in (65, 1_000, 100_000):
            assert faulty_fields(CreateProject, metadata={"a": nested(levels, inner, wrap)}) == ["metadata"]

    def test_json_that_holds_itself_is_refused(self) -> None:
        loop: dict[str, Any] = {}
        loop["again"] = loop
        assert faulty_fields(CreateProject, metadata=loop) == ["metadata"]

    def test_json_has_a_mebibyte(self) -> None:
        made(CreateProject, metadata={"a": "b" * (1 << 19)})
        assert faulty_fields(CreateProject, metadata={"a": "b" * (1 << 20)}) == ["metadata"]
        assert faulty_fields(CreateProject, metadata={"a": "é" * (1 << 19)}) == ["metadata"]

    @pytest.mark.parametrize("value", [None, [], "{}", 1, True, [("a", 1)]])
    def test_an_object_is_an_object(self, value: Any) -> None:
        assert faulty_fields(CreateProject, metadata=value) == ["metadata"]

    @pytest.mark.parametrize("value", [None, {}, "[]", 1, {1}, iter([1])], ids=lambda value: type(value).__name__)
    def test_an_array_is_an_array(self, value: Any) -> None:
        assert faulty_fields(AddTask, expected_outputs=value) == ["expected_outputs"]

    def test_keys_are_sorted_so_that_the_same_content_has_the_same_bytes(self) -> None:
        one = made(CreateProject, metadata={"b": {"d": 1.0, "c": 2}, "a": 0})
        other = made(CreateProject, metadata={"a": -0.0, "b": {"c": 2, "d": 1}})
        assert one.asked() == other.asked()

    def test_what_the_caller_changes_later_changes_no_command(self) -> None:
        metadata: dict[str, Any] = {"a": [1]}
        command = made(CreateProject, metadata=metadata, configuration={})
        metadata["a"].append(2)
        metadata["b"] = 3
        assert command.metadata == {"a": [1]}

    def test_no_two_commands_share_a_default(self) -> None:
        assert made(CreateProject).metadata is not made(CreateProject).metadata
