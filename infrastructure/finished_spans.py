"""Spans that a processor of OpenTelemetry's SDK is handed when they have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanContext, TracerProvider

SCOPE = "claude_tiu"


class FinishedSpans:
    """Makes spans of what has ended: a tenth of what it takes the SDK to begin and to end one.

    So the processor's `on_end` alone is called. A span is sampled if the one around it is: the sampler is not asked.
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
        self._api, self._made = trace, ReadableSpan
        self._processor, self._resource = processor, provider.resource
        self._new_id = RandomIdGenerator().generate_span_id
        self._scope = InstrumentationScope(SCOPE, version("claude-tiu"))
        self._unset = trace.Status()

    def hand_over(
        self,
        name: str,
        parent: SpanContext,
        attributes: Mapping[str, str | int | float | bool | Sequence[str]],
        *,
        began: int,
        ended: int,
        error: str | None = None,
    ) -> SpanContext | None:
        """Make a span in another's trace, and return what it is known by; None where that one is not sampled.

        Times are in nanoseconds of Unix time; `error` is what it ended with.
        """
        if not parent.trace_flags.sampled:
            return None
        own = self._api.SpanContext(parent.trace_id, self._new_id(), False, parent.trace_flags, parent.trace_state)
        status = self._unset if error is None else self._api.Status(self._api.StatusCode.ERROR, error)
        self._processor.on_end(
            self._made(
                name,
                own,
                parent,
                self._resource,
                attributes,
                status=status,
                start_time=began,
                end_time=ended,
                instrumentation_scope=self._scope,
            )
        )
        return own
