"""kill -9 of those who write and of those who project, at random moments: nothing is lost, halved or doubled."""

from __future__ import annotations

import time
from contextlib import closing
from random import Random

import pytest

from claude_tiu import connect
from tests.support.arena import Arena, forms
from tests.support.candidates import until
from tests.support.catching_up import catch_up_for_ever, fill
from tests.support.faults import record
from tests.support.ledger import NONE
from tests.support.processes import Killable, context
from tests.support.stores import Backend

CLIENTS = 3


@pytest.mark.parametrize(("cuts", "seed"), forms(5))
def test_a_writer_leaves_all_or_nothing_of_what_it_was_storing(backend: Backend, cuts: int, seed: int) -> None:
    """Until so many died without an answer; others got theirs as they were killed."""
    seconds, cut, faults = list[float](), 0, NONE
    with Arena(backend.url, seed) as arena, connect(backend.url, project=False) as tiu:
        for number in range(CLIENTS):
            arena.add_client(project=number == 0)
        arena.add_projector()
        while cut < cuts:
            victim, killed = arena.kill_a_client()
            arena.retry(tiu, sorted(victim.open))
            arena.wait_for_tables(tiu)
            seconds.append(time.monotonic() - killed)
            cut += bool(victim.open)
            arena.add_client(project=victim.projects)
            with arena.paused():
                arena.retry_answered(tiu, 5)
                faults |= arena.check(tiu)
            assert len(seconds) <= 10 * cuts, "they are always answered"
    record("writer_killed", backend.name, tried=len(seconds), **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"


@pytest.mark.parametrize(("kills", "seed"), forms(5))
def test_a_projector_that_dies_leaves_its_work_to_another(backend: Backend, kills: int, seed: int) -> None:
    seconds, faults = [], NONE
    with Arena(backend.url, seed) as arena, connect(backend.url, project=False) as tiu:
        for _ in range(2):
            arena.add_client()
        for _ in range(2):
            arena.add_projector()
        arena.wait_until_recovered(tiu)
        for _ in range(kills):
            killed = arena.kill_a_projector(tiu)
            arena.wait_for_tables(tiu)
            seconds.append(time.monotonic() - killed)
            arena.add_projector()
            with arena.paused():
                faults |= arena.check(tiu)
    record("projector_killed", backend.name, tried=kills, **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"


@pytest.mark.parametrize(("kills", "seed"), forms(5, 200, 1))
def test_a_batch_is_in_the_tables_wholly_or_not_at_all(backend: Backend, kills: int, seed: int) -> None:
    """Wherever a projector is killed, the tables are what the events make up to their checkpoint."""
    dice, stands = Random(seed), set[int]()
    with connect(backend.url, project=False) as tiu:
        fill(tiu, 200)
        for _ in range(kills):
            stood = tiu.lag().position
            ours, theirs = context().Pipe()
            batch_size = dice.choice((1, 10, 100))
            with closing(ours), Killable(catch_up_for_ever, backend.url, theirs, batch_size) as projector:
                theirs.close()
                assert ours.recv() == "ready"
                if dice.random() < 0.7:  # or it may die before its first batch
                    until(lambda stood=stood: tiu.lag().position != stood)  # type: ignore[misc]
                time.sleep(dice.uniform(0, 0.4))
                projector.kill()
            report = tiu.verify()
            assert report.equal, f"seed {seed}: {report}"
            stands.add(report.position)
        tiu.catch_up_to(tiu.lag().last_position)
        assert tiu.verify().equal
    assert len(stands) > kills / 3, "they were killed at many places"
    record("batch_killed", backend.name, tried=kills, lost=0, doubled=0)
