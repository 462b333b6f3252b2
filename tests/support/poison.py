"""Projections that some events are poison to, and what tables are compared by where units are parked in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from claude_tiu import AddTask, CreateProject, StartTask
from claude_tiu.domain.messages import Command, Recorded
from claude_tiu.domain.registry import EVENTS
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.projector import BATCH_SIZE, Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.projections.projection import Change, Handler, Projection, Rows
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import Backend

OTHER, GRACE, AGENT = uid("other project"), uid("grace"), uid("parking agent")
LATER = START.replace(year=2999)
TASK, OTHER_TASK = uid("a task"), uid("another task")


class Poisoned:
    """The read model, with handlers that raise at the positions of `at`; to take one out of it is to mend that."""

    def __init__(self, *at: int) -> None:
        self.at = {*at}
        handlers = {kind: self._poisoned(READ_MODEL.handlers.get(kind, _nothing)) for kind in EVENTS.values()}
        self.projection: Projection = replace(READ_MODEL, handlers=handlers)

    def _poisoned(self, handler: Handler) -> Handler:
        def raising(recorded: Recorded, event: Any, rows: Rows) -> Iterator[Change]:
            if recorded.position in self.at:
                raise RuntimeError("secret")
            yield from handler(recorded, event, rows)

        return raising

    def projector(self, events: EventStore, reads: ReadStore, *, batch_size: int = BATCH_SIZE) -> Projector:
        """A projector that parks."""
        return Projector(events, reads, self.projection, batch_size=batch_size, parks=True)


def _nothing(recorded: Recorded, event: Any, rows: Rows) -> Iterator[Change]:
    return iter(())


def tables_of(backend: Backend) -> dict[str, list[tuple[Any, ...]]]:
    """Every row; the repr tells doubles and types apart to the bit. Of what is parked, its place alone."""
    found = {name: [tuple(map(repr, row)) for row in rows] for name, rows in backend.tables(READ_MODEL).items()}
    placed = "SELECT unit_id, kind, position, topic, behind FROM parked_units ORDER BY unit_id"
    return found | {"parked_units": [tuple(map(repr, row)) for row in backend.on_reads(placed)]}


def made_anew(backend: Backend, poisoned: Poisoned) -> dict[str, list[tuple[Any, ...]]]:
    """The tables as they are once they were emptied and made from the first event, in order."""
    backend.reads().reset(poisoned.projection)
    poisoned.projector(backend.events(), backend.reads()).catch_up()
    return tables_of(backend)


def executed(events: EventStore, *commands: Command) -> int:
    """Execute commands; return the position of the last event."""
    executor = Executor(events)
    return [executor.execute([command])[0].position for command in commands][-1]


def two_projects(events: EventStore) -> int:
    """Two users, a project of each with a task in progress."""
    return executed(
        events,
        create_user(user_id=USER),
        create_user("grace", user_id=GRACE),
        CreateProject(project_id=PROJECT, user_id=USER, name="Billing"),
        CreateProject(project_id=OTHER, user_id=GRACE, name="Search"),
        AddTask(task_id=TASK, project_id=PROJECT, name="Parser"),
        AddTask(task_id=OTHER_TASK, project_id=OTHER, name="Index"),
        StartTask(task_id=TASK),
        StartTask(task_id=OTHER_TASK),
    )


def claimed(backend: Backend, task: UUID) -> float:
    ((real,),) = backend.on_reads("SELECT real_progress FROM tasks WHERE id = ?", task)
    return float(real)


def places(projector: Projector) -> dict[UUID, int]:
    return {unit.unit_id: unit.position for unit in projector.parked()}


def tried_again(projector: Projector, *unit_ids: UUID) -> None:
    projector.ask_retry(unit_ids)
    while projector.step():
        pass
