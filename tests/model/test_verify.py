"""Any history, projected as far as one likes: what the tables hold is what the events make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_tiu.testing.model import commands
from claude_tiu.testing.model.machine import ask_store, batch_sizes, fitted
from claude_tiu.testing.model.world import World
from tests.model.stores import PostgreSQL, SQLite

FEWER = settings(max_examples=max(6, settings().max_examples // 10), suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(7_200)  # the long profile's; the default takes some seconds
@FEWER
@given(
    history=st.lists(st.tuples(commands.one_of(*commands.ANY), st.integers(0, 35)), min_size=10, max_size=60),
    size=batch_sizes,
    steps=st.integers(0, 30),
)
def test_any_history_is_verified(pg_server: str, pg_template: str, history: list[Any], size: int, steps: int) -> None:
    world = World()
    stores = [SQLite(), PostgreSQL(pg_server, pg_template)]
    try:
        for asked, turn in history:
            world, unit = fitted(world, asked, turn)
            for store in stores:
                ask_store(store, [unit])
        for store in stores:
            projector = store.projector(size)
            for _ in range(steps):
                projector.step()
            behind = store.tiu.verify()
            assert (behind.differences, behind.position) == ((), projector.position)
            projector.catch_up()
            whole = store.tiu.verify()
            assert (whole.differences, whole.position) == ((), world.events)
    finally:
        for store in stores:
            store.close()
