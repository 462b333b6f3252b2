"""What a connection does, told to those who observe it: tracing.py and metrics.py.

Where nobody does, each place costs a look at an attribute. What an observer raises is logged, and harms nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..domain.errors import Refused
from ..domain.messages import Command
from ..domain.registry import COMMANDS
from ..projections.projection import Projection
from .errors import Contended, ProjectionFailed, StoreUnavailable
from .logs import fields

if TYPE_CHECKING:  # they are told of, and tell
    from .decision import Answer
    from .event_store import EventRow, Log, LogEvent, Outcome, Unit
    from .rebuild import RebuildReport

Became = Literal["accepted", "repeated", "refused", "contended", "failed"]
"""What became of commands: `repeated` ones were stored before, and `failed` are those that no rule refused."""

log = logging.getLogger(__name__)


class Executed(NamedTuple):
    """What commands that are stored were answered."""

    answers: list[Answer]
    repeated: bool
    attempts: int
    """How often they were decided."""


class Execution:
    """Commands that are executed as one unit; at its end with what became of them.

    Who would look at it later keeps the commands alive until then.
    """

    ended: int = 0
    """As when it `began`, in nanoseconds of Unix time."""
    correlation_id: str | None = None
    """What those of them get that have none: an observer may set it where the execution begins."""
    append: Append | None = None
    """The last append of what was decided, perhaps with that of others."""
    tells: tuple[Append, ...] = ()
    """The appends that it tells of: each is told once, however many executions it was for."""
    executed: Executed | None = None
    error: BaseException | None = None

    def __init__(self, commands: Sequence[Command], began: int) -> None:
        self.commands = commands
        self.began = began

    def note(self, append: Append | None, *, tells: bool) -> None:
        """Take an append of what was decided in, if there was one; `tells` where no other execution tells of it."""
        if append is not None and append.ended:
            self.append = append
            if tells:
                self.tells += (append,)

    @property
    def led(self) -> list[Append]:
        """The appends in which this thread stored what others brought."""
        return [append for append in self.tells if append.for_others]

    @property
    def became(self) -> Became:
        match self.error:
            case None:
                return "repeated" if self.executed and self.executed.repeated else "accepted"
            case Refused():
                return "refused"
            case Contended():
                return "contended"
        return "failed"


def name_of(command: type[Command]) -> str:
    """Return the name of a command's type: one of those that there are, whatever somebody would have executed."""
    name = command.__name__
    return name if COMMANDS.get(name) is command else "unknown"


@dataclass(slots=True)
class Append:
    """What one thread appends, of its own or for several callers; when it has `ended`, with what became of it."""

    units: Sequence[Unit]
    callers: int = 0
    """Of how many executions these units are; 0 where they belong to none."""
    began: int = 0
    ended: int = 0
    """In nanoseconds of Unix time. What a caller waited for others is in it."""
    outcomes: Sequence[Outcome] = ()
    """Empty where it failed."""
    group: int = 1
    """How many units, with those of other callers, were stored in the same transaction."""
    led: bool = False
    """It is this thread that stored them."""
    error: BaseException | None = None

    @property
    def for_others(self) -> bool:
        """Whether this thread stored what others brought."""
        return self.led and (self.callers > 1 or self.group > len(self.units))


@dataclass(slots=True)
class Batch:
    """Events that are projected in one transaction, or could not be."""

    projection: str
    log: Log
    first_position: int
    last_position: int
    events: int
    began: int
    ended: int = 0
    """In nanoseconds of Unix time."""
    error: BaseException | None = None


def begun(projection: Projection, log: Log, events: Sequence[LogEvent]) -> Batch:
    """Return a batch that begins to be projected now."""
    return Batch(projection.name, log, events[0].position, events[-1].position, len(events), time.time_ns())


@dataclass(slots=True)
class Rebuilding:
    """A rebuild, when it has ended."""

    projection: str
    began: int
    ended: int = 0
    """In nanoseconds of Unix time."""
    report: RebuildReport | None = None
    """None where it did not come to its end."""
    error: BaseException | None = None


@dataclass(slots=True)
class Delivering:
    """An event that a subscription hands out, until the next is asked for."""

    subscription: str
    row: EventRow
    done: bool = False
    """At its end: the next was asked for; else the iteration ended here, and it is delivered again."""


class Observer:
    """What may be observed, each in the thread that does it. This one ignores everything."""

    def executing(self, execution: Execution) -> object:
        """Commands begin to be executed; what is returned is given back when they were, or were not."""
        return None

    def executed(self, execution: Execution, begun: Any) -> None:
        """They were executed, or were not; `begun` is None where `executing` raised."""

    def appended(self, append: Append) -> None:
        """Units that belong to no execution were appended, or could not be: an execution `tells` of its own."""

    def projected(self, batch: Batch) -> None:
        """A batch was projected, or could not be."""

    def rebuilt(self, rebuilding: Rebuilding) -> None:
        """A rebuild has ended."""

    def delivering(self, delivering: Delivering) -> Callable[[], None]:
        """An event is handed out, in the context of who asked for it; what is returned is called when that is over."""
        return _nothing

    def close(self) -> None:
        """The connection is closed."""


def _nothing() -> None:
    pass


class _Several(Observer):
    """Several observers of executions as one; a loop around a single one would cost a command three microseconds."""

    def __init__(self, observers: Sequence[Observer], fail: Callable[[Observer, Exception], None]) -> None:
        self._observers, self._fail = observers, fail

    def executing(self, execution: Execution) -> list[object]:
        begun = list[object]()
        for observer in self._observers:
            try:
                begun.append(observer.executing(execution))
            except Exception as error:  # noqa: BLE001 - what is observed goes on
                begun.append(None)
                self._fail(observer, error)
        return begun

    def executed(self, execution: Execution, begun: list[object]) -> None:
        for observer in self._observers[::-1]:
            try:
                observer.executed(execution, begun.pop())
            except Exception as error:  # noqa: BLE001 - what is observed goes on
                self._fail(observer, error)


class Observing:
    """Who observes a connection: shared by all that works for it."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()
        self._one: Observer | None = None
        """The only one, or all of them as one, where there are any."""
        self._failed: frozenset[int] = frozenset()

    def add(self, observer: Observer) -> None:
        """Let an observer know of what begins from now on. What it raises is logged, the first time, and stops
        nothing."""
        self.observers += (observer,)
        self._one = observer if len(self.observers) == 1 else _Several(self.observers, self._fail)

    def close(self) -> None:
        """Tell that the connection is closed."""
        for observer in self.observers:
            self._tell(observer, observer.close)

    def execute(
        self, commands: Sequence[Command], execute: Callable[[Sequence[Command], Execution | None], Executed]
    ) -> list[Answer]:
        """Return what `execute` answers, which is given the commands, and where anybody observes their execution: it
        has the correlation of those that have none, and is told what is appended."""
        observer = self._one
        if observer is None:
            return execute(commands, None).answers
        execution, begun = Execution(commands, time.time_ns()), None
        try:
            begun = observer.executing(execution)
        except Exception as error:  # noqa: BLE001 - what is observed goes on
            self._fail(observer, error)
        try:
            execution.executed = executed = execute(commands, execution)
        except BaseException as error:
            execution.error = error
            raise
        finally:
            execution.ended = time.time_ns()
            try:
                observer.executed(execution, begun)
            except Exception as error:  # noqa: BLE001 - what is observed goes on
                self._fail(observer, error)
        return executed.answers

    def appended(self, append: Append) -> None:
        """Tell of what was appended, or could not be."""
        for observer in self.observers:
            try:
                observer.appended(append)
            except Exception as error:  # noqa: BLE001 - what is observed goes on
                self._fail(observer, error)

    def _tell(self, observer: Observer, tell: Callable[[], object]) -> None:
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - what is observed goes on
            self._fail(observer, error)

    def _fail(self, observer: Observer, error: Exception) -> None:
        if id(observer) not in self._failed:
            self._failed |= {id(observer)}
            name = type(observer).__name__
            extra = fields("observer.failed", observer=name, error=error)
            log.error("%s failed, and may miss more: %r", name, error, extra=extra)

    @contextmanager
    def batch(self, projection: Projection, log: Log, events: Sequence[LogEvent]) -> Iterator[None]:
        """Tell of a batch that is projected meanwhile, or cannot be; not of one that another has moved on."""
        batch = begun(projection, log, events)
        try:
            yield
        except (ProjectionFailed, StoreUnavailable) as error:
            batch.error = error
            self.projected(batch)
            raise
        self.projected(batch)

    def projected(self, batch: Batch) -> None:
        """Tell of a batch that was written, or could not be."""
        batch.ended = time.time_ns()
        for observer in self.observers:
            self._tell(observer, partial(observer.projected, batch))

    @contextmanager
    def delivery(self, subscription: str, row: EventRow) -> Iterator[None]:
        """Tell of an event that is handed out meanwhile."""
        delivering, ends = Delivering(subscription, row), list[tuple[Observer, Callable[[], None]]]()
        for observer in self.observers:
            try:
                ends.append((observer, observer.delivering(delivering)))
            except Exception as error:  # noqa: BLE001 - what is observed goes on
                self._fail(observer, error)
        try:
            yield
            delivering.done = True
        finally:
            for observer, end in reversed(ends):
                self._tell(observer, end)

    @contextmanager
    def rebuild(self, projection: str) -> Iterator[Rebuilding]:
        """Tell of a rebuild when it has ended; its report is put into what is given."""
        rebuilding = Rebuilding(projection, time.time_ns())
        try:
            yield rebuilding
        except BaseException as error:
            rebuilding.error = error
            raise
        finally:
            rebuilding.ended = time.time_ns()
            for observer in self.observers:
                self._tell(observer, partial(observer.rebuilt, rebuilding))
