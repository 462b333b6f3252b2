"""Histories that are drawn: of every command, taken by any store as they were taken in memory, and small when they
shrink."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import find, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from claude_tiu import ClaimNextTask, ClaimProgress, CompleteRun, CreateFile, ProgressClaimed
from claude_tiu.domain.messages import Command, Recorded
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.mapper import decode
from claude_tiu.testing import History, histories
from claude_tiu.testing.histories import ANY, Plan, plans, told
from tests.model.stores import SQLite


@pytest.mark.parametrize("kind", ANY)
def test_every_command_finds_its_place(kind: type[Command]) -> None:
    """And none of what it needs is told without need: the last is what was asked for."""
    assert type(told([Plan(kind)]).commands[-1]) is kind


@pytest.mark.parametrize("kind", ANY)
def test_every_command_has_values_that_the_door_lets_in(kind: type[Command]) -> None:
    taken = [kind in map(type, told([Plan(kind, seed)]).commands) for seed in range(40)]
    assert sum(taken) > 20


def logged(events: EventStore) -> list[Recorded]:
    rows = events.read(0, 100_000)
    keys = events.keys({row.key_id for row in rows if row.key_id})
    return [
        Recorded(
            decode(row.topic, row.state, row.stream_id, row.version, keys.get(row.key_id) if row.key_id else None),
            row.stream_id,
            row.version,
            row.position,
            row.project_id,
        )
        for row in rows
    ]


@settings(max_examples=max(8, settings().max_examples // 5))
@drawn(history=histories())
def test_a_store_takes_it_and_makes_the_same_events(history: History) -> None:
    with closing(SQLite()) as store:
        executor = Executor(store.tiu.events)
        for command in history.commands:
            executor.execute([command])
        forgotten = {one.stream_id for one in history.events if type(one.event).__name__ == "UserForgotten"}
        for ours, theirs in zip(history.events, logged(store.tiu.events), strict=True):
            assert ours[1:] == theirs[1:]
            if not ours.event.personal or not {ours.stream_id, getattr(ours.event, "user_id", None)} & forgotten:
                assert ours.event == theirs.event


@drawn(steps=st.lists(plans(), max_size=12), without=st.integers(0, 11))
def test_any_part_of_its_plans_is_a_history(steps: list[Plan], without: int) -> None:
    del steps[without : without + 1]
    history = told(steps)
    assert [one.position for one in history.events] == list(range(1, len(history.events) + 1))


def test_it_shrinks_to_what_matters() -> None:
    found = find(
        histories(CreateFile, CompleteRun, ClaimNextTask, ClaimProgress),
        lambda history: sum(isinstance(one.event, ProgressClaimed) for one in history.events) >= 2,
        settings=settings(database=None, max_examples=200),
    )
    assert [one.event.topic for one in found.events] == [
        "user.created.v1",
        "project.created.v1",
        "task.added.v1",
        "task.started.v1",
        "task.progress_claimed.v1",
        "task.progress_claimed.v1",
    ]
    assert "ProgressClaimed(claimed=" in repr(found)
