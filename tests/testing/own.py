"""A projection of a service's own: how many open tasks each project has, and its board of tasks."""

from __future__ import annotations

from collections.abc import Iterator

from claude_tiu.domain.messages import Event, Recorded
from claude_tiu.domain.task import STATUS_AFTER, TaskAdded, TaskCompleted
from claude_tiu.projections.projection import Change, Insert, Kind, Projection, Rows, Table, Update

OPEN_TASKS = Table(
    "open_tasks",
    "project_id",
    {"project_id": Kind.UUID, "open": Kind.INTEGER, "last": Kind.TEXT, "changed_at": Kind.TIME},
    private=True,
)
BOARD = Table("board", "task_id", {"task_id": Kind.UUID, "name": Kind.TEXT, "status": Kind.TEXT})


def added(recorded: Recorded, event: TaskAdded, rows: Rows) -> Iterator[Change]:
    yield Insert(BOARD.name, {"task_id": recorded.stream_id, "name": event.name, "status": "pending"})
    try:
        row = rows.get(OPEN_TASKS.name, event.project_id)
    except KeyError:
        values = {"open": 1, "last": event.name, "changed_at": event.occurred_at}
        yield Insert(OPEN_TASKS.name, {"project_id": event.project_id, **values})
    else:
        values = {"open": row["open"] + 1, "last": event.name, "changed_at": event.occurred_at}
        yield Update(OPEN_TASKS.name, event.project_id, values)


def moved(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    yield Update(BOARD.name, recorded.stream_id, {"status": STATUS_AFTER[type(event)]})
    if isinstance(event, TaskCompleted) and recorded.project_id is not None:
        row = rows.get(OPEN_TASKS.name, recorded.project_id)
        yield Update(OPEN_TASKS.name, recorded.project_id, {"open": row["open"] - 1, "changed_at": event.occurred_at})


OWN = Projection("own", 1, (OPEN_TASKS, BOARD), {**dict.fromkeys(STATUS_AFTER, moved), TaskAdded: added})
