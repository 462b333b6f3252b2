"""Work that is done for many threads together: what they ask for while some is under way is done next, all at once.

There is no thread of its own, as in group_commit.py. Who finds nobody at work begins; behind it, the first of those
that came to wait meanwhile does the work of all. So a thread that waits is woken once, for its answer. Work begins
after all that is in it was asked for: nobody gets what was read before.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Generic, TypeVar

from .errors import StoreUnavailable

TOGETHER = 64
"""How many items are worked on together at most."""
TOGETHER_BYTES = 4 << 20
MEETING_SECONDS = 1.0
"""For so long those who have met are taken to meet again."""

Item = TypeVar("Item")


class _Ask(Generic[Item]):
    """An item that a thread waits for."""

    __slots__ = ("done", "error", "item", "key", "leads", "size", "turn")

    def __init__(self, item: Item, key: Hashable, size: int) -> None:
        self.item = item
        self.key = key
        self.size = size
        self.done = False
        self.error: Exception | None = None
        self.leads = False
        self.turn = threading.Lock()
        """Let go when it is to lead, or when it has been answered."""
        self.turn.acquire()


class Together(Generic[Item]):
    """Does work for many threads, one group at a time. Who has no turn within `timeout` seconds gets StoreUnavailable.

    `work` is given the items of a group, that of the thread that does it first, and leaves in each what came of it.
    """

    def __init__(self, work: Callable[[Sequence[Item]], None], *, timeout: float) -> None:
        self._work = work
        self._timeout = timeout
        self._lock = threading.Lock()
        self._at_work = False
        self._met = -inf
        """When one last found another at work (time.monotonic())."""
        self._queue: deque[_Ask[Item]] = deque()

    @property
    def deserted(self) -> bool:
        """Whether nobody is at work, and nobody has met another for a while."""
        return not self._at_work and self._met < time.monotonic() - MEETING_SECONDS

    def do(self, item: Item, *, key: Hashable, size: int) -> None:
        """Return when an item was worked on; two of one key are not worked on together. Raises what the work raises."""
        ask: _Ask[Item] | None = None
        led: Sequence[_Ask[Item]] = ()
        lone = False
        try:
            with self._lock:
                if self._at_work:
                    self._met = time.monotonic()
                    ask = _Ask(item, key, size)
                    self._queue.append(ask)
                else:
                    lone = self._at_work = True
            if ask is None:
                self._work([item])
                return
            self._wait(ask)
            if ask.leads:
                led = self._gather(ask)
                self._do([ask, *led])
        finally:  # an interrupt may have come anywhere
            if lone:
                self._hand_on()
            if ask is not None:
                self._leave(ask, led)
        if ask.error is not None:
            raise ask.error

    def _wait(self, ask: _Ask[Item]) -> None:
        """Wait until an item was worked on, or its thread leads."""
        if not ask.turn.acquire(timeout=self._timeout):
            with self._lock:
                if ask in self._queue:
                    raise StoreUnavailable(
                        f"nothing was decided within {self._timeout:g} seconds: others take too long"
                    )
            ask.turn.acquire()  # it is being worked on by now

    def _gather(self, leader: _Ask[Item]) -> list[_Ask[Item]]:
        """Take out of the queue what is worked on with the leader; the rest keeps its order."""
        keys, size, led, rest = {leader.key}, leader.size, list[_Ask[Item]](), deque[_Ask[Item]]()
        with self._lock:
            for ask in self._queue:
                if len(keys) < TOGETHER and ask.key not in keys and size + ask.size <= TOGETHER_BYTES:
                    keys.add(ask.key)
                    size += ask.size
                    led.append(ask)
                else:
                    rest.append(ask)
            self._queue = rest
        return led

    def _do(self, group: Sequence[_Ask[Item]]) -> None:
        """Work for a group, or tell each thread an error of its own: they are raised in different threads."""
        try:
            self._work([ask.item for ask in group])
        except Exception as error:  # noqa: BLE001 - told to each
            for number, ask in enumerate(group):
                ask.error = copy.copy(error) if number else error
        for ask in group:
            ask.done = True

    def _leave(self, ask: _Ask[Item], led: Sequence[_Ask[Item]]) -> None:
        """Give up a place in the queue, or the lead; let those go that were led."""
        with self._lock:  # nobody hands the lead to who is about to go
            leads, ask.leads = ask.leads, False
            if ask in self._queue:
                self._queue.remove(ask)
        if leads:
            self._hand_on()
        for other in led:
            if not other.done:
                other.error = StoreUnavailable("the work was interrupted: it may have been stored, or not")
            other.turn.release()

    def _hand_on(self) -> None:
        """Let the first that waits lead; where none does, nobody is at work."""
        with self._lock:
            if self._queue:
                ask = self._queue.popleft()
                ask.leads = True
                ask.turn.release()
            else:
                self._at_work = False
