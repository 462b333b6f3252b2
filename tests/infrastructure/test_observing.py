"""Who observes costs those whom he observes neither an answer nor memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from claude_tiu import ClaimProgress, CreateProject, Refused, Tiu, connect
from claude_tiu.infrastructure.behind import Behind
from claude_tiu.infrastructure.observing import Append, Execution, Observer
from tests.support.history import TASKS, USER, create_user
from tests.support.spans import Spans, attributes
from tests.support.stores import Backend, append, event

CREATE = CreateProject(user_id=USER, name="Payroll")


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def tiu(backend: Backend, spans: Spans) -> Iterator[Tiu]:
    with connect(backend.url, project=False) as tiu:
        tiu.execute(create_user(user_id=USER))
        spans.trace(tiu)
        yield tiu


def test_one_that_fails_harms_nobody(tiu: Tiu, spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Observer):
        def executing(self, execution: Execution) -> None:
            raise ZeroDivisionError

        def appended(self, append: Append) -> None:
            raise ZeroDivisionError

    class BrokenAtTheEnd(Observer):
        def executed(self, execution: Execution, begun: object) -> None:
            raise ZeroDivisionError

    tiu.observing.add(Broken())
    tiu.observing.add(BrokenAtTheEnd())
    with caplog.at_level(logging.ERROR):
        answers = [tiu.execute(CREATE) for _ in range(3)]
    assert len({answer.id for answer in answers}) == 3
    assert len(spans.named("execute CreateProject")) == 3
    events = [(vars(record)["tiu_event"], vars(record)["tiu_observer"]) for record in caplog.records]
    assert events == [("observer.failed", "Broken"), ("observer.failed", "BrokenAtTheEnd")]


@pytest.mark.parametrize("alone", [True, False])
def test_one_that_fails_at_each_turn_harms_nobody(backend: Backend, alone: bool) -> None:
    given = list[object]()

    class Broken(Observer):
        def executing(self, execution: Execution) -> None:
            raise ZeroDivisionError

        def executed(self, execution: Execution, begun: object) -> None:
            given.append(begun)
            raise ZeroDivisionError

        def appended(self, append: Append) -> None:
            raise ZeroDivisionError

    with connect(backend.url, project=False) as tiu:
        for _ in range(1 if alone else 2):
            tiu.observing.add(Broken())
        tiu.execute(create_user(user_id=USER))
        with pytest.raises(Refused):
            tiu.execute(ClaimProgress(task_id=TASKS[0], claimed=10))
        append(tiu.events, event(topic="of.another.v1"))
        assert [row.position for row in tiu.events.read_rows(0, 10)] == [1, 2]
    assert given == [None] * (2 if alone else 4)


def test_each_is_given_back_what_it_returned(backend: Backend) -> None:
    class Counting(Observer):
        def __init__(self, number: int) -> None:
            self.number = number

        def executing(self, execution: Execution) -> int:
            told.append(("begins", self.number, self.number))
            return self.number

        def executed(self, execution: Execution, begun: int) -> None:
            told.append(("ends", self.number, begun))

    told = list[tuple[str, int, int]]()
    with connect(backend.url, project=False) as tiu:
        tiu.observing.add(Counting(1))
        tiu.execute(create_user())
        tiu.observing.add(Counting(2))
        tiu.execute(create_user("bob"))
    alone, first, second = [[(what, number, number) for what in ("begins", "ends")] for number in (1, 1, 2)]
    assert told == [*alone, first[0], *second, first[1]]


def test_what_waits_for_its_span_keeps_no_command_alive(
    tiu: Tiu, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[tuple[Behind[Any], Any]] = []
    monkeypatch.setattr(Behind, "do", lambda self, item: waiting.append((self, item)))
    command = CREATE.model_copy()
    known = ref(command)
    with spans.tracer.start_as_current_span("request"):
        tiu.execute(command)
    del command
    gc.collect()
    assert known() is None
    ((behind, item),) = waiting
    behind._work(item)
    assert attributes(spans.one("execute CreateProject"))["tiu.outcome"] == "accepted"
