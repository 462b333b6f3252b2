"""What a command names, loaded while the command is prepared: the server and this process work at the same time."""

from __future__ import annotations

from uuid import UUID

from ..domain.messages import Command, given
from ..domain.registry import AGGREGATE_OF, SUPERSEDED
from .errors import ConnectionClosed, StoreUnavailable
from .event_store import EventStore, Loading
from .streams import Stream, StreamCache, first_seen


class Ahead:
    """Streams that a store has been asked for before it is known what will be decided on them."""

    __slots__ = ("_cache", "_loading", "_store", "_unknown")

    def __init__(self, store: EventStore, cache: StreamCache, unknown: list[UUID], loading: Loading) -> None:
        self._store = store
        self._cache = cache
        self._unknown = unknown
        self._loading = loading

    def streams(self, cache: StreamCache) -> dict[UUID, Stream]:
        """Wait for the streams, and return them, once. None for another cache than the one that lacked them: the
        database has crashed since, and what was read before may be gone. Raises StoreUnavailable, UndecodableEvent."""
        unknown, self._unknown = self._unknown, []
        if cache is not self._cache:
            self.close()
            return {}
        events = self._loading.answer() if unknown else {}
        return {stream_id: first_seen(self._store, stream_id, events[stream_id]) for stream_id in unknown}

    def close(self) -> None:
        """Wait no longer; once all has come, this does nothing."""
        self._loading.close()


def load_ahead(store: EventStore, cache: StreamCache, command: Command) -> Ahead | None:
    """Ask for the streams that a command names and a cache lacks; None where the store would have to be waited for."""
    unknown = _unknown(cache, command)
    if not unknown:
        return None
    try:
        loading = store.load_ahead(dict.fromkeys(unknown, 1), SUPERSEDED)
    except (StoreUnavailable, ConnectionClosed):
        return None
    return None if loading is None else Ahead(store, cache, unknown, loading)


def _unknown(cache: StreamCache, command: Command) -> list[UUID]:
    """Return the streams that a command names and a cache lacks, but for one that it creates."""
    kind = type(command)
    aggregate = AGGREGATE_OF.get(kind)
    if aggregate is None or aggregate.stream_of is not None or aggregate.of_last or kind.exclusive or kind.personal:
        return []
    named = kind.reads if kind.stream == kind.creates else (given(kind.stream), *kind.reads)
    ids: list[UUID | None] = [getattr(command, field_name) for field_name in named]
    return [stream_id for stream_id in ids if stream_id is not None and cache.get(stream_id) is None]
