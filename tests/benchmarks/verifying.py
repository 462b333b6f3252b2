"""Verifying the read tables, beside a rebuild of them: how long it takes, and the most memory that it holds."""

from __future__ import annotations

import time
from typing import NamedTuple

from claude_tiu import connect
from tests.benchmarks.logs import fill
from tests.benchmarks.measuring import Goal, Place, Report, in_turn
from tests.benchmarks.projecting import bring_up, our_rebuild


class Size(NamedTuple):
    rounds: int
    events: int


SIZES = {
    "smoke": Size(1, 300),
    "quick": Size(3, 100_000),
    "full": Size(3, 1_000_000),
}
DEMO_SIZES = {"smoke": Size(1, 300), "quick": Size(3, 20_000), "full": Size(5, 20_000)}
"""Of the demo's log, which has some 10,600 events."""


def our_verification(url: str) -> tuple[bool, float]:
    """Verify; return whether the tables are what the events make, and how many seconds it took."""
    with connect(url, project=False) as tiu:
        started = time.perf_counter()
        report = tiu.verify()
        return report.equal, time.perf_counter() - started


def run(place: Place, size: Size, workload: str) -> Report:
    report = Report(f"verify-{workload.lower()}", size._asdict())
    with place.postgresql() as postgresql, place.sqlite() as sqlite:
        for store, url in (("PostgreSQL", postgresql), ("SQLite", sqlite)):
            fill(url, workload, size.events)
            place.apart(bring_up, url)
            _measure(report, place, store, url, size, workload)
    return report


def _measure(report: Report, place: Place, store: str, url: str, size: Size, workload: str) -> None:
    rebuild, verification, memory = f"{store}: rebuild", f"{store}: verification", f"{store}: peak memory"
    peaks, drift = list[float](), list[float]()

    def verified() -> float:
        (equal, seconds), peak = place.apart(our_verification, url)
        peaks.append(peak)
        drift.append(0 if equal else 1)
        return float(seconds)

    def rebuilt() -> float:
        return float(place.apart(our_rebuild, url).result[1])

    report.add(in_turn({rebuild: rebuilt, verification: verified}, size.rounds), "s")
    report.add({memory: peaks}, "MiB")
    of = f"verification of {size.events:,} events of {workload} on {store}"
    report.compare(Goal(f"{of}: × the time of a rebuild", 2, above=False), verification, rebuild)
    report.hold(Goal(f"{of}: peak memory in MiB", 300, above=False), peaks)
    report.hold(Goal(f"{of}: false alarms", 0, above=False), drift)
