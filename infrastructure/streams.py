"""Streams as decisions read them: loaded from their events, and kept for the next decision."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from ..domain.aggregate import Aggregate
from ..domain.registry import aggregate_of
from .event_store import EventStore
from .mapper import decode

CACHED_STREAMS = 2_000


class Stream(NamedTuple):
    """A stream as a decision sees it: what kind it is (None: no events yet), its state and its version."""

    aggregate: Aggregate[Any] | None
    state: Any
    version: int


def load_stream(store: EventStore, stream_id: UUID) -> Stream:
    """Return a stream as its events make it; no state rests on personal data, so no key is asked for."""
    rows = store.load(stream_id)
    if not rows:
        return Stream(None, None, 0)
    aggregate = aggregate_of(rows[0].topic)
    state = aggregate.fold(decode(row.topic, row.state, stream_id, row.version) for row in rows)
    return Stream(aggregate, state, rows[-1].version)


class StreamCache:
    """The streams read or written last, as they then stood: others may have moved them since. Thread-safe.

    Of one incarnation of the store: what is read before a crash may be gone behind it.
    """

    def __init__(self, size: int = CACHED_STREAMS, *, incarnation: object = None) -> None:
        self.incarnation = incarnation
        self._size = size
        self._streams: OrderedDict[UUID, Stream] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, store: EventStore, stream_id: UUID) -> Stream:
        """Return a stream as it stood when it was last seen, or as the store has it now."""
        with self._lock:
            stream = self._streams.get(stream_id)
            if stream is not None:
                self._streams.move_to_end(stream_id)
                return stream
        stream = load_stream(store, stream_id)
        self.put({stream_id: stream})
        return stream

    def put(self, streams: Mapping[UUID, Stream]) -> None:
        """Keep streams, where nothing newer is kept; those that hold nothing yet are not."""
        with self._lock:
            for stream_id, stream in streams.items():
                kept = self._streams.get(stream_id)
                if stream.aggregate is not None and (kept is None or kept.version <= stream.version):
                    self._streams[stream_id] = stream
                    self._streams.move_to_end(stream_id)
            while len(self._streams) > self._size:
                self._streams.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._streams.clear()

    def drop(self, stream_ids: Iterable[UUID]) -> None:
        with self._lock:
            for stream_id in stream_ids:
                self._streams.pop(stream_id, None)
