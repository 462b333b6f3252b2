"""Group commit: what waits is stored together, what rests on one another is not, and nobody is left waiting."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu.infrastructure import group_commit
from claude_tiu.infrastructure.errors import ConnectionClosed, StoreUnavailable
from claude_tiu.infrastructure.event_store import Outcome, Stored, Unit
from claude_tiu.infrastructure.group_commit import GroupCommit, are_independent
from tests.support.patience import PATIENCE
from tests.support.stores import event

A, B = UUID(int=1), UUID(int=2)


class Disk:
    """What stores a group: slowly, one step for each time it is let go on; it tells what came together."""

    def __init__(self) -> None:
        self.groups: list[list[Unit]] = []
        self.independent: list[bool] = []
        self.threads: list[threading.Thread] = []
        self.failing: Callable[[Sequence[Unit]], None] = lambda units: None
        self._may_go = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)

    def store(self, units: Sequence[Unit], independent: bool) -> list[Outcome]:
        self.threads.append(threading.current_thread())
        self.independent.append(independent)
        self.groups.append(list(units))
        self._entered.release()
        assert self._may_go.acquire(timeout=PATIENCE)
        self.failing(units)
        return [Stored(unit.events[0].version) for unit in units]

    def entered(self) -> None:
        """Wait until one more group is being stored."""
        assert self._entered.acquire(timeout=PATIENCE)

    def go(self, groups: int = 1_000) -> None:
        self._may_go.release(groups)


class Callers:
    """Appends of a group commit, each in a thread of its own."""

    def __init__(self, group: GroupCommit, disk: Disk) -> None:
        self._group, self._disk = group, disk
        self._pool = ThreadPoolExecutor(64)

    def append(self, *units: Unit) -> Future[list[Outcome]]:
        return self._pool.submit(self._group.append, units, self._disk.store)

    def wait(self, *units: Unit) -> Future[list[Outcome]]:
        """Append, and return when the call stands in the queue."""
        waiting = len(self._group._queue)
        future = self.append(*units)
        until(lambda: len(self._group._queue) > waiting)
        return future

    def close(self) -> None:
        self._pool.shutdown()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def unit(number: int = 1, stream_id: UUID | None = None, **values: Any) -> Unit:
    stream = stream_id or uuid4()
    return Unit([event(stream, number, **values)], {stream: number - 1})


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def group() -> GroupCommit:
    return GroupCommit(slots=1, timeout=PATIENCE)


@pytest.fixture
def callers(group: GroupCommit, disk: Disk) -> Iterator[Callers]:
    made = Callers(group, disk)
    yield made
    disk.go()
    made.close()
    assert group._free_slots == 1, "a slot was lost"
    assert (len(group._queue), group._units, group._bytes, group._storing) == (0, 0, 0, 0)


class TestGroups:
    def test_one_that_is_alone_is_stored_by_its_own_thread(self, group: GroupCommit, disk: Disk) -> None:
        disk.go()
        assert group.append([unit(7)], disk.store) == [Stored(7)]
        assert disk.threads == [threading.current_thread()]

    def test_what_waits_is_stored_together(self, callers: Callers, disk: Disk) -> None:
        first = callers.append(unit(1))
        disk.entered()
        others = [callers.wait(unit(number), unit(number + 100)) for number in range(2, 10)]
        disk.go()
        assert first.result() == [Stored(1)]
        assert [other.result() for other in others] == [[Stored(n), Stored(n + 100)] for n in range(2, 10)]
        assert [len(units) for units in disk.groups] == [1, 16]
        assert disk.independent == [True, True]

    def test_two_slots_store_two_groups_at_once_the_second_not_the_smaller(self, disk: Disk) -> None:
        group = GroupCommit(slots=2, timeout=PATIENCE)
        callers = Callers(group, disk)
        futures = [callers.append(unit(1), unit(2))]
        disk.entered()
        futures.append(callers.wait(unit(3)))
        futures.append(callers.append(unit(4)))
        disk.entered()
        futures.append(callers.wait(unit(5)))
        disk.go()
        assert [stored for one in futures for stored in one.result()] == [Stored(number) for number in range(1, 6)]
        assert [len(units) for units in disk.groups] == [2, 2, 1]
        callers.close()
        assert (group._free_slots, group._storing) == (2, 0)

    def test_a_group_has_so_many_units_at_most(
        self, callers: Callers, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group_commit, "GROUP_UNITS", 3)
        self.check_sizes(callers, disk, [1, 3, 3, 1], b"")

    def test_a_group_has_so_many_bytes_at_most(
        self, callers: Callers, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group_commit, "GROUP_BYTES", 250)
        self.check_sizes(callers, disk, [1, 2, 2, 2, 1], b"x" * 100)

    def check_sizes(self, callers: Callers, disk: Disk, sizes: list[int], state: bytes) -> None:
        first = callers.append(unit())
        disk.entered()
        others = [callers.wait(unit(state=state)) for _ in range(7)]
        disk.go()
        assert all(one.result() == [Stored(1)] for one in (first, *others))
        assert [len(units) for units in disk.groups] == sizes


class TestWhatRestsOnOneAnother:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (unit(1, A), unit(2, A)),
            (unit(1, A), Unit([event(B)], {A: 0})),
            (Unit([event(B)], {A: 0}), unit(1, A)),
            (unit(command_id=A), unit(command_id=A)),
        ],
        ids=["written by both", "guarded by the second", "guarded by the first", "of one command"],
    )
    def test_is_not_stored_in_one_group(self, callers: Callers, disk: Disk, one: Unit, other: Unit) -> None:
        assert not are_independent([one, other])
        first = callers.append(unit())
        disk.entered()
        futures = [callers.wait(waiting) for waiting in (one, other, unit())]
        disk.go()
        assert all(future.result() for future in (first, *futures))
        assert [len(units) for units in disk.groups] == [1, 2, 1]
        assert disk.groups[2] == [other]

    def test_may_be_guarded_by_both(self) -> None:
        assert are_independent([Unit([event()], {A: 3}), Unit([event()], {A: 3})])

    def test_in_one_call_is_stored_in_order_and_by_itself(self, callers: Callers, disk: Disk) -> None:
        first = callers.append(unit())
        disk.entered()
        futures = [callers.wait(unit(1, A), unit(2, A)), callers.wait(unit())]
        disk.go()
        assert all(future.result() for future in (first, *futures))
        assert [len(units) for units in disk.groups] == [1, 2, 1]
        assert disk.independent == [True, False, True]


class TestFailing:
    def together(self, callers: Callers, disk: Disk, count: int = 4) -> list[BaseException | None]:
        """Store units with the versions 1 to `count` in one group; return what each was told."""
        first = callers.append(unit(1_000))
        disk.entered()
        futures = [callers.wait(unit(number)) for number in range(1, count + 1)]
        disk.go()
        assert first.exception() is None or isinstance(first.exception(), StoreUnavailable)
        return [future.exception() for future in futures]

    def test_only_who_is_at_fault_is_told(self, callers: Callers, disk: Disk) -> None:
        def failing(units: Sequence[Unit]) -> None:
            if any(one.events[0].version == 3 for one in units):
                raise ValueError("three")

        disk.failing = failing
        told = self.together(callers, disk)
        assert [type(error) for error in told] == [type(None), type(None), ValueError, type(None)]
        assert [len(units) for units in disk.groups] == [1, 4, 1, 1, 1, 1]

    @pytest.mark.parametrize("error", [StoreUnavailable("away"), ConnectionClosed("closed")])
    def test_all_are_told_that_the_store_is_away(self, callers: Callers, disk: Disk, error: Exception) -> None:
        def failing(units: Sequence[Unit]) -> None:
            if len(units) > 1:
                raise error

        disk.failing = failing
        told = self.together(callers, disk)
        assert [type(one) for one in told] == [type(error)] * 4
        assert len({id(one) for one in told}) == 4, "each thread raises an error of its own"
        assert len(disk.groups) == 2

    def test_a_store_that_goes_away_meanwhile_is_not_tried_by_each(self, callers: Callers, disk: Disk) -> None:
        def failing(units: Sequence[Unit]) -> None:
            if len(units) > 1:
                raise ValueError("one of them")
            if units[0].events[0].version == 2:
                raise StoreUnavailable("away")

        disk.failing = failing
        told = self.together(callers, disk)
        assert [type(one) for one in told] == [type(None), *[StoreUnavailable] * 3]
        assert len(disk.groups) == 4


class TestBounds:
    @pytest.mark.parametrize(("name", "bound"), [("QUEUED_UNITS", 3), ("QUEUED_BYTES", 10)])
    def test_who_finds_no_room_in_the_queue_is_told(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch, name: str, bound: int
    ) -> None:
        monkeypatch.setattr(group_commit, name, bound)
        group = GroupCommit(slots=1, timeout=PATIENCE)
        callers = Callers(group, disk)
        first = callers.append(unit())
        disk.entered()
        waiting = [callers.wait(unit(state=b"xxx")) for _ in range(3)]
        group._timeout = 0.1
        with pytest.raises(StoreUnavailable, match="3 units wait already"):
            callers.append(unit(state=b"xxx")).result()
        group._timeout = PATIENCE
        late = callers.append(unit(state=b"xxx"))
        disk.go()
        assert all(one.result() for one in (first, *waiting, late))
        callers.close()

    def test_an_empty_queue_has_room_for_anything(self, callers: Callers, disk: Disk) -> None:
        first = callers.append(unit())
        disk.entered()
        large = callers.wait(*[unit() for _ in range(group_commit.QUEUED_UNITS + 1)])
        disk.go()
        assert first.result() == [Stored(1)]
        assert len(large.result()) == group_commit.QUEUED_UNITS + 1

    def test_who_gets_no_turn_in_time_is_told_and_nothing_of_it_is_storing(self, disk: Disk) -> None:
        group = GroupCommit(slots=1, timeout=0.1)
        callers = Callers(group, disk)
        first = callers.append(unit())
        disk.entered()
        with pytest.raises(StoreUnavailable, match="too long"):
            callers.append(unit()).result()
        disk.go()
        assert first.result() == [Stored(1)]
        assert len(disk.groups) == 1
        assert group.append([unit(2)], disk.store) == [Stored(2)]
        callers.close()


class TestInterrupts:
    def test_of_one_that_is_alone_leave_its_place_free(self, group: GroupCommit, disk: Disk) -> None:
        def interrupted(units: Sequence[Unit]) -> None:
            raise KeyboardInterrupt

        disk.go()
        disk.failing = interrupted
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                group.append([unit()], disk.store)
        disk.failing = lambda units: None
        assert group.append([unit(9)], disk.store) == [Stored(9)]

    def test_of_a_leader_strand_nobody(self, callers: Callers, disk: Disk) -> None:
        def failing(units: Sequence[Unit]) -> None:
            if len(units) == 4:
                raise KeyboardInterrupt

        disk.failing = failing
        first = callers.append(unit())
        disk.entered()
        futures = [callers.wait(unit()) for _ in range(4)]
        disk.go(2)
        assert first.result() == [Stored(1)]
        told = [type(future.exception()) for future in futures]
        assert told == [KeyboardInterrupt, *[StoreUnavailable] * 3]
        disk.go()
        assert callers.append(unit(9)).result() == [Stored(9)]

    def test_of_one_that_waits_take_it_out_of_the_queue(self, callers: Callers, group: GroupCommit, disk: Disk) -> None:
        first = callers.append(unit())
        disk.entered()
        main = threading.main_thread()
        assert threading.current_thread() is main

        def waits() -> bool:
            with group._lock:
                return len(group._queue) == 1

        def interrupt() -> None:
            until(waits)
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            group.append([unit(2)], disk.store)
        interrupting.join()
        other = callers.wait(unit(3))
        disk.go()
        assert [first.result(), other.result()] == [[Stored(1)], [Stored(3)]]
        assert len(disk.groups) == 2
