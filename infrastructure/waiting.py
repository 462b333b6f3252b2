"""One thread that waits for positions on behalf of all that await them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from .errors import ConnectionClosed, WaitTimeout

SLICE_SECONDS = 0.05
"""How long it waits for one position before it looks at who else waits."""


class Wait(NamedTuple):
    """Somebody who waits for a position, until a moment of the monotonic clock."""

    position: int
    deadline: float
    timeout: float
    come: Future[None]


class Waiting:
    """Waits by `wait_for(position, timeout)`, for the lowest position first."""

    def __init__(self, wait_for: Callable[[int, float], None]) -> None:
        self._wait_for = wait_for
        self._changed = threading.Condition()
        self._waits: list[Wait] = []
        self._closed = False
        self._thread: threading.Thread | None = None

    async def until(self, position: int, timeout: float) -> None:
        """Wait for a position. Raises what `wait_for` raises, WaitTimeout, or ConnectionClosed."""
        wait = Wait(position, time.monotonic() + timeout, timeout, Future())
        with self._changed:
            if self._closed:
                raise ConnectionClosed("the connection is closed")
            self._waits.append(wait)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tiu-waiting", daemon=True)
                self._thread.start()
        await asyncio.wrap_future(wait.come)

    def _run(self) -> None:
        while (wait := self._next()) is not None:
            try:
                self._wait_for(wait.position, min(SLICE_SECONDS, max(0.0, wait.deadline - time.monotonic())))
            except WaitTimeout as error:
                self._expire(error)
            except Exception as error:  # noqa: BLE001 - told to whoever waits
                self._end(wait, error)
            else:
                self._end(wait, None)

    def _next(self) -> Wait | None:
        """Return who waits for the lowest position, once somebody does; None when closed."""
        with self._changed:
            while not self._closed:
                self._waits = [wait for wait in self._waits if not wait.come.cancelled()]
                if self._waits:
                    return min(self._waits, key=lambda wait: wait.position)
                self._changed.wait()
            return None

    def _expire(self, error: WaitTimeout) -> None:
        now = time.monotonic()
        for wait in [wait for wait in self._waits if wait.deadline <= now]:
            stands = error.details.get("position", 0)
            self._end(
                wait,
                WaitTimeout(
                    f"the read tables stand at position {stands}, not at {wait.position}, after {wait.timeout} s",
                    position=stands,
                ),
            )

    def _end(self, wait: Wait, error: Exception | None) -> None:
        with self._changed:
            if wait not in self._waits:
                return  # closed meanwhile
            self._waits.remove(wait)
        _tell(wait, error)

    def close(self) -> None:
        """Tell all that wait that the connection is closed, and end the thread."""
        with self._changed:
            self._closed = True
            waits, self._waits = self._waits, []
            self._changed.notify()
        for wait in waits:
            _tell(wait, ConnectionClosed("the connection is closed"))
        if self._thread is not None:
            self._thread.join()


def _tell(wait: Wait, error: Exception | None) -> None:
    if not wait.come.set_running_or_notify_cancel():
        return
    if error is None:
        wait.come.set_result(None)
    else:
        wait.come.set_exception(error)
