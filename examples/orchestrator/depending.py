"""What routes ask for: the connection, a project, its view, and the executing of what a request wants."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from fastapi import Depends, Header, Request

from claude_tiu import Answer, AsyncTiu, Command, ProjectRow, WaitTimeout

from .looking import View, look, project_row
from .seeding import SERVICE

WAIT_SECONDS = 5.0


def tiu_of(request: Request) -> AsyncTiu:
    tiu: AsyncTiu = request.app.state.tiu
    return tiu


def stopping_of(request: Request) -> asyncio.Event:
    stopping: asyncio.Event = request.app.state.stopping
    return stopping


Tiu = Annotated[AsyncTiu, Depends(tiu_of)]
Stopping = Annotated[asyncio.Event, Depends(stopping_of)]


async def project_of(tiu: Tiu, project_id: UUID) -> ProjectRow:
    return await project_row(tiu, project_id)


async def view_of(tiu: Tiu, project_id: UUID) -> View:
    return await look(tiu, project_id)


Project = Annotated[ProjectRow, Depends(project_of)]
Seen = Annotated[View, Depends(view_of)]


class Executing:
    """Executes the commands of a request as one unit: with the same Idempotency-Key they are stored once."""

    def __init__(
        self,
        request: Request,
        tiu: Tiu,
        key: Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)] = None,
    ) -> None:
        self._tiu = tiu
        self._unit = uuid4() if key is None else uuid5(SERVICE, f"{request.method} {request.url.path} {key}")

    async def __call__(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands, and wait until who reads next finds what they did."""
        named = [c.model_copy(update={"command_id": uuid5(self._unit, str(n))}) for n, c in enumerate(commands)]
        answers = await self._tiu.execute_all(named)
        with suppress(WaitTimeout):  # they are stored all the same
            await self._tiu.wait_for(answers[-1], WAIT_SECONDS)
        return answers


Execute = Annotated[Executing, Depends()]
