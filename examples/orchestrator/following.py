"""Waiting: for the read tables to come further, and for time to pass; the end of the service ends both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from math import inf
from time import monotonic
from uuid import UUID

from claude_tiu import AsyncTiu, EventParked, HistoryEntry, WaitTimeout

LOOK_SECONDS = 0.5
"""How soon whoever waits notices that the service stops."""
QUIET_SECONDS = 15.0


async def slept(seconds: float, stopping: asyncio.Event) -> bool:
    """Sleep; return False as soon as the service stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return not stopping.is_set()


async def come_further(tiu: AsyncTiu, position: int, stopping: asyncio.Event, within: float = inf) -> int:
    """Return where the read tables stand once that is behind a position, or the service stops, or time is up.

    Positions have no gaps, so the next event of all is at `position + 1`.
    """
    deadline = monotonic() + within
    while not stopping.is_set() and monotonic() < deadline:
        with suppress(WaitTimeout):
            with suppress(EventParked):  # they have come past it
                await tiu.wait_for(position + 1, timeout=LOOK_SECONDS)
            return (await tiu.lag()).position
    return position


async def follow(
    tiu: AsyncTiu, project_id: UUID, after: int, stopping: asyncio.Event
) -> AsyncIterator[HistoryEntry | None]:
    """Yield what happens in a project behind a position, each event once and in order, until the service stops; None
    where nothing has happened anywhere for a while.

    An event is told when the read tables have it, so that who hears of it finds it there.
    """
    seen = after
    while not stopping.is_set():
        before, seen = seen, await come_further(tiu, seen, stopping, QUIET_SECONDS)
        if seen == before:
            yield None
            continue
        async for entry in tiu.history(project_id, everything=True, after=after):
            if entry.position > seen:
                break
            after = entry.position
            yield entry
