"""What caused what: commands and their events as a tree.

A command's causation id is what its caller says it follows from: the id of another command, or of an event. Where it is
neither's, the command is where a tree begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from ...domain.errors import NotFound
from ...domain.messages import event_id
from ..event_store import EventRow, EventStore, Relation
from .history import PAGE, History, HistoryEntry, identifier

MAX_ENTRIES = 10_000
"""How many events a tree holds at most: unlike a history, it stands in memory as a whole."""


@dataclass(frozen=True, slots=True)
class Caused:
    """An event in a tree: `depth` is how many causes stand above it, 0 where nothing that is told caused it."""

    depth: int
    entry: HistoryEntry


@dataclass(frozen=True, slots=True)
class CausationTree:
    """Events in the order of their tree: each command's together, and behind them what they caused.

    `complete` is False where there were more than were asked for.
    """

    events: tuple[Caused, ...]
    complete: bool


def tree_of(entries: Iterable[HistoryEntry], limit: int = MAX_ENTRIES) -> CausationTree:
    """Return what is told as a tree, of its first `limit` events."""
    found: list[HistoryEntry] = []
    for entry in entries:
        if len(found) == limit:
            return CausationTree(tuple(_arranged(found)), complete=False)
        found.append(entry)
    return CausationTree(tuple(_arranged(found)), complete=True)


def caused_by(events: EventStore, id_: str, limit: int = MAX_ENTRIES) -> CausationTree:
    """Return what follows from a command or an event, by its id, at any remove; of a command its own events, too.

    What an id beyond the log caused (a message's, a ticket's) is found as well. Raises NotFound, InvalidQuery.
    """
    rows, complete = _following(events, identifier(id_), limit)
    if not rows:
        raise NotFound(f"nothing was done by, or followed from, {id_}", id=id_)
    in_order = sorted(rows, key=lambda row: row.position)
    return CausationTree(tuple(_arranged(History(events).tell(in_order))), complete)


def _following(events: EventStore, id_: str, limit: int) -> tuple[list[EventRow], bool]:
    end = events.max_notification_id() or 0
    events.flush()
    found: dict[int, EventRow] = {}
    asked = {id_}
    todo: deque[tuple[Relation, str]] = deque([("causation", id_)])
    with suppress(ValueError):
        todo.appendleft(("command", str(UUID(id_))))
    while todo:
        relation, cause = todo.popleft()
        for row in _rows(events, relation, cause):
            if row.position > end:
                break
            if row.position in found:
                continue
            if len(found) == limit:
                return [*found.values()], False
            found[row.position] = row
            for effect in _ids(row.command_id, row.stream_id, row.version):
                if effect not in asked:
                    asked.add(effect)
                    todo.append(("causation", effect))
    return [*found.values()], True


def _rows(events: EventStore, relation: Relation, id_: str) -> Iterator[EventRow]:
    after = 0
    while page := events.read_rows_related(relation, id_, after, PAGE):
        yield from page
        after = page[-1].position


def _ids(command_id: UUID | None, stream_id: UUID, version: int) -> list[str]:
    """Return the ids by which what follows from an event may name its cause."""
    own = str(event_id(stream_id, version))
    return [own] if command_id is None else [str(command_id), own]


def _arranged(entries: Sequence[HistoryEntry]) -> Iterator[Caused]:
    """Yield entries in the order of their tree. Where causes go round in a ring, its earliest command comes first."""
    commands: dict[str, list[HistoryEntry]] = {}
    command_of: dict[str, str] = {}
    for entry in entries:
        ids = _ids(entry.command_id, entry.stream_id, entry.version)
        commands.setdefault(ids[0], []).append(entry)
        command_of |= dict.fromkeys(ids, ids[0])
    caused: dict[str, list[str]] = {}
    roots = []
    for command, (first, *_) in commands.items():
        cause = command_of.get(first.causation_id or "")
        if cause is None or cause == command:
            roots.append(command)
        else:
            caused.setdefault(cause, []).append(command)
    told: set[str] = set()
    for root in (*roots, *commands):
        todo = [(root, 0)]
        while todo:
            command, depth = todo.pop()
            if command in told:
                continue
            told.add(command)
            yield from (Caused(depth, entry) for entry in commands[command])
            todo += [(effect, depth + 1) for effect in reversed(caused.get(command, []))]
