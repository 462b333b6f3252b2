"""The events of a history as a log that a projector reads."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from uuid import UUID

from ..domain.messages import Recorded
from ..domain.registry import encode_event
from ..domain.user import UserForgotten
from ..infrastructure.event_store import LogEvent
from ..infrastructure.mapper import person_of
from .history import History
from .names import uid

NO_EVENT = bytes(32)


class HistoryLog:
    """Satisfies `Log`. With `keys_gone`, as it is read once those persons are forgotten who will be."""

    epoch = uid("the store of a history")

    def __init__(self, history: History, *, keys_gone: bool = False) -> None:
        self.forgotten = {one.stream_id for one in history.events if isinstance(one.event, UserForgotten)}
        self._keys_gone = keys_gone
        self._units: dict[UUID, UUID] = {}
        self._events: list[LogEvent] = []
        for recorded in history.events:
            self._units.setdefault(recorded.stream_id, _unit_of(recorded))
            self._events.append(self._logged(recorded))

    def _logged(self, recorded: Recorded) -> LogEvent:
        event, stream_id, version, position, project_id = recorded
        person_id = person_of(event, stream_id)
        if self._keys_gone and person_id in self.forgotten:
            event = event.model_copy(update=type(event).forgotten(person_id))
        before, after = (NO_EVENT if at == 0 else sha256(b"%d" % at).digest() for at in (position - 1, position))
        return LogEvent(position, stream_id, version, event.topic, encode_event(event), project_id, None, before, after)

    def read(self, after: int, limit: int) -> list[LogEvent]:
        return self._events[after : after + limit]

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        return [one for one in self._events[after:] if self._units[one.stream_id] in unit_ids][:limit]

    def units_of(self, stream_ids: Collection[UUID]) -> dict[UUID, UUID]:
        return {stream_id: self._units[stream_id] for stream_id in stream_ids if stream_id in self._units}

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        return {}

    def hash_at(self, position: int) -> bytes | None:
        return self._events[position - 1].hash if 0 < position <= len(self._events) else None

    def max_notification_id(self) -> int | None:
        return len(self._events) or None


def _unit_of(recorded: Recorded) -> UUID:
    return recorded.project_id or person_of(recorded.event, recorded.stream_id) or recorded.stream_id
