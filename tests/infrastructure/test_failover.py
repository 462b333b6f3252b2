"""Of several processes one projects, and another goes on when it dies, stands still or ends; nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

import pytest

from claude_tiu import Tiu, connect
from tests.support.candidates import PATIENCE, STOPS_ITSELF, Candidate, Load, holder, observer, until
from tests.support.faults import record
from tests.support.stores import Backend, PostgreSQLBackend

AT_MOST = 2.0
"""Seconds from a death until another has brought the tables to what was stored behind it."""
LEASE = 4.0
AT_ONCE = 5.0
"""Seconds for a process to end: far more than it takes, where this machine is busy."""


def seconds_until_projected(tiu: Tiu, load: Load, since: float) -> float:
    """Return when the tables have what is stored now, in seconds since a moment."""
    tiu.wait_for(load.one(), PATIENCE)
    return time.monotonic() - since


def doubled(tiu: Tiu) -> int:
    """How many rows are not what the events make, each once: a rebuild compares every one."""
    return sum(table.rows for table in tiu.verify().differences)


def test_each_of_five_that_is_killed_is_followed_by_another(backend: Backend) -> None:
    """Under load, one after the other; the last one has everything."""
    took = []
    with observer(backend.url) as (tiu, load), ExitStack() as running:
        candidates = {one.pid: one for one in [running.enter_context(Candidate(backend.url)) for _ in range(5)]}
        for one in candidates.values():
            one.told()
        load.start()
        for left in range(5, 1, -1):
            until(lambda: holder(tiu) in candidates)
            tiu.wait_for(load.last, PATIENCE)
            pid = holder(tiu)
            assert pid is not None
            killed = candidates.pop(pid).kill()
            took.append(seconds_until_projected(tiu, load, killed))
            assert len(candidates) == left - 1
        position = load.stop()
        tiu.wait_for(position, PATIENCE)
        wrong = doubled(tiu)
        record("active_killed", backend.name, tried=len(took), lost=0, doubled=wrong, seconds=took)
        assert wrong == 0
        assert max(took) <= AT_MOST
        found = tiu.holder()
        assert found is not None
        assert found.fence == 5


def test_one_that_stands_still_is_followed_within_a_lease_and_writes_nothing_when_it_wakes(backend: Backend) -> None:
    """It is stopped just before it writes; it stands by then, and takes over again when its turn comes."""
    with observer(backend.url) as (tiu, load), ExitStack() as running:
        position = load.last.position + 2
        late = Candidate(backend.url, lease=LEASE, program=STOPS_ITSELF, arguments=[position])
        running.enter_context(late)
        assert "position" in late.told()
        other = running.enter_context(Candidate(backend.url, lease=LEASE))
        assert other.told()["stands_by"]["pid"] == late.pid
        load.one()
        stopped = late.wait_until_stopped()
        took = seconds_until_projected(tiu, load, stopped)
        assert holder(tiu) == other.pid
        before = tiu.holder()
        late.send(signal.SIGCONT)
        assert late.complaint() == "refused\n"
        assert "stands by" in late.complaint()
        assert tiu.holder() == before
        killed = other.kill()
        assert seconds_until_projected(tiu, load, killed) <= AT_MOST
        assert holder(tiu) == late.pid
        wrong = doubled(tiu)
        record("active_stopped", backend.name, tried=1, lost=0, doubled=wrong, seconds=[took])
        assert wrong == 0
        assert took <= LEASE


def test_one_that_stands_still_idle_is_followed_within_a_lease_and_notices_when_it_wakes(backend: Backend) -> None:
    with observer(backend.url) as (tiu, load), ExitStack() as running:
        late = running.enter_context(Candidate(backend.url, lease=LEASE))
        late.told()
        other = running.enter_context(Candidate(backend.url, lease=LEASE))
        other.told()
        until(lambda: holder(tiu) == late.pid)
        stopped = late.send(signal.SIGSTOP)
        took = seconds_until_projected(tiu, load, stopped)
        record("active_stopped", backend.name, tried=1, lost=0, doubled=0, seconds=[took])
        assert took <= LEASE
        late.send(signal.SIGCONT)
        assert "stands by" in late.complaint()
        assert holder(tiu) == other.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_end_leaves_at_once_and_another_goes_on(backend: Backend, number: signal.Signals) -> None:
    with observer(backend.url) as (tiu, load), ExitStack() as running:
        first = running.enter_context(Candidate(backend.url))
        first.told()
        second = running.enter_context(Candidate(backend.url))
        second.told()
        load.start()
        tiu.wait_for(load.last, PATIENCE)
        told = first.send(number)
        until(lambda: holder(tiu) == second.pid)
        took = seconds_until_projected(tiu, load, told)
        assert first.process.wait(AT_ONCE) == 0
        tiu.wait_for(load.stop(), PATIENCE)
        wrong = doubled(tiu)
        record("active_ended", backend.name, tried=1, lost=0, doubled=wrong, seconds=[took])
        assert wrong == 0
        assert took <= AT_MOST


def test_one_that_is_cut_off_is_followed(postgresql: PostgreSQLBackend) -> None:
    """All its connections are ended by the server, again and again, until another is active; it stands by then."""
    name = f"cut-{os.getpid()}"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?"
    with observer(postgresql.url) as (tiu, load), ExitStack() as running:
        mark = "&" if "?" in postgresql.url else "?"
        first = running.enter_context(Candidate(f"{postgresql.url}{mark}application_name={name}"))
        first.told()
        second = running.enter_context(Candidate(postgresql.url))
        second.told()
        load.start()
        tiu.wait_for(load.last, PATIENCE)
        cut = time.monotonic()
        assert postgresql.on_events(end, name)
        while holder(tiu) != second.pid:
            assert time.monotonic() - cut <= AT_MOST
            postgresql.on_events(end, name)
        load.stop()
        took = seconds_until_projected(tiu, load, cut)
        second.kill()
        tiu.wait_for(load.one(), PATIENCE)
        assert holder(tiu) == first.pid
        wrong = doubled(tiu)
        record("active_cut", postgresql.name, tried=1, lost=0, doubled=wrong, seconds=[took])
        assert wrong == 0
        assert took <= AT_MOST


def test_a_connection_that_stands_by_waits_for_what_another_brings(backend: Backend) -> None:
    """It starts at once, and ends at once."""
    with observer(backend.url) as (tiu, load), Candidate(backend.url) as active:
        active.told()
        for _ in range(3):
            with connect(backend.url) as standby:
                answer = load.one()
                standby.wait_for(answer, AT_MOST)
                assert not standby.projector.active
        assert holder(tiu) == active.pid


def test_a_rebuild_leaves_the_tenure_as_it_is(backend: Backend) -> None:
    """Whoever is active goes on in the tables that were put in place, and another after it."""
    with observer(backend.url) as (tiu, load):
        with connect(backend.url) as active:
            active.wait_for(load.one(), PATIENCE)
            before = tiu.holder()
            assert tiu.rebuild().swapped
            active.wait_for(load.one(), PATIENCE)
            assert active.projector.active
            assert tiu.holder() == before
            ((fence,),) = backend.on_reads("SELECT fence FROM checkpoints")
            assert before is not None
            assert fence == before.fence
        with connect(backend.url) as following:
            following.wait_for(load.one(), PATIENCE)
            after = tiu.holder()
            assert after is not None
            assert after.fence == before.fence + 1
            assert tiu.verify().equal
