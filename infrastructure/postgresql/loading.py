"""The server calls of loading: the events of one stream, or of several, each from a version on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg.pq.abc import PGresult

from ..event_store import Answering, StreamEvent
from .connections import Connection, Connections
from .wire import answered, execute, integers, send, uuids

Loaded = dict[UUID, list[StreamEvent]]


def load(connection: Connection, versions: Mapping[UUID, int], superseded: Collection[str]) -> Loaded:
    """Return streams' events as `load_many` does. Raises psycopg's errors."""
    return _loaded(execute(connection, *_asked(versions)), versions, superseded)


@contextmanager
def loading(connections: Connections, versions: Mapping[UUID, int], superseded: Collection[str]) -> Iterator[Answering]:
    """Ask for the same, and give what waits for the answer. Who leaves without it costs the connection."""
    name, parameters = _asked(versions)
    with connections.hot() as connection:
        if send(connection, name, parameters):
            yield lambda: _loaded(answered(connection, name, parameters), versions, superseded)
        else:
            yield lambda: load(connection, versions, superseded)


def _asked(versions: Mapping[UUID, int]) -> tuple[str, list[bytes | None]]:
    """Return the statement that asks for streams, and its parameters."""
    if len(versions) == 1:
        ((stream_id, version),) = versions.items()
        return "load", [stream_id.bytes, version.to_bytes(4, signed=True)]
    return "load_some", [uuids(versions), integers(versions.values())]


def _loaded(result: PGresult, versions: Mapping[UUID, int], superseded: Collection[str]) -> Loaded:
    topics = {topic.encode() for topic in superseded}
    found: Loaded = {stream_id: [] for stream_id in versions}
    if len(versions) == 1:
        _take_in(result, 0, result.ntuples, topics, found[next(iter(versions))])
        return found
    first, streams = 0, [*found.values()]
    while first < result.ntuples:
        number, end = result.get_value(first, 3), first + 1
        while end < result.ntuples and result.get_value(end, 3) == number:
            end += 1
        _take_in(result, first, end, topics, streams[int.from_bytes(number or b"") - 1])
        first = end
    return found


def _take_in(result: PGresult, first: int, end: int, superseded: Collection[bytes], events: list[StreamEvent]) -> None:
    """Take in a stream's events from rows of an answer; backwards, so that rows which are left out cost a look at their
    topic."""
    cell: Callable[[int, int], Any] = result.get_value  # none of them is NULL
    new, last = tuple.__new__, set[bytes]()
    for row in range(end - 1, first - 1, -1):
        topic = cell(row, 1)
        if topic in superseded:
            if topic in last and row > first:
                continue
            last.add(topic)
        events.append(new(StreamEvent, (int.from_bytes(cell(row, 0)), topic.decode(), cell(row, 2))))
    events.reverse()
