"""What observing costs a whole command: looked for in vain, and with spans of an OpenTelemetry SDK that keeps them all.

The contestants take turns every few hundred commands, each on a connection and on tasks of its own, in one database,
and in an order that is drawn for each turn, so that none always comes behind the same other one. A turn is long beside
the time for which spans are gathered, and ends when all that it put off is done: they are made and exported. Shares are
taken turn by turn, of one moment: of the throughput, and of the computing, which a shared machine disturbs less.
What is there before the turns is kept from the collector of garbage: it is there for all contestants together.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context, copy_context
from statistics import median
from timeit import repeat
from typing import Any, NamedTuple, cast
from uuid import UUID

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from claude_tiu import Command, Tiu, connect, register_metrics, register_tracing
from claude_tiu.infrastructure.group_commit import GroupCommit
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.observing import Executed, Observing
from claude_tiu.infrastructure.span_names import APPEND_SECONDS, COMMAND, OUTCOME, POSITION, STREAM
from tests.benchmarks.commands import THREADS, claim_of, load_all, our_tasks
from tests.benchmarks.measuring import Goal, Place, Report, in_threads

UNHOOKED, OFF, TRACED, COUNTED = "no hooks", "not observed", "traced", "counted"
BY_SDK = "traced, spans made by the SDK"
"""Without a `span_processor`: the SDK begins and ends each command's span."""
CORRELATED = "with a correlation"
"""What a traced command stores beside: a part of what tracing costs."""
SPANS = "spans made by hand"
"""Not observed; then as many spans are made in a row, each as its SDK makes it: the bound of what has it make them."""
CONTESTANTS = (UNHOOKED, OFF, CORRELATED, SPANS, BY_SDK, TRACED, COUNTED)
LOOKS = 10_000
CACHED_COMMANDS = 4
"""How many commands each task gets in a turn where its state is cached: these take less time."""
CORRELATION = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ATTRIBUTES: dict[str, str | int | float] = {
    COMMAND: "ClaimProgress",
    OUTCOME: "accepted",
    APPEND_SECONDS: 1e-4,
    STREAM: str(UUID(int=1)),
    POSITION: 9,
}
Settle = Callable[[int], object]
Database = Callable[[], AbstractContextManager[str]]


class Size(NamedTuple):
    """How many turns each contestant has in a round, and how many commands in a turn."""

    rounds: int
    turns: int
    commands: int
    clients: tuple[int, ...] = (1, THREADS)


SIZES = {"smoke": Size(1, 1, 8, (THREADS,)), "quick": Size(3, 3, 384), "full": Size(5, 8, 512)}


def run(place: Place, size: Size) -> Report:
    report = Report("observing", size._asdict())
    for store, database in (("PostgreSQL", place.postgresql), ("SQLite", place.sqlite)):
        for threads in size.clients:
            for warm in (False, True):
                _measure(report, database, _called(store, threads, warm), size, threads, warm=warm)
    return report


def _called(store: str, threads: int, warm: bool) -> str:
    return f"{store}, {'1 client' if threads == 1 else f'{threads} threads'}{', states cached' if warm else ''}"


def _measure(report: Report, database: Database, case: str, size: Size, threads: int, *, warm: bool) -> None:
    with database() as url:
        tasks = our_tasks(url, size.turns * size.commands * len(CONTESTANTS))
        rounds = [_round(url, tasks, size, threads, warm=warm) for _ in range(size.rounds)]
    for name in CONTESTANTS:
        report.add({f"{case}: {name}": [1 / median(found[name].wall) for found in rounds]}, "commands/s")
    for name in CONTESTANTS:
        computing = [median(found[name].cpu) * 1e6 for found in rounds]
        report.add({f"{case}: {name}, computing": computing}, "µs/command")
    beside = {
        f"{case}: {name}, × {of}": [1 - _share(found[name], found[of]) for found in rounds]
        for name, of in ((CORRELATED, OFF), (SPANS, OFF), (BY_SDK, OFF), (TRACED, CORRELATED), (COUNTED, OFF))
    }
    report.add(beside, "of the throughput")
    more = {
        f"{case}: {name}, computing × {of}": [_times(found[name], found[of]) for found in rounds]
        for name, of in ((CORRELATED, OFF), (BY_SDK, OFF), (TRACED, OFF), (COUNTED, OFF))
    }
    report.add(more, "of a command's")
    off = Goal(f"{case}, not observed: share of a command's computing", 0.01, above=False)
    report.hold(off, [looks() / median(found[OFF].cpu) for found in rounds])
    on = Goal(f"{case}, traced: share of the throughput", 0.1, above=False)
    report.hold(on, [_share(found[TRACED], found[OFF]) for found in rounds])


class Spent(NamedTuple):
    """What a command took, in each turn: of time, and of this process's computing, in seconds."""

    wall: list[float]
    cpu: list[float]


def _share(spent: Spent, other: Spent) -> float:
    """Return how much less is done where so much is spent: the median of the turns, each against the other's."""
    return median([1 - theirs / ours for ours, theirs in zip(spent.wall, other.wall, strict=True)])


def _times(spent: Spent, other: Spent) -> float:
    """Return how many times as much is computed: the median of the turns, each against the other's."""
    return median([ours / theirs for ours, theirs in zip(spent.cpu, other.cpu, strict=True)])


def _round(url: str, tasks: Sequence[UUID], size: Size, threads: int, *, warm: bool) -> Mapping[str, Spent]:
    found = {name: Spent([], []) for name in CONTESTANTS}
    with ExitStack() as opened:
        connections = {name: opened.enter_context(contestant(name, url)) for name in CONTESTANTS}
        within = copy_context()  # in the span of a request
        own = {name: tasks[number :: len(CONTESTANTS)] for number, name in enumerate(CONTESTANTS)}
        if warm:
            for name, (tiu, _) in connections.items():
                load_all(tiu, own[name])
        gc.collect()
        gc.freeze()
        opened.callback(gc.unfreeze)
        for turn in range(size.turns):
            for name in random.sample(CONTESTANTS, len(CONTESTANTS)):
                some = own[name][turn * size.commands : (turn + 1) * size.commands]
                correlation = CORRELATION if name == CORRELATED else None
                if warm:
                    some = [*some] * CACHED_COMMANDS
                commands = [claim_of(task_id, correlation) for task_id in some]
                computed = time.process_time()
                found[name].wall.append(_execute(*connections[name], commands, threads, within) / len(some))
                found[name].cpu.append((time.process_time() - computed) / len(some))
    return found


def _execute(tiu: Tiu, settle: Settle, commands: Sequence[Command], threads: int, within: Context) -> float:
    """Execute commands, and return how long it took until all was done."""

    def execute(number: int) -> int:
        for command in commands[number::threads]:
            tiu.execute(command)
        return len(commands[number::threads])

    took = len(commands) / in_threads(threads, lambda number: within.copy().run(execute, number))
    began = time.perf_counter()
    settle(len(commands))
    return took + time.perf_counter() - began


@contextmanager
def contestant(name: str, url: str) -> Iterator[tuple[Tiu, Settle]]:
    """Give a connection that is observed as its name says, and what does the rest of so many commands."""
    migrate_up(url)
    with connect(url, project=False) as tiu:
        match name:
            case "no hooks":
                _unhook(tiu)
            case "traced" | "traced, spans made by the SDK":
                with _provider() as (provider, processor):
                    given = processor if name == TRACED else None
                    tracing = register_tracing(tiu, provider, span_processor=given)

                    def settle(count: int) -> None:
                        tracing.flush()
                        provider.force_flush()

                    yield tiu, settle
                return
            case "spans made by hand":
                with _provider() as (provider, _):
                    yield tiu, lambda count: _make_spans(provider, count)
                return
            case "counted":
                register_metrics(tiu, CollectorRegistry())
        yield tiu, lambda _: None


@contextmanager
def _provider() -> Iterator[tuple[TracerProvider, BatchSpanProcessor]]:
    """Give a provider that samples everything, and its processor, in the span of a request."""
    provider, processor = TracerProvider(shutdown_on_exit=False), BatchSpanProcessor(Nowhere())
    provider.add_span_processor(processor)
    with provider.get_tracer("service").start_as_current_span("request"):
        yield provider, processor
    provider.shutdown()


def _make_spans(provider: TracerProvider, count: int) -> None:
    tracer, around = provider.get_tracer("service"), get_current()
    for began in range(count):
        tracer.start_span("execute ClaimProgress", around, attributes=ATTRIBUTES, start_time=began).end(began + 1)
    provider.force_flush()


def _unhook(tiu: Tiu) -> None:
    """Let nothing look for an observer."""
    executor: Any = tiu._executor
    group: Any = tiu.events._group  # type: ignore[attr-defined] # both stores have one
    executor.execute = lambda commands: executor._execute(commands, None).answers
    group.append = lambda units, store, append=None: group._append(units, store)[0]


class Nowhere(SpanExporter):
    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def looks() -> float:
    """Return what it takes to look for an observer where a command is executed, and where its events are appended."""
    done = Executed([], False, 1)
    observing, group = Observing(), GroupCommit(slots=1, timeout=1)
    untyped, units = cast(Any, group), cast(Any, (done,))
    untyped._append = lambda units, store: ([], 1, True)

    def execute(commands: object, execution: object) -> Executed:
        return done

    def took(work: Callable[[], object]) -> float:
        return min(repeat(work, timer=time.thread_time, number=LOOKS, repeat=7)) / LOOKS

    looking = took(lambda: observing.execute((), execute)) + took(lambda: group.append(units, untyped))
    return looking - took(lambda: execute((), None).answers) - took(lambda: untyped._append(units, untyped)[0])
