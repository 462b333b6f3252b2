"""Any history with archived and restored projects and runs of retention: the tables are what plain Python makes of it,
on both stores, and a rebuild gives the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu import Command, Refused
from claude_tiu.infrastructure.mapper import decode
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.model.machine import batch_sizes
from tests.model.stores import PostgreSQL, SQLite, Store, exactly
from tests.projections.operating import Operated
from tests.support.keeping import KINDS, PASSES, Move, drawn, history

moves = st.builds(Move, st.sampled_from(KINDS), st.integers(0, 1_000), st.sampled_from(PASSES))


SEEDS = (0, 2, 3)
"""Of long histories."""


def execute(store: Store, commands: Sequence[Command], sizes: Sequence[int]) -> None:
    """Execute what the rules allow; project now and then, in batches of these sizes."""
    for number, command in enumerate(commands):
        with suppress(Refused):
            store.tiu.execute(command)
        if number % 7 == 0:
            store.projector(sizes[number % len(sizes)]).catch_up()
    store.projector(sizes[0]).catch_up()


def told(store: Store) -> Operated:
    """What plain Python makes of the stored events."""
    found, events = Operated(), store.tiu.events.read(0, 100_000)
    keys = store.tiu.events.keys({row.key_id for row in events if row.key_id})
    for row in events:
        event = decode(row.topic, row.state, row.stream_id, row.version, keys.get(row.key_id) if row.key_id else None)
        found.tell(event, row.stream_id, row.project_id)
    return found


def rows_of(store: Store) -> dict[str, dict[UUID, Any]]:
    """Every row of every table, decoded."""
    reads = store.tiu._reads
    found: dict[str, dict[UUID, Any]] = {}
    for table in READ_MODEL.tables:
        keys = [UUID(str(row[table.key])) for row in store.raw(table.name)]
        found[table.name] = {key: reads.row(table, key) for key in keys}
    return found


def assert_as_told(store: Store) -> None:
    expected, found = told(store).tables, rows_of(store)
    for table, rows in expected.items():
        assert found[table] == rows, f"{store.name}, {table}"


@given(st.lists(moves, max_size=30), st.lists(batch_sizes, min_size=3, max_size=3))
def test_the_rows_are_what_plain_python_makes_and_a_rebuild_is_the_same(drawn: list[Move], sizes: list[int]) -> None:
    with closing(SQLite()) as store:
        execute(store, history(drawn), sizes)
        assert_as_told(store)
        live = store.dump()
        for size in sizes:
            store.tiu.projector.reset()
            store.projector(size).catch_up()
            assert exactly(store.dump()) == exactly(live), f"rebuilt in batches of {size}"


@pytest.mark.parametrize("seed", SEEDS)
def test_both_stores_hold_the_same(pg_server: str, pg_template: str, seed: int) -> None:
    commands = history(drawn(seed, 300))
    with closing(SQLite()) as one, closing(PostgreSQL(pg_server, pg_template)) as other:
        for store in (one, other):
            execute(store, commands, [3, 50, 1])
            assert_as_told(store)
            live = store.dump()
            store.tiu.projector.reset()
            store.projector(17).catch_up()
            assert exactly(store.dump()) == exactly(live)
        assert rows_of(one) == rows_of(other)


def test_such_histories_have_all_that_they_are_about() -> None:
    """Or the tests above would show little."""
    happened: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for seed in SEEDS:
        with closing(SQLite()) as store:
            execute(store, history(drawn(seed, 300)), [100])
            happened.update(row.topic for row in store.tiu.events.read(0, 100_000))
            for row in store.rows("cleanup_log"):
                dropped[row["table_name"]] += row["rows_deleted"]
    topics = ("project.archived.v1", "project.restored.v1", "retention.ran.v1", "validation_run.issue_reopened.v1")
    assert min(happened[topic] for topic in topics) >= 5
    assert happened["task.assigned.v1"] >= 5
    assert all(dropped.values()), dropped
