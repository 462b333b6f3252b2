"""Of several processes one projects, and another goes on when it dies, stands still or ends; nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from uuid import uuid4

import pytest

from claude_tiu import Tiu, connect
from tests.support.candidates import Load, holder, observer, stops_itself, until
from tests.support.faults import LONG, record
from tests.support.patience import PATIENCE
from tests.support.processes import ProjectorProcess
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

AT_MOST = 2.0
"""Seconds from a death until another has brought the tables to what was stored behind it."""
LEASE = 4.0
UNTIL_TOLD = 600.0
"""Seconds of a lease that does not run out while a test waits: whoever goes on was told that its holder is gone."""
AT_ONCE = 5.0
"""Seconds for a process to end."""


def again(times: int) -> pytest.MarkDecorator:
    """The long form repeats a test so many times."""
    return pytest.mark.parametrize("turn", [0, *(pytest.param(number + 1, marks=LONG) for number in range(times))])


def within(seconds: float, turn: int) -> float:
    """How long it may take: so long in the long form, which has a machine to itself; the other waits with patience, for
    how long another is held up by what else runs says nothing of it."""
    return seconds if turn else PATIENCE


@contextmanager
def projectors(url: str, count: int, *, lease: float = UNTIL_TOLD) -> Iterator[list[ProjectorProcess]]:
    """Give processes that have told which of them is active: the first."""
    with ExitStack() as running:
        made = []
        for _ in range(count):
            made.append(running.enter_context(ProjectorProcess(url, lease=lease)))
            made[-1].told()
        yield made


def seconds_until_projected(tiu: Tiu, load: Load, since: float) -> float:
    """Return when the tables have what is stored now, in seconds since a moment."""
    tiu.wait_for(load.one(), PATIENCE)
    return time.monotonic() - since


def ended_well(kind: str, backend: Backend, load: Load, seconds: Sequence[float], at_most: float) -> None:
    """Record what a fault came to: nothing is lost or doubled, and another went on within `at_most` seconds."""
    counts = load.counts()
    record(kind, backend.name, tried=len(seconds), **counts, seconds=seconds)
    assert counts == {"lost": 0, "doubled": 0}
    assert max(seconds) <= at_most


def test_what_is_lost_and_what_is_doubled_is_found(sqlite: SQLiteBackend) -> None:
    """By what the tests below count with."""
    with observer(sqlite.url) as (tiu, load):
        for _ in range(3):
            last = load.one()
        tiu.catch_up_to(last.position)
        assert load.counts() == {"lost": 0, "doubled": 0}
        sqlite.on_reads("UPDATE users SET username = 'Another'")
        sqlite.on_reads("UPDATE tasks SET id = ? WHERE id = ?", uuid4(), last.id)
        assert load.counts() == {"lost": 2, "doubled": 1}


@again(5)
def test_each_of_five_that_is_killed_is_followed_by_another(backend: Backend, turn: int) -> None:
    """Under load, one after the other; the last one has everything."""
    took = []
    with observer(backend.url) as (tiu, load), projectors(backend.url, 5) as running:
        candidates = {one.pid: one for one in running}
        load.start()
        for left in range(5, 1, -1):
            until(lambda: holder(tiu) in candidates)
            tiu.wait_for(load.last, PATIENCE)
            pid = holder(tiu)
            assert pid is not None
            active = candidates.pop(pid)
            active.kill()
            took.append(seconds_until_projected(tiu, load, time.monotonic()))
            assert len(candidates) == left - 1
        tiu.wait_for(load.stop(), PATIENCE)
        ended_well("active_killed", backend, load, took, within(AT_MOST, turn))
        found = tiu.holder()
        assert found is not None
        assert found.fence == 5


@again(20)
def test_one_that_stands_still_is_followed_within_a_lease_and_writes_nothing_when_it_wakes(
    backend: Backend, turn: int
) -> None:
    """It is stopped just before it writes; it stands by then, and takes over again when its turn comes."""
    with observer(backend.url) as (tiu, load), ExitStack() as running:
        position = load.last.position + 2
        late = ProjectorProcess(backend.url, lease=LEASE, prepare=partial(stops_itself, position))
        running.enter_context(late)
        assert "position" in late.told()
        other = running.enter_context(ProjectorProcess(backend.url, lease=LEASE))
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
        other.kill()
        assert seconds_until_projected(tiu, load, time.monotonic()) <= within(AT_MOST, turn)
        assert holder(tiu) == late.pid
        ended_well("active_stopped", backend, load, [took], within(LEASE, turn))


@again(20)
def test_one_that_stands_still_idle_is_followed_within_a_lease_and_notices_when_it_wakes(
    backend: Backend, turn: int
) -> None:
    with observer(backend.url) as (tiu, load), projectors(backend.url, 2, lease=LEASE) as (late, other):
        assert holder(tiu) == late.pid
        stopped = late.send(signal.SIGSTOP)
        took = seconds_until_projected(tiu, load, stopped)
        late.send(signal.SIGCONT)
        assert "stands by" in late.complaint()
        assert holder(tiu) == other.pid
        ended_well("active_stopped", backend, load, [took], within(LEASE, turn))


@again(10)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_end_leaves_at_once_and_another_goes_on(
    backend: Backend, number: signal.Signals, turn: int
) -> None:
    with observer(backend.url) as (tiu, load), projectors(backend.url, 2) as (first, second):
        load.start()
        tiu.wait_for(load.last, PATIENCE)
        told = first.send(number)
        until(lambda: holder(tiu) == second.pid)
        took = seconds_until_projected(tiu, load, told)
        first.process.join(within(AT_ONCE, turn))
        assert first.process.exitcode == 0
        tiu.wait_for(load.stop(), PATIENCE)
        ended_well("active_ended", backend, load, [took], within(AT_MOST, turn))


@again(20)
def test_one_that_is_cut_off_is_followed(postgresql: PostgreSQLBackend, turn: int) -> None:
    """All its connections are ended by the server, again and again, until another is active; it stands by then."""
    name = f"cut-{os.getpid()}"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?"
    mark = "&" if "?" in postgresql.url else "?"
    with (
        observer(postgresql.url) as (tiu, load),
        projectors(f"{postgresql.url}{mark}application_name={name}", 1) as (first,),
        projectors(postgresql.url, 1) as (second,),
    ):
        load.start()
        tiu.wait_for(load.last, PATIENCE)
        cut = time.monotonic()
        assert postgresql.on_events(end, name)
        while holder(tiu) != second.pid:
            assert time.monotonic() - cut <= within(AT_MOST, turn)
            postgresql.on_events(end, name)
        load.stop()
        took = seconds_until_projected(tiu, load, cut)
        second.kill()
        tiu.wait_for(load.one(), PATIENCE)
        assert holder(tiu) == first.pid
        ended_well("active_cut", postgresql, load, [took], within(AT_MOST, turn))


def test_a_connection_that_stands_by_waits_for_what_another_brings(backend: Backend) -> None:
    """It starts at once, and ends at once."""
    with observer(backend.url) as (tiu, load), projectors(backend.url, 1) as (active,):
        for _ in range(3):
            with connect(backend.url) as standby:
                answer = load.one()
                standby.wait_for(answer, PATIENCE)
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
