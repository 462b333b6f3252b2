"""The read side as it stood at a moment: replayed into a file, and asked as the live tables are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from ...projections.tables import USERS
from ..errors import InvalidQuery
from ..event_store import EventStore, Log, LogEvent
from ..projector import BATCH_SIZE
from ..queries import FIRST_TIME, LAST_TIME, Queries, as_id
from ..rebuild import LogUpTo, RebuildProgress, Tell
from ..sql import sequences
from .occurred import occurred_by
from .of_project import occurred_of_project, positions_of_project
from .parts import Part, recorded_at, recorded_by
from .replay import Replayed, last_flushed, replay

TRIM = sequences("audit/as_of.sql")["trim"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment to ask about: one of the three is given.

    `position`: the events up to that position. `recorded_at`: those recorded by then, which is what was known then.
    `occurred_at`: those that occurred by then, of all that are recorded now, which is what is now known about then.
    Raises InvalidQuery.
    """

    position: int | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.position, self.recorded_at, self.occurred_at) if value is not None]
        if len(given) != 1:
            raise InvalidQuery(f"as of one moment: a position, recorded_at or occurred_at, not {len(given)} of them")
        if self.position is not None and (type(self.position) is not int or self.position < 0):
            raise InvalidQuery(f"a position is a number from 0 on: not {self.position!a:.60}")
        for time in (self.recorded_at, self.occurred_at):
            if time is not None and not _is_time(time):
                raise InvalidQuery(f"a time is a datetime with an offset, in the years 1900 to 2999: not {time!a:.60}")


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None and FIRST_TIME <= value <= LAST_TIME


class AsOf:
    """The read side as of a moment. A context manager: what it was replayed into goes when it is closed, unless it was
    made at a path of the caller's."""

    def __init__(self, replayed: Replayed, position: int, now: datetime | None, closing: ExitStack) -> None:
        self._replayed = replayed
        self._closing = closing
        self.position = position
        """Up to which position of the log it was replayed."""
        self.events = replayed.events
        """How many events it is made of."""
        self.path = replayed.path
        """The SQLite file that holds it."""
        self.read = Queries(replayed.reads, now=now)
        """The questions that the read tables answer; "now" is the moment's time."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one SELECT of SQLite's dialect, with :name parameters, over the read tables, and return its rows.

        Ids, times and JSON are text, flags 0 or 1. Of columns of the same name, the second is called `name:1`. Nothing
        else can be done with it: no write, no other file. Raises InvalidQuery.
        """
        with self._replayed.files.reading() as connection:
            try:
                cursor = connection.execute(sql, dict(parameters or {}))
                columns = list(_distinct(column[0] for column in cursor.description or ()))
                return [dict(zip(columns, row, strict=True)) for row in cursor]
            except (sqlite3.Error, sqlite3.Warning, UnicodeError, OverflowError, ValueError) as error:
                raise InvalidQuery(f"cannot be asked: {error}") from None

    def close(self) -> None:
        """Let every connection go, and the file with them."""
        self._replayed.close()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _distinct(names: Iterator[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for name in names:
        number = seen[name] = seen.get(name, -1) + 1
        yield f"{name}:{number}" if number else name


def as_of(
    events: EventStore,
    moment: Moment,
    *,
    project_id: UUID | None = None,
    path: Path | None = None,
    tell: Tell | None = None,
) -> AsOf:
    """Return the read side as of a moment: of all, or of one project alone; at a path, or in a temporary file.

    Raises InvalidQuery, NotFound, FileExists, ProjectionFailed, StoreUnavailable.
    """
    tell = tell or (lambda _: None)
    end = last_flushed(events)
    position, now = _stands_at(events, moment, end)
    log = _log(events, moment, position, None if project_id is None else as_id(project_id), tell)
    with ExitStack() as opened:
        if path is None:
            path = Path(opened.enter_context(TemporaryDirectory(prefix="tiu-as-of-"))) / "as-of.db"
        replayed = replay(
            log,
            path,
            sharing=() if moment.occurred_at is None else (USERS,),
            trim=() if project_id is None else TRIM,
            parks=True,
            tell=tell,
        )
        return AsOf(replayed, position, now, opened.pop_all())


def _stands_at(events: EventStore, moment: Moment, end: int) -> tuple[int, datetime | None]:
    """Return up to which position the log is asked, and what is now then."""
    if moment.occurred_at is not None:
        return end, moment.occurred_at
    if moment.recorded_at is not None:
        return recorded_by(events, moment.recorded_at, end), moment.recorded_at
    position = moment.position or 0
    if position > end:
        raise InvalidQuery(f"there is no position {position}: the log ends at {end}")
    return position, recorded_at(events, position) if position else None


def _log(events: EventStore, moment: Moment, end: int, project_id: UUID | None, tell: Tell) -> Log:
    at = moment.occurred_at
    if project_id is not None:
        positions = positions_of_project(events, project_id, end)
        return Part(events, positions if at is None else occurred_of_project(events, positions, at, end))
    if at is None:
        return LogUpTo(events, end)
    return Part(events, occurred_by(_all(events, end, tell), at))


def _all(events: EventStore, end: int, tell: Callable[[RebuildProgress], None]) -> Iterator[LogEvent]:
    log, position = LogUpTo(events, end), 0
    while found := log.read(position, BATCH_SIZE):
        yield from found
        position = found[-1].position
        tell(RebuildProgress("choosing", position, end))
