"""The JSON interface, and the event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from claude_tiu import AddTask, CreateProject, HistoryEntry, PutBackTask, ReopenTask

from .depending import Execute, Project, Seen, Stopping, Tiu
from .following import follow
from .seeding import OWNER, TEMPLATE

api = APIRouter(prefix="/api")


class NewProject(BaseModel):
    """A project to be created, from the template or without tasks. What its values may be, the command says."""

    model_config = ConfigDict(extra="forbid")

    name: str
    description: str | None = None
    from_template: bool = True


class NewTask(BaseModel):
    """A task to be added."""

    model_config = ConfigDict(extra="forbid")

    name: str
    priority: Literal["critical", "high", "medium", "low"] = "medium"
    estimated_duration: int | None = None


class Stored(BaseModel):
    """What became of a command."""

    id: UUID
    version: int
    position: int


class Happened(BaseModel):
    """An event, as the stream tells it."""

    position: int
    topic: str
    kind: str | None
    at: str
    stream_id: UUID
    sentence: str


@api.get("/projects")
async def projects(tiu: Tiu) -> list[dict[str, Any]]:
    return [asdict(row) for row in await tiu.read.projects(limit=100)]


@api.post("/projects", status_code=201)
async def create_project(execute: Execute, response: Response, new: NewProject) -> Stored:
    template = TEMPLATE if new.from_template else None
    command = CreateProject(user_id=OWNER, name=new.name, description=new.description, template_id=template)
    (answer,) = await execute([command])
    response.headers["Location"] = f"/projects/{answer.id}"
    return Stored(id=answer.id, version=answer.version, position=answer.position)


@api.get("/projects/{project_id}")
async def project(view: Seen) -> dict[str, Any]:
    return {
        "project": asdict(view.project),
        "claimed": view.claimed,
        "tasks": [asdict(row) for row in view.tasks],
        "ready": [asdict(row) for row in view.ready],
        "issues": [asdict(row) for row in view.issues],
    }


@api.post("/projects/{project_id}/tasks", status_code=201)
async def add_task(execute: Execute, project_id: UUID, new: NewTask) -> Stored:
    (answer,) = await execute([AddTask(project_id=project_id, **new.model_dump())])
    return Stored(id=answer.id, version=answer.version, position=answer.position)


@api.post("/tasks/{task_id}/rework")
async def rework(execute: Execute, task_id: UUID) -> Stored:
    """Send a completed task back to the queue: another agent, or the same, does it again."""
    answer = (await execute([ReopenTask(task_id=task_id), PutBackTask(task_id=task_id)]))[-1]
    return Stored(id=answer.id, version=answer.version, position=answer.position)


@api.get("/projects/{project_id}/events")
async def events(
    tiu: Tiu,
    stopping: Stopping,
    project: Project,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> StreamingResponse:
    """Stream what happens in a project: the events behind the last that a browser has had, else behind `after`.

    An event's id is its position, so a browser that connects again goes on where it was.
    """
    entries = follow(tiu, project.id, after if last_event_id is None else last_event_id, stopping)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_sent(entries), media_type="text/event-stream", headers=headers)


async def _sent(entries: AsyncIterator[HistoryEntry | None]) -> AsyncIterator[str]:
    """Yield events as a browser's EventSource takes them; in silence a comment, so that no proxy hangs up.

    (FastAPI has a response of its own for this. Where a browser goes away it may log an error.)
    """
    yield "retry: 1000\n\n"
    async for entry in entries:
        if entry is None:
            yield ": nothing new\n\n"
            continue
        happened = Happened(
            position=entry.position,
            topic=entry.topic,
            kind=entry.kind,
            at=(entry.occurred_at or entry.recorded_at).isoformat(),
            stream_id=entry.stream_id,
            sentence=entry.sentence,
        )
        yield f"id: {entry.position}\ndata: {happened.model_dump_json()}\n\n"
        await asyncio.sleep(0)  # lets the server notice a browser that is gone: a page of history comes without waiting
