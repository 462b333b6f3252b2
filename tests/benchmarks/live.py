"""Live: how long after an append returned its rows are visible, with one writer back to back beside a projector.

Both are measured the same way, in one process, as an embedding service has it: the writer notes when each append of one
event has returned; the projector's thread notes when the transaction that wrote the event's rows and moved its
checkpoint has returned. What is visible before its append has returned counts as 0.

Back to back, the library's projector falls behind its writer where a row's transaction takes longer than an append. So
both are measured with a pause after each append too, long enough for either to keep up.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from claude_tiu import connect
from claude_tiu.infrastructure.event_store import NewEvent, Stored, Unit
from claude_tiu.infrastructure.read_store import Checkpoint, ReadStore
from tests.benchmarks import peers
from tests.benchmarks.logs import prepare
from tests.benchmarks.measuring import Goal, Place, Report, in_turn, percentile
from tests.benchmarks.workloads import TASK_EVENTS, single_tasks

WARM_UP = 20
"""How many events come before those that are measured."""
WAIT_SECONDS = 120.0
PAUSE_SECONDS = 0.02
FIRST = 3
"""The position behind the setting's events."""

P50 = Goal("live: commit to row visible, p50 in ms", 2.0, above=False)
P99 = Goal("live: p99, × ProjectionRunner's", 1.0, above=False)


class Size(NamedTuple):
    rounds: int
    tasks: int
    peer_tasks: int
    paced_tasks: int


SIZES = {"smoke": Size(1, 3, 3, 3), "quick": Size(7, 100, 50, 20), "full": Size(7, 600, 300, 100)}


def run(place: Place, size: Size) -> Report:
    report = Report("live", size._asdict())
    tails: dict[str, list[float]] = {}

    def of(name: str, found: list[float]) -> float:
        tails.setdefault(f"{name}, p99", []).append(percentile(found, 0.99) * 1_000)
        return percentile(found, 0.5) * 1_000

    contestants = {
        "ours": lambda: of("ours", ours(place, size.tasks, 0)),
        "eventsourcing": lambda: of("eventsourcing", peer(place, size.peer_tasks, 0)),
        "ours, paced": lambda: of("ours, paced", ours(place, size.paced_tasks, PAUSE_SECONDS)),
        "eventsourcing, paced": lambda: of("eventsourcing, paced", peer(place, size.paced_tasks, PAUSE_SECONDS)),
    }
    report.add({f"{name}, p50": values for name, values in in_turn(contestants, size.rounds).items()}, "ms")
    report.add(tails, "ms")
    report.hold(P50, report.figures["ours, p50"].rounds)
    report.compare(P99, "ours, p99", "eventsourcing, p99")
    return report


def ours(place: Place, tasks: int, pause: float) -> list[float]:
    """Return the seconds from each append to its rows, with the projector that connect() brings along."""
    visible: dict[int, float] = {}
    with place.postgresql() as url:
        events = list(single_tasks(0, tasks, prepare(url).project_id))
        with connect(url) as tiu:
            note_commits(tiu._reads, visible)
            returned: dict[int, float] = {}
            for event in events:
                (outcome,) = tiu.events.append([Unit([event], {event.stream_id: event.version - 1})])
                assert isinstance(outcome, Stored)
                returned[outcome.first_position] = time.perf_counter()
                time.sleep(pause)
            tiu.wait_for(max(returned), WAIT_SECONDS)
    return latencies(returned, visible)


def note_commits(reads: ReadStore, visible: dict[int, float]) -> None:
    """Have a read store note when each batch that it applies is committed, by its last position."""
    apply = reads.apply

    def noting(*arguments: Any, **named: Any) -> Any:
        answer = apply(*arguments, **named)
        now = time.perf_counter()
        given = [one for one in (*arguments, *named.values()) if isinstance(one, Checkpoint)]
        visible[max(checkpoint.position for checkpoint in given)] = now
        return answer

    reads.apply = noting  # type: ignore[method-assign]


def latencies(returned: dict[int, float], visible: dict[int, float]) -> list[float]:
    """Return how long after its append each event was visible: with the first batch that came as far."""
    positions, found = sorted(visible), list[float]()
    place = 0
    for position in sorted(returned):
        while positions[place] < position:
            place += 1
        found.append(max(0.0, visible[positions[place]] - returned[position]))
    return found[WARM_UP:]


def peer(place: Place, tasks: int, pause: float) -> list[float]:
    """The same with the library's application and its ProjectionRunner."""
    visible: dict[int, float] = {}

    def written(position: int) -> None:
        visible[position] = time.perf_counter()

    with place.postgresql() as url:
        project_id = prepare(url).project_id
        events: list[NewEvent] = list(single_tasks(0, tasks, project_id))
        with peers.runner(url, project_id, FIRST - 1, written) as running:
            returned: dict[int, float] = {}
            for position, _ in enumerate(peers.save_one_by_one(running.app, events), 1):
                returned[position] = time.perf_counter()
                time.sleep(pause)
            running.wait(tasks * TASK_EVENTS, WAIT_SECONDS)
    return latencies(returned, visible)
