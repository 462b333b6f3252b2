"""Whole commands: load, decide, save. Each claims progress of a task of eleven events (states cached: of twelve).

Every measurement has tasks of its own: those of the one before have grown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count as counting
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from claude_tiu import AddTask, ClaimProgress, Command, StartTask, Tiu, aconnect, connect
from claude_tiu.infrastructure.ids import new_id
from tests.benchmarks import peers
from tests.benchmarks.logs import prepare
from tests.benchmarks.measuring import Goal, Place, Report, exhaust, in_threads, in_turn, rate
from tests.benchmarks.workloads import DESCRIPTION, PROMPT, single_tasks

THREADS, PEER_THREADS, AWAITED = 32, 8, 1_000
CLAIMS = 9
"""Added, started, and so many claims: eleven events, and a task that takes another claim."""
TOLD_AT_ONCE = 20

GOALS = {
    "1 client": Goal("whole commands, 1 client: × eventsourcing", 4.0, 6.0),
    "32 threads": Goal("whole commands, 32 threads: × eventsourcing with 1 client", 8.0),
    "awaited": Goal("1,000 commands awaited at once: × 32 threads", 0.8),
}
_claims, _peer_numbers = counting(1), counting(0)


class Size(NamedTuple):
    """How many tasks there are: each measurement gives every one of them a command. `awaited` are those of what is
    awaited at once, and of the threads that it is compared with."""

    rounds: int
    tasks: int
    peer_tasks: int
    awaited: int = AWAITED


SIZES = {"smoke": Size(1, 32, 8, 32), "quick": Size(9, 320, 120), "full": Size(15, 640, 240)}
"""Many short turns: a busy neighbour slows a machine for seconds, and should meet all of a round or none."""


def run(place: Place, size: Size) -> Report:
    report = Report("commands", size._asdict())
    with place.postgresql() as url, place.postgresql() as peer_url:
        project_id, _ = (prepare(one).project_id for one in (url, peer_url))

        def tasks(count: int = size.tasks) -> list[UUID]:
            return make_tasks(url, project_id, count)

        def peer_tasks() -> list[UUID]:
            return make_peer_tasks(peer_url, project_id, size.peer_tasks)

        contestants: dict[str, Callable[[], float]] = {
            "1 client: ours": lambda: ours(url, tasks(), 1, warm=False),
            "1 client: ours, states cached": lambda: ours(url, tasks(), 1, warm=True),
            "32 threads: ours": lambda: ours(url, tasks(), THREADS, warm=False),
            "32 threads: ours, states cached": lambda: ours(url, tasks(size.awaited), THREADS, warm=True),
            "1,000 awaited at once: ours, states cached": lambda: awaited(url, tasks(size.awaited)),
            "1 client: eventsourcing": lambda: peer(peer_url, peer_tasks(), 1),
            "8 threads: eventsourcing": lambda: peer(peer_url, peer_tasks(), PEER_THREADS),
        }
        report.add(in_turn(contestants, size.rounds), "commands/s")
    report.compare(GOALS["1 client"], "1 client: ours", "1 client: eventsourcing")
    report.compare(GOALS["32 threads"], "32 threads: ours", "1 client: eventsourcing")
    report.compare(GOALS["awaited"], "1,000 awaited at once: ours, states cached", "32 threads: ours, states cached")
    return report


def our_tasks(url: str, count: int) -> list[UUID]:
    """Prepare a database, make tasks of eleven events, in progress, and return their ids."""
    return make_tasks(url, prepare(url).project_id, count)


def make_tasks(url: str, project_id: UUID, count: int) -> list[UUID]:
    tasks = [new_id() for _ in range(count)]
    with connect(url, project=False) as tiu:
        for first in range(0, count, TOLD_AT_ONCE):
            told = [
                command for task_id in tasks[first : first + TOLD_AT_ONCE] for command in _told(task_id, project_id)
            ]
            tiu.execute_all(told)
    return tasks


def _told(task_id: UUID, project_id: UUID) -> list[Command]:
    adding = AddTask(
        task_id=task_id,
        project_id=project_id,
        name="Task",
        description=DESCRIPTION,
        ai_prompt=PROMPT,
        expected_outputs=["report.md", "totals.csv"],
    )
    return [adding, StartTask(task_id=task_id), *(claim_of(task_id) for _ in range(CLAIMS))]


def claim_of(task_id: UUID, correlation_id: str | None = None) -> ClaimProgress:
    claimed = next(_claims) % 1_000 / 10
    return ClaimProgress(task_id=task_id, claimed=claimed, actor="benchmark", correlation_id=correlation_id)


def make_peer_tasks(url: str, project_id: UUID, count: int) -> list[UUID]:
    """The same as the library's aggregates: W's tasks without their end, and a claim more."""
    numbers = list(islice(_peer_numbers, count))
    with peers.application(url) as app:
        for number in numbers:
            *events, _ = single_tasks(number, 1, project_id)
            exhaust(peers.save_one_by_one(app, events))
        ids = [next(single_tasks(number, 1, project_id)).stream_id for number in numbers]
        _claim_all(app, ids)
    return ids


def ours(url: str, tasks: Sequence[UUID], threads: int, *, warm: bool) -> float:
    """Give each task a command, on a connection that knows none of them yet, or all."""

    def execute(number: int) -> int:
        mine = tasks[number::threads]
        for task_id in mine:
            tiu.execute(claim_of(task_id))
        return len(mine)

    begun, *tasks = tasks
    with connect(url, project=False) as tiu:
        tiu.execute(claim_of(begun))  # statements are prepared, plans made
        if warm:
            load_all(tiu, tasks)
        return rate(len(tasks), lambda: execute(0)) if threads == 1 else in_threads(threads, execute)


def awaited(url: str, tasks: Sequence[UUID]) -> float:
    """Give each task a command, at most 1,000 of them awaited at once, on a connection that knows all."""

    async def execute() -> float:
        async with aconnect(url, project=False) as tiu:
            await asyncio.to_thread(load_all, tiu.sync, tasks)
            room = asyncio.Semaphore(AWAITED)

            async def one(task_id: UUID) -> None:
                async with room:
                    await tiu.execute(claim_of(task_id))

            started = time.perf_counter()
            await asyncio.gather(*map(one, tasks))
            return len(tasks) / (time.perf_counter() - started)

    return asyncio.run(execute())


def load_all(tiu: Tiu, tasks: Sequence[UUID]) -> None:
    for first in range(0, len(tasks), TOLD_AT_ONCE):
        tiu.execute_all([claim_of(task_id) for task_id in tasks[first : first + TOLD_AT_ONCE]])


def peer(url: str, tasks: Sequence[UUID], threads: int) -> float:
    begun, *tasks = tasks
    with peers.application(url, connections=max(5, threads)) as app:
        _claim_all(app, [begun])
        if threads == 1:
            return rate(len(tasks), lambda: _claim_all(app, tasks))
        return in_threads(threads, lambda number: _claim_all(app, tasks[number::threads]))


def _claim_all(app: peers.Tasks, tasks: Sequence[UUID]) -> int:
    for task_id in tasks:
        task: Any = app.repository.get(task_id)
        task.claim(next(_claims) % 1_000 / 10, "2026-01-01T00:00:00.000017Z")
        app.save(task)
    return len(tasks)
