"""SQLite and PostgreSQL: the same commands, answers and tables, value by value, running state included."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from claude_tiu.testing.model import commands
from claude_tiu.testing.model.machine import ask_store, assert_same_tables, batch_sizes, fitted, machine_on
from claude_tiu.testing.model.world import World
from tests.model.stores import ALL_TABLES, PostgreSQL, SQLite, exactly

FEWER = settings(max_examples=max(4, settings().max_examples // 10), suppress_health_check=list(HealthCheck))

LONG = pytest.mark.timeout(7_200)  # the long profile's; the default takes some seconds


@LONG
def test_the_machine_on_postgresql(pg_server: str, pg_template: str) -> None:
    run_state_machine_as_test(machine_on(partial(PostgreSQL, pg_server, pg_template)), settings=FEWER)


@LONG
@FEWER
@given(
    history=st.lists(st.tuples(commands.one_of(*commands.ANY), st.integers(0, 35)), min_size=40, max_size=60),
    sizes=st.lists(batch_sizes, min_size=2, max_size=2),
)
def test_both_stores_hold_the_same(pg_server: str, pg_template: str, history: list[Any], sizes: list[int]) -> None:
    world = World()
    stores = [SQLite(), PostgreSQL(pg_server, pg_template)]
    try:
        for asked, turn in history:
            world, unit = fitted(world, asked, turn)
            answers = [ask_store(store, [unit]) for store in stores]
            assert answers[0] == answers[1]
        for store, size in zip(stores, sizes, strict=True):
            store.projector(size).catch_up()
            assert_same_tables(store, world)
            store.check_hash_chain()
        for table in ALL_TABLES:
            assert exactly(stores[0].state_rows(table)) == exactly(stores[1].state_rows(table)), table
    finally:
        for store in stores:
            store.close()
