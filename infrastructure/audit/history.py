"""What happened, in order: the events of a thing, of a project, or of one correlation id, in words and as they were.

Events are read page by page and told one by one, so a long history fills no memory. What an event changed is told from
the state before it: of a stream that is not told from its first event on, what came before is read first. Only events
on disk are told, up to where the log ended when the telling began.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from ...domain.errors import NotFound
from ...domain.messages import Event, event_id
from ...domain.project import PROJECT
from ...domain.registry import PERSONAL, UndecodableEvent, aggregate_of
from ...domain.values import Identifier
from ...projections.changes import Change, Picture
from ...projections.sentences import sentence
from ..errors import InvalidQuery
from ..event_store import EventRow, EventStore
from ..mapper import decode

PAGE = 500
KEPT_VALUES = 200_000
"""How many values the pictures of streams hold together at most; beyond, those told longest ago are made again."""

Read = Callable[[int, int], list[EventRow]]
"""(behind which position or version, how many at most) -> rows."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event as it is told.

    `kind` is what its stream is ("task"), `id` the event's own. `sentence` holds nothing personal. Where the event
    cannot be read, `fault` says why: then kind and occurred_at may be None, and no changes are known.
    """

    position: int
    stream_id: UUID
    version: int
    id: UUID
    kind: str | None
    topic: str
    occurred_at: datetime | None
    recorded_at: datetime
    actor: str | None
    command_id: UUID | None
    correlation_id: str | None
    causation_id: str | None
    project_id: UUID | None
    sentence: str
    changes: tuple[Change, ...] = field(repr=False)
    fault: str | None = None


class History:
    """Tells what happened, from an event store. Every method may raise StoreUnavailable."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    def of(self, id_: UUID, *, everything: bool = False, after: int = 0) -> Iterator[HistoryEntry]:
        """Return the history of whatever has an id: its own stream; of a project `everything` in it, if asked for.

        It goes on behind the position `after`. Raises NotFound; InvalidQuery, where everything of no project is asked.
        """
        end = self._flushed()
        first = self._events.read_rows_of_stream(id_, 0, 1)
        if not first or first[0].position > end:
            raise NotFound(f"nothing has the id {id_}", id=id_)
        if not everything:
            return self._told(self._stream(id_), end, after)
        if (kind := _kind(first[0].topic)) != PROJECT.name:
            raise InvalidQuery(f"everything is told of a project alone: {id_} is a {kind or 'stream of no known kind'}")
        return self._told(
            _pages(lambda behind, limit: self._events.read_rows_of_project(id_, behind, limit), after), end
        )

    def of_correlation(self, correlation_id: str, *, after: int = 0) -> Iterator[HistoryEntry]:
        """Return what has a correlation id, through all streams, behind a position. Raises NotFound, InvalidQuery."""
        wanted = identifier(correlation_id)
        end = self._flushed()
        first = self._events.read_rows_related("correlation", wanted, 0, 1)
        if not first or first[0].position > end:
            raise NotFound(f"nothing has the correlation id {wanted}", correlation_id=wanted)
        pages = _pages(
            lambda behind, limit: self._events.read_rows_related("correlation", wanted, behind, limit), after
        )
        return self._told(pages, end)

    def tell(self, rows: Sequence[EventRow]) -> list[HistoryEntry]:
        """Return rows of any streams as they are told."""
        return [*self._told(iter([rows]), max((row.position for row in rows), default=0))]

    def _flushed(self) -> int:
        """Return the last position that is on disk: a crash must not undo what was told."""
        end = self._events.max_notification_id() or 0
        self._events.flush()
        return end

    def _stream(self, id_: UUID) -> Iterator[Sequence[EventRow]]:
        version = 0
        while page := self._events.read_rows_of_stream(id_, version, PAGE):
            yield page
            version = page[-1].version

    def _told(self, pages: Iterator[Sequence[EventRow]], end: int, after: int = 0) -> Iterator[HistoryEntry]:
        """Tell rows up to a position, those behind `after` alone; the others make the picture."""
        teller = Teller(self._events)
        for page in pages:
            teller.fetch_keys(page)
            for row in page:
                if row.position > end:
                    return
                entry = teller.tell(row)
                if row.position > after:
                    yield entry


def _pages(read: Read, after: int) -> Iterator[Sequence[EventRow]]:
    while page := read(after, PAGE):
        yield page
        after = page[-1].position


class Streams(Protocol):
    """What telling of events asks for besides them: an event store has it."""

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]: ...

    def read_rows_of_stream(self, stream_id: UUID, after: int, limit: int) -> list[EventRow]: ...


class Teller:
    """Tells events in the order of the log, and holds the pictures of the streams that it tells of."""

    def __init__(self, events: Streams) -> None:
        self._events = events
        self._keys: dict[UUID, bytes] = {}
        self._pictures: OrderedDict[UUID, Picture] = OrderedDict()
        self._values = 0

    def fetch_keys(self, rows: Sequence[EventRow]) -> None:
        """Read the keys of the persons that rows tell of; of nobody else are they held."""
        self._keys = self._events.keys({row.key_id for row in rows if row.key_id})

    def tell(self, row: EventRow) -> HistoryEntry:
        """Return an event of a page whose keys were read, and take it in."""
        picture = self._picture(row)
        event, fault = self._read(row)
        before = picture.size
        changes = picture.tell(event, has_key=self._has_key(row))
        self._values += picture.size - before
        self._trim()
        return HistoryEntry(
            position=row.position,
            stream_id=row.stream_id,
            version=row.version,
            id=event_id(row.stream_id, row.version),
            kind=_kind(row.topic),
            topic=row.topic,
            occurred_at=None if event is None else event.occurred_at,
            recorded_at=row.recorded_at,
            actor=row.actor,
            command_id=row.command_id,
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            project_id=row.project_id,
            sentence=f"This event cannot be read: {fault}." if event is None else sentence(event, picture.state),
            changes=changes,
            fault=fault,
        )

    def _read(self, row: EventRow) -> tuple[Event | None, str | None]:
        key = self._keys.get(row.key_id) if row.key_id else None
        try:
            return decode(row.topic, row.state, row.stream_id, row.version, key), None
        except UndecodableEvent as error:
            return None, error.message

    def _has_key(self, row: EventRow) -> bool:
        return row.topic not in PERSONAL or row.key_id is None or row.key_id in self._keys

    def _picture(self, row: EventRow) -> Picture:
        """Return a stream as it stood before an event: as it was told, or as what came before makes it."""
        picture = self._pictures.get(row.stream_id)
        if picture is None or picture.version != row.version - 1:
            if picture is not None:
                self._values -= picture.size
            picture = self._pictures[row.stream_id] = self._made_again(row)
            self._values += picture.size
        self._pictures.move_to_end(row.stream_id)
        return picture

    def _made_again(self, row: EventRow) -> Picture:
        picture, keys = Picture(), self._keys
        while picture.version < row.version - 1:
            wanted = min(PAGE, row.version - 1 - picture.version)
            page = self._events.read_rows_of_stream(row.stream_id, picture.version, wanted)
            self.fetch_keys(page)
            for earlier in page:
                picture.tell(self._read(earlier)[0], has_key=self._has_key(earlier))
            if not page:
                break
        self._keys = keys
        picture.version = row.version - 1
        return picture

    def _trim(self) -> None:
        while self._values > KEPT_VALUES and len(self._pictures) > 1:
            _, dropped = self._pictures.popitem(last=False)
            self._values -= dropped.size


def identifier(text: str) -> str:
    """Return a correlation or causation id. Raises InvalidQuery where no event can have it."""
    try:
        valid: str = _IDENTIFIERS.validate_python(text)
    except ValidationError:
        raise InvalidQuery(f"no event can have the correlation or causation id {text!a:.60}") from None
    return valid


_IDENTIFIERS: TypeAdapter[str] = TypeAdapter(Identifier)


def _kind(topic: str) -> str | None:
    try:
        return aggregate_of(topic).name
    except UndecodableEvent:
        return None
