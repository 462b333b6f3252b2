"""Which events concern one project: its own, and those of what its rows stand on."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from ...domain.errors import NotFound
from ...domain.project import ProjectCreated
from ...domain.retention import RETENTION_ID
from ...domain.task import TaskAssigned
from ...domain.template import TemplateCreated
from ...domain.workflow_run import WorkflowRunStarted
from ...projections.stands_on import stands_on
from ..event_store import EventStore, LogEvent
from ..mapper import decode
from .occurred import Known
from .parts import Part

READ = 1_000


def positions_of_project(events: EventStore, project_id: UUID, end: int) -> array[int]:
    """Return the positions, up to `end`, of the events that a project's rows are made of, in order.

    They are its own; its user's, with the sessions; its template's, and those of the template's author; its agents',
    whatever they did; its workflows'; and the runs of retention. Raises NotFound where the log has no such project.
    """
    own = events.positions_of(project_id, ())
    if not own:
        raise NotFound(f"no project has the id {project_id}", id=project_id)
    named, users = {RETENTION_ID}, set[UUID]()
    for stored in _read(events, _up_to(own, end)):
        match decode(stored.topic, stored.state, stored.stream_id, stored.version):
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
    named.update(events.streams_about(users))
    return array("q", _up_to(events.positions_of(project_id, named), end))


def _author_of(events: EventStore, template_id: UUID) -> set[UUID]:
    for stored in events.load(template_id)[:1]:
        event = decode(stored.topic, stored.state, template_id, stored.version)
        if isinstance(event, TemplateCreated) and event.created_by is not None:
            return {event.created_by}
    return set()


def occurred_of_project(events: EventStore, positions: Sequence[int], at: datetime, end: int) -> array[int]:
    """Return which of a project's positions hold what occurred by a time, as among all events up to `end`.

    An agent may have worked in other projects: what its events stand on there is gone through too.
    """
    known, unknown, grounds = set[UUID](), set[UUID](), list(positions)
    new: Sequence[int] = positions
    while new:
        for stored in _read(events, new):
            known.add(stored.stream_id)
            unknown.update(stands_on(decode(stored.topic, stored.state, stored.stream_id, stored.version)))
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
