"""The write-side tables' contract: after any history they say what the streams say, as computed here from scratch."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    BlockTask,
    Command,
    CompleteProject,
    CompleteRun,
    CompleteTask,
    CreateProject,
    FailRun,
    FailTask,
    PutBackTask,
    ReactivateProject,
    Refused,
    RemoveDependency,
    ReopenTask,
    ResumeTask,
    RetryTask,
    StartRun,
    StartTask,
    UnblockTask,
)
from claude_tiu.domain.agenda import COMPLETED_PROJECT, OPEN_RUN, OPEN_WORK
from claude_tiu.domain.dependency_graph import BINDING, graph_id
from claude_tiu.domain.registry import decode_event
from claude_tiu.domain.task import Task
from claude_tiu.infrastructure.event_store import EventStore, Reservation, Stored, Taken
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.streams import load_stream
from claude_tiu.infrastructure.write_side import rebuild_write_side
from claude_tiu.projections.write_side import PRIORITY_RANK, destroy_key, release
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import SQLiteBackend, append, event

TASKS = [uid(f"task {number}") for number in range(6)]
RUNS = [uid(f"run {number}") for number in range(3)]
MOVES = (StartTask, CompleteTask, FailTask, BlockTask, PutBackTask, UnblockTask, ResumeTask, RetryTask, ReopenTask)


def a_command(dice: random.Random) -> Command:
    """Any command that the queue or the agenda may hear of."""
    task, other, run = dice.choice(TASKS), dice.choice(TASKS), dice.choice(RUNS)
    at = START + timedelta(hours=dice.randrange(3))
    match dice.randrange(12):
        case 0 | 1:
            priority: Any = dice.choice(list(PRIORITY_RANK))
            return AddTask(task_id=task, project_id=PROJECT, name="Task", priority=priority, occurred_at=at)
        case 2 | 3:
            kind: Any = dice.choice(["blocks", "requires", "suggests"])
            return AddDependency(task_id=task, depends_on_task_id=other, dependency_type=kind)
        case 4:
            return RemoveDependency(task_id=task, depends_on_task_id=other)
        case 5:
            return StartRun(run_id=run, project_id=PROJECT, validation_type="quick", occurred_at=at)
        case 6:
            return dice.choice([CompleteRun(run_id=run, quality_score=1), FailRun(run_id=run)])
        case 7:
            return dice.choice([CompleteProject, ReactivateProject, ReactivateProject])(project_id=PROJECT)
    return dice.choice(MOVES)(task_id=task)


def ready_by_hand(store: EventStore) -> list[UUID]:
    """The ready tasks in their order, from their streams alone."""
    added = {row.stream_id: row for row in store.read(0, 10_000) if row.topic == "task.added.v1"}
    states: dict[UUID, Task] = {task: load_stream(store, task).state for task in added}
    graph = load_stream(store, graph_id(PROJECT)).state

    def is_ready(task: UUID) -> bool:
        kinds = graph.dependencies.get(task, {}) if graph else {}
        waits_for = [states[other].status for other, kind in kinds.items() if kind in BINDING]
        return states[task].status == "pending" and all(status == "completed" for status in waits_for)

    def place(task: UUID) -> tuple[Any, ...]:
        row = added[task]
        return PRIORITY_RANK[states[task].priority], decode_event(row.topic, row.state).occurred_at, row.position

    return sorted(filter(is_ready, added), key=place)


def ready_in_queue(store: EventStore) -> list[UUID]:
    rows = [row for row in store.write_side()["task_queue"] if row[2] == "pending" and row[8] == 0]
    return [UUID(str(row[0])) for row in sorted(rows, key=lambda row: row[3:6])]


def first_ready(store: EventStore) -> UUID | None:
    return store.next_ready(PROJECT, priority=None, agent_type="tester", capabilities=[])


@pytest.mark.parametrize("seed", range(3))
def test_after_any_history_they_say_what_the_streams_say(events: EventStore, seed: int) -> None:
    dice, executor = random.Random(seed), Executor(events)
    executor.execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
    lengths = set()
    for _ in range(30):
        for _ in range(8):
            with suppress(Refused):
                executor.execute([a_command(dice)])
        ready = ready_by_hand(events)
        assert ready_in_queue(events) == ready
        assert first_ready(events) == (ready[0] if ready else None)
        lengths.add(len(ready))
        open_runs = [run for run in RUNS if getattr(load_stream(events, run).state, "status", "") == "started"]
        assert set(events.due(OPEN_RUN, START + timedelta(days=1), 10)) == set(open_runs)
        assert events.open_in(PROJECT, OPEN_WORK) == ([OPEN_RUN] if open_runs else [])
        completed = load_stream(events, PROJECT).state.status == "completed"
        assert events.open_in(PROJECT, [COMPLETED_PROJECT]) == ([COMPLETED_PROJECT] if completed else [])
    assert len(lengths) > 2
    live = events.write_side()
    assert all(live.values())
    rebuild_write_side(events)
    assert events.write_side() == live


def test_a_rebuild_mends_what_was_changed_behind_the_stores_back(events: EventStore, backend: Any) -> None:
    executor = Executor(events)
    executor.execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
    executor.execute([AddTask(task_id=TASKS[0], project_id=PROJECT, name="Task")])
    live = events.write_side()
    backend.on_events("DELETE FROM task_queue")
    assert first_ready(events) is None
    rebuild_write_side(events)
    assert events.write_side() == live


class TestReleasing:
    """A value that a unit lets go is free for it, and for others."""

    A, B = UUID(int=1), UUID(int=2)

    def test_frees_what_the_stream_had_in_the_space(self, events: EventStore) -> None:
        both = [Reservation("username", b"ada", self.A), Reservation("email", b"ada@", self.A)]
        append(events, event(self.A), reservations=both)
        taken = [Reservation("username", b"ada", self.B)]
        assert append(events, event(self.B), reservations=taken) == Taken(0)
        renamed = [Reservation("username", b"eve", self.A)]
        outcome = append(events, event(self.A, 2), reservations=renamed, changes=[(0, release(self.A, "username"))])
        assert outcome == Stored(2)
        assert append(events, event(self.B), reservations=taken) == Stored(3)
        assert append(events, event(), reservations=[Reservation("email", b"ada@", self.B)]) == Taken(0)

    def test_frees_all_that_the_stream_had(self, events: EventStore) -> None:
        both = [Reservation("username", b"ada", self.A), Reservation("email", b"ada@", self.A)]
        append(events, event(self.A), reservations=both)
        assert append(events, event(self.A, 2), changes=[(0, release(self.A))]) == Stored(2)
        again = [reservation._replace(stream_id=self.B) for reservation in both]
        assert append(events, event(self.B), reservations=again) == Stored(3)

    def test_lets_a_unit_take_its_own_value_again(self, events: EventStore) -> None:
        mine = [Reservation("username", b"ada", self.A)]
        append(events, event(self.A), reservations=mine)
        assert append(events, event(self.A, 2), reservations=mine) == Taken(0)
        outcome = append(events, event(self.A, 2), reservations=mine, changes=[(0, release(self.A, "username"))])
        assert outcome == Stored(2)
        assert append(events, event(self.B), reservations=[Reservation("username", b"ada", self.B)]) == Taken(0)


class TestExclusive:
    """In an exclusive store nobody else appends, and all that was appended goes where anything is raised."""

    def test_what_is_appended_is_stored_at_its_end(self, events: EventStore) -> None:
        with events.exclusive() as held:
            assert append(held, event()) == Stored(1)
            assert append(held, event()) == Stored(2)
            assert events.max_notification_id() is None
        assert events.max_notification_id() == 2

    def test_nothing_stays_where_anything_is_raised(self, events: EventStore) -> None:
        def failing() -> None:
            with events.exclusive() as held:
                append(held, event())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            failing()
        assert events.max_notification_id() is None
        assert append(events, event()) == Stored(1)

    def test_a_key_destroyed_in_it_is_gone_at_its_end(self, events: EventStore) -> None:
        Executor(events).execute([create_user(user_id=USER)])
        (key,) = events.keys([USER]).values()
        with events.exclusive() as held:
            append(held, event(), changes=[(0, destroy_key(USER))])
            assert events.keys([USER]) == {USER: key}
        assert events.keys([USER]) == {}
        assert events.max_notification_id() == 2

    def test_and_stands_in_the_write_ahead_log_no_more(self, sqlite: SQLiteBackend) -> None:
        store, log = sqlite.events(), sqlite.path.with_name("tiu.db-wal")
        Executor(store).execute([create_user(user_id=USER)])
        (key,) = store.keys([USER]).values()
        assert key in log.read_bytes()
        with store.exclusive() as held:
            append(held, event(), changes=[(0, destroy_key(USER))])
        assert key not in log.read_bytes()
