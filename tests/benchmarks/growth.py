"""Growth: what ten times and five hundred times the events do to rebuilding, to its memory and to an append."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from claude_tiu import Tiu, connect
from claude_tiu.infrastructure.event_store import NewEvent
from tests.benchmarks.append import append_one_by_one
from tests.benchmarks.logs import fill
from tests.benchmarks.measuring import Goal, Place, Report, in_turn, percentile
from tests.benchmarks.projecting import bring_up, our_rebuild
from tests.benchmarks.workloads import single_tasks

FIRST_NEW = 10_000_000
"""The number of the first task that no log has yet."""


class Size(NamedTuple):
    rounds: int
    events: int
    tenth: int
    few: int
    appended_tasks: int


SIZES = {
    "smoke": Size(1, 400, 100, 50, 2),
    "quick": Size(3, 200_000, 20_000, 10_000, 60),
    "full": Size(3, 5_000_000, 500_000, 10_000, 200),
}


def rebuild(place: Place, size: Size, workload: str) -> Report:
    """The rate of rebuilding, and the most memory its process held, at two sizes of the log."""
    report = Report(f"growth-rebuild-{workload.lower()}", size._asdict())
    memory: dict[str, list[float]] = {}
    with place.postgresql() as few_url, place.postgresql() as many_url:
        urls = {f"{size.tenth:,} events": few_url, f"{size.events:,} events": many_url}
        for url, events in ((few_url, size.tenth), (many_url, size.events)):
            fill(url, workload, events)
            place.apart(bring_up, url)

        def rebuilt(name: str) -> float:
            (count, seconds), peak = place.apart(our_rebuild, urls[name])
            memory.setdefault(f"{name}: peak memory", []).append(peak)
            return float(count / seconds)

        few, many = urls
        report.add(in_turn({few: lambda: rebuilt(few), many: lambda: rebuilt(many)}, size.rounds), "events/s")
    report.add(memory, "MiB")
    report.compare(Goal(f"rebuild of {workload} at {many}, × that at {few}", 0.85), many, few)
    for name, peaks in memory.items():
        report.hold(Goal(f"rebuild of {workload}, {name} in MiB", 300, above=False), peaks)
    return report


def append(place: Place, size: Size) -> Report:
    """An append's p50 behind many stored events and behind few, each event in turn."""
    report = Report("growth-append", size._asdict())
    few, many = f"{size.few:,} stored events", f"{size.events:,} stored events"
    found: dict[str, list[float]] = {few: [], many: []}
    with place.postgresql() as few_url, place.postgresql() as many_url:
        project_id = fill(few_url, "W", size.few).setting.project_id
        fill(many_url, "W", size.events)
        for number in range(size.rounds):
            with connect(few_url, project=False) as one, connect(many_url, project=False) as other:
                first = FIRST_NEW + number * size.appended_tasks
                times = alternating((one, other), _events(first, size.appended_tasks, project_id))
            for name, values in zip((few, many), times, strict=True):
                found[name].append(percentile(values, 0.5) * 1_000)
    report.add(found, "ms p50")
    report.compare(Goal(f"append p50 at {many}, × that at {few}", 1.5, above=False), many, few)
    return report


def _events(first: int, tasks: int, project_id: UUID) -> list[NewEvent]:
    return list(single_tasks(first, tasks, project_id))


def alternating(stores: Sequence[Tiu], events: Sequence[NewEvent]) -> list[list[float]]:
    """Append each event to each store in turn; return the seconds that each took, by store."""
    found: list[list[float]] = [[] for _ in stores]
    for event in events:
        for tiu, times in zip(stores, found, strict=True):
            started = time.perf_counter()
            append_one_by_one(tiu, [event])
            times.append(time.perf_counter() - started)
    return found
