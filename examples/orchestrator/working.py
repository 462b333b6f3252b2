"""Agents at work, simulated: each claims the next ready task, claims progress step by step, and finishes it.

What an agent makes of a task is a file of the project. One that is less diligent than it says leaves functions empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid4

from claude_tiu import (
    Answer,
    AsyncTiu,
    ClaimNextTask,
    ClaimProgress,
    Command,
    Contended,
    CreateFile,
    ExpireClaims,
    FinishTask,
    NothingOverdue,
    NothingReady,
    RecordHeartbeat,
    Refused,
    ReleaseTask,
    StoreUnavailable,
    WrongStatus,
)

from .following import come_further, slept
from .seeding import Agent

STEPS = 5
LEASE_SECONDS = 60
EXPIRE_SECONDS = 5.0
RETRY_SECONDS = 0.5
MOST_PROJECTS = 100


def file_of(assignment_id: UUID) -> str:
    """Return the path of what an agent makes of a task under an assignment."""
    return f"work/{assignment_id}.py"


def made(name: str, steps: int, done: int) -> str:
    """Return what has been made of a task: a function for each step; those behind `done` are empty."""
    title = " ".join(name.split()).replace("\\", "").replace('"', "'")
    bodies = (f"return {step}" if step <= done else "pass" for step in range(1, steps + 1))
    functions = (f"def step_{step}():\n    {body}\n" for step, body in enumerate(bodies, 1))
    return f'"""{title}"""\n\n' + "\n".join(functions)


async def stored(tiu: AsyncTiu, commands: Sequence[Command]) -> list[Answer]:
    """Execute commands until the store has them; with their ids, however often they are sent they are stored once."""
    named = [command.model_copy(update={"command_id": uuid4()}) for command in commands]
    while True:
        try:
            return await tiu.execute_all(named)
        except (StoreUnavailable, Contended):
            await asyncio.sleep(RETRY_SECONDS)


class Worker:
    """One agent. `pace` is how long a step takes it, in seconds."""

    def __init__(self, tiu: AsyncTiu, agent: Agent, pace: float, stopping: asyncio.Event) -> None:
        self._tiu, self._agent, self._pace, self._stopping = tiu, agent, pace, stopping

    async def run(self) -> None:
        """Work until the service stops; then give back what is in hand."""
        await self._give_back()  # what it held when the service was killed
        seen = 0
        while not self._stopping.is_set():
            seen = (await self._tiu.lag()).position
            if await self._claim():
                await self._work()
            else:
                await come_further(self._tiu, seen, self._stopping)
        await self._give_back()

    async def _claim(self) -> bool:
        """Claim a task of whichever active project has one; say whether there was any."""
        for project in await self._tiu.read.projects(limit=MOST_PROJECTS):
            if project.status == "active" and await self._tiu.read.ready_tasks(project.id, limit=1):
                claim = ClaimNextTask(agent_id=self._agent.id, project_id=project.id, lease_seconds=LEASE_SECONDS)
                with suppress(NothingReady, WrongStatus):
                    await stored(self._tiu, [claim])
                    return True
        return False

    async def _work(self) -> None:
        held = (await self._tiu.get(self._agent.id)).assignment
        try:
            for step in range(1, STEPS + 1):
                if not await slept(self._pace, self._stopping):
                    return
                claim = ClaimProgress(task_id=held.task_id, claimed=100 * step / STEPS)
                await stored(self._tiu, [RecordHeartbeat(agent_id=self._agent.id), claim])
            await self._finish(held.project_id, held.task_id, held.assignment_id)
        except Refused:  # somebody took the task from it, or archived the project: there is other work
            await self._give_back()

    async def _finish(self, project_id: UUID, task_id: UUID, assignment_id: UUID) -> None:
        name = (await self._tiu.get(task_id)).name
        content = made(name, STEPS, round(STEPS * self._agent.diligence))
        file = CreateFile(project_id=project_id, file_path=file_of(assignment_id), content=content)
        await stored(self._tiu, [file, FinishTask(agent_id=self._agent.id, task_id=task_id)])

    async def _give_back(self) -> None:
        held = (await self._tiu.get(self._agent.id)).assignment
        if held is not None:
            with suppress(Refused):
                await stored(self._tiu, [ReleaseTask(agent_id=self._agent.id, task_id=held.task_id)])


async def expire_claims(tiu: AsyncTiu, stopping: asyncio.Event) -> None:
    """Take tasks back from agents that are not heard of, until the service stops."""
    while await slept(EXPIRE_SECONDS, stopping):
        with suppress(NothingOverdue):
            await stored(tiu, [ExpireClaims()])
