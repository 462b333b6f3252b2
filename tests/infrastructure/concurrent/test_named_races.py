"""Each race ends as one of the orders of its calls would, whoever is first, and however often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.support.concurrent.arena import Arena, arena
from tests.support.concurrent.clients import KINDS, WAYS, Worker
from tests.support.concurrent.linearisable import Refusal
from tests.support.concurrent.programs import Program
from tests.support.concurrent.races import RACES, Race, before_race, ending_of, endings
from tests.support.faults import LONG
from tests.support.stores import Backend

SPREAD = 300_000
"""By how many nanoseconds at most one client is later than another, so that each is first at times."""
OFTEN = 10
"""So many times are enough to see that races go both ways."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("times", [2, pytest.param(30, marks=LONG)])
def test_each_ends_as_one_order_of_its_calls_would(
    backend: Backend, twin: Backend, workers: Sequence[Worker], way: str, times: int
) -> None:
    dice = random.Random(way)
    ends = {name: Counter[int]() for name in RACES}
    with arena(backend, twin, way, workers) as made:
        for _ in range(times):
            for name, race in RACES.items():
                ends[name][answered(name, race, made, [dice.randrange(SPREAD) for _ in race.units])] += 1
        made.record(KINDS[way], backend.name)
    both = {name for name, race in RACES.items() if len(race.answered) > 1}
    went = {name for name in both if len(ends[name]) > 1}
    assert went or times < OFTEN, "no race went both ways: do its clients run at once?"


def answered(name: str, race: Race, made: Arena, delays: Sequence[int]) -> int:
    """Run a race, which must end as one of its orders would; return how many of its clients were answered."""
    run = made.run(Program(before_race(race), [[unit] for unit in race.units]), delays)
    told = f"{name}: {run.text}"
    assert not run.verdict.faults, told
    assert ending_of(run) in endings(run), told
    refusals = [call.outcome for call in run.calls if isinstance(call.outcome, Refusal)]
    count = len(run.calls) - len(refusals)
    assert count in race.answered, told
    assert {refusal.code for refusal in refusals} <= set(race.codes), told
    return count
