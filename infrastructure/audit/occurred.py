"""What is now known about a day: which events occurred by a time.

Of each stream they are the longest prefix whose events all occurred by then, and stand on what is there: a project
without its user is not there, nor a task without its project, nor what names the task. Clocks may fall, within a
stream and between two; so a part of a history may be there that never stood so, and nothing in it hangs in the air.
Of an event that does not decode, nothing but its time is asked: whoever projects it parks its unit.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import datetime

from pydantic import AwareDatetime, BaseModel

from ...domain.messages import Event
from ...domain.project import ProjectArchived, ProjectRestored
from ...domain.registry import UndecodableEvent
from ...domain.workflow import StepAdded
from ...projections.stands_on import stands_on
from ..event_store import LogEvent
from ..mapper import decode


class Timed(BaseModel):
    """What every event's body has."""

    occurred_at: AwareDatetime


def occurred_by(events: Iterable[LogEvent], at: datetime) -> array[int]:
    """Return the positions of the events that occurred by a time, of events in order.

    What streams stand on must be among these events. Memory grows with the number of streams.
    """
    there = Known(at)
    return array("q", (event.position for event in events if there.takes(event)))


def decoded(stored: LogEvent) -> Event | None:
    """Return an event, without what is personal; None where it does not decode."""
    try:
        return decode(stored.topic, stored.state, stored.stream_id, stored.version)
    except UndecodableEvent:
        return None


def _time_in(state: bytes) -> datetime | None:
    """Return when something occurred that does not decode, where its body says that much."""
    try:
        return Timed.model_validate_json(state).occurred_at
    except ValueError:
        return None


class Known:
    """What is there by a time, as events are gone through in order."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._there: set[int] = set()
        self._ended: set[int] = set()
        """The streams whose prefix has ended."""
        self._archived: set[int] = set()

    def takes(self, stored: LogEvent) -> bool:
        """Whether the next event occurred by then and stands on what is there."""
        stream = stored.stream_id.int
        if stream in self._ended:
            return False
        event = decoded(stored)
        occurred_at = _time_in(stored.state) if event is None else event.occurred_at
        if (occurred_at and occurred_at > self._at) or (event is not None and not self._carries(stored, event)):
            self._ended.add(stream)
            return False
        self._there.add(stream)
        if isinstance(event, StepAdded):
            self._there.add(event.step_id.int)
        elif isinstance(event, ProjectArchived):
            self._archived.add(stream)
        elif isinstance(event, ProjectRestored):
            self._archived.discard(stream)
        return True

    def _carries(self, stored: LogEvent, event: Event) -> bool:
        """An archived project carries nothing: its rows are away, until it is restored."""
        project = stored.project_id
        if project is not None and project != stored.stream_id and project.int in self._archived:
            return False
        return all(id_.int in self._there and id_.int not in self._archived for id_ in stands_on(event))
