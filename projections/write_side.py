"""What an event means for the write-side tables: what decisions ask of more than one stream.

They change in the same transaction as the events, under the ordering lock, so what they say is never behind:

- the task queue (task_queue, task_queue_dependencies): which task of a project is the next that may be claimed;
- the agenda: what is open or due, by kind and id, with its project;
- the unique values (reservations), which some events release; the keys of persons, which forgetting destroys.

A change is data, as the stores apply it: {"op": ..., ...}. All but keys can be made again from the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.agenda import ASSIGNMENT, COMPLETED_PROJECT, OPEN_RUN
from ..domain.agent import HeartbeatRecorded
from ..domain.assignment import AssignmentClosed, AssignmentOpened
from ..domain.dependency_graph import BINDING, DependencyAdded, DependencyRemoved
from ..domain.messages import Event
from ..domain.project import ProjectArchived, ProjectCompleted, ProjectReactivated
from ..domain.task import STATUS_AFTER, TaskAdded
from ..domain.user import EmailChanged, UserForgotten, UserRenamed
from ..domain.validation_run import RunCompleted, RunFailed, RunStarted

Change = dict[str, Any]
FROM_EVENTS = frozenset({"queue_task", "move_task", "bind", "unbind", "schedule", "unschedule"})
"""The changes of the tables that events can make again."""
PRIORITY_RANK = {"critical": 1, "high": 2, "medium": 3, "low": 4}


def queue_task(task_id: UUID, event: TaskAdded) -> Change:
    """Put a pending task into its project's queue; its place among equals is that of its event in the log."""
    return {
        "op": "queue_task",
        "id": task_id,
        "project_id": event.project_id,
        "priority": PRIORITY_RANK[event.priority],
        "at": event.occurred_at,
        "agent_type": event.agent_type,
        "capabilities": event.capabilities,
    }


def move_task(task_id: UUID, status: str) -> Change:
    """Give a task another status; those that wait for it wait no longer, or again."""
    return {"op": "move_task", "id": task_id, "status": status}


def bind(task_id: UUID, other: UUID) -> Change:
    """Make a task wait until another is completed."""
    return {"op": "bind", "id": task_id, "other": other}


def unbind(task_id: UUID, other: UUID) -> Change:
    """Let a task no longer wait for another, if it did."""
    return {"op": "unbind", "id": task_id, "other": other}


def schedule(kind: str, id_: UUID, project_id: UUID, at: datetime) -> Change:
    """Put something into the agenda, or give it another time."""
    return {"op": "schedule", "kind": kind, "id": id_, "project_id": project_id, "at": at}


def unschedule(kind: str, id_: UUID) -> Change:
    """Take something out of the agenda, if it is there."""
    return {"op": "unschedule", "kind": kind, "id": id_}


def release(stream_id: UUID, space: str | None = None) -> Change:
    """Let the unique values of a stream go: those of a space, or all."""
    return {"op": "release", "id": stream_id, "space": space}


def create_key(person_id: UUID, key: bytes, *, wrapped: bool) -> Change:
    """Keep the key of a person's data, as it is to be stored.

    The person's events begin with it. So a key that is there seals nothing: keys were restored that are newer than the
    events, and it is replaced.
    """
    return {"op": "create_key", "id": person_id, "key": key, "wrapped": wrapped}


def destroy_key(person_id: UUID) -> Change:
    """Destroy the key of a person's data."""
    return {"op": "destroy_key", "id": person_id}


def forget(person_id: UUID) -> list[Change]:
    """Destroy the key of a person's data, and let the person's unique values go."""
    return [destroy_key(person_id), release(person_id)]


def task_added(stream_id: UUID, project_id: UUID, event: TaskAdded) -> Iterator[Change]:
    yield queue_task(stream_id, event)


def status_changed(stream_id: UUID, project_id: UUID, event: Event) -> Iterator[Change]:
    yield move_task(stream_id, STATUS_AFTER[type(event)])


def dependency_added(stream_id: UUID, project_id: UUID, event: DependencyAdded) -> Iterator[Change]:
    if event.dependency_type in BINDING:
        yield bind(event.task_id, event.depends_on_task_id)


def dependency_removed(stream_id: UUID, project_id: UUID, event: DependencyRemoved) -> Iterator[Change]:
    yield unbind(event.task_id, event.depends_on_task_id)


def run_started(stream_id: UUID, project_id: UUID, event: RunStarted) -> Iterator[Change]:
    yield schedule(OPEN_RUN, stream_id, event.project_id, event.occurred_at)


def run_ended(stream_id: UUID, project_id: UUID, event: Event) -> Iterator[Change]:
    yield unschedule(OPEN_RUN, stream_id)


def project_completed(stream_id: UUID, project_id: UUID, event: ProjectCompleted) -> Iterator[Change]:
    yield schedule(COMPLETED_PROJECT, stream_id, stream_id, event.occurred_at)


def project_left_completed(stream_id: UUID, project_id: UUID, event: Event) -> Iterator[Change]:
    yield unschedule(COMPLETED_PROJECT, stream_id)


def renamed(stream_id: UUID, project_id: None, event: UserRenamed) -> Iterator[Change]:
    yield release(stream_id, "username")


def email_changed(stream_id: UUID, project_id: None, event: EmailChanged) -> Iterator[Change]:
    yield release(stream_id, "email")


def forgotten(stream_id: UUID, project_id: None, event: UserForgotten) -> Iterator[Change]:
    yield from forget(stream_id)


def assignment_opened(stream_id: UUID, project_id: UUID, event: AssignmentOpened) -> Iterator[Change]:
    yield schedule(ASSIGNMENT, stream_id, event.project_id, event.deadline)


def heartbeat_recorded(stream_id: UUID, project_id: UUID, event: HeartbeatRecorded) -> Iterator[Change]:
    if event.project_id is not None and event.deadline is not None:
        yield schedule(ASSIGNMENT, stream_id, event.project_id, event.deadline)


def assignment_closed(stream_id: UUID, project_id: UUID, event: AssignmentClosed) -> Iterator[Change]:
    yield unschedule(ASSIGNMENT, stream_id)


HANDLERS: dict[type[Event], Callable[[UUID, Any, Any], Iterator[Change]]] = {
    **dict.fromkeys(STATUS_AFTER, status_changed),
    TaskAdded: task_added,
    DependencyAdded: dependency_added,
    DependencyRemoved: dependency_removed,
    RunStarted: run_started,
    RunCompleted: run_ended,
    RunFailed: run_ended,
    ProjectCompleted: project_completed,
    ProjectReactivated: project_left_completed,
    ProjectArchived: project_left_completed,
    UserRenamed: renamed,
    EmailChanged: email_changed,
    UserForgotten: forgotten,
    AssignmentOpened: assignment_opened,
    HeartbeatRecorded: heartbeat_recorded,
    AssignmentClosed: assignment_closed,
}


def write_side_changes(stream_id: UUID, project_id: UUID | None, event: Event) -> list[Change]:
    """Return what an event changes of the write-side tables, in order."""
    handler = HANDLERS.get(type(event))
    return list(handler(stream_id, project_id, event)) if handler else []
