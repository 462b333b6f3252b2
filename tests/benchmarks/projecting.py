"""Projecting a log that is there: rebuilding the read tables from its first event, and catching up live tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import psycopg

from claude_tiu import connect
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.benchmarks import peers, rebuild_by_hand
from tests.benchmarks.logs import Filled, fill, log_of, prepare
from tests.benchmarks.measuring import Goal, Place, Report, in_turn

WINDOW = 0.05
"""Which part of the log the rates near its end, and near a tenth of it, are taken over."""


def our_rebuild(url: str) -> tuple[int, float]:
    """Ours, rebuilding from the first event until the tables are in place: (how many events, seconds)."""
    with connect(url, project=False) as tiu:
        started = time.perf_counter()
        tiu.rebuild()
        tiu.projector.catch_up()
        seconds = time.perf_counter() - started
        return tiu.lag().position, seconds


def our_first_rebuild(url: str) -> tuple[int, float]:
    """The same where the live tables hold nothing yet: there is nothing to compare with."""
    with psycopg.connect(url) as connection:
        for table in (*READ_TABLES, *PRIVATE_TABLES):
            connection.execute(f"TRUNCATE {table.name} CASCADE")
        connection.execute("DELETE FROM checkpoints")
    return our_rebuild(url)


def bring_up(url: str) -> int:
    """Bring the live tables to the end of the log, as they are where a rebuild is asked for."""
    with connect(url, project=False) as tiu:
        return tiu.projector.catch_up()


def our_catch_up(url: str) -> list[tuple[int, float]]:
    """Ours, on live tables that are empty but for the setting: after each batch (events so far, seconds so far)."""
    with connect(url, project=False) as tiu:
        steps, done, started = [(0, 0.0)], 0, time.perf_counter()

        def advance(batch: int) -> None:
            nonlocal done
            done += batch
            steps.append((done, time.perf_counter() - started))

        tiu.projector.catch_up(advance)
        return steps


def hand_rebuild(url: str) -> tuple[int, float]:
    started = time.perf_counter()
    return rebuild_by_hand.rebuild(url), time.perf_counter() - started


class RebuildSize(NamedTuple):
    rounds: int
    events: int
    peer_events: int
    sqlite_events: int


REBUILD_SIZES = {
    "smoke": RebuildSize(1, 300, 60, 200),
    "quick": RebuildSize(3, 100_000, 3_000, 50_000),
    "full": RebuildSize(3, 1_000_000, 5_000, 1_000_000),
}
DEMO_SIZES = {
    "smoke": RebuildSize(1, 300, 60, 200),
    "quick": RebuildSize(3, 20_000, 3_000, 20_000),
    "full": RebuildSize(5, 20_000, 5_000, 20_000),
}
"""Of the demo's log, which has some 10,600 events."""


def rebuild(place: Place, size: RebuildSize, workload: str) -> Report:
    report = Report(f"rebuild-{workload.lower()}", size._asdict())
    of = f"rebuild of {workload}"
    with place.postgresql() as url:
        fill(url, workload, size.events)
        place.apart(bring_up, url)
        contestants = {
            "ours": lambda: _rate(place, our_rebuild, url),
            "ours, live tables empty": lambda: _rate(place, our_first_rebuild, url),
            "by hand": lambda: _rate(place, hand_rebuild, url),
            "eventsourcing": lambda: peer_rate(place, workload, size.peer_events),
        }
        report.add(in_turn(contestants, size.rounds), "events/s")
        differing = sum(rebuild_by_hand.differing(url).values())
    with place.sqlite() as url:
        fill(url, workload, size.sqlite_events)
        place.apart(bring_up, url)
        memory = list[float]()

        def ours() -> float:
            (count, seconds), peak = place.apart(our_rebuild, url)
            memory.append(peak)
            return float(count / seconds)

        contestants = {
            "SQLite: ours": ours,
            "SQLite: eventsourcing": lambda: peer_rate_on_sqlite(place, workload, size.peer_events),
        }
        report.add(in_turn(contestants, size.rounds), "events/s")
        report.add({"SQLite: ours: peak memory": memory}, "MiB")
        report.hold(Goal(f"{of} on SQLite: peak memory in MiB", 300, above=False), memory)
    if workload != "demo":  # that one is short: what it costs to begin tells, and nothing is asked of it
        report.compare(Goal(f"{of}: × by hand", 0.6), "ours", "by hand")
        report.compare(Goal(f"{of}: × ProjectionRunner", 60, 100), "ours", "eventsourcing")
        report.compare(Goal(f"{of} on SQLite: × the library's hand loop", 15), "SQLite: ours", "SQLite: eventsourcing")
    report.hold(Goal(f"{of}: rows that differ from those made by hand", 0, above=False), [differing])
    return report


def _rate(place: Place, work: Callable[[str], tuple[int, float]], url: str) -> float:
    """Return the rate of work in a new process, as an operator would start it."""
    count, seconds = place.apart(work, url).result
    return float(count / seconds)


def peer_rate(place: Place, workload: str, events: int) -> float:
    """Return how many events a second ProjectionRunner projects into the same tables, empty and live."""
    with place.postgresql() as url:
        filled = Filled(url, prepare(url), FIRST, 0)
        count = peers.fill(url, islice(log_of(workload, max(events, 1_000), filled.setting), events))
        return peers.project_all(filled, count)


def peer_rate_on_sqlite(place: Place, workload: str, events: int) -> float:
    with place.sqlite() as url, place.sqlite() as log_url:
        filled = Filled(url, prepare(url), FIRST, 0)
        count = peers.fill(log_url, islice(log_of(workload, max(events, 1_000), filled.setting), events))
        reads = read_path(Path(url.removeprefix("sqlite:///")), 1)
        started = time.perf_counter()
        peers.project_all_by_hand(log_url, reads, filled, count)
        return count / (time.perf_counter() - started)


FIRST = 3
"""The position behind the setting's events."""


class CatchUpSize(NamedTuple):
    rounds: int
    events: int
    peer_events: int


CATCH_UP_SIZES = {
    "smoke": CatchUpSize(1, 300, 60),
    "quick": CatchUpSize(3, 100_000, 3_000),
    "full": CatchUpSize(3, 1_000_000, 5_000),
}


def catch_up(place: Place, size: CatchUpSize) -> Report:
    report = Report("catch-up", size._asdict())
    early, late = list[float](), list[float]()

    def ours() -> float:
        with place.postgresql() as url:
            fill(url, "W", size.events)
            steps = place.apart(our_catch_up, url).result
        events, seconds = steps[-1]
        early.append(_rate_before(steps, events // 10, events))
        late.append(_rate_before(steps, events, events))
        return float(events / seconds)

    contestants = {"ours": ours, "eventsourcing": lambda: peer_rate(place, "W", size.peer_events)}
    report.add(in_turn(contestants, size.rounds), "events/s")
    tenth, whole = f"ours, before {size.events // 10:,} events", f"ours, before {size.events:,} events"
    report.add({tenth: early, whole: late}, "events/s")
    report.compare(Goal("catching up live tables: × ProjectionRunner", 25), "ours", "eventsourcing")
    rows = f"at {size.events:,} rows, × that at {size.events // 10:,}"
    report.compare(Goal(f"catching up live tables: the rate {rows}", 0.8), whole, tenth)
    report.notes.append("W's events come to as many rows of the read tables: a metric for ten of eleven, and its task.")
    return report


def _rate_before(steps: list[tuple[int, float]], end: int, events: int) -> float:
    """Return the rate over the window of the log that ends at a number of events."""
    until = min(step for step in steps if step[0] >= end)
    since = max(step for step in steps if step[0] <= max(0, until[0] - WINDOW * events))
    return (until[0] - since[0]) / (until[1] - since[1])
