"""The exact arithmetic of progress (docs/explanation/numbers.md).

Claimed progress c and authenticity a are integers in micro-percents (0 ... 10**8), w is a task's weight. Everything is
added up as integers, and divided once, when a row is written: so the order of events cannot matter, and a live sum
equals a rebuilt one to the bit. Python's int / int is correctly rounded.
"""

from __future__ import annotations

from typing import NamedTuple

FULL = 10**8
"""100 percent, in micro-percents."""


def micros(percent: float) -> int:
    """Return a percentage of at most 6 decimals in micro-percents, exactly."""
    return round(percent * 1_000_000)


def task_numbers(claimed: int, authenticity: int) -> tuple[float, float]:
    """Return a task's (real, fake) progress in percent: real + fake = claimed, before the division."""
    return claimed * authenticity / 10**14, claimed * (FULL - authenticity) / 10**14


class Sums(NamedTuple):
    """A project's state: three unbounded integers over all its tasks."""

    real: int = 0
    """S, the sum of w * c * a."""
    claimed: int = 0
    """C, the sum of w * c."""
    weight: int = 0
    """W, the sum of w."""

    def plus(self, weight: int, claimed: int, authenticity: int) -> Sums:
        """Return the sums with a task's term put in."""
        term = weight * claimed
        return Sums(self.real + term * authenticity, self.claimed + term, self.weight + weight)

    def reassessed(self, weight: int, claimed: int, authenticity: int, assessed: int) -> Sums:
        """Return the sums with a task's authenticity changed: its old term taken out, the new one put in."""
        return Sums(self.real + weight * claimed * (assessed - authenticity), self.claimed, self.weight)

    def numbers(self) -> tuple[float, float, float]:
        """Return (real progress, fake progress, authenticity rate) in percent; without tasks (0, 0, 100)."""
        total, claimed, weight = self
        if not weight:
            return 0.0, 0.0, 100.0
        scale = weight * 10**14
        missing = FULL * claimed - total
        if not missing:  # nothing is fake, as long as nothing was assessed: two divisions less, to the same result
            return total / scale, 0.0, 100.0
        return total / scale, missing / scale, total / (claimed * 10**6) if claimed else 100.0
