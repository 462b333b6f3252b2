"""Work that threads ask for at once: what waits is done together, and nobody gets what was read before it asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from claude_tiu.infrastructure import together
from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.together import Together
from tests.support.patience import PATIENCE


class Item:
    """What is asked for; `found` is what stood in the world when it was worked on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: str | None = None


class World:
    """Where work is done: slowly, once for each time it is let go on; it tells what was done together."""

    def __init__(self) -> None:
        self.groups: list[str] = []
        self.state = "before"
        self.failing: Callable[[], None] = lambda: None
        self._may_go = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)

    def work(self, items: Sequence[Item]) -> None:
        state = self.state
        self.groups.append("".join(item.name for item in items))
        self._entered.release()
        assert self._may_go.acquire(timeout=PATIENCE)
        self.failing()
        for item in items:
            item.found = state

    def entered(self) -> None:
        """Wait until one more group is being worked on."""
        assert self._entered.acquire(timeout=PATIENCE)

    def go(self, groups: int = 1_000) -> None:
        self._may_go.release(groups)

    def fail_in_second(self, error: BaseException) -> None:
        def fail() -> None:
            if len(self.groups) == 2:
                raise error

        self.failing = fail


class Callers:
    """Ask for work, each in a thread of its own; that of A is under way, and the others wait."""

    def __init__(self, timeout: float = PATIENCE) -> None:
        self.world = World()
        self.group = Together(self.world.work, timeout=timeout)
        self._pool = ThreadPoolExecutor(80)
        self.first = self.ask("A")
        self.world.entered()

    def do(self, name: str, key: str | None = None, size: int = 1) -> str | None:
        item = Item(name)
        self.group.do(item, key=key or name, size=size)
        return item.found

    def ask(self, name: str, **of: Any) -> Future[str | None]:
        return self._pool.submit(self.do, name, **of)

    def wait(self, name: str, **of: Any) -> Future[str | None]:
        """Ask, and return when that stands in the queue."""
        waiting = len(self.group._queue)
        future = self.ask(name, **of)
        deadline = time.monotonic() + PATIENCE
        while len(self.group._queue) == waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return future

    def close(self) -> None:
        self.world.go()
        self._pool.shutdown()


@pytest.fixture
def callers() -> Iterator[Callers]:
    made = Callers()
    yield made
    made.close()


def test_what_waits_is_done_together(callers: Callers) -> None:
    waiting = [callers.wait(name) for name in "BCD"]
    callers.world.go()
    assert [future.result(PATIENCE) for future in waiting] == ["before"] * 3
    assert callers.world.groups == ["A", "BCD"]


def test_nobody_gets_what_was_read_before_it_asked(callers: Callers) -> None:
    callers.world.state = "behind"
    waiting = callers.wait("A")
    callers.world.go()
    assert callers.first.result(PATIENCE) == "before"
    assert waiting.result(PATIENCE) == "behind"


def test_two_of_one_key_are_done_one_after_the_other(callers: Callers) -> None:
    waiting = [callers.wait("B", key="b"), callers.wait("C", key="b"), callers.wait("D")]
    callers.world.go()
    assert [future.result(PATIENCE) for future in waiting] == ["before"] * 3
    assert callers.world.groups == ["A", "BD", "C"]


def test_it_is_deserted_while_nobody_is_at_work_or_has_met_another_lately(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deserted() -> bool:
        return callers.group.deserted

    assert Together[Item](callers.world.work, timeout=1).deserted
    assert not deserted()  # one is at work
    callers.world.go()
    callers.first.result(PATIENCE)
    assert deserted()  # he met nobody
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    callers.group._at_work = True  # and now one is found at work
    waiting = callers.wait("B")
    callers.group._hand_on()
    assert waiting.result(PATIENCE) == "before"
    assert not deserted()
    now += together.MEETING_SECONDS + 0.1
    assert deserted()


def test_so_many_are_done_together_at_most(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "TOGETHER", 2)
    waiting = [callers.wait(name) for name in "BCD"]
    callers.world.go()
    assert [future.result(PATIENCE) for future in waiting] == ["before"] * 3
    assert callers.world.groups == ["A", "BC", "D"]


def test_so_many_bytes_are_done_together_at_most(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "TOGETHER_BYTES", 10)
    waiting = [
        callers.wait("B", size=6),
        callers.wait("C", size=6),
        callers.wait("D", size=4),
        callers.wait("E", size=40),
    ]
    callers.world.go()
    assert [future.result(PATIENCE) for future in waiting] == ["before"] * 4
    assert callers.world.groups == ["A", "BD", "C", "E"]


def test_each_is_told_why_it_was_not_done_and_later_ones_are(callers: Callers) -> None:
    waiting = [callers.wait("B"), callers.wait("C")]
    callers.world.fail_in_second(StoreUnavailable("cut"))
    callers.world.go()
    errors: list[Any] = [future.exception(PATIENCE) for future in waiting]
    assert [str(error) for error in errors] == ["cut", "cut"]
    assert errors[0] is not errors[1]
    assert callers.do("D") == "before"


def test_an_interrupt_leaves_nobody_waiting(callers: Callers) -> None:
    waiting = [callers.wait("B"), callers.wait("C")]
    callers.world.fail_in_second(KeyboardInterrupt())
    callers.world.go()
    assert isinstance(waiting[0].exception(PATIENCE), KeyboardInterrupt)
    assert isinstance(waiting[1].exception(PATIENCE), StoreUnavailable)
    assert callers.do("D") == "before"


def test_who_has_no_turn_in_time_is_told() -> None:
    callers = Callers(timeout=0.05)
    with pytest.raises(StoreUnavailable, match="nothing was decided within"):
        callers.do("B")
    callers.world.go()
    assert callers.first.result(PATIENCE) == "before"
    assert callers.do("C") == "before"
    assert callers.world.groups == ["A", "C"]
    callers.close()


class Late:
    """A lock that has something happen right before it is taken for the third time."""

    def __init__(self, happen: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._happen = happen
        self._taken = 0

    def __enter__(self) -> None:
        self._taken += 1
        if self._taken == 3:
            self._happen()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_gives_up_as_he_is_given_the_lead_hands_it_on() -> None:
    done: list[str] = []
    group = Together[str](done.extend, timeout=0.01)
    group._at_work = True  # somebody is, until this one gives up: it asks, finds that it waits, and leaves
    group._lock = Late(group._hand_on)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        group.do("A", key="A", size=1)
    group.do("B", key="B", size=1)
    assert done == ["B"]
