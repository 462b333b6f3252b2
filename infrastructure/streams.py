"""Streams as decisions read them: loaded from their events, and kept for the next decision."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from ..domain.aggregate import Aggregate
from ..domain.registry import SUPERSEDED, aggregate_of
from .event_store import LAST, EventStore, StreamEvent
from .mapper import decode_all

CACHED_ITEMS = 50_000
"""How much the cache holds at most: a state is one item; where it grows with its events, one more for each of them. An
item has about half a kilobyte."""
LOADED_AT_ONCE = 500
"""How many streams are asked for in one call."""


class Stream(NamedTuple):
    """A stream as a decision sees it: what kind it is (None: no events yet), its state and its version."""

    aggregate: Aggregate[Any] | None
    state: Any
    version: int


EMPTY = Stream(None, None, 0)


def load_streams(store: EventStore, known: Mapping[UUID, Stream], of_last: Collection[UUID] = ()) -> dict[UUID, Stream]:
    """Return streams as they stand now, in one call. Of what is known of one (EMPTY: nothing), only what came since is
    loaded; of those that should be `of_last`, the last event. No state rests on personal data: no key is asked for."""
    found: dict[UUID, Stream] = {}
    rest = iter(known.items())
    while some := dict(islice(rest, LOADED_AT_ONCE)):
        last = of_last or ()  # nothing is looked for in vain: see StreamCache
        versions = {id_: _first_needed(stream, id_ in last) for id_, stream in some.items()}
        events = store.load_many(versions, SUPERSEDED)
        for stream_id, stream in some.items():
            found[stream_id] = _advanced(store, stream_id, stream, events[stream_id])
    return found


def _first_needed(stream: Stream, of_last: bool) -> int:
    if stream.aggregate is None:
        return LAST if of_last else 1
    return LAST if stream.aggregate.of_last else stream.version


def load_stream(store: EventStore, stream_id: UUID) -> Stream:
    """Return a stream as its events make it."""
    return load_streams(store, {stream_id: EMPTY})[stream_id]


def first_seen(store: EventStore, stream_id: UUID, events: Sequence[StreamEvent]) -> Stream:
    """Return a stream of which nothing is known, from its first event on. Raises UndecodableEvent."""
    return _advanced(store, stream_id, EMPTY, events)


def _advanced(store: EventStore, stream_id: UUID, stream: Stream, events: Sequence[StreamEvent]) -> Stream:
    """Return a stream with what was loaded of it: from the event on that was its last; or its last, if that will do.

    All of it is loaded where that does not fit: it is of another kind, or the store was restored from before.
    """
    if not events:
        return load_stream(store, stream_id) if stream.version else EMPTY
    aggregate = aggregate_of(events[0].topic)
    if aggregate.of_last:
        base, new = EMPTY, events[-1:]
    elif events[0].version == stream.version:
        base, new = stream, events[1:]
    elif events[0].version == 1:
        base, new = EMPTY, events
    else:
        return load_stream(store, stream_id)
    if not new or new[-1].version == stream.version:
        return stream
    state = aggregate.fold(decode_all(stream_id, new), base.state)
    return Stream(aggregate, state, new[-1].version)


class StreamCache:
    """The streams read or written last, as they then stood: others may have moved them since. Thread-safe.

    Those in use are in the young half. When it is full, it becomes the old half, and what was not used since the last
    time goes. It is of one incarnation of the store: what is read before a crash may be gone behind it.
    """

    def __init__(self, size: int = CACHED_ITEMS, *, incarnation: object = None) -> None:
        self.incarnation = incarnation
        self._half = size // 2
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._young: dict[int, Stream] = {}  # by the integers of their ids: a UUID's own hash is Python code
            self._old: dict[int, Stream] = {}
            self._items = 0

    def get(self, stream_id: UUID) -> Stream | None:
        """Return a stream as it stood when it was last seen, if it is here."""
        stream = self._young.get(stream_id.int)  # without the lock: halves are replaced whole
        if stream is None and (stream := self._old.get(stream_id.int)) is not None:
            self.put({stream_id: stream})
        return stream

    def put(self, streams: Mapping[UUID, Stream]) -> None:
        """Keep streams, where nothing newer is kept; those that hold nothing yet are not."""
        with self._lock:
            for stream_id, stream in streams.items():
                if stream.aggregate is None:
                    continue
                key = stream_id.int
                kept = self._young.get(key)
                newest = kept or self._old.get(key)
                if newest is not None and newest.version > stream.version:
                    stream = newest
                if stream is not kept:
                    self._young[key] = stream
                    self._items += _items(stream) - (_items(kept) if kept else 0)
            if self._items > self._half:
                self._old, self._young, self._items = self._young, {}, 0

    def drop(self, stream_ids: Iterable[UUID]) -> None:
        with self._lock:
            for stream_id in stream_ids:
                self._old.pop(stream_id.int, None)
                if (stream := self._young.pop(stream_id.int, None)) is not None:
                    self._items -= _items(stream)


def _items(stream: Stream) -> int:
    return 1 + (stream.version if stream.aggregate is not None and stream.aggregate.grows else 0)


class Lack(NamedTuple):
    """Streams that must be loaded first, with those that other decisions lack; of some, the last event."""

    stream_ids: Collection[UUID]
    of_last: Collection[UUID] = ()


class Unread(Exception):
    """Amid a decision, something turned out to lack."""

    def __init__(self, lack: Lack) -> None:
        self.lack = lack


class Reading:
    """What one attempt reads of a store: each stream as it stood when it was first read.

    A stream comes from the cache where that may be `trusted`, else from the store; there the cached state is what its
    newer events are folded on. `written` are the streams as the attempts before it in the same transaction left them.
    While it never `loads`, it trusts the cache, and raises Unread of what somebody must load for it and have it `take`.
    """

    __slots__ = ("_cache", "_calls", "_from_cache", "_store", "_trusted", "_written", "loads", "seen")

    def __init__(
        self,
        store: EventStore,
        cache: StreamCache,
        written: Mapping[UUID, Stream] | None = None,
        *,
        trusted: bool = True,
        loads: bool = True,
    ) -> None:
        self._store = store
        self._cache = cache
        self._written = written or {}
        self._trusted = trusted
        self.loads = loads
        self._calls = 0
        self._from_cache = False
        self.seen: dict[UUID, Stream] = {}

    def stream(self, stream_id: UUID) -> Stream:
        """Return a stream as it stood when it was first read."""
        stream = self.seen.get(stream_id)
        if stream is None:
            self.read((stream_id,))
            stream = self.seen[stream_id]
        return stream

    def read(self, stream_ids: Iterable[UUID], new: Collection[UUID] = (), of_last: Collection[UUID] = ()) -> None:
        """Read streams, those that the store must be asked for in one call; of those that should be `of_last`, the
        last event. What the cache does not have of those that are `new` is taken for empty, if it may be trusted: the
        append finds out."""
        if unknown := self.find(stream_ids, new):
            if not self.loads:
                raise Unread(Lack(unknown, of_last))
            self.take(load_streams(self._store, unknown, of_last))

    def find(self, stream_ids: Iterable[UUID], new: Collection[UUID] = ()) -> dict[UUID, Stream]:
        """Read streams as far as the store need not be asked; return what is known of the others."""
        unknown: dict[UUID, Stream] = {}
        for stream_id in stream_ids:
            if stream_id in self.seen:
                continue
            if self._written and (stream := self._written.get(stream_id)) is not None:
                self.seen[stream_id] = stream
                continue
            stream = self._cache.get(stream_id)
            if stream is None and self._trusted and stream_id in new:
                stream = EMPTY
            if stream is not None and self._trusted:
                self.seen[stream_id] = stream
                self._from_cache = True
            else:
                unknown[stream_id] = stream or EMPTY
        return unknown

    def take(self, loaded: Mapping[UUID, Stream]) -> None:
        """Take in streams that were loaded, in as few calls as they need."""
        self._calls += -(-len(loaded) // LOADED_AT_ONCE)
        self._cache.put(loaded)
        self.seen |= loaded

    @property
    def of_one_moment(self) -> bool:
        """Whether all that was read stood so together: it came from the store, in one call."""
        return self._calls <= 1 and not self._from_cache

    def moved(self) -> list[UUID]:
        """Return which streams have moved since they were read, and bring the cache up to date with them."""
        newest = load_streams(self._store, self.seen)
        moved = {id_: stream for id_, stream in newest.items() if stream.version != self.seen[id_].version}
        self._cache.drop(moved)  # one that fell behind (the store was restored) would not give way
        self._cache.put(moved)
        return list(moved)
