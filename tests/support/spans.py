"""Spans as an OpenTelemetry SDK has them, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from claude_tiu import AsyncTiu, Tiu, register_tracing
from claude_tiu.infrastructure.tracing import Tracing


class Spans:
    """A provider that samples everything, unless its settings say otherwise, and what came of it."""

    def __init__(self, *, handed_over: bool = False, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**settings)
        processor = SimpleSpanProcessor(self._exporter)
        self.provider.add_span_processor(processor)
        self._processor = processor if handed_over else None
        self.tracer = self.provider.get_tracer("service")
        self.traced: list[Tracing] = []

    def trace(self, tiu: Tiu | AsyncTiu) -> None:
        """Have spans made of what a connection does."""
        self.traced.append(register_tracing(tiu, self.provider, span_processor=self._processor))

    def all(self) -> Sequence[ReadableSpan]:
        for tracing in self.traced:
            tracing.flush()
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def texts(self) -> Iterator[str]:
        """Yield whatever text the spans have."""
        for span in self.all():
            yield span.to_json()


def parent_of(span: ReadableSpan) -> int | None:
    """Return the id of the span that a span stands in."""
    return span.parent.span_id if span.parent else None


def id_of(span: Any) -> int:
    number: int = span.get_span_context().span_id
    return number


def traceparent_of(span: Any) -> str:
    """Return the W3C traceparent of a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
