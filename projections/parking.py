"""What parking must know of the events and tables: which events refer to rows of another unit, and what crosses units.

A unit is what waits together: a project, a user with its sessions, else a stream. Running state is a unit's own, and so
is every row, but for what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from ..domain.agent_metrics import AgentMetricRecorded
from ..domain.assignment import AssignmentOpened
from ..domain.messages import Event, Recorded
from ..domain.parking import PARKING_ID, ParkedEventsDiscarded
from ..domain.project import ProjectArchived, ProjectCreated, ProjectRestored
from ..domain.retention import RETENTION_ID
from ..domain.template import TemplateCreated
from ..domain.user import UserForgotten
from ..domain.workflow_run import WorkflowRunStarted
from .projection import Change, Handler, Operation, Projection, Row, Rows, Table
from .tables import (
    AGENT_ASSIGNMENTS,
    AGENT_ASSIGNMENTS_ARCHIVE,
    AGENTS,
    CLEANUP_LOG,
    LEFT_OUT_EVENTS,
    PARKED_UNITS,
    PROJECTS,
    TASKS,
    TASKS_ARCHIVE,
    USERS,
    WORKFLOW_STEPS,
)

LEAVE_OUT = "leave_out"
"""The operation that discarding means: a projector's own, no read store has it."""


class Reference(NamedTuple):
    """What an event's rows refer to of another unit: the id of its stream, and rows of a table."""

    unit_id: UUID
    table: Table
    keys: tuple[UUID, ...]


class Follower(NamedTuple):
    """Rows that stand in the archive while the row that they refer to does, and are of another unit than that."""

    table: Table
    archive: Table
    column: str
    parent: Table
    parent_archive: Table


def _nobody_stands_in(unit_ids: Collection[UUID]) -> list[tuple[Table, Row]]:
    return []


@dataclass(frozen=True)
class Parking:
    """How a projection parks. One without it stops at what it cannot project."""

    parked: Table
    left_out: Table
    references: Mapping[type[Event], Callable[[Any], Reference | None]] = field(default_factory=dict)
    discards: UUID = PARKING_ID
    """The stream of what is discarded."""
    everybodys: frozenset[UUID] = frozenset()
    """The streams whose events concern every unit's rows: only a rebuild takes one up that was passed over."""
    never_wait: tuple[type[Event], ...] = (UserForgotten,)
    """The events that are projected where their unit is parked, too."""
    moves: tuple[type[Event], ...] = ()
    """The events of a unit by which rows of others move."""
    follower: Follower | None = None
    stand_ins: Callable[[Collection[UUID]], list[tuple[Table, Row]]] = _nobody_stands_in
    """Rows that stand in for those of other units, where what refers to them is replayed by itself."""
    counted: tuple[Table, str] | None = None
    """The table, and its column, in which events of `everybodys` count the rows of all units that they dropped."""


def _made_by(event: TemplateCreated) -> Reference | None:
    return None if event.created_by is None else Reference(event.created_by, USERS, (event.created_by,))


REFERENCES: Mapping[type[Event], Callable[[Any], Reference | None]] = {
    ProjectCreated: lambda event: Reference(event.user_id, USERS, (event.user_id,)),
    TemplateCreated: _made_by,
    WorkflowRunStarted: lambda event: Reference(event.workflow_id, WORKFLOW_STEPS, tuple(event.steps)),
    AssignmentOpened: lambda event: Reference(event.project_id, TASKS, (event.task_id,)),
    AgentMetricRecorded: lambda event: Reference(event.agent_id, AGENTS, (event.agent_id,)),
}

NOBODY = UUID(int=0)


def _projects_of_nobody(project_ids: Collection[UUID]) -> list[tuple[Table, Row]]:
    """Return a user who is nobody, with these projects; a name that begins so no user can take."""
    user = {"id": NOBODY, "username": "forgotten:", "email": "forgotten:", "password_hash": "!"}
    project = {"user_id": NOBODY, "name": "", "status": "active"}
    return [
        (USERS, dict.fromkeys(USERS.columns) | user),
        *((PROJECTS, dict.fromkeys(PROJECTS.columns) | project | {"id": id_}) for id_ in project_ids),
    ]


READ_MODEL_PARKING = Parking(
    parked=PARKED_UNITS,
    left_out=LEFT_OUT_EVENTS,
    references=REFERENCES,
    everybodys=frozenset({RETENTION_ID}),
    moves=(ProjectArchived, ProjectRestored),
    follower=Follower(AGENT_ASSIGNMENTS, AGENT_ASSIGNMENTS_ARCHIVE, "task_id", TASKS, TASKS_ARCHIVE),
    stand_ins=_projects_of_nobody,
    counted=(CLEANUP_LOG, "rows_deleted"),
)


def discarded(recorded: Recorded, event: ParkedEventsDiscarded) -> dict[str, Any]:
    """Return the row of left_out_events: what is stored behind the event itself is not discarded by it."""
    last = min(event.last_position, recorded.position - 1)
    positions = {"first_position": event.first_position, "last_position": last}
    return {"id": recorded.event_id, "unit_id": event.unit_id, **positions}


def discards_of(projection: str) -> dict[type[Event], Handler]:
    """Return the handler of what is discarded of a projection's tables."""

    def events_discarded(recorded: Recorded, event: ParkedEventsDiscarded, rows: Rows) -> Iterator[Change]:
        if event.projection == projection:
            yield Operation(LEAVE_OUT, discarded(recorded, event))

    return {ParkedEventsDiscarded: events_discarded}


def with_parking(
    projection: Projection, references: Mapping[type[Event], Callable[[Any], Reference | None]] | None = None
) -> Projection:
    """Return a projection that parks what it cannot project, and goes on with the rest.

    What waits together is a unit: a project, a user with its sessions, else a stream. It is for a projection of which
    every row is of one unit's events alone; `references` names the events whose rows refer to rows of another unit.
    """
    parked = replace(PARKED_UNITS, name=f"{projection.name}_parked_units")
    left_out = replace(LEFT_OUT_EVENTS, name=f"{projection.name}_left_out_events")
    return replace(
        projection,
        tables=(*projection.tables, parked, left_out),
        handlers={**projection.handlers, **discards_of(projection.name)},
        parking=Parking(parked, left_out, references or {}),
    )
