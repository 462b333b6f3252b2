"""The event store's contract, many threads at once: what they append together becomes what each alone would have."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError

from claude_tiu import ClaimProgress, StartTask, connect
from claude_tiu.infrastructure.event_store import Conflict, EventStore, Known, Outcome, Reservation, Stored, Taken, Unit
from claude_tiu.infrastructure.postgresql import event_store
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLEventStore
from tests.support.connected import most_connections
from tests.support.history import TASKS, plan
from tests.support.places import assert_chained
from tests.support.stores import Backend, PostgreSQLBackend, append, event, until_waiting

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
THREADS = 32


def appended_together(store: EventStore, calls: Sequence[Sequence[Unit]]) -> list[list[Outcome] | BaseException]:
    """Make calls wait for one another, and then be stored; return what became of each."""
    with ThreadPoolExecutor(len(calls) + 2) as pool:
        with store.exclusive():
            futures: list[Future[list[Outcome]]] = []
            for _ in range(2):  # they take the slots, and wait for the lock
                pool.submit(append, store, event())
            time.sleep(0.1)
            futures = [pool.submit(store.append, units) for units in calls]
            time.sleep(0.1)  # they wait in the queue by now; those that do not make the test easier, never false
        return [future.exception() or future.result() for future in futures]


def new_unit(**values: Any) -> Unit:
    stream_id = uuid4()
    return Unit([event(stream_id, **values), event(stream_id, 2)], {stream_id: 0})


class TestTogether:
    def test_only_the_refused_are_refused(self, backend: Backend) -> None:
        store = backend.events()
        append(store, event(A, command_id=A, command_digest=b""), reservations=[Reservation("name", b"taken", A)])
        good = [[new_unit()] for _ in range(8)]
        bad = [
            [Unit([event(B)], {A: 0})],
            [Unit([event(B, command_id=A, command_digest=b"")])],
            [Unit([event(B)], reservations=[Reservation("name", b"taken", B)])],
        ]
        outcomes = appended_together(store, [*good[:4], *bad, *good[4:]])
        assert [outcomes[number] for number in (4, 5, 6)] == [[Conflict(A)], [Known()], [Taken(0)]]
        stored = outcomes[:4] + outcomes[7:]
        assert all(isinstance(one, list) and isinstance(one[0], Stored) for one in stored), stored
        assert store.load(B) == []
        rows = store.read_rows(0, 100)
        assert len(rows) == 1 + 2 + 16
        assert_chained(rows)

    @pytest.mark.parametrize(
        ("guilty", "error"),
        [
            (Unit([event(A)]), IntegrityError),
            (Unit([event(B), event(B)]), IntegrityError),
            (Unit([event(B, topic=1)]), Exception),
            (Unit([event(B, topic="\ud800")]), Exception),
        ],
        ids=["a version that exists", "one version twice", "not a text", "a text that cannot be stored"],
    )
    def test_only_who_is_at_fault_gets_the_error(self, backend: Backend, guilty: Unit, error: type[Exception]) -> None:
        store = backend.events()
        append(store, event(A))
        outcomes = appended_together(store, [[new_unit()], [new_unit()], [guilty], [new_unit()]])
        assert isinstance(outcomes[2], error)
        stored = [*outcomes[:2], outcomes[3]]
        assert all(isinstance(one, list) and isinstance(one[0], Stored) for one in stored), stored
        assert store.load(B) == []
        assert_chained(store.read_rows(0, 100))

    def test_of_those_that_want_one_value_one_has_it(self, backend: Backend) -> None:
        store = backend.events()
        streams = [uuid4() for _ in range(8)]
        calls = [[Unit([event(one)], reservations=[Reservation("name", b"wanted", one)])] for one in streams]
        outcomes = [outcome for one in appended_together(store, calls) if isinstance(one, list) for outcome in one]
        assert Counter(map(type, outcomes)) == {Stored: 1, Taken: 7}
        assert sum(len(store.load(one)) for one in streams) == 1

    def test_of_those_that_write_one_version_one_does(self, backend: Backend) -> None:
        store = backend.events()
        calls = [[Unit([event(A, state=b"%d" % number)], {A: 0})] for number in range(8)]
        outcomes = [outcome for one in appended_together(store, calls) if isinstance(one, list) for outcome in one]
        assert Counter(map(type, outcomes)) == {Stored: 1, Conflict: 7}
        assert len(store.load(A)) == 1

    def test_of_one_command_by_many_one_is_stored(self, backend: Backend) -> None:
        store = backend.events()
        calls = [[Unit([event(command_id=C, command_digest=b"")])] for _ in range(8)]
        outcomes = [outcome for one in appended_together(store, calls) if isinstance(one, list) for outcome in one]
        assert Counter(map(type, outcomes)) == {Stored: 1, Known: 7}
        assert len(store.trace([C])) == 1


class TestMuch:
    def test_a_large_unit_and_many_units_in_one_call(self, events: EventStore) -> None:
        large = [event(A, version, state=b"x" * 1_000) for version in range(1, 3_001)]
        assert append(events, *large, guards={A: 0}) == Stored(1)
        outcomes = events.append([new_unit() for _ in range(1_000)])
        assert outcomes == [Stored(position) for position in range(3_001, 5_001, 2)]
        assert_chained(events.read_rows(0, 10_000))

    def test_refused_among_many(self, events: EventStore) -> None:
        append(events, event(A))
        units = [new_unit() if number % 10 else Unit([event(B)], {A: 0}) for number in range(200)]
        outcomes = events.append(units)
        assert [outcome == Conflict(A) for outcome in outcomes] == [number % 10 == 0 for number in range(200)]
        rows = events.read_rows(0, 1_000)
        assert len(rows) == 1 + 2 * 180
        assert_chained(rows)

    def test_of_many_threads_is_in_order_and_chained(self, events: EventStore) -> None:
        each = 30
        shared: list[UUID] = [uuid4() for _ in range(4)]

        def write(number: int) -> list[Outcome]:
            own, outcomes = uuid4(), []
            for version in range(1, each + 1):
                guards = {own: version - 1, shared[number % 4]: 0}
                outcomes.append(append(events, event(own, version), guards=guards))
            return outcomes

        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = [outcome for part in pool.map(write, range(THREADS)) for outcome in part]
        positions = [outcome.first_position for outcome in outcomes if isinstance(outcome, Stored)]
        assert sorted(positions) == list(range(1, THREADS * each + 1))
        assert_chained(events.read_rows(0, 10_000))


class TestAmongOthers:
    """On PostgreSQL: who has met another that appends lets the lock go before the disk is waited for, for a second."""

    def test_one_that_has_met_another_appends_the_same(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_store, "CROWDED_SECONDS", 3600.0)  # until the test ends it
        store, other = postgresql.events(), postgresql.events()
        append(store, event(A))
        with ThreadPoolExecutor(1) as pool:
            with other.exclusive():
                waiting = pool.submit(append, store, event(A, 2), guards={A: 1})
                until_waiting(postgresql)
            assert waiting.result() == Stored(2)
        assert isinstance(store, PostgreSQLEventStore)
        assert store._crowded_until > time.monotonic()
        assert append(store, event(A, 3), guards={A: 2}) == Stored(3)
        assert append(store, event(A, 4), guards={A: 2}) == Conflict(A)
        assert append(store, event(B), guards={B: 0, A: 2}) == Conflict(A)
        assert append(store, event(B), guards={B: 0, A: 3}) == Stored(4)
        store._crowded_until = 0
        assert append(store, event(B, 2), guards={B: 1, A: 3}) == Stored(5)
        assert store._crowded_until == 0
        assert [row.position for row in store.read_rows(0, 10)] == [1, 2, 3, 4, 5]
        assert_chained(store.read_rows(0, 10))


def test_one_process_holds_six_connections_at_most(
    postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/how-to/embed.md says so; with its projector, and however many threads there are."""
    most = most_connections(monkeypatch)
    with connect(postgresql.url) as tiu:
        tiu.execute_all(list(plan()))
        tiu.execute(StartTask(task_id=TASKS[0]))

        def work(number: int) -> None:
            for claimed in range(10):
                answer = tiu.execute(ClaimProgress(task_id=TASKS[0], claimed=claimed + number % 2))
                tiu.get(TASKS[0])
                tiu.wait_for(answer)
                tiu.read.tasks(tiu.get(TASKS[0]).project_id)

        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(work, number) for number in range(THREADS)]
        assert [future.exception() for future in futures] == [None] * THREADS
    assert 2 <= most() <= 6
