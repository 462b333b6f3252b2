"""A service that brings the board along: what its tests begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from claude_tiu import (
    AddTask,
    ClaimProgress,
    CompleteTask,
    CreateProject,
    ReadSide,
    StartTask,
    Tiu,
    connect,
)
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.projections import Change, Projection, Recorded, Rows
from tests.support.board import migrate
from tests.support.history import PROJECT, USER, create_user, uid
from tests.support.stores import Backend

OTHER = uid("other project")
TASK, SECOND = uid("a task"), uid("second task")


@contextmanager
def opened(backend: Backend, *projections: Projection, **settings: Any) -> Iterator[Tiu]:
    migrate(backend, *projections)
    with connect(backend.url, projections=projections, settings=Settings(**settings)) as tiu:
        yield tiu


def begin(tiu: Tiu) -> None:
    """A user, two projects, and a task in each."""
    tiu.execute_all(
        [
            create_user(user_id=USER),
            CreateProject(project_id=PROJECT, user_id=USER, name="P"),
            CreateProject(project_id=OTHER, user_id=USER, name="O"),
            AddTask(task_id=TASK, project_id=PROJECT, name="Ünïcödé"),
            AddTask(task_id=SECOND, project_id=OTHER, name="T"),
        ]
    )


def finish(tiu: Tiu, task_id: Any = TASK) -> int:
    done = [StartTask(task_id=task_id), ClaimProgress(task_id=task_id, claimed=50), CompleteTask(task_id=task_id)]
    return tiu.execute_all(done)[-1].position


def cards(side: ReadSide) -> dict[str, bool]:
    return {row["name"]: bool(row["done"]) for row in side.query("SELECT name, done FROM board_cards")}


def raising(projection: Projection, kind: Any, when: Callable[[Recorded], bool]) -> Projection:
    """The same with a handler that raises."""
    handler = projection.handlers[kind]

    def handle(recorded: Recorded, event: Any, rows: Rows) -> Iterator[Change]:
        if when(recorded):
            raise RuntimeError("secret")
        yield from handler(recorded, event, rows)

    return replace(projection, handlers={**projection.handlers, kind: handle})
