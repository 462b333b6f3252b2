"""Spans for OpenTelemetry, of one connection: `pip install 'claude-tiu[opentelemetry]'`.

docs/reference/observability.md lists them. No span has a payload, or anything that is a person's own; of an error it
has the code, or the class.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import Refused
from ..domain.messages import event_id
from .async_tiu import AsyncTiu
from .behind import Behind
from .errors import MissingExtra, StoreUnavailable
from .event_store import EventStore
from .finished_spans import SCOPE, FinishedSpans
from .logs import error_type
from .observing import Append, Batch, Delivering, Execution, Observer, Rebuilding, name_of
from .tiu import Tiu

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link, Span, SpanContext, TracerProvider

LINKS = 32
"""To how many traces a batch is linked at most: those of its first events."""
SEVERAL = "commands"
"""What stands for the types of commands in the name of their span, where there are several."""

COMMAND = "tiu.command"
COMMANDS = "tiu.commands"
OUTCOME = "tiu.outcome"
REFUSAL = "tiu.refusal"
ATTEMPTS = "tiu.attempts"
STREAM = "tiu.stream"
POSITION = "tiu.position"
APPEND_SECONDS = "tiu.append.seconds"
APPEND_UNITS = "tiu.append.units"
PROJECTION = "tiu.projection"
FIRST_POSITION = "tiu.first_position"
LAST_POSITION = "tiu.last_position"
EVENTS = "tiu.events"
SWAPPED = "tiu.swapped"
SUBSCRIPTION = "tiu.subscription"
TOPIC = "tiu.topic"
DONE = "tiu.done"
ERROR = "error.type"
DATABASE = "db.system.name"
OPERATION = "db.operation.name"
COLLECTION = "db.collection.name"
BATCH_SIZE = "db.operation.batch.size"
MESSAGING = "messaging.system"
DESTINATION = "messaging.destination.name"
CONSUMER = "messaging.consumer.group.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGES = "messaging.batch.message_count"
MESSAGE = "messaging.message.id"

ATTRIBUTES = {
    COMMAND: "the command's type; of several commands a list of their types",
    COMMANDS: "how many commands were executed as one unit, where it is not one",
    OUTCOME: "`accepted`, `repeated` (stored before), `refused`, `contended` or `failed`",
    REFUSAL: "the code of the error by which it was refused",
    ATTEMPTS: "how often it was decided, where more than once",
    STREAM: "the id that the (last) command was answered; the delivered event's stream",
    POSITION: "the position that the (last) command was answered; the delivered event's",
    APPEND_SECONDS: "how long its append took, with what it waited for others",
    APPEND_UNITS: "how many units were stored in the same transaction, where those of others were too",
    PROJECTION: "whose batch, or tables",
    FIRST_POSITION: "where the batch begins",
    LAST_POSITION: "where it ends",
    EVENTS: "of how many events the tables were made",
    SWAPPED: "whether they were put in place",
    SUBSCRIPTION: "the subscription's name",
    TOPIC: "the delivered event's topic",
    DONE: "whether the next delivery was asked for; else this one comes again",
    ERROR: "the error's code, else its class",
    DATABASE: "`postgresql` or `sqlite`",
    OPERATION: "`append`",
    COLLECTION: "`events`",
    BATCH_SIZE: "how many units were stored in one transaction",
    MESSAGING: "`claude_tiu`",
    DESTINATION: "`events`",
    CONSUMER: "the projection, or the subscription",
    OPERATION_TYPE: "`process`",
    MESSAGES: "how many events the batch has",
    MESSAGE: "the delivered event's id",
}


class Kind(NamedTuple):
    """A kind of span: what it is of, and which attributes it may have."""

    says: str
    attributes: tuple[str, ...]


_OF_COMMANDS = (COMMAND, COMMANDS, OUTCOME, REFUSAL, ATTEMPTS, STREAM, POSITION, APPEND_SECONDS, APPEND_UNITS, ERROR)
_OF_BATCHES = (PROJECTION, FIRST_POSITION, LAST_POSITION, MESSAGING, DESTINATION, CONSUMER, OPERATION_TYPE, MESSAGES)
SPANS = {
    "execute COMMAND": Kind(
        f"A command, or several as one unit (`execute {SEVERAL}`), in the span that is current where it is executed.",
        _OF_COMMANDS,
    ),
    "append events": Kind(
        "A transaction that stores what several callers brought, in the span of the command whose thread does it; and "
        "one that stores what belongs to no command.",
        (DATABASE, OPERATION, COLLECTION, BATCH_SIZE, ERROR),
    ),
    "process PROJECTION": Kind(
        f"A batch of a projector, linked to the first {LINKS} traces that its events come from.",
        (*_OF_BATCHES, ERROR),
    ),
    "deliver SUBSCRIPTION": Kind(
        "An event, from its being handed out until the next is asked for: in the trace that it comes from, if it comes "
        "from one. Commands that are executed meanwhile get its correlation.",
        (SUBSCRIPTION, TOPIC, POSITION, STREAM, MESSAGING, DESTINATION, CONSUMER, OPERATION_TYPE, MESSAGE, DONE),
    ),
    "rebuild PROJECTION": Kind("A rebuild.", (PROJECTION, EVENTS, SWAPPED, ERROR)),
}
"""By name; its last word, in capitals, stands for others."""

Attributes = dict[str, str | int | float | bool | Sequence[str]]


class _Appended(NamedTuple):
    """How an append went."""

    nanoseconds: int
    group: int
    shared: Append | None
    """The append itself, where its caller's thread stored what others brought."""


class _Within(NamedTuple):
    """What commands are executed in."""

    context: Context
    span: SpanContext
    correlation_id: str | None
    """None where no span is around them."""


class _Gathering(threading.local):
    """What the commands that this thread executes appended; None where it executes none."""

    appends: list[_Appended] | None = None


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
        self._tracer = trace.get_tracer(SCOPE, version("claude-tiu"), provider)
        self._finished = FinishedSpans(processor, provider) if processor else None
        self._traceparent = TraceContextTextMapPropagator()
        self._database = database
        self._gathering = _Gathering()
        self._behind = Behind()
        self._carried = context.create_key("claude_tiu.correlation")
        self._last = self._within(context.get_current())
        """What the last commands were executed in: a request has several."""

    def executing(self, execution: Execution) -> Callable[[], None]:
        current = self._contexts.get_current()
        last = self._last
        if current is not last.context:
            self._last = last = self._within(current)
        execution.correlation_id = last.correlation_id
        if execution.correlation_id is None:
            return self._executing_by_itself(execution, current)
        appends = self._gathering.appends = []
        began = time.time_ns()

        def end() -> None:
            self._gathering.appends = None
            self._behind.do(partial(self._make, last, execution, appends, began, time.time_ns()))

        return end

    def _make(
        self, within: _Within, execution: Execution, appends: Sequence[_Appended], began: int, ended: int
    ) -> None:
        types = _types(execution)
        attributes, name = _of_execution(execution, types, appends), _name(types)
        if self._finished is None:
            span = self._tracer.start_span(name, within.context, attributes=attributes, start_time=began)
            self._end(span, within.context, execution, appends, ended)
            return
        if (error := _failure(execution)) is not None:
            attributes[ERROR] = error
        own = self._finished.hand_over(name, within.span, attributes, began=began, ended=ended, error=error)
        if own is not None:
            self._shared_appends(appends, self._api.NonRecordingSpan(own), within.context)

    def _within(self, current: Context) -> _Within:
        outer = self._api.get_current_span(current).get_span_context()
        carried: Any = self._contexts.get_value(self._carried, current)
        return _Within(current, outer, (carried or traceparent(outer)) if outer.is_valid else None)

    def _executing_by_itself(self, execution: Execution, current: Context) -> Callable[[], None]:
        """In no span: that of the commands is made at once, since their correlation is its own."""
        types = _types(execution)
        span = self._tracer.start_span(_name(types), current)
        carried: Any = self._contexts.get_value(self._carried, current)
        execution.correlation_id = carried or traceparent(span.get_span_context())
        appends = self._gathering.appends = []
        token = self._contexts.attach(self._api.set_span_in_context(span, current))

        def end() -> None:
            self._contexts.detach(token)
            self._gathering.appends = None
            if span.is_recording():
                span.set_attributes(_of_execution(execution, types, appends))
            self._end(span, current, execution, appends, time.time_ns())

        return end

    def _end(self, span: Span, around: Context, execution: Execution, appends: Sequence[_Appended], ended: int) -> None:
        self._fail(span, _failure(execution))
        span.end(ended)
        self._shared_appends(appends, span, around)

    def _shared_appends(self, appends: Sequence[_Appended], span: Span, around: Context) -> None:
        """Make spans of the appends by a command's thread of what others brought, in the command's span."""
        for append in appends:
            if append.shared is not None:
                self._append(append.shared, self._api.set_span_in_context(span, around))

    def appended(self, append: Append) -> None:
        """A command's own append is told by the command's span. Who stored what others brought has a span of that; and
        so has what belongs to no command."""
        appends = self._gathering.appends
        if appends is None:
            self._append(append, self._contexts.get_current())
        else:
            shared = append.led and append.group > len(append.units)
            appends.append(_Appended(append.ended - append.began, append.group, append if shared else None))

    def _append(self, append: Append, context: Context) -> None:
        attributes: Attributes = {
            DATABASE: self._database,
            OPERATION: "append",
            COLLECTION: "events",
            BATCH_SIZE: append.group,
        }
        self._past("append events", append, attributes, kind=self._api.SpanKind.CLIENT, context=context)

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
        told: Append | Batch | Rebuilding,
        attributes: Attributes,
        *,
        kind: Any = None,
        links: Sequence[Link] = (),
        context: Context | None = None,
    ) -> None:
        """Make a span of what has ended."""
        kind = self._api.SpanKind.INTERNAL if kind is None else kind
        span = self._tracer.start_span(name, context, kind, attributes, links, told.began)
        self._fail(span, error_type(told.error) if told.error else None)
        span.end(told.ended)

    def _fail(self, span: Span, error: str | None) -> None:
        if error is not None:
            span.set_attribute(ERROR, error)
            span.set_status(self._api.StatusCode.ERROR, error)

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


def _types(execution: Execution) -> list[str]:
    types = execution.types
    return [name_of(types[0])] if len(types) == 1 else list(dict.fromkeys(map(name_of, types)))


def _name(types: Sequence[str]) -> str:
    return f"execute {types[0] if len(types) == 1 else SEVERAL}"


def _failure(execution: Execution) -> str | None:
    """Return what commands failed with; a refusal is no failure."""
    error = execution.error
    return None if error is None or isinstance(error, Refused) else error_type(error)


def _of_execution(execution: Execution, types: list[str], appends: Sequence[_Appended]) -> Attributes:
    """Return the attributes; none that says what is so as a rule, as each takes more than a microsecond."""
    found: Attributes = {COMMAND: types[0] if len(types) == 1 else types, OUTCOME: execution.became}
    if appends:
        found[APPEND_SECONDS] = appends[-1].nanoseconds / 1e9
        if appends[-1].group > 1:
            found[APPEND_UNITS] = appends[-1].group
    if len(execution.types) != 1:
        found[COMMANDS] = len(execution.types)
    if isinstance(execution.error, Refused):
        found[REFUSAL] = execution.error.code
    if (executed := execution.executed) is not None and executed.answers:
        answer = executed.answers[-1]
        found[STREAM], found[POSITION] = str(answer.id), answer.position
        if executed.attempts > 1:
            found[ATTEMPTS] = executed.attempts
    return found


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
