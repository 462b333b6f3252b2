"""Streams that threads load at once: what waits is loaded together, and nobody gets what was read before it asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.infrastructure import group_load
from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.event_store import StreamEvent
from claude_tiu.infrastructure.group_load import GroupLoad

A, B, C, D = (UUID(int=number) for number in range(1, 5))


class Log:
    """What is loaded from: slowly, one call for each time it is let go on; it tells what was asked for together."""

    def __init__(self) -> None:
        self.calls: list[dict[UUID, int]] = []
        self.topic = "before"
        self.failing: Callable[[], None] = lambda: None
        self._may_go = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)

    def load(self, versions: Mapping[UUID, int]) -> dict[UUID, list[StreamEvent]]:
        found = {
            stream_id: [StreamEvent(version, self.topic, stream_id.bytes)] for stream_id, version in versions.items()
        }
        self.calls.append(dict(versions))
        self._entered.release()
        assert self._may_go.acquire(timeout=20)
        self.failing()
        return found

    def entered(self) -> None:
        """Wait until one more call is under way."""
        assert self._entered.acquire(timeout=20)

    def go(self, calls: int = 1_000) -> None:
        self._may_go.release(calls)


class Callers:
    """Loads, each in a thread of its own; the first is under way, and the others wait."""

    def __init__(self, timeout: float = 20.0) -> None:
        self.log = Log()
        self.group = GroupLoad(slots=1, timeout=timeout)
        self._pool = ThreadPoolExecutor(80)
        self.first = self.load(A)
        self.log.entered()

    def load(self, stream_id: UUID, version: int = 1) -> Future[list[StreamEvent]]:
        return self._pool.submit(self.group.load, stream_id, version, self.log.load)

    def wait(self, stream_id: UUID, version: int = 1) -> Future[list[StreamEvent]]:
        """Load, and return when that stands in the queue."""
        waiting = len(self.group._queue)
        future = self.load(stream_id, version)
        deadline = time.monotonic() + 20
        while len(self.group._queue) == waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return future

    def close(self) -> None:
        self.log.go()
        self._pool.shutdown()


@pytest.fixture
def callers() -> Iterator[Callers]:
    made = Callers()
    yield made
    made.close()


def loaded(stream_id: UUID, version: int = 1, topic: str = "before") -> list[StreamEvent]:
    return [StreamEvent(version, topic, stream_id.bytes)]


def test_what_waits_is_loaded_together_and_each_gets_its_own(callers: Callers) -> None:
    waiting = {stream_id: callers.wait(stream_id, version) for version, stream_id in enumerate((B, C, D), 1)}
    callers.log.go()
    assert {id_: future.result(20) for id_, future in waiting.items()} == {
        B: loaded(B, 1),
        C: loaded(C, 2),
        D: loaded(D, 3),
    }
    assert callers.log.calls == [{A: 1}, {B: 1, C: 2, D: 3}]


def test_nobody_gets_what_was_read_before_it_asked(callers: Callers) -> None:
    callers.log.topic = "behind"
    waiting = callers.wait(A)
    callers.log.go()
    assert callers.first.result(20) == loaded(A)
    assert waiting.result(20) == loaded(A, topic="behind")


def test_a_stream_is_in_a_call_once(callers: Callers) -> None:
    waiting = [callers.wait(B, 1), callers.wait(B, 7), callers.wait(C, 1)]
    callers.log.go()
    assert [future.result(20) for future in waiting] == [loaded(B, 1), loaded(B, 7), loaded(C, 1)]
    assert callers.log.calls == [{A: 1}, {B: 1, C: 1}, {B: 7}]


def test_a_call_has_so_many_streams_at_most(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_load, "GROUP_STREAMS", 2)
    waiting = [callers.wait(stream_id) for stream_id in (B, C, D)]
    callers.log.go()
    assert [future.result(20) for future in waiting] == [loaded(B), loaded(C), loaded(D)]
    assert callers.log.calls == [{A: 1}, {B: 1, C: 1}, {D: 1}]


def test_each_is_told_why_it_was_not_loaded_and_later_ones_are(callers: Callers) -> None:
    waiting = [callers.wait(B), callers.wait(C)]

    def fail() -> None:
        if len(callers.log.calls) == 2:
            raise StoreUnavailable("cut")

    callers.log.failing = fail
    callers.log.go()
    errors: list[Any] = [future.exception(20) for future in waiting]
    assert [str(error) for error in errors] == ["cut", "cut"]
    assert errors[0] is not errors[1]
    assert callers.load(D).result(20) == loaded(D)


def test_an_interrupt_leaves_nobody_waiting(callers: Callers) -> None:
    waiting = [callers.wait(B), callers.wait(C)]

    def fail() -> None:
        if len(callers.log.calls) == 2:
            raise KeyboardInterrupt

    callers.log.failing = fail
    callers.log.go()
    assert isinstance(waiting[0].exception(20), KeyboardInterrupt)
    assert isinstance(waiting[1].exception(20), StoreUnavailable)
    assert callers.load(D).result(20) == loaded(D)


def test_who_has_no_turn_in_time_is_told() -> None:
    callers = Callers(timeout=0.05)
    with pytest.raises(StoreUnavailable, match="nothing was loaded within"):
        callers.group.load(B, 1, callers.log.load)
    callers.log.go()
    assert callers.first.result(20) == loaded(A)
    assert callers.load(C).result(20) == loaded(C)
    assert callers.log.calls == [{A: 1}, {C: 1}]
    callers.close()
