"""Spans for OpenTelemetry, of one connection: `pip install 'claude-tiu[opentelemetry]'`.

docs/reference/observability.md lists them. No span has a payload, or anything that is a person's own; of an error it
has the code, or the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.messages import event_id
from .async_tiu import AsyncTiu
from .behind import Behind
from .command_spans import CommandSpans, Within, attributes_of, name_of_span, told_of, types_of
from .errors import MissingExtra, StoreUnavailable
from .event_store import EventStore
from .finished_spans import SCOPE, FinishedSpans
from .logs import error_type
from .observing import Append, Batch, Delivering, Execution, Observer, Rebuilding
from .span_names import (
    CONSUMER,
    DESTINATION,
    DONE,
    EVENTS,
    FIRST_POSITION,
    LAST_POSITION,
    LINKS,
    MESSAGE,
    MESSAGES,
    MESSAGING,
    OPERATION_TYPE,
    POSITION,
    PROJECTION,
    STREAM,
    SUBSCRIPTION,
    SWAPPED,
    TOPIC,
    Attributes,
)
from .tiu import Tiu

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link, Span, SpanContext, TracerProvider


CONTEXTS = 64
"""Of how many contexts at most it is remembered what is in them: a request has several commands."""


class _Root(NamedTuple):
    """The span of commands in no other, which was begun with them; and what takes it out of the context again."""

    within: Within
    span: Span
    token: object


class Tracing(Observer):
    """Makes a span of each thing that it is told of.

    That of a command is made behind it, where another is around it: amid a command it takes several times what it takes
    among others of its kind. So the command's is not current meanwhile; the one around it is.

    A command without a correlation gets the `traceparent` of the span that is current where it is executed, of its own
    where none is: so who reads the events finds the trace, and who follows the trace is led on from them.
    """

    def __init__(self, provider: TracerProvider | None, database: str, processor: SpanProcessor | None = None) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._contexts, self._api = context, trace
        self._current = context.get_current
        self._tracer = trace.get_tracer(SCOPE, version("claude-tiu"), provider)
        finished = FinishedSpans(processor, provider) if processor else None
        self._asks = finished is None
        """The SDK's sampler is asked for each span."""
        self._spans = CommandSpans(self._tracer, finished, database)
        self._behind = Behind(self._spans.make)
        self._traceparent = TraceContextTextMapPropagator()
        self._withins: dict[int, Within] = {}
        """By the identity of a context, which no other has while it is remembered."""
        self._carried = context.create_key("claude_tiu.correlation")

    def executing(self, execution: Execution) -> Within | _Root:
        current = self._current()
        within = self._withins.get(id(current)) or self._remember(current)
        if within.correlation_id is None:
            return self._begin_root(execution, within)
        execution.correlation_id = within.correlation_id
        return within

    def _remember(self, current: Context) -> Within:
        outer = self._api.get_current_span(current).get_span_context()
        carried: Any = self._contexts.get_value(self._carried, current)
        correlation_id = (carried or traceparent(outer)) if outer.is_valid else None
        within = Within(current, outer, correlation_id, self._asks or outer.trace_flags.sampled)
        if len(self._withins) >= CONTEXTS:
            self._withins.clear()
        self._withins[id(current)] = within
        return within

    def _begin_root(self, execution: Execution, within: Within) -> _Root:
        """In no span: that of the commands is made at once, since their correlation is its own."""
        span = self._tracer.start_span(name_of_span(types_of(execution)), within.context)
        carried: Any = self._contexts.get_value(self._carried, within.context)
        execution.correlation_id = carried or traceparent(span.get_span_context())
        return _Root(within, span, self._contexts.attach(self._api.set_span_in_context(span, within.context)))

    def executed(self, execution: Execution, begun: Within | _Root | None) -> None:
        if type(begun) is Within:
            if begun.wanted:
                self._behind.do(told_of(execution, begun))
        elif type(begun) is _Root:
            self._end_root(execution, *begun)

    def _end_root(self, execution: Execution, within: Within, span: Span, token: Any) -> None:
        self._contexts.detach(token)
        told = told_of(execution, within)
        if span.is_recording():
            span.set_attributes(attributes_of(told))
        self._spans.end(span, told)

    def appended(self, append: Append) -> None:
        """What belongs to no command has a span of its own."""
        error = error_type(append.error) if append.error else None
        self._spans.append(self._current(), append.began, append.ended, append.group, error)

    def projected(self, batch: Batch) -> None:
        attributes: Attributes = {
            PROJECTION: batch.projection,
            FIRST_POSITION: batch.first_position,
            LAST_POSITION: batch.last_position,
            MESSAGING: "claude_tiu",
            DESTINATION: "events",
            CONSUMER: batch.projection,
            OPERATION_TYPE: "process",
            MESSAGES: batch.events,
        }
        name, kind = f"process {batch.projection}", self._api.SpanKind.CONSUMER
        self._past(name, batch, attributes, kind=kind, links=[*self._links(batch)])

    def delivering(self, delivering: Delivering) -> Callable[[], None]:
        """The span goes on with the trace that the event comes from, and commands given meanwhile with its correlation;
        to a span that is current already it is linked."""
        row, current = delivering.row, self._contexts.get_current()
        origin = (row.correlation_id and self._came_from(row.correlation_id)) or current
        around = self._api.get_current_span(current).get_span_context()
        links = [self._api.Link(around)] if origin is not current and around.is_valid else []
        attributes: Attributes = {
            SUBSCRIPTION: delivering.subscription,
            TOPIC: row.topic,
            POSITION: row.position,
            STREAM: str(row.stream_id),
            MESSAGING: "claude_tiu",
            DESTINATION: "events",
            CONSUMER: delivering.subscription,
            OPERATION_TYPE: "process",
            MESSAGE: str(event_id(row.stream_id, row.version)),
        }
        name, kind = f"deliver {delivering.subscription}", self._api.SpanKind.CONSUMER
        span = self._tracer.start_span(name, origin, kind, attributes, links)
        inner = self._api.set_span_in_context(
            span, self._contexts.set_value(self._carried, row.correlation_id, current)
        )
        self._contexts.attach(inner)

        def end() -> None:
            if self._contexts.get_current() is inner:  # the next may be asked for in another context than this one was
                self._contexts.attach(current)
            span.set_attribute(DONE, delivering.done)
            span.end()

        return end

    def rebuilt(self, rebuilding: Rebuilding) -> None:
        attributes: Attributes = {PROJECTION: rebuilding.projection}
        if (report := rebuilding.report) is not None:
            attributes |= {EVENTS: report.events, SWAPPED: report.swapped}
        self._past(f"rebuild {rebuilding.projection}", rebuilding, attributes)

    def _past(
        self,
        name: str,
        told: Batch | Rebuilding,
        attributes: Attributes,
        *,
        kind: Any = None,
        links: Sequence[Link] = (),
    ) -> None:
        """Make a span of what has ended."""
        kind = self._api.SpanKind.INTERNAL if kind is None else kind
        span = self._tracer.start_span(name, None, kind, attributes, links, told.began)
        self._spans.fail(span, error_type(told.error) if told.error else None)
        span.end(told.ended)

    def _links(self, batch: Batch) -> Iterator[Link]:
        """Yield links to the traces that the events of a batch come from."""
        if isinstance(batch.log, EventStore) and not isinstance(batch.error, StoreUnavailable):
            for correlation_id in batch.log.correlations(batch.first_position, batch.last_position, LINKS):
                found = self._api.get_current_span(self._came_from(correlation_id)).get_span_context()
                if found.is_valid:
                    yield self._api.Link(found)

    def _came_from(self, correlation_id: str) -> Context:
        """Return a context of the span that a correlation names; an empty one, where it names none."""
        return self._traceparent.extract({"traceparent": correlation_id}, self._contexts.Context())

    def flush(self) -> None:
        """Return when the spans of all that has been done are made."""
        self._behind.flush()

    def close(self) -> None:
        self._behind.flush()


def traceparent(context: SpanContext) -> str | None:
    """Return a span's W3C traceparent; None where it is none."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def register_tracing(
    tiu: Tiu | AsyncTiu, tracer_provider: TracerProvider | None = None, *, span_processor: SpanProcessor | None = None
) -> Tracing:
    """Make spans of what a connection does, with OpenTelemetry's global tracer provider if none is given.

    Those of commands are made a moment later: `flush()` of what is returned waits for them, and so does closing. One of
    the SDK's `span_processor`s is handed them as finished spans, which takes a tenth of the time: its `on_start` is not
    called for them then, and the sampler is not asked, but a command is sampled as the span around it. Commands without
    a correlation_id get the current span's `traceparent` for one.

    Raises MissingExtra without the extra `opentelemetry`, ValueError for a span_processor with a tracer provider that
    is not of the SDK.
    """
    sync = tiu.sync if isinstance(tiu, AsyncTiu) else tiu
    database = "sqlite" if sync.database.startswith("sqlite:") else "postgresql"
    try:
        tracing = Tracing(tracer_provider, database, span_processor)
    except ImportError:
        raise MissingExtra("spans need opentelemetry-api: pip install 'claude-tiu[opentelemetry]'") from None
    sync.observing.add(tracing)
    return tracing
