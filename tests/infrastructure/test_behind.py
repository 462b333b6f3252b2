"""Work that is put off is done soon, all of it, and harms nobody."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from claude_tiu.infrastructure import behind
from claude_tiu.infrastructure.behind import Behind
from tests.support.patience import PATIENCE

Work = Callable[[], object]


def call(work: Work) -> None:
    work()


def called() -> Behind[Work]:
    return Behind(call)


def until(found: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not found() and time.monotonic() < deadline:
        time.sleep(0.005)
    return found()


def test_it_is_done_by_itself() -> None:
    put_off, done = called(), list[str]()
    for _ in range(3):
        put_off.do(lambda: done.append(threading.current_thread().name))
        assert until(lambda: bool(done))
        assert set(done) == {"tiu-behind"}
        done.clear()


def test_flushing_does_what_was_brought_before() -> None:
    put_off, done = called(), list[int]()
    for number in range(100):
        put_off.do(partial(done.append, number))
    put_off.flush()
    assert done == list(range(100))


def test_who_brings_too_much_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "QUEUED", 2)
    put_off, done, go_on = called(), list[str](), threading.Event()
    put_off.do(lambda: done.append(str(go_on.wait(PATIENCE))))
    assert until(lambda: not put_off._queue), "its thread is at work"
    for name in "abc":
        put_off.do(partial(done.append, name))
    assert done == ["c"]
    go_on.set()
    put_off.flush()
    assert sorted(done) == ["True", "a", "b", "c"]


def test_what_fails_is_logged_and_the_rest_is_done(caplog: pytest.LogCaptureFixture) -> None:
    put_off, done = called(), list[int]()
    with caplog.at_level(logging.ERROR):
        put_off.do(lambda: 1 // 0)
        put_off.do(lambda: done.append(1))
        put_off.flush()
        assert until(lambda: done == [1])
    assert [vars(record)["tiu_error"] for record in caplog.records] == ["ZeroDivisionError"]


def test_its_thread_ends_with_it() -> None:
    put_off, done = called(), list[int]()
    put_off.do(lambda: done.append(1))
    thread = put_off._thread
    assert thread is not None
    assert until(lambda: done == [1])
    del put_off
    gc.collect()
    assert until(lambda: not thread.is_alive())
