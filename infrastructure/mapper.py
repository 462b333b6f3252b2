"""Events as they are stored, and back: in the terms of the library `eventsourcing`, and in ours.

This is the one place where an event's body becomes bytes. What is personal in it is stored as `sealed`: the JSON of
those fields, encrypted under their person's key and bound to the event's topic, stream and version. Where the key is
gone, the event's `forgotten` values stand in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from pydantic_core import from_json, to_json

from ..domain.messages import Event
from ..domain.registry import PERSONAL, VALIDATE, UndecodableEvent, decode_event, encode_event
from .keys import seal, unseal

SEALED = "sealed"


class StreamedEvent(NamedTuple):
    """An event at its place in a stream, under the names that the library knows."""

    originator_id: UUID
    originator_version: int
    event: Event


def person_of(event: Event, stream_id: UUID) -> UUID | None:
    """Return whose personal data an event holds; None where it holds none."""
    if not event.personal:
        return None
    person_id: UUID = getattr(event, event.person) if event.person else stream_id
    return person_id


def encode(event: Event, stream_id: UUID, version: int, key: bytes | None) -> bytes:
    """Return what is stored of an event. `key` is that of its person; an event without one has no use for it.

    Raises ValueError where an event with personal data comes without.
    """
    if not event.personal:
        return encode_event(event)
    if key is None:
        raise ValueError(f"{event.topic} holds personal data: it is not stored without a key")
    body: dict[str, Any] = from_json(encode_event(event))
    personal = {name: body.pop(name) for name in sorted(event.personal)}
    return to_json({**body, SEALED: seal(key, to_json(personal), _place(event.topic, stream_id, version))})


def decode(topic: str, state: bytes, stream_id: UUID, version: int, key: bytes | None = None) -> Event:
    """Return the event that was stored at a place, with its personal data if its person's key is given.

    Raises UndecodableEvent.
    """
    if topic not in PERSONAL:
        return decode_event(topic, state)
    try:
        body = from_json(state)
        sealed = body.pop(SEALED, None)
        if sealed is None:
            return decode_event(topic, state)
        if key is None:
            kind = PERSONAL[topic]
            personal = kind.forgotten(UUID(body[kind.person]) if kind.person else stream_id)
        else:
            personal = from_json(unseal(key, sealed, _place(topic, stream_id, version)))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UndecodableEvent(f"these bytes are no {topic} event, or not of this place and key", topic=topic) from None
    return decode_event(topic, to_json(body | personal))


def _place(topic: str, stream_id: UUID, version: int) -> bytes:
    return f"{topic}\n{stream_id}\n{version}".encode()


PLAIN: dict[str, Callable[[bytes], Event]] = {topic: VALIDATE[topic] for topic in VALIDATE if topic not in PERSONAL}
"""What decodes the events of a topic that hold nothing personal: `decode` without a way round. Raises ValueError."""


def decode_all(stream_id: UUID, rows: Iterable[tuple[int, str, bytes]]) -> Iterator[Event]:
    """Yield the events of a stream from their versions, topics and bytes, what is personal in them as forgotten.

    Raises UndecodableEvent.
    """
    plain = PLAIN
    for version, topic, state in rows:
        read = plain.get(topic)
        try:
            event = decode(topic, state, stream_id, version) if read is None else read(state)
        except ValueError:
            raise UndecodableEvent(f"these bytes are no {topic} event", topic=topic) from None
        yield event


class EventMapper(Mapper[UUID]):
    """The library's mapper, for its own tools to read and write our events (its EventStore, for one).

    It holds no keys: it reads personal data as forgotten, and does not write them.
    """

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Raises ValueError for an event that holds personal data."""
        stream_id, version, event = domain_event
        return StoredEvent(stream_id, version, event.topic, encode(event, stream_id, version, None))

    def to_domain_event(self, stored_event: StoredEvent) -> StreamedEvent:
        stream_id, version = UUID(str(stored_event.originator_id)), stored_event.originator_version
        return StreamedEvent(stream_id, version, decode(stored_event.topic, stored_event.state, stream_id, version))
