"""The server calls of loading: the events of one stream, or of several, each from a version on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from psycopg.pq.abc import PGresult

from ..event_store import StreamEvent
from .connections import Connection, Using
from .wire import answered, execute, integers, send, uuids

Loaded = dict[UUID, list[StreamEvent]]


def load(connection: Connection, versions: Mapping[UUID, int], superseded: Collection[str]) -> Loaded:
    """Return streams' events as `load_many` does. Raises psycopg's errors."""
    return _loaded(execute(connection, *_asked(versions)), versions, superseded)


class LoadingAhead:
    """Streams' events, asked for on the connection that is kept. Satisfies `Loading`."""

    __slots__ = ("_connection", "_name", "_parameters", "_sent", "_superseded", "_using", "_versions")

    def __init__(self, using: Using, versions: Mapping[UUID, int], superseded: Collection[str]) -> None:
        self._versions, self._superseded = versions, superseded
        self._name, self._parameters = _asked(versions)
        self._using: Using | None = using
        self._connection = using.__enter__()
        try:
            self._sent = send(self._connection, self._name, self._parameters)
        except BaseException as error:
            self._let_go(error)
            raise

    def answer(self) -> Loaded:
        wait = answered if self._sent else execute
        try:
            result = wait(self._connection, self._name, self._parameters)
        except BaseException as error:
            self._let_go(error)
            raise
        self._let_go(None)
        return _loaded(result, self._versions, self._superseded)

    def close(self) -> None:
        """What nobody waited for costs the connection, if the server was asked."""
        self._let_go(None)

    def _let_go(self, error: BaseException | None) -> None:
        """Give the connection back. Raises the translation of what went wrong, if it has one."""
        if self._using is not None:
            using, self._using = self._using, None
            using.__exit__(None if error is None else type(error), error, None)


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
