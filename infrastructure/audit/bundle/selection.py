"""Which events tell of one project: its own, and what its rows rest on of others; nothing personal of anybody.

- Every event of the project, by the log's own column: its streams are wholly in.
- Of each agent that worked on its tasks: the registration, and what the agent did with these tasks.
- The workflows that were run in it, wholly, and the runs of retention.
- What discards any of these: the read tables leave out what was discarded.

The owner is an id in the project's first event: no event of a user or a session is in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from ....domain.errors import NotFound
from ....domain.messages import Event
from ....domain.parking import PARKING_ID, READ_MODEL, ParkedEventsDiscarded
from ....domain.project import PROJECT
from ....domain.registry import UndecodableEvent, aggregate_of
from ....domain.retention import RETENTION_ID
from ....domain.task import TaskAssigned
from ....domain.workflow_run import WorkflowRunStarted
from ...event_store import EventRow, EventStore
from ...mapper import decode

PAGE = 1_000
PAGE_OF_OTHERS = 50
"""A page of each agent's events is in memory at once."""


def events_of_project(events: EventStore, project_id: UUID, position: int) -> Iterator[EventRow]:
    """Yield the rows of the events up to a position that tell of a project, in order; memory is bounded.

    Raises NotFound where no project had this id then; as they are gone through, UndecodableEvent where what an agent
    did does not decode and is not discarded.
    """
    first = next(_of_stream(events, project_id, position, 1), None)
    if first is None or aggregate_of(first.topic) is not PROJECT:
        raise NotFound(f"there was no project {project_id} at position {position}", id=project_id)
    # In a commit, what an agent's claim opens stands right in front of the task's event that names the agent.
    agents, workflows = _named(events, project_id, position + 1)
    others = [RETENTION_ID, *sorted(workflows)]
    discards = list(_discards(events, position))

    def of_agent(id_: UUID) -> Iterator[EventRow]:
        return _of_agent(events, id_, project_id, position, [one for one in discards if one.event.unit_id == id_])

    def concerns(discard: Discard) -> bool:
        unit_id = discard.event.unit_id
        return unit_id in {project_id, *others} or (
            unit_id in agents and any(map(discard.leaves_out, of_agent(unit_id)))
        )

    return merge(
        _of_project(events, project_id, position),
        *(_of_stream(events, id_, position) for id_ in others),
        *(of_agent(id_) for id_ in sorted(agents)),
        (discard.row for discard in discards if concerns(discard)),
        key=attrgetter("position"),
    )


def _named(events: EventStore, project_id: UUID, position: int) -> tuple[set[UUID], set[UUID]]:
    """Return the agents and the workflows that a project's events name."""
    agents, workflows = set(), set()
    for row in _of_project(events, project_id, position):
        if _unversioned(row.topic) in NAMING:
            event = _decoded(row)
            if isinstance(event, TaskAssigned):
                agents.add(event.agent_id)
            elif isinstance(event, WorkflowRunStarted):
                workflows.add(event.workflow_id)
    return agents, workflows


class Discard(NamedTuple):
    """An event that discards others, and its row."""

    row: EventRow
    event: ParkedEventsDiscarded

    def leaves_out(self, row: EventRow) -> bool:
        """Whether it discards an event of its unit from the read tables that a bundle has."""
        if self.event.projection != READ_MODEL:
            return False
        return self.event.first_position <= row.position <= min(self.event.last_position, self.row.position)


def _discards(events: EventStore, position: int) -> Iterator[Discard]:
    for row in _of_stream(events, PARKING_ID, position):
        event = _decoded(row)
        if isinstance(event, ParkedEventsDiscarded):
            yield Discard(row, event)


def _decoded(row: EventRow) -> Event | None:
    """Return an event; None where it does not decode."""
    try:
        return decode(row.topic, row.state, row.stream_id, row.version)
    except UndecodableEvent:
        return None


def _unversioned(topic: str) -> str:
    return topic.rpartition(".v")[0]


NAMING = {_unversioned(event.topic) for event in (TaskAssigned, WorkflowRunStarted)}


def _of_agent(
    events: EventStore, agent_id: UUID, project_id: UUID, position: int, discards: Collection[Discard]
) -> Iterator[EventRow]:
    for row in _of_stream(events, agent_id, position):
        event = _decoded(row)
        if event is None and not any(discard.leaves_out(row) for discard in discards):
            decode(row.topic, row.state, row.stream_id, row.version)  # raises: it may concern the project
        if row.version == 1 or getattr(event, "project_id", None) == project_id:
            yield row


def _of_project(events: EventStore, project_id: UUID, position: int) -> Iterator[EventRow]:
    after = 0
    while rows := events.read_rows_of_project(project_id, after, PAGE):
        yield from _up_to(position, rows)
        after = rows[-1].position


def _of_stream(events: EventStore, stream_id: UUID, position: int, page: int = PAGE_OF_OTHERS) -> Iterator[EventRow]:
    after = 0
    while rows := events.read_rows_of_stream(stream_id, after, page):
        yield from _up_to(position, rows)
        after = rows[-1].version


def _up_to(position: int, rows: Iterable[EventRow]) -> Iterator[EventRow]:
    return takewhile(lambda row: row.position <= position, rows)
