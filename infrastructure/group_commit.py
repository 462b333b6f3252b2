"""Group commit: what threads of one process append at once is stored together, in one transaction.

There is no thread of its own. Who finds a slot free leads: it stores its units, then lets the first of those that came
to wait meanwhile lead all that may be stored together. One that is alone never waits for another thread.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from .errors import ConnectionClosed, StoreUnavailable
from .event_store import Outcome, Unit
from .observing import Append, Observing

GROUP_UNITS = 256
"""How many units are stored together at most, unless one call brings more."""
GROUP_BYTES = 4 << 20
QUEUED_UNITS = 4_096
"""How many units wait at most: other callers are held back, before they have a place in the queue."""
QUEUED_BYTES = 64 << 20

Store = Callable[[Sequence[Unit], bool], list[Outcome]]
"""Stores units in one transaction and returns when it is on disk; told whether they are independent of one another."""


class Touched:
    """The streams and commands of units.

    Two units depend on one another where one writes a stream that the other writes or guards, or both have a command's
    events.
    """

    def __init__(self) -> None:
        # By the integers of their ids: a UUID's own hash is Python code.
        self._written: set[int] = set()
        self._guarded: set[int] = set()
        self._commands: set[int] = set()

    def take(self, unit: Unit) -> bool:
        """Add a unit, if it is independent of those before it; return whether it is."""
        written = {event.stream_id.int for event in unit.events}
        commands = {event.command_id.int for event in unit.events if event.command_id}
        guarded = [stream_id.int for stream_id in unit.guards]
        free = (
            self._written.isdisjoint(written)
            and self._written.isdisjoint(guarded)
            and self._guarded.isdisjoint(written)
            and self._commands.isdisjoint(commands)
        )
        if free:
            self._written |= written
            self._guarded.update(guarded)
            self._commands |= commands
        return free

    def take_all(self, units: Sequence[Unit]) -> bool:
        """Add units, if they are independent of one another too; where they are not, some may have been added."""
        return all(map(self.take, units))


def are_independent(units: Sequence[Unit]) -> bool:
    return len(units) < 2 or Touched().take_all(units)


class _Call:
    """One caller's units, until it is told what became of them."""

    __slots__ = ("bytes", "error", "group", "leads", "led", "outcomes", "stored", "turn", "units")

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.bytes = sum([len(event.state) for unit in units for event in unit.events])
        self.outcomes: list[Outcome] | None = None
        self.error: Exception | None = None
        self.leads = False
        """It holds a slot."""
        self.led: list[_Call] = []
        """The other calls that it stores ..."""
        self.stored = len(units)
        """... and how many units these are with its own."""
        self.group = len(units)
        """How many units are stored with it, whoever leads."""
        self.turn = threading.Lock()
        """Let go when it is to lead, or when it has been answered."""

    @property
    def answered(self) -> bool:
        return self.outcomes is not None or self.error is not None


class GroupCommit:
    """Appends units for many threads; at most `slots` groups are being stored at once.

    What waits is bounded: who finds no room in the queue, or no turn, within `timeout` seconds gets StoreUnavailable.
    """

    def __init__(self, *, slots: int, timeout: float, observing: Observing | None = None) -> None:
        self._observing = observing or Observing()
        self._timeout = timeout
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._free_slots = slots
        self._queue: deque[_Call] = deque()
        self._units = 0
        self._bytes = 0
        self._storing = 0
        """How many units are being stored. A smaller group does not begin meanwhile: it would cost as much."""

    def append(self, units: Sequence[Unit], store: Store, append: Append | None = None) -> list[Outcome]:
        """Append units in order, in one transaction. Raises what storing them by themselves would raise.

        Where anybody observes, what became of them is put into `append`, or told, where none is given.
        """
        if not units:
            return []
        if not self._observing.observers:
            return self._append(units, store)[0]
        told = append or Append(units)
        told.began = time.time_ns()
        try:
            outcomes, told.group, told.led = self._append(units, store)
            told.outcomes = outcomes
        except BaseException as error:
            told.error, told.group = error, len(units)
            raise
        finally:
            told.ended = time.time_ns()
            if append is None:
                self._observing.appended(told)
        return outcomes

    def _append(self, units: Sequence[Unit], store: Store) -> tuple[list[Outcome], int, bool]:
        """Append units; return their outcomes, how many units were stored with them, and whether this thread did so."""
        lone, count = False, len(units)
        try:
            with self._lock:
                if self._free_slots and not self._queue and count >= self._storing:
                    lone = True
                    self._free_slots -= 1
                    self._storing += count
            if lone:
                return store(units, are_independent(units)), count, True
        finally:
            if lone:
                with self._lock:
                    self._storing -= count
                    self._hand_on()
        call = _Call(units)
        led = self._append_together(call, store)
        if call.error is not None:
            raise call.error
        return call.outcomes or [], call.group, led

    def _append_together(self, call: _Call, store: Store) -> bool:
        """Have a call stored with those of others; return whether it led."""
        led = False
        try:
            with self._lock:
                self._enqueue(call)
            if not call.leads:
                self._wait(call)
            if led := call.leads:
                self._lead(call, store)
        finally:  # an interrupt may have come anywhere
            if call.leads or not call.answered:
                self._leave(call)
        return led

    def _enqueue(self, call: _Call) -> None:
        if not self._has_room(call) and not self._room.wait_for(lambda: self._has_room(call), self._timeout):
            raise self._unavailable(f"{self._units} units wait already")
        call.turn.acquire()
        self._queue.append(call)
        self._units += len(call.units)
        self._bytes += call.bytes
        if self._free_slots:
            self._free_slots -= 1
            self._hand_on()

    def _has_room(self, call: _Call) -> bool:
        units, size = self._units + len(call.units), self._bytes + call.bytes
        return not self._queue or (units <= QUEUED_UNITS and size <= QUEUED_BYTES)

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"nothing was appended within {self._timeout:g} seconds: {why}")

    def _wait(self, call: _Call) -> None:
        """Wait until a call is answered, or leads."""
        if not call.turn.acquire(timeout=self._timeout):
            with self._lock:
                if call in self._queue:
                    raise self._unavailable("what was to be appended before takes too long")
            call.turn.acquire()  # it is being stored by now: what becomes of it must be told

    def _lead(self, call: _Call, store: Store) -> None:
        """Store a call, and what waits and can be stored with it."""
        if self._queue:
            with self._lock:
                self._gather(call)
        for one in (call, *call.led):
            one.group = call.stored
        try:
            _store([call, *call.led], store)
        finally:
            self._leave(call)

    def _gather(self, leader: _Call) -> None:
        """Take out of the queue what can be stored with a call; the rest keeps its order."""
        touched = Touched()
        if not touched.take_all(leader.units):
            return  # the server is to look at its units one by one
        units, size, rest = len(leader.units), leader.bytes, deque[_Call]()
        for call in self._queue:
            fits = units + len(call.units) <= GROUP_UNITS and size + call.bytes <= GROUP_BYTES
            if fits and touched.take_all(call.units):
                units, size = units + len(call.units), size + call.bytes
                leader.led.append(call)
            else:
                rest.append(call)
        self._queue = rest
        more = units - leader.stored
        self._storing += more
        leader.stored = units
        self._units -= more
        self._bytes -= size - leader.bytes
        self._room.notify_all()

    def _leave(self, call: _Call) -> None:
        """Give up a call's place in the queue, or its slot, and with that all that it led. Once more does nothing."""
        led, call.led = call.led, []
        for other in led:
            if not other.answered:  # the leader was interrupted
                other.error = StoreUnavailable("an append was interrupted: it may have been stored, or not")
        with self._lock:
            if call in self._queue:
                self._queue.remove(call)
                self._let_go(call)
            if call.leads:
                call.leads = False
                self._storing -= call.stored
                self._hand_on()
        for other in led:
            other.turn.release()

    def _hand_on(self) -> None:
        """Let the first that waits lead, with the slot at hand; where none may begin, the slot is free."""
        while self._queue and self._units >= self._storing:
            call = self._queue.popleft()
            self._let_go(call)
            if not call.answered:  # as it may be where an interrupt came while it was taken out
                self._begin(call)
                call.turn.release()
                return
        self._free_slots += 1

    def _begin(self, call: _Call) -> None:
        call.leads = True
        self._storing += call.stored

    def _let_go(self, call: _Call) -> None:
        self._units -= len(call.units)
        self._bytes -= call.bytes
        self._room.notify_all()


def _store(group: Sequence[_Call], store: Store) -> None:
    """Store calls together; where the store refuses them, each by itself, so that only who is at fault is told."""
    units = group[0].units if len(group) == 1 else [unit for call in group for unit in call.units]
    try:
        outcomes = iter(store(units, len(group) > 1 or are_independent(units)))
        for call in group:
            call.outcomes = [next(outcomes) for _ in call.units]
    except (StoreUnavailable, ConnectionClosed) as error:
        _tell(group, error)
    except Exception as error:  # noqa: BLE001 - told to who caused it
        if len(group) == 1:
            _tell(group, error)
        else:
            _store_singly(group, store)


def _store_singly(group: Sequence[_Call], store: Store) -> None:
    for number, call in enumerate(group, 1):
        call.group = len(call.units)
        _store([call], store)
        if isinstance(call.error, StoreUnavailable | ConnectionClosed):
            _tell(group[number:], call.error)
            return


def _tell(calls: Sequence[_Call], error: Exception) -> None:
    """Each call gets an error of its own: they are raised in different threads."""
    for number, call in enumerate(calls):
        call.error = copy.copy(error) if number else error
