"""Which events concern one project: its own, and those of what its rows stand on."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from heapq import merge
from uuid import UUID

from ...domain.errors import NotFound
from ...domain.parking import PARKING_ID, ParkedEventsDiscarded
from ...domain.project import ProjectCreated
from ...domain.retention import RETENTION_ID
from ...domain.task import TaskAssigned
from ...domain.template import TemplateCreated
from ...domain.workflow_run import WorkflowRunStarted
from ...projections.stands_on import stands_on
from ..event_store import EventStore, LogEvent
from .occurred import Known, decoded
from .parts import Part

READ = 1_000


def positions_of_project(events: EventStore, project_id: UUID, end: int) -> array[int]:
    """Return the positions, up to `end`, of the events that a project's rows are made of, in order.

    They are its own; its user's, with the sessions; its template's, and those of the template's author; its agents',
    whatever they did; its workflows'; the runs of retention; and what discards any of these. An event that does not
    decode names nothing here. Raises NotFound where the log has no such project.
    """
    own = events.positions_of(project_id, ())
    if not own:
        raise NotFound(f"no project has the id {project_id}", id=project_id)
    named, users = {RETENTION_ID}, set[UUID]()
    for stored in _read(events, _up_to(own, end)):
        match decoded(stored):
            case ProjectCreated(user_id=user_id, template_id=template_id):
                users.add(user_id)
                if template_id is not None:
                    named.add(template_id)
                    users |= _author_of(events, template_id)
            case TaskAssigned(agent_id=agent_id):
                named.add(agent_id)
            case WorkflowRunStarted(workflow_id=workflow_id):
                named.add(workflow_id)
    named |= users
    discards = _discards_of(events, {project_id, *named}, end)
    named.update(events.streams_about(users))
    return array("q", merge(_up_to(events.positions_of(project_id, named), end), discards))


def _author_of(events: EventStore, template_id: UUID) -> set[UUID]:
    for stored in _read(events, events.positions_of(None, {template_id})[:1]):
        event = decoded(stored)
        if isinstance(event, TemplateCreated) and event.created_by is not None:
            return {event.created_by}
    return set()


def _discards_of(events: EventStore, units: Collection[UUID], end: int) -> Iterator[int]:
    """Yield the positions, up to `end`, of the events that discard some of units."""
    for stored in _read(events, _up_to(events.positions_of(None, {PARKING_ID}), end)):
        event = decoded(stored)
        if isinstance(event, ParkedEventsDiscarded) and event.unit_id in units:
            yield stored.position


def occurred_of_project(events: EventStore, positions: Sequence[int], at: datetime, end: int) -> array[int]:
    """Return which of a project's positions hold what occurred by a time, as among all events up to `end`.

    An agent may have worked in other projects: what its events stand on there is gone through too.
    """
    known, unknown, grounds = set[UUID](), set[UUID](), list(positions)
    new: Sequence[int] = positions
    while new:
        for stored in _read(events, new):
            known.add(stored.stream_id)
            if (event := decoded(stored)) is not None:
                unknown.update(stands_on(event))
            if stored.project_id is not None:
                unknown.add(stored.project_id)
        new = _up_to(events.positions_of(None, unknown - known), end)
        known |= unknown
        grounds += new
    there, own = Known(at), set(positions)
    taken = (stored.position for stored in _read(events, sorted(grounds)) if there.takes(stored))
    return array("q", (position for position in taken if position in own))


def _up_to(positions: Sequence[int], end: int) -> Sequence[int]:
    return positions[: bisect_right(positions, end)]


def _read(events: EventStore, positions: Sequence[int]) -> Iterator[LogEvent]:
    part, after = Part(events, positions), 0
    while found := part.read(after, READ):
        yield from found
        after = found[-1].position
