"""A soak of some seconds runs as one of hours does, and growth would be noticed."""

from __future__ import annotations

import gc
from multiprocessing.connection import Connection

import pytest

from tests.soak.measuring import MEBIBYTE, Bound, Series, memory, not_flat
from tests.soak.report import as_json, as_markdown
from tests.soak.running import Plan, soak
from tests.support.ledger import NONE
from tests.support.processes import Killable, context
from tests.support.stores import BACKENDS


@pytest.mark.parametrize("store", BACKENDS)
def test_a_soak_of_some_seconds(store: str) -> None:
    plan = Plan(seconds=4, clients=2, pace=0.01, kill_every=1.0, sample_every=0.5, tasks=600, samples=4)
    outcome = soak(store, plan)
    assert outcome.faults == NONE
    assert sum(outcome.killed.values()) > 0
    assert outcome.events > outcome.commands / 2 > 10
    report = as_markdown(outcome)
    assert "Lost 0, doubled 0" in report
    for series in outcome.series:
        assert len(series.samples) > 3
        assert series.name in report
    assert as_json(outcome)["samples"].keys() == {series.name for series in outcome.series}


@pytest.mark.parametrize(
    ("samples", "flat"),
    [
        ([10.0, 10.5] * 20, True),
        ([*range(40)], False),
        ([10.0] * 39 + [500.0], True),
        ([100.0] * 30 + [110.0] * 10, True),
        ([100.0] * 30 + [111.0] * 10, False),
    ],
)
def test_what_grows_in_the_last_quarter_is_not_flat(samples: list[float], flat: bool) -> None:
    series = Series("memory", "MiB", Bound(0.1, 1.0))
    for sample in samples:
        series.add(sample)
    assert series.flat == flat
    assert not_flat([series]) == ([] if flat else ["memory"])


def collect_and_grow(channel: Connection) -> None:
    """Collect all garbage, and hold 20 MiB more, when told."""
    channel.send("ready")
    channel.recv()
    gc.collect()
    channel.send("collected")
    channel.recv()
    held = b"x" * (20 * MEBIBYTE)
    channel.send("grown")
    channel.recv()
    del held


def test_memory_that_a_process_was_forked_with_is_not_growth_when_it_becomes_its_own() -> None:
    ours, theirs = context().Pipe()
    with Killable(collect_and_grow, theirs) as process:
        held = []
        for _ in range(3):
            ours.recv()
            held.append(memory(process.pid))
            ours.send("go on")
    before, collected, grown = held
    assert collected - before < 2
    assert 19 < grown - collected < 22
