"""Spans that a processor of OpenTelemetry's SDK is handed when they have ended."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from .span_names import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanContext, SpanKind, TracerProvider

SCOPE = "claude_tiu"


class FinishedSpans:
    """Makes spans of what has ended: a tenth of what it takes the SDK to begin and to end one.

    So the processor's `on_end` alone is called, and the sampler is not asked.
    Raises ValueError for a tracer provider that is not of the SDK.
    """

    def __init__(self, processor: SpanProcessor, provider: TracerProvider | None) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        provider = provider or trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):
            raise ValueError("a span_processor needs a tracer provider of OpenTelemetry's SDK")
        self._api, self._context, self._span = trace, trace.SpanContext, ReadableSpan
        self._on_end, self._resource = processor.on_end, provider.resource
        self._new_id = RandomIdGenerator().generate_span_id
        self._scope = InstrumentationScope(SCOPE, version("claude-tiu"))
        self._unset, self._internal = trace.Status(), trace.SpanKind.INTERNAL

    def hand_over(
        self,
        name: str,
        parent: SpanContext,
        attributes: Attributes,
        began: int,
        ended: int,
        error: str | None = None,
        kind: SpanKind | None = None,
    ) -> SpanContext:
        """Make a span in another that is sampled, and return what it is known by.

        Times are in nanoseconds of Unix time; `error` is what it ended with.
        """
        own = self._context(parent.trace_id, self._new_id(), False, parent.trace_flags, parent.trace_state)
        status = self._unset if error is None else self._api.Status(self._api.StatusCode.ERROR, error)
        kind, scope = self._internal if kind is None else kind, self._scope
        span = self._span(
            name, own, parent, self._resource, attributes, (), (), kind, None, status, began, ended, scope
        )
        self._on_end(span)
        return own
