"""Any history: the read side as of a moment is what a database would hold that knew just that."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu import Refused
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.rebuild import LogUpTo
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import READ_TABLES
from tests.model.stores import PostgreSQL, SQLite, Store
from tests.model.test_retention import moves, rows_of
from tests.support.keeping import PROJECTS, Move, drawn, history
from tests.support.replaying import Tables, assert_concerns, known_about, rows_in, scramble, tables_in

parts = st.floats(0, 1)
"""How far in a history a moment is."""


def told(store: Store, moves: Sequence[Move]) -> int:
    """Execute what the rules allow; return how many events that makes."""
    for command in history(moves):
        with suppress(Refused):
            store.tiu.execute(command)
    return store.tiu.events.max_notification_id() or 0


def stop_at(store: Store, position: int) -> None:
    """Make the tables anew, up to a position."""
    store.tiu.projector.reset()
    Projector(LogUpTo(store.tiu.events, position), store.tiu._reads, READ_MODEL, batch_size=7).catch_up()


def tables_of(store: Store) -> Tables:
    found: Tables = {}
    for table in READ_MODEL.tables:
        rows = store.tiu._reads.query(f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}", {})
        found[table.name] = [tuple(row.values()) for row in rows]
    return found


@given(st.lists(moves, max_size=25), st.lists(parts, min_size=1, max_size=3))
def test_the_tables_at_any_position_are_those_of_a_database_stopped_there(moves: list[Move], at: list[float]) -> None:
    with closing(SQLite()) as store:
        events = told(store, moves)
        for position in sorted(round(part * events) for part in at):
            stop_at(store, position)
            with store.tiu.as_of(position=position) as then:
                assert (then.position, then.events) == (position, position)
                assert tables_in(then.path) == tables_of(store)


@pytest.mark.parametrize("seed", range(2))
def test_they_are_on_postgresql(pg_server: str, pg_template: str, seed: int) -> None:
    with closing(PostgreSQL(pg_server, pg_template)) as store:
        events = told(store, drawn(seed, 60))
        for position in (events // 3, events // 2, events):
            stop_at(store, position)
            with store.tiu.as_of(position=position) as then:
                found = rows_in(then._replayed.reads)
                for table, rows in rows_of(store).items():
                    assert found[table] == [rows[key] for key in sorted(rows, key=str)], table


@given(st.lists(moves, min_size=3, max_size=25), parts, st.sampled_from(PROJECTS))
def test_one_projects_tables_are_its_part_of_all(moves: list[Move], part: float, project: UUID) -> None:
    with closing(SQLite()) as store:
        position = round(part * told(store, moves))
        with (
            store.tiu.as_of(position=position) as all_of_it,
            store.tiu.as_of(position=position, project_id=project) as one,
        ):
            assert one.position == position
            assert one.events <= all_of_it.events
            assert_concerns(tables_in(one.path), tables_in(all_of_it.path), project)


@given(st.lists(moves, max_size=25), st.integers(0, 1_000), st.lists(parts, min_size=1, max_size=3))
def test_what_is_known_about_a_time_is_all_that_occurred_by_then_and_finds_its_place(
    moves: list[Move], seed: int, at: list[float]
) -> None:
    """Clocks fall in it as they like."""
    with closing(SQLite()) as store:
        told(store, moves)
        times = sorted(scramble(Path(store.tiu.database.removeprefix("sqlite:///")), seed))
        for time in (times[int(part * (len(times) - 1))] for part in at):
            known_about(store.tiu.events, store.tiu._reads, time)
            with store.tiu.as_of(occurred_at=time) as then:
                found, wanted = tables_in(then.path), tables_of(store)
                for table in READ_TABLES:  # beside them a run may have staged what it never publishes
                    assert found[table.name] == wanted[table.name], table.name


@given(st.lists(moves, min_size=3, max_size=25), st.integers(0, 1_000), parts, st.sampled_from(PROJECTS))
def test_what_is_known_about_one_project_is_its_part_of_all_that_is(
    moves: list[Move], seed: int, part: float, project: UUID
) -> None:
    with closing(SQLite()) as store:
        told(store, moves)
        times = sorted(scramble(Path(store.tiu.database.removeprefix("sqlite:///")), seed))
        time = times[int(part * (len(times) - 1))]
        with (
            store.tiu.as_of(occurred_at=time) as all_of_it,
            store.tiu.as_of(occurred_at=time, project_id=project) as one,
        ):
            assert_concerns(tables_in(one.path), tables_in(all_of_it.path), project)
