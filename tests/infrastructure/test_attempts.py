"""Commands of several threads are loaded for, decided and appended together; what becomes of one harms no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import AddTask, AssessTask, ClaimProgress, Command, NotFound, StartTask
from claude_tiu.domain.registry import UndecodableEvent
from claude_tiu.infrastructure.decision import Answer
from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.event_store import EventStore, NewEvent, Stored, Unit
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.observing import Append, Execution, Observer
from tests.support.history import PROJECT, create_user, plan, uid
from tests.support.patience import PATIENCE

OWN = [uid(f"own task {number}") for number in range(5)]
FIRST, *OTHERS = OWN


class Asked:
    """What a store is asked for, while the first call is held up until the others wait."""

    def __init__(self, store: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, int]] = []
        self.failing: Callable[[str, int], None] = lambda name, count: None
        self._executor = executor
        self._begun, self._go = threading.Event(), threading.Event()
        monkeypatch.setattr(store, "load_many", self._noting("load_many", store.load_many))
        monkeypatch.setattr(store, "append", self._noting("append", store.append))
        monkeypatch.setattr(store, "load_ahead", lambda *_: None)  # what one loads by itself: test_ahead.py
        self.pool = ThreadPoolExecutor(8)

    def _noting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(what: Mapping[UUID, int] | Sequence[Unit], *more: Any) -> Any:
            self.calls.append((name, len(what)))
            self._begun.set()
            assert self._go.wait(PATIENCE)
            self.failing(name, len(what))
            return method(what, *more)

        return noted

    @contextmanager
    def under_way(self, task_id: UUID) -> Iterator[None]:
        """A command of a task, held up in its first call meanwhile."""
        first = self.pool.submit(self.execute, claim(task_id))
        assert self._begun.wait(PATIENCE)
        try:
            yield
        finally:
            self._go.set()
        first.result(PATIENCE)

    def behind_first(self, *commands: Command) -> list[Future[Any]]:
        """Execute commands, each in a thread, while one of the first task is under way; return what becomes of them."""
        futures = []
        with self.under_way(FIRST):
            for number, command in enumerate(commands, 1):
                futures.append(self.pool.submit(self.execute, command))
                until(lambda number=number: len(self._executor._together._queue) == number)  # type: ignore[misc]
        return futures

    def execute(self, *commands: Command) -> Answer:
        return self._executor.execute(commands)[-1]

    def wait_for(self, calls: int) -> None:
        until(lambda: len(self.calls) == calls)

    @property
    def behind(self) -> list[tuple[str, int]]:
        """What was asked for behind the first command: its task, its project, its append."""
        assert self.calls[:3] == [("load_many", 1), ("load_many", 1), ("append", 1)]
        return self.calls[3:]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def claim(task_id: UUID, claimed: float = 50) -> ClaimProgress:
    return ClaimProgress(task_id=task_id, claimed=claimed)


@pytest.fixture
def executor(events: EventStore) -> Executor:
    """One that knows none of the five tasks in progress."""
    tasks = [
        command
        for id_ in OWN
        for command in (AddTask(task_id=id_, project_id=PROJECT, name="T"), StartTask(task_id=id_))
    ]
    Executor(events).execute([*plan(), *tasks])
    return Executor(events)


@pytest.fixture
def asked(events: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    made = Asked(events, executor, monkeypatch)
    yield made
    made.pool.shutdown()


def test_they_are_loaded_for_in_one_call_and_appended_in_one(asked: Asked) -> None:
    answers = [future.result(PATIENCE) for future in asked.behind_first(*map(claim, OTHERS))]
    assert asked.behind == [("load_many", 4), ("append", 4)]
    assert [(answer.id, answer.version) for answer in answers] == [(id_, 3) for id_ in OTHERS]
    assert [answer.position - answers[0].position for answer in answers] == [0, 1, 2, 3]


def test_what_their_decisions_ask_for_besides_is_loaded_in_one_call_too(asked: Asked) -> None:
    starting = [StartTask(task_id=id_) for id_ in OTHERS]
    errors = [future.exception(PATIENCE) for future in asked.behind_first(*starting)]
    assert [getattr(error, "code", None) for error in errors] == ["wrong_status"] * 4
    assert asked.behind[:2] == [("load_many", 4), ("load_many", 1)]  # the tasks, and the graph of their project


def test_who_is_refused_is_refused_alone(asked: Asked) -> None:
    one, missing, other = asked.behind_first(claim(OTHERS[0]), claim(uid("no task")), claim(OTHERS[1]))
    assert (one.result(PATIENCE).version, other.result(PATIENCE).version) == (3, 3)
    assert isinstance(missing.exception(PATIENCE), NotFound)
    assert asked.behind[:2] == [("load_many", 3), ("append", 2)]


def test_two_of_one_task_find_what_the_other_did(asked: Asked) -> None:
    one, two, other = asked.behind_first(claim(OTHERS[0], 10), claim(OTHERS[0], 20), claim(OTHERS[1]))
    assert [future.result(PATIENCE).version for future in (one, two, other)] == [3, 4, 3]
    assert asked.behind == [("load_many", 2), ("append", 2), ("append", 1)]  # no conflict


@pytest.mark.parametrize("kind", ["on a state that grows", "with personal data", "of several commands"])
def test_who_might_hold_others_up_does_not_go_with_them(asked: Asked, kind: str) -> None:
    commands: dict[str, list[Command]] = {
        "on a state that grows": [AssessTask(run_id=uid("no run"), task_id=FIRST, authenticity=1)],
        "with personal data": [create_user("other")],
        "of several commands": [claim(OTHERS[0]), claim(OTHERS[1])],
    }
    with asked.under_way(FIRST):
        other = asked.pool.submit(asked.execute, *commands[kind])
        asked.wait_for(calls=2)
    other.exception(PATIENCE)


def test_what_cannot_be_decoded_harms_no_other(asked: Asked, events: EventStore) -> None:
    broken = uid("broken")
    assert isinstance(_append(events, asked, NewEvent(broken, 1, "task.added.v1", b"{}")), Stored)
    one, fault, other = asked.behind_first(claim(OTHERS[0]), claim(broken), claim(OTHERS[1]))
    assert (one.result(PATIENCE).version, other.result(PATIENCE).version) == (3, 3)
    assert isinstance(fault.exception(PATIENCE), UndecodableEvent)


def test_an_append_that_fails_for_all_is_made_for_each(asked: Asked) -> None:
    def fail(name: str, count: int) -> None:
        if name == "append" and count > 1:
            raise ValueError("one of them")

    asked.failing = fail
    answers = [future.result(PATIENCE) for future in asked.behind_first(*map(claim, OTHERS[:2]))]
    assert [answer.version for answer in answers] == [3, 3]
    assert sorted(asked.behind[1:]) == [("append", 1), ("append", 1), ("append", 2)]


def test_a_store_that_was_away_for_a_moment_stores_each_once(asked: Asked, events: EventStore) -> None:
    away = iter([StoreUnavailable("away")])

    def fail(name: str, count: int) -> None:
        if name == "append" and count > 1 and (error := next(away, None)):
            raise error

    asked.failing = fail
    answers = [future.result(PATIENCE) for future in asked.behind_first(*map(claim, OTHERS[:2]))]
    assert [answer.version for answer in answers] == [3, 3]
    assert [len(events.load(id_)) for id_ in OTHERS[:2]] == [3, 3]


class Watching(Observer):
    """Notes who tells of what."""

    def __init__(self) -> None:
        self.executions: dict[UUID, Execution] = {}

    def executed(self, execution: Execution, begun: object) -> None:
        assert execution.executed is not None
        (answer,) = execution.executed.answers
        self.executions[answer.id] = execution

    def appended(self, append: Append) -> None:
        raise AssertionError("it belongs to executions, which tell of it")


def test_an_append_is_told_once_and_each_execution_has_its_own(asked: Asked, events: EventStore) -> None:
    watching = Watching()
    events.observing.add(watching)
    answers = [future.result(PATIENCE) for future in asked.behind_first(*map(claim, OTHERS))]
    told = [append for execution in watching.executions.values() for append in execution.tells]
    (append,) = [append for append in told if append.callers > 1]
    assert (len(append.units), append.group, append.callers) == (4, 4, 4)
    assert append.outcomes == [Stored(answer.position) for answer in answers]
    executions = [watching.executions[id_] for id_ in OTHERS]
    assert [execution.append for execution in executions] == [append] * 4
    assert sorted(execution.led for execution in executions) == [[], [], [], [append]]
    assert len(told) == len(watching.executions) - 3, "the first was stored by itself"


def _append(events: EventStore, asked: Asked, event: NewEvent) -> Any:
    """Append past what is noted and held up."""
    return type(events).append(events, [Unit([event])])[0]
