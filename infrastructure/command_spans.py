"""Spans of commands, made when they have ended of the little that is kept of each until then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import Refused
from ..domain.registry import COMMANDS as KNOWN
from .finished_spans import FinishedSpans
from .logs import error_type
from .observing import Execution, name_of
from .span_names import (
    APPEND_SECONDS,
    APPEND_UNITS,
    ATTEMPTS,
    BATCH_SIZE,
    COLLECTION,
    COMMAND,
    COMMANDS,
    DATABASE,
    ERROR,
    OPERATION,
    OUTCOME,
    POSITION,
    REFUSAL,
    SEVERAL,
    STREAM,
    Attributes,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer


class Within(NamedTuple):
    """What commands are executed in."""

    context: Context
    span: SpanContext
    correlation_id: str | None
    """None where no span is around them."""
    wanted: bool
    """Whether a span of theirs may be sampled."""


class Unusual(NamedTuple):
    """What is otherwise with an execution than as a rule: one command, stored at once, together with others by one of
    them."""

    name: str
    attributes: Attributes
    error: str | None
    """What it failed with; a refusal is no failure."""
    led: Sequence[tuple[int, int, int]]
    """When appends of what others brought too began and ended, and how many units were in each."""


Told = tuple[Within, type[Any] | None, int | None, int | None, int | None, int, int, int, Unusual | None]
"""What a span of commands tells: what they are executed in; the command's type, the number that the id is which it was
answered, and the position; how many nanoseconds the last append took, if there was one, and how many units were in its
transaction; when they began and ended, in nanoseconds of Unix time; and what is unusual.

One tuple, of numbers as far as it goes, and made by nobody's call: what waits has to be looked at by the collector of
garbage, the commands would keep alive all that they hold, and amid commands a call takes several times what it takes in
a row.
"""


def told_of(execution: Execution, within: Within) -> Told:
    """Return what the span of an execution that has ended tells."""
    commands, executed, append = execution.commands, execution.executed, execution.append
    stream = position = duration = unusual = None
    group, as_a_rule = 0, False
    if executed is not None:
        answers, repeated, attempts = executed
        if answers:
            id_, _, position = answers[-1]
            stream = id_.int
        as_a_rule = attempts == 1 and not repeated and len(commands) == 1
    if append is not None:
        duration, group = append.ended - append.began, append.group
    if not as_a_rule or (group > 1 and execution.led):
        unusual = _unusual(execution)
    kind = type(commands[0]) if commands else None
    return within, kind, stream, position, duration, group, execution.began, execution.ended, unusual


def _unusual(execution: Execution) -> Unusual:
    """None of the attributes says what is so as a rule, as the SDK takes more than a microsecond for each."""
    types, error = types_of(execution), execution.error
    found: Attributes = {COMMAND: types[0] if len(types) == 1 else types, OUTCOME: execution.became}
    if len(execution.commands) != 1:
        found[COMMANDS] = len(execution.commands)
    if isinstance(error, Refused):
        found[REFUSAL] = error.code
        error = None
    if error is not None:
        found[ERROR] = error_type(error)
    if execution.executed is not None and execution.executed.attempts > 1:
        found[ATTEMPTS] = execution.executed.attempts
    led = [(append.began, append.ended, append.group) for append in execution.led]
    return Unusual(name_of_span(types), found, error_type(error) if error else None, led)


def types_of(execution: Execution) -> list[str]:
    return list(dict.fromkeys([name_of(type(command)) for command in execution.commands]))


def name_of_span(types: Sequence[str]) -> str:
    return f"execute {types[0] if len(types) == 1 else SEVERAL}"


_NAMES: dict[type[Any] | None, tuple[str, str]] = {kind: (f"execute {name}", name) for name, kind in KNOWN.items()}
_UNKNOWN = "execute unknown", "unknown"


def attributes_of(told: Told) -> Attributes:
    _, kind, stream, position, append, group, _, _, unusual = told
    found: Attributes = {COMMAND: _NAMES.get(kind, _UNKNOWN)[1], OUTCOME: "accepted"}
    if append is not None:
        found[APPEND_SECONDS] = append / 1e9
        if group > 1:
            found[APPEND_UNITS] = group
    if stream is not None and position is not None:
        found[STREAM], found[POSITION] = _uuid_text(stream), position
    return found if unusual is None else found | unusual.attributes


def _uuid_text(number: int) -> str:
    """Return what str() makes of a UUID, without making one."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class CommandSpans:
    """Makes spans of commands, and of appends: by the SDK, or handed to its processor as `finished` ones."""

    def __init__(self, tracer: Tracer, finished: FinishedSpans | None, database: str) -> None:
        from opentelemetry import trace

        self._tracer, self._finished, self._database = tracer, finished, database
        self._api = trace

    def make(self, told: Told) -> None:
        """Make a span of what has ended."""
        within, kind, _, _, _, _, began, ended, unusual = told
        name = _NAMES.get(kind, _UNKNOWN)[0] if unusual is None else unusual.name
        attributes = attributes_of(told)
        if self._finished is None:
            span = self._tracer.start_span(name, within.context, attributes=attributes, start_time=began)
            self.end(span, told)
        elif unusual is None:
            self._finished.hand_over(name, within.span, attributes, began, ended)
        else:
            own = self._finished.hand_over(name, within.span, attributes, began, ended, unusual.error)
            for first, last, group in unusual.led:
                of_append, kind_ = self._of_append(group), self._api.SpanKind.CLIENT
                self._finished.hand_over("append events", own, of_append, first, last, kind=kind_)

    def end(self, span: Span, told: Told) -> None:
        """End a span that was begun with the commands' attributes, and make those of the appends in it."""
        within, ended, unusual = told[0], told[-2], told[-1]
        if unusual is not None:
            self.fail(span, unusual.error)
        span.end(ended)
        if unusual is not None and unusual.led:
            inner = self._api.set_span_in_context(span, within.context)
            for append in unusual.led:
                self.append(inner, *append)

    def append(self, context: Context, began: int, ended: int, group: int, error: str | None = None) -> None:
        """Make a span of an append by itself."""
        kind, attributes = self._api.SpanKind.CLIENT, self._of_append(group)
        span = self._tracer.start_span("append events", context, kind, attributes, (), began)
        self.fail(span, error)
        span.end(ended)

    def _of_append(self, group: int) -> Attributes:
        return {DATABASE: self._database, OPERATION: "append", COLLECTION: "events", BATCH_SIZE: group}

    def fail(self, span: Span, error: str | None) -> None:
        if error is not None:
            span.set_attribute(ERROR, error)
            span.set_status(self._api.StatusCode.ERROR, error)
