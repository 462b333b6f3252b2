"""kill -9 of the subscriber at work, under load, another standing by: it misses nothing, and may double nothing."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest

from claude_tiu import connect
from claude_tiu.infrastructure.consumer import SAVE_EVERY
from tests.support.arena import Arena, forms
from tests.support.faults import record
from tests.support.patience import PATIENCE
from tests.support.processes import Killable, context
from tests.support.stores import Backend
from tests.support.subscriber import TABLE, subscribe

STANDING_BY = 2


class Subscribers:
    """Some of one name. A context manager: all of them are gone afterwards."""

    def __init__(self, url: str, notes: Path, *, exactly_once: bool) -> None:
        self._url, self._notes, self._exactly_once = url, notes, exactly_once
        self._made = ExitStack()
        self._running: list[tuple[Killable, object]] = []
        self._started = 0

    def add(self) -> None:
        ours, theirs = context().Pipe()
        self._started += 1
        arguments = (self._url, theirs, self._exactly_once, str(self._notes), self._started)
        process = self._made.enter_context(Killable(subscribe, *arguments))
        theirs.close()
        self._made.enter_context(closing(ours))
        assert ours.recv() == "ready"
        self._running.append((process, ours))

    def kill_the_active(self, pid: int) -> None:
        (victim,) = [one for one in self._running if one[0].pid == pid]
        self._running.remove(victim)
        victim[0].kill()

    def drain(self) -> None:
        """Take in what they tell: a pipe that is full would hold them up."""
        for _, channel in self._running:
            while channel.poll():  # type: ignore[attr-defined]
                channel.recv()  # type: ignore[attr-defined]

    def __enter__(self) -> Subscribers:
        return self

    def __exit__(self, *_: object) -> None:
        self._made.close()


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at least once", "exactly once"])
@pytest.mark.parametrize(("kills", "seed"), forms(3, 50, 1))
def test_a_subscriber_that_is_killed_misses_nothing(
    backend: Backend, tmp_path: Path, kills: int, seed: int, exactly_once: bool
) -> None:
    backend.on_events(TABLE)
    dice, notes, seconds = Random(seed), tmp_path / "notes", list[float]()
    with (
        connect(backend.url, project=False) as tiu,
        Arena(backend.url, seed) as arena,
        Subscribers(backend.url, notes, exactly_once=exactly_once) as subscribers,
    ):

        def until_moved(behind: int) -> int:
            """Wait until somebody is active and the checkpoint has moved; return the process that is active."""
            deadline = time.monotonic() + PATIENCE
            while True:
                subscribers.drain()
                found = tiu.subscriptions()
                if found and found[0].active and found[0].position > behind:
                    return found[0].active.pid
                assert time.monotonic() < deadline, found
                time.sleep(0.002)

        arena.add_client(pace=0.01)
        for _ in range(STANDING_BY):
            subscribers.add()
        for _ in range(kills):
            active = until_moved(tiu.subscriptions()[0].position if tiu.subscriptions() else 0)
            time.sleep(dice.uniform(0, 0.1))
            subscribers.kill_the_active(active)
            begun, stood = time.monotonic(), tiu.subscriptions()[0].position
            until_moved(stood)
            seconds.append(time.monotonic() - begun)
            subscribers.add()
        with arena.paused():
            last = tiu.events.max_notification_id() or 0
            until_moved(last - 1)
    if exactly_once:
        noted = [(position, key) for key, position in backend.on_events("SELECT key, position FROM noted")]
    else:
        lines = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
        noted = [(int(position), key) for position, key in lines]
    noted = [(position, key) for position, key in noted if position <= last]
    times = Counter(noted)
    missed = {*range(1, last + 1)} - {position for position, _ in noted}
    doubled = len(noted) - len(times)
    kind = "subscriber_killed_exactly_once" if exactly_once else "subscriber_killed"
    bound = 0 if exactly_once else kills * (SAVE_EVERY + 1)
    beyond = max(0, doubled - bound)
    record(kind, backend.name, tried=kills, lost=len(missed), doubled=beyond, seconds=seconds)
    assert missed == set(), f"seed {seed}"
    assert len(times) == last, "each has one key"
    assert beyond == 0, f"seed {seed}"
