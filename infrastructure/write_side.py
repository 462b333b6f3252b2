"""The write-side tables, made again from the events: where something outside has changed them."""

from __future__ import annotations

from collections.abc import Iterator

from ..projections.write_side import FROM_EVENTS, Change, write_side_changes
from .event_store import EventStore
from .mapper import decode

BATCH = 2_000


def rebuild_write_side(store: EventStore) -> None:
    """Make the task queue and the agenda again from the events, while nobody else appends.

    Unique values and keys are not made again: the events do not tell a value, and a destroyed key must stay so.
    """
    with store.exclusive() as held:
        held.rebuild_write_side(_changes(held))


def _changes(store: EventStore) -> Iterator[tuple[int, Change]]:
    after = 0
    while rows := store.read(after, BATCH):
        for row in rows:
            event = decode(row.topic, row.state, row.stream_id, row.version)
            for change in write_side_changes(row.stream_id, row.project_id, event):
                if change["op"] in FROM_EVENTS:
                    yield row.position, change
        after = rows[-1].position
