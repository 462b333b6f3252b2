"""What observing costs a whole command: looked for in vain, and with spans of an OpenTelemetry SDK that keeps them all.

The contestants take turns, each on a connection of its own, in one database. Who is held against what is not observed
has its turn right before or behind a turn of that, and what a must is about has the most of them; the order is drawn.
Shares are taken pair by pair: of the throughput, and of the computing, which a shared machine disturbs less.

A turn is short, a few dozen commands: a shared machine is stopped for some 20 ms now and then, which spares most of the
short turns, and none of the long ones. Between two contestants that are the same, 20 s of turns of 8 ms left a doubt of
0.5 percent, 20 s of turns of 400 ms one of 10. A turn ends when all that it put off is done: the spans are made and
exported in it, by the thread that waits for that. So tracing is charged more than where spans are gathered for longer:
fewer are made in a row, and none while a command waits for the database.
What is there before the turns is kept from the collector of garbage: it is there for all contestants together.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context, copy_context
from itertools import cycle, islice
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
BESIDE_OFF = (CORRELATED, SPANS, BY_SDK, COUNTED, *[TRACED] * 5)
"""Each of them has its turn beside one of what is not observed, in each turn of all."""
CONTESTANTS = (UNHOOKED, OFF, *dict.fromkeys(BESIDE_OFF))
LOOKS = 10_000
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
    """How many turns all have in a round, how many tasks there are, and with how many clients how many commands are a
    turn: these must be as many tasks for each contestant."""

    rounds: int
    turns: int
    tasks: int
    commands: Mapping[int, int]


SIZES = {
    "smoke": Size(1, 1, 256, {THREADS: THREADS}),
    "quick": Size(3, 20, 2048, {1: 32, THREADS: 4 * THREADS}),
    "full": Size(5, 40, 4096, {1: 32, THREADS: 4 * THREADS}),
}


def run(place: Place, size: Size) -> Report:
    report = Report("observing", size._asdict())
    for store, database in (("PostgreSQL", place.postgresql), ("SQLite", place.sqlite)):
        for threads in size.commands:
            for warm in (False, True):
                _measure(report, database, _called(store, threads, warm), size, threads, warm=warm)
    return report


def _called(store: str, threads: int, warm: bool) -> str:
    return f"{store}, {'1 client' if threads == 1 else f'{threads} threads'}{', states cached' if warm else ''}"


def _measure(report: Report, database: Database, case: str, size: Size, threads: int, *, warm: bool) -> None:
    with database() as url:
        tasks = our_tasks(url, size.tasks)
        rounds = [_round(url, tasks, size, threads, warm=warm) for _ in range(size.rounds)]
    for name in CONTESTANTS:
        rates = [1 / median([spent.wall for spent in found.of[name]]) for found in rounds]
        report.add({f"{case}: {name}": rates}, "commands/s")
    for name in CONTESTANTS:
        computing = [median([spent.cpu for spent in found.of[name]]) * 1e6 for found in rounds]
        report.add({f"{case}: {name}, computing": computing}, "µs/command")
    beside = [name for name in CONTESTANTS if name in BESIDE_OFF]
    throughputs = {f"{case}: {name}, × {OFF}": [1 - found.share(name) for found in rounds] for name in beside}
    report.add(throughputs, "of the throughput")
    more = {f"{case}: {name}, computing × {OFF}": [found.times(name) for found in rounds] for name in beside}
    report.add(more, "of a command's")
    off = Goal(f"{case}, not observed: share of a command's computing", 0.01, above=False)
    report.hold(off, [looks() / median([spent.cpu for spent in found.of[OFF]]) for found in rounds])
    on = Goal(f"{case}, traced: share of the throughput", 0.1, above=False)
    report.hold(on, [found.share(TRACED) for found in rounds])


class Spent(NamedTuple):
    """What a command took in a turn: of time, and of this process's computing, in seconds."""

    wall: float
    cpu: float


class Round(NamedTuple):
    """What was spent in each turn, and in each pair of turns of which the other was not observed."""

    of: dict[str, list[Spent]]
    pairs: dict[str, list[tuple[Spent, Spent]]]

    def share(self, name: str) -> float:
        """Return how much less is done than by what is not observed: the median of the pairs."""
        return median([1 - off.wall / spent.wall for spent, off in self.pairs[name]])

    def times(self, name: str) -> float:
        """Return how many times as much is computed: the median of the pairs."""
        return median([spent.cpu / off.cpu for spent, off in self.pairs[name]])


def _round(url: str, tasks: Sequence[UUID], size: Size, threads: int, *, warm: bool) -> Round:
    found = Round({name: [] for name in CONTESTANTS}, {name: [] for name in BESIDE_OFF})
    count = size.commands[threads]
    with ExitStack() as opened:
        connections = {name: opened.enter_context(contestant(name, url)) for name in CONTESTANTS}
        within = copy_context()  # in the span of a request
        own = {name: tasks[number * count :][:count] for number, name in enumerate(CONTESTANTS)}
        for name, (tiu, _) in connections.items():
            load_all(tiu, own[name])
        next_tasks = cycle(tasks)
        gc.collect()
        gc.freeze()
        opened.callback(gc.unfreeze)
        for turn in (turn for _ in range(size.turns) for turn in _turns()):
            spent = dict[str, Spent]()
            for name in turn:
                tiu, settle = connections[name]
                some = own[name] if warm else [*islice(next_tasks, count)]
                if not warm:
                    _forget(tiu)
                correlation = CORRELATION if name == CORRELATED else None
                commands = [claim_of(task_id, correlation) for task_id in some]
                computed = time.process_time()
                took = _execute(tiu, settle, commands, threads, within)
                computed = time.process_time() - computed
                spent[name] = Spent(took / count, computed / count)
                found.of[name].append(spent[name])
            if len(turn) > 1:
                (other,) = {*turn} - {OFF}
                found.pairs[other].append((spent[other], spent[OFF]))
    return found


def _forget(tiu: Tiu) -> None:
    """Let a connection know no state."""
    executor: Any = tiu._executor
    executor._cache.clear()


def _turns() -> list[list[str]]:
    """Return who has turns one after the other, and in which order."""
    turns = [random.sample((name, OFF), 2) for name in BESIDE_OFF] + [[UNHOOKED]]
    random.shuffle(turns)
    return turns


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
