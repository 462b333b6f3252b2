"""A batch of stored events, decoded and folded: from rows of the log to what a read store writes."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn
from uuid import UUID

from ..domain.messages import Recorded
from ..projections.fold import Changeable, Fold, Step
from ..projections.projection import Delete, Insert, Operation, Projection, Update
from ..projections.running_state import RunningState
from .errors import ProjectionFailed
from .event_store import LogEvent
from .mapper import PLAIN, decode


class OfTables(dict[str, Callable[..., None]]):
    """What takes the changes of each table of a projection. Raises ProjectionFailed where it has no such table."""

    def __init__(self, projection: str, takes: Mapping[str, Callable[..., None]]) -> None:
        super().__init__(takes)
        self._projection = projection

    def __missing__(self, table: str) -> NoReturn:
        raise ProjectionFailed(f"{table} is no table of {self._projection}", table=table)


class Batches:
    """Folds one batch after the other; the running state stands behind the last one."""

    def __init__(self, projection: Projection, state: RunningState) -> None:
        self._handlers = projection.handlers
        self._state = state
        self._fold = Fold(tuple(table for table in projection.tables if not table.private))
        tables: dict[str, Changeable] = {**self._fold.tables, **state.tables}
        name = projection.name
        self._insert = OfTables(name, {one: table.insert for one, table in tables.items()})
        self._update = OfTables(name, {one: table.update for one, table in tables.items()})
        self._delete = OfTables(name, {one: table.delete for one, table in tables.items()})

    def fold(self, events: Sequence[LogEvent], keys: Mapping[UUID, bytes]) -> list[Step]:
        """Return what a batch comes to; `keys` are those of the persons whose data it holds.

        Raises whatever a handler does, or UndecodableEvent: the running state is then of no use any more.
        """
        self._state.fetch(_known_before(events))
        self._fold.writes()  # of a batch that failed, if one did
        handlers, state, fold = self._handlers, self._state, self._fold
        insert, update, delete = self._insert, self._update, self._delete  # as `make` does, in fewer calls
        moved, new, plain = fold.moved, tuple.__new__, PLAIN
        steps: list[Step] = []
        for position, stream_id, version, topic, body, project_id, key_id, _, _ in events:
            try:
                event = plain[topic](body)
            except (KeyError, ValueError):
                event = decode(topic, body, stream_id, version, keys.get(key_id) if key_id else None)
            handler = handlers.get(event.__class__)
            if handler is None:
                continue
            recorded = new(Recorded, (event, stream_id, version, position, project_id))  # its own constructor is slower
            changes = handler(recorded, event, state)
            if changes.__class__ is not list:
                changes = [*changes]  # all of them, before the state moves
            for change in changes:
                if moved and not isinstance(change, Operation) and fold.must_close(change):
                    steps.append(self._close())
                if isinstance(change, Update):
                    update[change[0]](change[1], change[2])
                elif isinstance(change, Insert):
                    insert[change[0]](change[1])
                elif isinstance(change, Delete):
                    delete[change[0]](change[1])
                else:
                    steps += [self._close(), change]
        return [*steps, self._close()]

    def _close(self) -> Step:
        return self._fold.writes() + self._state.writes()


def _known_before(events: Sequence[LogEvent]) -> dict[int, UUID]:
    """Return the streams and projects that events go on with: what is stored of them will be asked for."""
    new = {event[1].int for event in events if event[2] == 1}
    known = {event[1].int: event[1] for event in events}
    known |= {project_id.int: project_id for event in events if (project_id := event[5]) is not None}
    return {number: id_ for number, id_ in known.items() if number not in new}


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let Python look for garbage in cycles less often meanwhile, in the whole process: batches make many objects and
    no cycles, and looking through them takes a sixth of the time."""
    global _eager, _seldom
    with _counting:
        if _seldom == 0:
            _eager = gc.get_threshold()
            gc.set_threshold(SELDOM, *_eager[1:])
        _seldom += 1
    try:
        yield
    finally:
        with _counting:
            _seldom -= 1
            if _seldom == 0:
                gc.set_threshold(*_eager)


SELDOM = 400_000
"""More than the three batches of a rebuild come to that are read, folded and written at once: by 100,000 a rebuild on
PostgreSQL looked through them once a batch, for 7 % of its time; now for half a percent."""
_counting = threading.Lock()
_seldom = 0
_eager = gc.get_threshold()
