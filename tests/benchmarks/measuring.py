"""How measurements are taken: in turn, apart, and together."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from claude_tiu.infrastructure.settings import sqlite_url
from tests.support.postgres_server import database_url, new_database

Result = TypeVar("Result")
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Place:
    """Where a run happens: a PostgreSQL server, a folder for SQLite files, and the binaries for another server.

    In a `hurry`, what would have a process of its own has none.
    """

    server: str
    folder: Path
    bindir: Path | None
    hurry: bool = False

    @contextmanager
    def postgresql(self) -> Iterator[str]:
        """Give the URL of a new, empty database."""
        with new_database(self.server, "bench") as name:
            yield database_url(self.server, name)

    @contextmanager
    def sqlite(self) -> Iterator[str]:
        """Give the URL of a SQLite file that is not there yet, in a folder of its own."""
        with TemporaryDirectory(dir=self.folder) as folder:
            yield sqlite_url(Path(folder) / "bench.db")

    def apart(self, work: Callable[..., Any], *arguments: Any) -> Apart:
        """Do work, a function of a module, in a new process."""
        return _measured(work, arguments) if self.hurry else apart(work, *arguments)


class Goal(NamedTuple):
    """What must show: `above` it is reached from the bound on, else up to the bound."""

    what: str
    must: float
    aim: float | None = None
    above: bool = True

    def met(self, measured: float) -> bool:
        return measured >= self.must if self.above else measured <= self.must


class Verdict(NamedTuple):
    """A goal and what was measured: the median of the rounds, with the lowest and the highest."""

    goal: Goal
    measured: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        return self.goal.met(self.measured)


class Figure(NamedTuple):
    """What one contestant reached, in each round."""

    rounds: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass
class Report:
    """What a benchmark found."""

    benchmark: str
    size: dict[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rounds: Mapping[str, Sequence[float]], unit: str) -> None:
        """Take the figures of contestants in."""
        self.figures |= {name: Figure(tuple(values), unit) for name, values in rounds.items()}

    def compare(self, goal: Goal, ours: str, others: str) -> None:
        """Hold the ratio of two contestants, taken round by round, against a goal."""
        pairs = zip(self.figures[ours].rounds, self.figures[others].rounds, strict=True)
        self.hold(goal, [one / other for one, other in pairs])

    def hold(self, goal: Goal, values: Sequence[float]) -> None:
        """Hold what was measured in each round against a goal."""
        self.verdicts.append(Verdict(goal, median(values), min(values), max(values)))


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure contestants round robin, so that each round's figures come from the same moments of the machine.

    The first of a round is another one each time.
    """
    names, found = list(contestants), {name: list[float]() for name in contestants}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            found[name].append(contestants[name]())
    return found


def rate(count: int, work: Callable[[], object]) -> float:
    """Return how many a second of `count` the work does."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def exhaust(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def in_threads(count: int, work: Callable[[int], int]) -> float:
    """Let threads work, each given its number and returning how many it did; return how many a second they all do."""
    done, failed = [0] * count, list[BaseException]()
    barrier = threading.Barrier(count + 1)

    def run(number: int) -> None:
        barrier.wait()
        try:
            done[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    if failed:
        raise failed[0]
    return sum(done) / took


class Apart(NamedTuple):
    """What work in a process of its own came to, and the most memory that the process ever held."""

    result: Any
    peak_mib: float


def apart(work: Callable[..., Any], *arguments: Any) -> Apart:
    """Do work, a function of a module, in a new process."""
    with SPAWN.Pool(1) as pool:
        try:
            return pool.apply(_measured, (work, arguments))
        finally:
            pool.close()
            pool.join()


def _measured(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Apart:
    return Apart(work(*arguments), peak_mib())


def peak_mib() -> float:
    """Return the most memory that this process ever held. (ru_maxrss would tell its parent's, where that was more.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


Ready = Callable[[], None]
"""To be called when what is measured begins: returns when everyone is there."""


class Answered(NamedTuple):
    """How much one of many processes did, and when it began and ended."""

    done: int
    began: float
    ended: float


def in_processes(count: int, work: Callable[..., int], *arguments: Any) -> float:
    """Let processes work, each given Ready, its number and the arguments, and returning how many it did.

    Returns how many a second they all do, from the first that begins to the last that ends.
    """
    barrier, answers = SPAWN.Barrier(count), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=_one_of_many, args=(barrier, answers, work, number, arguments)) for number in range(count)
    ]
    for process in processes:
        process.start()
    said: list[Answered | str] = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    if failed := [one for one in said if isinstance(one, str)]:
        raise RuntimeError(failed[0])
    found = [one for one in said if not isinstance(one, str)]
    took = max(one.ended for one in found) - min(one.began for one in found)
    return sum(one.done for one in found) / took


def _one_of_many(barrier: Any, answers: Any, work: Callable[..., int], number: int, arguments: Any) -> None:
    began = 0.0

    def ready() -> None:
        nonlocal began
        barrier.wait()
        began = time.monotonic()  # one clock for all processes of a machine

    try:
        done = work(ready, number, *arguments)
        answers.put(Answered(done, began, time.monotonic()))
    except Exception as error:  # noqa: BLE001 - told to whoever waits
        barrier.abort()
        answers.put(f"{type(error).__name__}: {error}")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
