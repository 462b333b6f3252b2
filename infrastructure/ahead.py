"""What a command names, loaded while the command is prepared: the server and this process work at the same time."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from ..domain.messages import Command
from ..domain.registry import AGGREGATE_OF, SUPERSEDED, UndecodableEvent
from .decision import Request, prepare
from .errors import ConnectionClosed, StoreUnavailable
from .event_store import EventStore
from .streams import Stream, StreamCache, first_seen


class Ahead(NamedTuple):
    """Streams that were loaded before anything was decided."""

    cache: StreamCache
    """Which did not have them. Behind a crash of the database there is another: what was read before is of no use."""
    streams: dict[UUID, Stream]


def prepare_loading(
    store: EventStore, cache: StreamCache, command: Command, correlation_id: str | None
) -> tuple[Request, Ahead | None]:
    """Prepare a command, and meanwhile have the store load the streams that it names, as far as the cache lacks them.

    Raises as `prepare`. Where nothing can be loaded, whoever attempts the command tries it again, and tells why not.
    """
    unknown = _unknown(cache, command)
    loading = store.load_ahead(dict.fromkeys(unknown, 1), SUPERSEDED) if unknown else None
    if loading is None:
        return prepare(command, correlation_id), None
    request: Request | None = None
    try:
        with loading as answer:
            request = prepare(command, correlation_id)
            events = answer()
        streams = {stream_id: first_seen(store, stream_id, events[stream_id]) for stream_id in unknown}
        return request, Ahead(cache, streams)
    except (StoreUnavailable, ConnectionClosed, UndecodableEvent):
        return request or prepare(command, correlation_id), None


def _unknown(cache: StreamCache, command: Command) -> list[UUID]:
    """Return the streams that a command names and a cache lacks, but for one that it creates."""
    kind = type(command)
    aggregate = AGGREGATE_OF.get(kind)
    if aggregate is None or aggregate.stream_of is not None or aggregate.of_last or kind.exclusive or kind.personal:
        return []
    named = kind.reads if kind.stream is None or kind.stream == kind.creates else (kind.stream, *kind.reads)
    ids: list[UUID | None] = [getattr(command, field_name) for field_name in named]
    return [stream_id for stream_id in ids if stream_id is not None and cache.get(stream_id) is None]
