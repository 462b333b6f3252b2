"""What is now known about a day: which events occurred by a time.

Of each stream they are the longest prefix whose events all occurred by then, and stand on what is there: a project
without its user is not there, nor a task without its project, nor what names the task. Clocks may fall, within a
stream and between two; so a part of a history may be there that never stood so, and nothing in it hangs in the air.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import datetime

from ...domain.messages import Event
from ...domain.project import ProjectArchived, ProjectRestored
from ...domain.workflow import StepAdded
from ...projections.stands_on import stands_on
from ..event_store import LogEvent
from ..mapper import decode


def occurred_by(events: Iterable[LogEvent], at: datetime) -> array[int]:
    """Return the positions of the events that occurred by a time, of events in order. Raises UndecodableEvent.

    What streams stand on must be among these events. Memory grows with the number of streams.
    """
    there = Known(at)
    return array("q", (event.position for event in events if there.takes(event)))


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
        event = decode(stored.topic, stored.state, stored.stream_id, stored.version)  # no time is personal
        if event.occurred_at > self._at or not self._carries(stored, event):
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
