"""What a service may say of a subscription."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from claude_tiu import AddTask, Event, InvalidSubscription, TaskAdded
from claude_tiu.infrastructure.subscribing import wanted

NAMES: list[Any] = [
    "",
    "A",
    "ä",
    "-a",
    "_a",
    "a b",
    "a.b",
    "a/b",
    "../a",
    "a\n",
    "a\x00",
    "%",
    "a" * 65,
    "a'; --",
    7,
    None,
]
TOPICS: list[Any] = [
    "task.added", "", ["task.added.v1", "task.nothing.v1"], [], {}, AddTask, Event, [int], [None], 7, ["\x00"],
    "task.added.v\n", [["task.added.v1"]],
]  # fmt: skip
BEGINNINGS: list[Any] = [
    0,
    -1,
    True,
    "end",
    "",
    1.0,
    None,
    datetime(2026, 1, 1),  # noqa: DTZ001 - that is what is refused
    datetime.max.replace(tzinfo=UTC),
    [],
    b"now",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda value: ascii(value)[:30])
def test_a_name_is_of_small_letters_digits_and_marks(name: Any) -> None:
    with pytest.raises(InvalidSubscription, match="a subscription's name has"):
        wanted(name, None, "start", until_end=False)


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "a-b_c"])
def test_such_a_name_is_one(name: str) -> None:
    assert wanted(name, None, "start", until_end=False).name == name


@pytest.mark.parametrize("topics", TOPICS, ids=lambda value: ascii(value)[:30])
def test_topics_are_those_of_events(topics: Any) -> None:
    with pytest.raises(InvalidSubscription):
        wanted("a", topics, "start", until_end=False)


@pytest.mark.parametrize("topics", [TaskAdded, "task.added.v1", [TaskAdded], iter(["task.added.v1", TaskAdded])])
def test_they_may_be_classes(topics: Any) -> None:
    assert wanted("a", topics, "start", until_end=False).topics == ["task.added.v1"]


@pytest.mark.parametrize("from_", BEGINNINGS, ids=lambda value: ascii(value)[:30])
def test_it_begins_at_an_end_a_position_or_a_time(from_: Any) -> None:
    with pytest.raises(InvalidSubscription):
        wanted("a", None, from_, until_end=False)
