"""Which event last wrote a value: what a replay that watches says, and what looking after each event says."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.parking import ParkedEventsDiscarded
from claude_tiu.infrastructure.audit.replay import loading
from claude_tiu.infrastructure.audit.writers import Place, Writers
from claude_tiu.infrastructure.event_store import EventStore, LogEvent
from claude_tiu.infrastructure.rebuild import LogUpTo
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import LEFT_OUT_EVENTS, PARKED_UNITS
from tests.support.every_table import tell_and_park
from tests.support.stores import SQLiteBackend

OF_EVENTS = [table for table in READ_MODEL.tables if table not in (PARKED_UNITS, LEFT_OUT_EVENTS)]
"""The others are a projector's own: it writes a row of them with whichever batch is at hand."""
Tables = dict[Place, dict[str, Any]]


@pytest.fixture
def events(sqlite: SQLiteBackend) -> EventStore:
    tell_and_park(sqlite)
    return sqlite.events()


class Foreseen(LogUpTo):
    """The events up to a position, and all that is ever discarded: tables that are made anew leave it out from the
    beginning."""

    def read_units(self, unit_ids: Collection[UUID], after: int, limit: int) -> list[LogEvent]:
        return self._events.read_units(unit_ids, after, limit)


def seen(events: EventStore, path: Path) -> dict[Place, dict[str | None, int]]:
    """Look at every row after each event: where each column was last another than before; under None, where any was."""
    log, last, before = Foreseen(events), dict[Place, dict[str | None, int]](), Tables()
    with loading(log, path, READ_MODEL, parks=True) as (loader, files):
        for position in range(1, (events.max_notification_id() or 0) + 1):
            log.end = position
            loader.catch_up()
            with files.reading() as connection:
                now = {
                    (table.name, str(row[[*table.columns].index(table.key)])): dict(
                        zip(table.columns, row, strict=True)
                    )
                    for table in OF_EVENTS
                    for row in connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}")
                }
            for place in before.keys() | now.keys():
                old, new = before.get(place, {}), now.get(place, {})
                changed = [
                    name
                    for name in old.keys() | new.keys()
                    if (name in old, old.get(name)) != (name in new, new.get(name))
                ]
                if changed:
                    last.setdefault(place, {}).update(dict.fromkeys([*changed, None], position))
            before = now
    return last


@pytest.mark.parametrize("batch_size", [1, 7, 5_000])
def test_any_row_was_last_written_where_it_was_last_changed(
    events: EventStore, tmp_path: Path, batch_size: int
) -> None:
    expected = seen(events, tmp_path / "seen.db")
    writers = Writers(READ_MODEL, expected)
    watched = tmp_path / "watched.db"
    with loading(events, watched, writers.projection, batch_size=batch_size, parks=True, store=writers.store) as (
        loader,
        _,
    ):
        loader.catch_up()
    assert {table for table, _ in expected} == {table.name for table in OF_EVENTS}
    for place, positions in expected.items():
        found = {name: writers.position(place, name) or 0 for name in positions}
        assert found[None] == positions[None], place
        assert all(positions[name] <= found[name] <= found[None] for name in positions), "it may be written as it was"


def test_of_what_is_parked_and_left_out_the_event_that_discarded_wrote_and_no_other(
    sqlite: SQLiteBackend, events: EventStore, tmp_path: Path
) -> None:
    ((parked,),) = sqlite.on_reads("SELECT unit_id FROM parked_units")
    ((left_out,),) = sqlite.on_reads("SELECT id FROM left_out_events")
    (discards,) = [row.position for row in events.read_rows(0, 1_000) if row.topic == ParkedEventsDiscarded.topic]
    writers = Writers(READ_MODEL, [("parked_units", parked), ("left_out_events", left_out)])
    with loading(events, tmp_path / "watched.db", writers.projection, parks=True, store=writers.store) as (loader, _):
        loader.catch_up()
    assert writers.position(("parked_units", parked), None) is None
    for column in (None, *LEFT_OUT_EVENTS.columns):
        assert writers.position(("left_out_events", left_out), column) == discards


def test_a_row_that_nobody_asked_for_has_no_writer(events: EventStore, tmp_path: Path) -> None:
    writers = Writers(READ_MODEL, [])
    with loading(events, tmp_path / "watched.db", writers.projection, parks=True, store=writers.store) as (loader, _):
        loader.catch_up()
    assert writers.position(("tasks", "00000000-0000-0000-0000-000000000000"), None) is None
