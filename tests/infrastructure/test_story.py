"""A project's story: what moved it on, and the same again on one day in one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from claude_tiu.domain.registry import EVENTS
from claude_tiu.infrastructure.audit.history import HistoryEntry
from claude_tiu.infrastructure.audit.report import StoryLine
from claude_tiu.infrastructure.audit.story import MILESTONES, MOST_LINES, story_of

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def entry(topic: str, hours: float = 0, actor: str | None = None, **fields: object) -> HistoryEntry:
    values: dict[str, object] = {
        "position": 1,
        "stream_id": uuid4(),
        "version": 1,
        "id": uuid4(),
        "kind": "task",
        "topic": topic,
        "occurred_at": AT + timedelta(hours=hours),
        "recorded_at": AT,
        "actor": actor,
        "command_id": None,
        "correlation_id": None,
        "causation_id": None,
        "project_id": None,
        "changes": (),
        "sentence": f"{topic}.",
    }
    return HistoryEntry(**(values | fields))  # type: ignore[arg-type]


def sentences(*entries: HistoryEntry) -> list[str]:
    return [line.sentence for line in story_of(entries)]


def test_milestones_are_told_and_the_daily_work_is_not() -> None:
    assert sentences(entry("project.created.v1"), entry("task.progress_claimed.v1"), entry("task.started.v1")) == [
        "project.created.v1."
    ]


def test_the_same_on_one_day_is_one_line_with_its_first_time() -> None:
    added = [entry("task.added.v1", hours) for hours in (1, 2, 3)]
    claimed = entry("task.progress_claimed.v1", 2.5)
    assert story_of([*added[:2], claimed, *added[2:], entry("task.added.v1", 13)]) == [
        StoryLine(AT + timedelta(hours=1), "3 tasks were added.", None),
        StoryLine(AT + timedelta(hours=13), "task.added.v1.", None),
    ]


@pytest.mark.parametrize("between", [entry("project.completed.v1"), entry("task.added.v1", actor="agent-7")])
def test_what_comes_between_and_who_did_it_keeps_it_apart(between: HistoryEntry) -> None:
    assert len(story_of([entry("task.added.v1"), between, entry("task.added.v1")])) == 3


def test_an_event_that_cannot_be_read_is_left_out() -> None:
    assert sentences(entry("task.added.v1", occurred_at=None, fault="damaged")) == []


def test_of_a_long_story_the_beginning_and_the_end_are_told_and_how_much_is_left_out() -> None:
    def long(days: int) -> Iterator[HistoryEntry]:
        return (entry("task.added.v1", 24 * day, sentence=f"Day {day}.") for day in range(days))

    whole = story_of(long(MOST_LINES - 1))
    assert [line.sentence for line in whole] == [f"Day {day}." for day in range(MOST_LINES - 1)]
    told = [line.sentence for line in story_of(long(5_000))]
    assert len(told) == MOST_LINES
    first = MOST_LINES // 4
    assert told[first - 1] == f"Day {first - 1}."
    assert told[first] == f"Before this, {5_000 - MOST_LINES + 1:,} more lines are left out."
    assert told[first + 1 :] == [f"Day {day}." for day in range(5_000 - (MOST_LINES - first - 1), 5_000)]


def test_every_milestone_is_an_event() -> None:
    assert set(MILESTONES) <= set(EVENTS)
