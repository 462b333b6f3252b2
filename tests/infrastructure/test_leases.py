"""The contract of leases: one tenure at a time, of rising number, and nothing is written under one that has ended."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from claude_tiu.infrastructure import leases as module
from claude_tiu.infrastructure.errors import CheckpointMoved, LeaseLost, StoreUnavailable
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.leases import Lease, Leases
from claude_tiu.infrastructure.postgresql import leases as postgresql_leases
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLListener
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_side import leases_of
from claude_tiu.infrastructure.read_store import Checkpoint, ReadStore
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import create_user, store_history
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

NAME = "test"
LONG, SHORT = 60.0, 0.4
"""Seconds: of a lease that lasts until the test ends it, and of one that runs out; it may do so at any pause of the
machine, so nothing rests on its lasting."""
EPOCH = UUID(int=7)


class Candidates:
    """Makes candidates for one lease, each as another process would have it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._made = ExitStack()

    def leases(self, seconds: float = LONG) -> tuple[EventStore, Leases]:
        events = self.backend.events()
        return events, leases_of(
            events, self.backend.reads(), Settings.model_construct(projector_lease_seconds=seconds)
        )

    @staticmethod
    def settings(seconds: float) -> Settings:
        """With a lease that may be shorter than one that can be set."""
        return Settings.model_construct(projector_lease_seconds=seconds)

    def __call__(self, seconds: float = LONG, name: str = NAME) -> Lease:
        events, leases = self.leases(seconds)
        lease = leases.candidate(name, self._made.enter_context(closing(events.listen())))
        self._made.callback(lease.give_up)
        return lease

    def close(self) -> None:
        self._made.close()


@pytest.fixture
def candidate(backend: Backend) -> Iterator[Candidates]:
    with closing(Candidates(backend)) as made:
        yield made


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to be so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stop(lease: Lease) -> None:
    """As a holder whose process is stopped: it renews nothing, and its lock stays."""
    lease._ended.set()


def at(position: int, fence: int) -> Checkpoint:
    return Checkpoint(1, EPOCH, position, bytes([position]) * 32, 1, fence)


def apply(reads: ReadStore, before: Checkpoint | None, after: Checkpoint) -> None:
    reads.apply(NAME, before, [], after)


def let_time_pass(backend: Backend) -> None:
    """Let the time of every tenure pass."""
    if isinstance(backend, SQLiteBackend):
        for lock in backend.path.parent.glob("*-lock"):
            lock.write_text(f"{0:020.6f}\n", encoding="utf-8")
    else:
        backend.on_events("UPDATE leases SET expires_at = 'epoch'")


def clock(backend: Backend) -> float:
    """The clock by which tenures run out."""
    if isinstance(backend, SQLiteBackend):
        return time.monotonic()
    ((now,),) = backend.on_events("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(now)


def runs_out(backend: Backend) -> float:
    """When the only tenure runs out, by that clock."""
    if isinstance(backend, SQLiteBackend):
        (lock,) = backend.path.parent.glob("*-lock")
        return float(lock.read_text(encoding="utf-8"))
    ((at,),) = backend.on_events("SELECT extract(epoch FROM expires_at)::float8 FROM leases")
    return float(at)


@pytest.fixture
def renewed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long leases are renewed every tenth of a second."""
    monkeypatch.setattr(module, "BEATS", round(LONG * 10))


@contextmanager
def holding_the_checkpoint(backend: Backend) -> Iterator[None]:
    if isinstance(backend, SQLiteBackend):
        with closing(sqlite3.connect(backend.read_path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(backend.url) as server:
            server.execute("SELECT FROM checkpoints FOR UPDATE")
            yield


class TestATenure:
    def test_is_of_one_at_a_time(self, candidate: Candidates) -> None:
        first, second = candidate(), candidate()
        assert first.acquire()
        assert first.fence == 1
        assert not second.acquire()
        assert second.fence is None
        assert first.acquire(), "it has it already"
        assert first.fence == 1

    def test_may_begin_as_soon_as_the_one_before_is_given_up(self, candidate: Candidates) -> None:
        first, second = candidate(), candidate()
        assert first.acquire()
        first.give_up()
        assert first.fence is None
        assert second.acquire()
        assert second.fence == 2
        second.give_up()
        assert first.acquire()
        assert first.fence == 3

    def test_is_of_one_name(self, candidate: Candidates) -> None:
        assert candidate().acquire()
        assert candidate(name="other").acquire()

    @pytest.mark.usefixtures("renewed_often")
    def test_lasts_as_long_as_it_is_renewed(self, backend: Backend, candidate: Candidates) -> None:
        first, second = candidate(), candidate()
        assert first.acquire()
        for _ in range(3):
            let_time_pass(backend)
            until(lambda: runs_out(backend) > clock(backend))
            assert not second.acquire()
        first.keep()

    @pytest.mark.usefixtures("renewed_often")
    def test_is_renewed_while_the_tables_are_written_to_for_long(self, backend: Backend, candidate: Candidates) -> None:
        """By its own batch, or by a rebuild that puts other tables in their place: both hold the checkpoint."""
        first, second = candidate(), candidate()
        assert first.acquire()
        apply(backend.reads(), None, at(1, 1))
        with holding_the_checkpoint(backend):
            for _ in range(3):
                let_time_pass(backend)
                until(lambda: runs_out(backend) > clock(backend))
                assert not second.acquire()
        first.keep()
        assert not second.acquire()

    def test_runs_out_within_a_lease_where_its_holder_stands_still(
        self, backend: Backend, candidate: Candidates
    ) -> None:
        """A beat before, which is left for taking over."""
        first, second = candidate(1.0), candidate(1.0)
        before = clock(backend)
        assert first.acquire()
        stop(first)
        assert before <= runs_out(backend) - 0.75 <= clock(backend)
        until(second.acquire)
        assert clock(backend) > before + 0.75
        assert second.fence == 2

    def test_that_ran_out_does_not_come_back(self, candidate: Candidates) -> None:
        first, second, third = candidate(SHORT), candidate(LONG), candidate()
        assert first.acquire()
        stop(first)
        until(second.acquire)
        assert not first._renew(first._candidate, 1)
        first.give_up()  # lets go of nothing that is the other's
        assert not third.acquire()
        assert not first.acquire()
        second.give_up()
        assert first.acquire()
        assert first.fence == 3

    def test_that_ran_out_is_told_to_its_holder(self, candidate: Candidates) -> None:
        """It was stopped before its next renewal, and goes on behind it."""
        first, second = candidate(SHORT), candidate(LONG)
        ended = threading.Event()
        assert first.acquire()
        stop(first)
        until(second.acquire)
        first._ended = ended
        first._beat(1, ended)
        with pytest.raises(LeaseLost):
            first.keep()

    def test_begins_once_however_many_try(self, candidate: Candidates) -> None:
        racing = [candidate() for _ in range(6)]
        for round_ in range(1, 6):
            barrier = threading.Barrier(len(racing))

            def attempt(lease: Lease, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                lease.acquire()

            threads = [threading.Thread(target=attempt, args=(lease,)) for lease in racing]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (holder,) = [lease for lease in racing if lease.fence is not None]
            assert holder.fence == round_
            holder.give_up()

    def test_says_whose_it_is(self, backend: Backend, candidate: Candidates) -> None:
        _, leases = candidate.leases()
        assert leases.holder(NAME) is None
        lease = candidate()
        assert lease.acquire()
        holder = leases.holder(NAME)
        assert holder is not None
        assert (holder.fence, holder.active) == (1, True)
        assert holder.host
        stop(lease)
        let_time_pass(backend)
        assert not (leases.holder(NAME) or holder).active
        assert candidate().acquire()
        assert (leases.holder(NAME) or holder)[0::4] == (2, True)

    def test_that_was_given_up_is_nobodys(self, candidate: Candidates) -> None:
        _, leases = candidate.leases()
        lease = candidate()
        assert lease.acquire()
        lease.give_up()
        holder = leases.holder(NAME)
        assert holder is not None
        assert not holder.active


class TestTheFence:
    def test_keeps_out_who_writes_under_a_tenure_that_has_ended(self, backend: Backend, candidate: Candidates) -> None:
        """Though nobody has moved the checkpoint since."""
        reads, first, second = backend.reads(), candidate(SHORT), candidate()
        assert first.acquire()
        apply(reads, None, at(1, 1))
        stop(first)
        until(second.acquire)
        assert reads.checkpoint(NAME) == at(1, 2)
        with pytest.raises(CheckpointMoved):
            apply(reads, at(1, 1), at(2, 1))
        assert reads.checkpoint(NAME) == at(1, 2)
        apply(reads, at(1, 2), at(2, 2))
        assert reads.checkpoint(NAME) == at(2, 2)

    def test_ends_what_a_projector_does(self, backend: Backend, candidate: Candidates) -> None:
        """It believes in its tenure until it looks: it does not go on under the other's."""
        first, second = candidate(LONG, READ_MODEL.name), candidate(LONG, READ_MODEL.name)
        events = backend.events()
        projector = Projector(events, backend.reads(), READ_MODEL)
        store_history(events, [create_user("before")])
        assert projector.catch_up_in(first) == 1
        stop(first)
        let_time_pass(backend)
        assert second.acquire()
        store_history(events, [create_user("behind")])
        assert projector.catch_up_in(first) == 0
        assert not projector.active
        assert backend.on_reads("SELECT username FROM users") == [("before",)]
        assert Projector(events, backend.reads(), READ_MODEL).lag().behind == 1

    def test_keeps_them_out_before_there_is_a_checkpoint(self, backend: Backend, candidate: Candidates) -> None:
        reads, first, second = backend.reads(), candidate(SHORT), candidate()
        assert first.acquire()
        stop(first)
        until(second.acquire)
        assert reads.fence(NAME) == 2
        with pytest.raises(CheckpointMoved):
            apply(reads, None, at(1, 1))
        assert reads.checkpoint(NAME) is None
        apply(reads, None, at(1, 2))

    def test_does_not_rise_while_a_batch_is_written(
        self, backend: Backend, candidate: Candidates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Taking over and writing at once: whichever comes first, the other sees it."""
        monkeypatch.setattr(postgresql_leases, "LOCK_SECONDS", 20.0)  # whoever writes is not ended, however slow
        reads = backend.reads()
        lease = candidate(20 * LONG)
        assert lease.acquire()
        apply(reads, None, at(0, 1))
        for fence in range(1, 12):
            last = reads.checkpoint(NAME)
            assert last
            lease.give_up()
            results: list[Any] = []

            def write(last: Checkpoint = last, results: list[Any] = results) -> None:
                try:
                    apply(reads, last, last._replace(position=last.position + 1))
                    results.append("written")
                except CheckpointMoved:
                    results.append("refused")

            thread = threading.Thread(target=write)
            thread.start()
            lease = candidate(20 * LONG)
            until(lease.acquire)
            taken = reads.checkpoint(NAME)
            thread.join()
            assert lease.fence == fence + 1
            assert taken == last._replace(position=last.position + (results == ["written"]), fence=fence + 1)
            assert reads.checkpoint(NAME) == taken


class TestOnPostgreSQL:
    @pytest.fixture
    def candidates(self, postgresql: PostgreSQLBackend) -> Iterator[Candidates]:
        with closing(Candidates(postgresql)) as made:
            yield made

    def test_a_lost_session_ends_the_tenure_at_once(self, candidates: Candidates) -> None:
        first, second = candidates(), candidates()
        assert first.acquire()
        self._cut(first)
        until(second.acquire)
        assert second.fence == 2

    def test_a_lost_session_is_made_anew_where_nobody_was_faster(self, candidates: Candidates) -> None:
        first, second = candidates(), candidates()
        assert first.acquire()
        self._cut(first)
        first.keep()
        assert not second.acquire()
        assert first.fence == 1

    @staticmethod
    def _cut(lease: Lease) -> None:
        """As the server's administrator, or a network, ends it."""
        assert isinstance(lease._listener, PostgreSQLListener)
        connection = lease._listener._connection
        assert connection
        connection.pgconn.finish()

    def test_a_session_that_stands_still_within_a_batch_is_ended(
        self, postgresql: PostgreSQLBackend, candidates: Candidates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads, first, second = postgresql.reads(), candidates(), candidates()
        assert first.acquire()
        apply(reads, None, at(1, 1))
        begun, go_on, results = threading.Event(), threading.Event(), list[Exception]()

        def stand_still(*_: object) -> None:
            begun.set()
            go_on.wait()

        def write() -> None:
            try:
                apply(reads, at(1, 1), at(2, 1))
            except StoreUnavailable as error:
                results.append(error)

        monkeypatch.setattr(reads, "_preparing", object())  # so that it goes step by step
        monkeypatch.setattr(reads, "_take", stand_still)
        thread = threading.Thread(target=write)
        thread.start()
        assert begun.wait(20)
        stop(first)
        let_time_pass(postgresql)
        until(second.acquire)
        go_on.set()
        thread.join()
        assert results, "its session is gone"
        assert reads.checkpoint(NAME) == at(1, 2)

    def test_whoever_resets_meanwhile_is_not_ended(self, postgresql: PostgreSQLBackend, candidates: Candidates) -> None:
        """It is no projector, and may take longer than one waits for a batch."""
        reads, lease = postgresql.reads(), candidates(2.0)
        apply(reads, None, at(1, 0))
        with psycopg.connect(postgresql.url) as other:
            other.execute("DELETE FROM checkpoints")
            assert not lease.acquire()
            other.commit()
        assert lease.acquire()
