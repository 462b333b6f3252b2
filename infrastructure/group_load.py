"""Loading streams for many threads: what is asked for while a call is under way is asked for in the next one, together.

There is no thread of its own, as in group_commit.py. Who finds a slot free loads; it then lets the first of those that
came to wait meanwhile lead all of them. A call begins after all that it answers was asked for, so nobody gets what was
read before.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Mapping
from uuid import UUID

from .errors import StoreUnavailable
from .event_store import StreamEvent

GROUP_STREAMS = 64
"""How many streams are loaded in one call at most."""

Load = Callable[[Mapping[UUID, int]], dict[UUID, list[StreamEvent]]]
"""Returns the events of streams, of each from a version on."""


class _Ask:
    """A stream that a thread waits for."""

    __slots__ = ("error", "events", "leads", "stream_id", "turn", "version")

    def __init__(self, stream_id: UUID, version: int) -> None:
        self.stream_id = stream_id
        self.version = version
        self.events: list[StreamEvent] | None = None
        self.error: Exception | None = None
        self.leads = False
        """It holds a slot."""
        self.turn = threading.Lock()
        """Let go when it is to lead, or when it has been answered."""
        self.turn.acquire()


class GroupLoad:
    """Loads streams for many threads; at most `slots` calls are under way at once. Who has no turn within `timeout`
    seconds gets StoreUnavailable."""

    def __init__(self, *, slots: int, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._free_slots = slots
        self._queue: deque[_Ask] = deque()

    def load(self, stream_id: UUID, version: int, load: Load) -> list[StreamEvent]:
        """Return a stream's events from a version on. Raises what loading it by itself would raise."""
        lone, ask, led = False, None, list[_Ask]()
        try:
            with self._lock:
                if self._free_slots:
                    lone = True
                    self._free_slots -= 1
                else:
                    ask = _Ask(stream_id, version)
                    self._queue.append(ask)
            if ask is None:
                return load({stream_id: version})[stream_id]
            self._wait(ask)
            if ask.leads:
                led = self._gather(ask)
                _answer([ask, *led], load)
        finally:  # an interrupt may have come anywhere
            if lone:
                self._hand_on()
            if ask is not None:
                self._leave(ask, led)
        if ask.error is not None:
            raise ask.error
        return ask.events or []

    def _wait(self, ask: _Ask) -> None:
        """Wait until a stream is loaded, or its thread leads."""
        if not ask.turn.acquire(timeout=self._timeout):
            with self._lock:
                if ask in self._queue:
                    raise StoreUnavailable(f"nothing was loaded within {self._timeout:g} seconds")
            ask.turn.acquire()

    def _gather(self, leader: _Ask) -> list[_Ask]:
        """Take out of the queue what is loaded with the leader: each stream once, the rest keeps its order."""
        streams, led, rest = {leader.stream_id}, list[_Ask](), deque[_Ask]()
        with self._lock:
            for ask in self._queue:
                if len(streams) < GROUP_STREAMS and ask.stream_id not in streams:
                    streams.add(ask.stream_id)
                    led.append(ask)
                else:
                    rest.append(ask)
            self._queue = rest
        return led

    def _leave(self, ask: _Ask, led: list[_Ask]) -> None:
        """Give up a place in the queue, or a slot; let those go that were led."""
        if ask.leads:
            ask.leads = False
            self._hand_on()
        elif ask.events is None:
            with self._lock:
                if ask in self._queue:
                    self._queue.remove(ask)
        for other in led:
            if other.events is None and other.error is None:
                other.error = StoreUnavailable("a load was interrupted")
            other.turn.release()

    def _hand_on(self) -> None:
        """Let the first that waits lead, with the slot at hand; where none does, the slot is free."""
        with self._lock:
            if self._queue:
                ask = self._queue.popleft()
                ask.leads = True
                ask.turn.release()
            else:
                self._free_slots += 1


def _answer(group: list[_Ask], load: Load) -> None:
    """Load streams together, and tell each thread its own, or an error of its own."""
    try:
        found = load({ask.stream_id: ask.version for ask in group})
        for ask in group:
            ask.events = found[ask.stream_id]
    except Exception as error:  # noqa: BLE001 - told to each
        for number, ask in enumerate(group):
            ask.error = copy.copy(error) if number else error
