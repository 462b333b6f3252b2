"""Who observes costs those whom he observes neither an answer nor memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from claude_tiu import CreateProject, Tiu, connect
from claude_tiu.infrastructure.behind import Behind
from claude_tiu.infrastructure.observing import Append, Execution, Observer
from tests.support.history import USER, create_user
from tests.support.spans import Spans, attributes
from tests.support.stores import Backend

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
