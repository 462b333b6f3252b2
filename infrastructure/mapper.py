"""Events as they are stored, and back: in the terms of the library `eventsourcing`, and in ours.

This is the one place where an event's body becomes bytes; `key_id` names the key under which personal fields are
encrypted (None: nothing is).
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from ..domain.messages import Event
from ..domain.registry import decode_event, encode_event


class Encoded(NamedTuple):
    """An event's stored form."""

    topic: str
    state: bytes
    key_id: UUID | None


def encode(event: Event) -> Encoded:
    """Return what is stored of an event."""
    return Encoded(event.topic, encode_event(event), None)


def decode(topic: str, state: bytes) -> Event:
    """Return the event that was stored. Raises UndecodableEvent."""
    return decode_event(topic, state)


class StreamedEvent(NamedTuple):
    """An event at its place in a stream, under the names that the library knows."""

    originator_id: UUID
    originator_version: int
    event: Event


class EventMapper(Mapper[UUID]):
    """The library's mapper, for its own tools to read and write our events (its EventStore, for one)."""

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        stream_id, version, event = domain_event
        topic, state, _ = encode(event)
        return StoredEvent(stream_id, version, topic, state)

    def to_domain_event(self, stored_event: StoredEvent) -> StreamedEvent:
        event = decode(stored_event.topic, stored_event.state)
        return StreamedEvent(UUID(str(stored_event.originator_id)), stored_event.originator_version, event)
