"""What auditors ask of a long log: one project as it stood, the chain checked, and a bundle made and checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import UUID

from claude_tiu import SealingKey, check_bundle, connect
from tests.benchmarks.logs import fill
from tests.benchmarks.measuring import Goal, Place, Report
from tests.benchmarks.workloads import PROJECT_EVENTS, id_of

END = datetime(2100, 1, 1, tzinfo=UTC)
"""Behind all that is recorded, and all that occurred."""
MOMENTS = ("position", "recorded_at", "occurred_at")


class Size(NamedTuple):
    rounds: int
    events: int


SIZES = {"smoke": Size(1, 300), "quick": Size(3, 100_000), "full": Size(3, 1_000_000)}


def run(place: Place, size: Size) -> Report:
    """Measure it on the events of W2, in which a project has some thousand, on both stores."""
    report = Report("audit", size._asdict())
    with place.postgresql() as postgresql, place.sqlite() as sqlite:
        for store, url in (("PostgreSQL", postgresql), ("SQLite", sqlite)):
            fill(url, "W2", size.events)
            _measure(report, place, store, url, size)
    return report


def _measure(report: Report, place: Place, store: str, url: str, size: Size) -> None:
    projects = max(1, size.events // PROJECT_EVENTS)
    chosen = [id_of("project", projects * (number + 1) // (size.rounds + 1)) for number in range(size.rounds)]
    found = place.apart(as_of, url, chosen, END).result
    for moment, seconds in found.items():
        report.add({f"{store}: one project, {moment}": seconds}, "s")
        goal = f"as of, {store}, one project among {size.events:,} events by {moment}: seconds"
        report.hold(Goal(goal, 1, above=False), seconds)
    for what, work in (
        ("chain", partial(check_chain, url)),
        ("seal, bundle and check", partial(bundle, url, chosen[0])),
    ):
        seconds, peak = place.apart(work)
        report.add({f"{store}: {what}": [seconds]}, "s")
        report.add({f"{store}: {what}, peak memory": [peak]}, "MiB")
        report.hold(Goal(f"{what}, {store}, {size.events:,} events: peak memory in MiB", 300, above=False), [peak])


def as_of(url: str, project_ids: list[UUID], at: datetime) -> dict[str, list[float]]:
    """Return for each kind of moment how many seconds it took until each project's tasks were counted."""
    seconds: dict[str, list[float]] = {}
    with connect(url, project=False) as tiu:
        last = tiu.lag().last_position
        moments: dict[str, Any] = {"position": last, "recorded_at": at, "occurred_at": at}
        for project_id in project_ids:
            for moment in MOMENTS:

                def asked(moment: str = moment, project_id: UUID = project_id) -> None:
                    with tiu.as_of(**{moment: moments[moment]}, project_id=project_id) as then:
                        ((tasks,),) = [row.values() for row in then.query("SELECT count(*) FROM tasks")]
                    _require(tasks > 0)

                seconds.setdefault(moment, []).append(_seconds(asked))
    return seconds


def check_chain(url: str) -> float:
    """Return how many seconds it took to check the whole log."""
    with connect(url, project=False) as tiu:
        return _seconds(lambda: _require(not tiu.check_chain().findings))


def bundle(url: str, project_id: UUID) -> float:
    """Return how many seconds it took to seal the log, to write a project's bundle and to check that."""
    with TemporaryDirectory() as folder, connect(url, project=False) as tiu:
        file = Path(folder) / "project.zip"

        def made() -> None:
            tiu.seal(SealingKey.new())
            tiu.export(project_id, file)
            _require(check_bundle(file).holds)

        return _seconds(made)


def _require(held: bool) -> None:
    if not held:
        raise RuntimeError("what was measured did not do what it is for")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
