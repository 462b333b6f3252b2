"""A project full of ready tasks, and agents that claim and finish them, in threads and in processes."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from claude_tiu import AddTask, ClaimNextTask, CreateProject, FinishTask, NothingReady, RegisterAgent
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.projections.write_side import PRIORITY_RANK
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend


def fill(store: EventStore, tasks: int, agents: int) -> tuple[list[UUID], list[UUID]]:
    """Make a project of ready tasks, and agents. Returns the tasks in the order of the rules, and the agents.

    Of many tasks the priority and the time are the same, so that each part of the order counts.
    """
    executor, dice = Executor(store), random.Random(7)
    executor.execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
    added: list[tuple[Any, ...]] = []
    for number in range(tasks):
        priority: Any = dice.choice(list(PRIORITY_RANK))
        at = START + timedelta(microseconds=dice.randrange(4))
        added.append((PRIORITY_RANK[priority], at, number, uid(f"ready {number}"), priority))
    executor.execute(
        [
            AddTask(task_id=task_id, project_id=PROJECT, name="Task", priority=priority, occurred_at=at)
            for _, at, _, task_id, priority in added
        ]
    )
    agent_ids = [uid(f"claiming {number}") for number in range(agents)]
    executor.execute([RegisterAgent(agent_id=agent_id, agent_type="tester") for agent_id in agent_ids])
    return [task[3] for task in sorted(added)], agent_ids


def claim_until_none_is_ready(executor: Executor, agent_id: UUID) -> list[tuple[int, UUID]]:
    """Claim and finish one task after the other. Returns (position of the claim's last event, task) of each."""
    claimed: list[tuple[int, UUID]] = []
    while True:
        try:
            (answer,) = executor.execute([ClaimNextTask(agent_id=agent_id, project_id=PROJECT)])
        except NothingReady:
            return claimed
        claimed.append((answer.position, answer.id))
        executor.execute([FinishTask(agent_id=agent_id, task_id=answer.id)])


def claim_in_threads(store: EventStore, agents: Sequence[UUID]) -> list[tuple[int, UUID]]:
    """Let each agent claim in a thread of its own, all of one executor, as in one service."""
    executor, barrier = Executor(store), threading.Barrier(len(agents))
    claimed: list[tuple[int, UUID]] = []

    def work(agent_id: UUID) -> None:
        barrier.wait()
        claimed.extend(claim_until_none_is_ready(executor, agent_id))

    threads = [threading.Thread(target=work, args=(agent_id,)) for agent_id in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return claimed


def claim_from_elsewhere(name: str, place: str, agents: Sequence[UUID]) -> list[tuple[int, UUID]]:
    """`claim_in_threads` for another process: `place` is a SQLite file or a PostgreSQL URL."""
    backend: Backend = SQLiteBackend(Path(place)) if name == "sqlite" else PostgreSQLBackend(place)
    with closing(backend):
        return claim_in_threads(backend.events(), agents)
