"""What observing costs a whole command: looked for in vain, and with spans of an OpenTelemetry SDK that keeps them all.

The contestants take turns every few commands, each on a connection and on tasks of its own, in one database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context, copy_context
from timeit import repeat
from typing import Any, NamedTuple, cast
from uuid import UUID

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from claude_tiu import Tiu, connect, register_metrics, register_tracing
from claude_tiu.infrastructure.group_commit import GroupCommit
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.observing import Executed, Observing
from tests.benchmarks.commands import THREADS, claim_of, load_all, our_tasks
from tests.benchmarks.measuring import Goal, Place, Report, in_threads

UNHOOKED, OFF, TRACED, COUNTED = "no hooks", "not observed", "traced", "counted"
CONTESTANTS = (UNHOOKED, OFF, TRACED, COUNTED)
LOOKS = 10_000
Database = Callable[[], AbstractContextManager[str]]


class Size(NamedTuple):
    """How many turns each contestant has in a round, and how many commands in a turn."""

    rounds: int
    turns: int
    commands: int
    clients: tuple[int, ...] = (1, THREADS)


SIZES = {"smoke": Size(1, 1, 8, (THREADS,)), "quick": Size(3, 8, 64), "full": Size(5, 16, 128)}


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
    found: dict[str, list[Spent]] = {name: [] for name in CONTESTANTS}
    for _ in range(size.rounds):
        with database() as url:
            for name, spent in _round(url, size, threads, warm=warm).items():
                found[name].append(spent)
    report.add({f"{case}: {name}": [one.rate for one in spent] for name, spent in found.items()}, "commands/s")
    computing = {f"{case}: {name}, computing": [one.cpu * 1e6 for one in spent] for name, spent in found.items()}
    report.add(computing, "µs/command")
    off = Goal(f"{case}, not observed: share of a command's computing", 0.01, above=False)
    report.hold(off, [looks() / one.cpu for one in found[OFF]])
    on = Goal(f"{case}, traced: share of the throughput", 0.1, above=False)
    report.hold(on, [1 - traced.rate / one.rate for traced, one in zip(found[TRACED], found[OFF], strict=True)])


class Spent(NamedTuple):
    """Commands a second, and the computing of one (of this process, in seconds)."""

    rate: float
    cpu: float


def _round(url: str, size: Size, threads: int, *, warm: bool) -> dict[str, Spent]:
    mine = size.turns * size.commands
    tasks = our_tasks(url, mine * len(CONTESTANTS))
    wall, cpu = dict.fromkeys(CONTESTANTS, 0.0), dict.fromkeys(CONTESTANTS, 0.0)
    with ExitStack() as opened:
        connections = {name: opened.enter_context(contestant(name, url)) for name in CONTESTANTS}
        within = copy_context()  # in the span of a request
        own = {name: tasks[number :: len(CONTESTANTS)] for number, name in enumerate(CONTESTANTS)}
        for name, tiu in connections.items():
            if warm:
                load_all(tiu, own[name])
        for turn in range(size.turns):
            for name in (*CONTESTANTS[turn % 4 :], *CONTESTANTS[: turn % 4]):
                some = own[name][turn * size.commands : (turn + 1) * size.commands]
                started = time.process_time()
                wall[name] += len(some) / _claim(connections[name], some, threads, within)
                cpu[name] += time.process_time() - started
    return {name: Spent(mine / wall[name], cpu[name] / mine) for name in CONTESTANTS}


def _claim(tiu: Tiu, tasks: Sequence[UUID], threads: int, within: Context) -> float:
    commands = [claim_of(task_id) for task_id in tasks]

    def execute(number: int) -> int:
        for command in commands[number::threads]:
            tiu.execute(command)
        return len(commands[number::threads])

    return in_threads(threads, lambda number: within.copy().run(execute, number))


@contextmanager
def contestant(name: str, url: str) -> Iterator[Tiu]:
    """Give a connection that is observed as its name says."""
    migrate_up(url)
    with connect(url, project=False) as tiu:
        match name:
            case "no hooks":
                _unhook(tiu)
            case "traced":
                provider = TracerProvider(shutdown_on_exit=False)
                provider.add_span_processor(BatchSpanProcessor(Nowhere()))
                register_tracing(tiu, provider)
                with provider.get_tracer("service").start_as_current_span("request"):
                    yield tiu
                provider.shutdown()
                return
            case "counted":
                register_metrics(tiu, CollectorRegistry())
        yield tiu


def _unhook(tiu: Tiu) -> None:
    """Let nothing look for an observer."""
    executor: Any = tiu._executor
    group: Any = tiu.events._group  # type: ignore[attr-defined] # both stores have one
    executor.execute = lambda commands: executor._execute(commands, None).answers
    group.append = lambda units, store, tell=None: group._append(units, store)[0]


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

    def execute(commands: object, correlation_id: str | None) -> Executed:
        return done

    def took(work: Callable[[], object]) -> float:
        return min(repeat(work, timer=time.thread_time, number=LOOKS, repeat=7)) / LOOKS

    looking = took(lambda: observing.execute((), execute)) + took(lambda: group.append(units, untyped))
    return looking - took(lambda: execute((), None).answers) - took(lambda: untyped._append(units, untyped)[0])
