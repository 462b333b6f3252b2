"""Spans of commands that a processor is handed when they have ended; what they say is in test_tracing.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracerProvider, SpanKind

from claude_tiu import CreateProject, Tiu, connect, register_tracing
from tests.support.history import USER, plan
from tests.support.spans import Spans, id_of, parent_of
from tests.support.stores import SQLiteBackend

CREATE = CreateProject(user_id=USER, name="Payroll")


@pytest.fixture
def tiu(sqlite: SQLiteBackend) -> Iterator[Tiu]:
    with connect(sqlite.url, project=False) as tiu:
        tiu.execute_all([*plan()])
        yield tiu


def test_a_command_is_sampled_as_the_span_around_it(tiu: Tiu) -> None:
    half = Spans(handed_over=True, sampler=_OneIn(2))
    half.trace(tiu)
    with half.tracer.start_as_current_span("sampled") as request:
        tiu.execute(CREATE)
    with half.tracer.start_as_current_span("not sampled"):
        tiu.execute(CreateProject(user_id=USER, name="Another"))
    assert parent_of(half.one("execute CreateProject")) == id_of(request)
    assert {span.name for span in half.all()} == {"sampled", "execute CreateProject"}


class _OneIn(Sampler):
    """Samples the first of so many spans."""

    def __init__(self, many: int) -> None:
        self._many, self._asked = many, 0

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        self._asked += 1
        return SamplingResult(Decision.RECORD_AND_SAMPLE if self._asked % self._many else Decision.DROP)

    def get_description(self) -> str:
        return "one in some"


def test_it_is_of_the_service_and_says_who_made_it(tiu: Tiu) -> None:
    spans = Spans(handed_over=True)
    spans.trace(tiu)
    with spans.tracer.start_as_current_span("request"):
        tiu.execute(CREATE)
    span, request = spans.one("execute CreateProject"), spans.one("request")
    assert span.resource == request.resource
    assert span.instrumentation_scope
    assert (span.instrumentation_scope.name, span.kind) == ("claude_tiu", SpanKind.INTERNAL)
    times = [request.start_time, span.start_time, span.end_time, request.end_time]
    assert times == sorted(filter(None, times))


def test_it_is_handed_to_a_processor_of_the_sdk_alone(tiu: Tiu) -> None:
    with pytest.raises(ValueError, match="tracer provider of OpenTelemetry's SDK"):
        register_tracing(tiu, NoOpTracerProvider(), span_processor=SimpleSpanProcessor(InMemorySpanExporter()))
