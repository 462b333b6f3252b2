"""What processes hold, sampled while they run (Linux: /proc), and whether it stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

MEBIBYTE = 1 << 20


def memory(pid: int) -> float:
    """Return how much memory a process has, in MiB, but for files.

    What it has from the process that it was forked from counts whole: the first full collection of garbage writes to
    nearly all of it, so that it is copied, and nothing has grown.
    """
    return _smaps(pid, "Anonymous")


def memory_of_all(pids: Iterable[int]) -> float:
    """Return how much memory processes have, in MiB; what they share is divided among those who do."""
    return sum(_smaps(pid, "Pss") for pid in pids)


def _smaps(pid: int, name: str) -> float:
    with suppress(OSError):  # it has ended
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
    return 0.0


def files(pids: Iterable[int]) -> int:
    """Return how many files, sockets and pipes processes have open."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += len([*Path(f"/proc/{pid}/fd").iterdir()])
    return total


class Bound(NamedTuple):
    """How much more a value may be in the last quarter than in the one before: a share of it, or so much."""

    share: float
    least: float


class Series:
    """The samples of one value."""

    def __init__(self, name: str, unit: str, bound: Bound) -> None:
        self.name, self.unit, self.bound = name, unit, bound
        self.samples: list[float] = []

    def add(self, value: float) -> None:
        self.samples.append(value)

    def quarters(self) -> list[float]:
        """Return the median of each quarter of the time."""
        count = len(self.samples)
        return [median(self.samples[count * n // 4 : count * (n + 1) // 4]) for n in range(4)]

    @property
    def growth(self) -> float:
        """How much more it is in the last quarter than in the third: medians, so that a moment does not count."""
        *_, third, last = self.quarters()
        return last - third

    @property
    def allowed(self) -> float:
        return max(self.bound.share * self.quarters()[2], self.bound.least)

    @property
    def flat(self) -> bool:
        return self.growth <= self.allowed


def not_flat(series: Sequence[Series]) -> list[str]:
    """Return the names of what grows."""
    return [one.name for one in series if not one.flat]
