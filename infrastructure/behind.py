"""Work that is put off, for a thread that does much of it in a row."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import ref

from .logs import fields

PAUSE_SECONDS = 0.1
"""How long work is gathered."""
QUEUED = 1024
"""How much of it waits at most; whoever brings more does it itself. Half of what the SDK's processor has room for."""

Item = TypeVar("Item")
log = logging.getLogger(__name__)


class Behind(Generic[Item]):
    """Does `work` for each item. Its thread begins with the first, and ends when nobody has a use for it any more.
    Thread-safe. What the work raises is logged.
    """

    def __init__(self, work: Callable[[Item], None]) -> None:
        self._work = work
        self._queue: deque[Item] = deque()
        self._idle = True
        """Its thread is to be woken."""
        self._some = threading.Event()
        self._beginning = threading.Lock()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def do(self, item: Item) -> None:
        """Have the work for an item done soon."""
        if len(self._queue) >= QUEUED:
            self._work(item)
            return
        self._queue.append(item)
        if self._idle:
            self._idle = False
            self._some.set()
            if self._thread is None:
                self._begin()

    def _begin(self) -> None:
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_run, args=(ref(self), self._some), name="tiu-behind", daemon=True
                )
                self._thread.start()

    def flush(self) -> None:
        """Return when all that was brought before is done."""
        with self._working:
            while self._queue:
                item = self._queue.popleft()
                try:
                    self._work(item)
                except Exception as error:  # noqa: BLE001 - nobody waits for it
                    log.error("a span was not made: %r", error, extra=fields("span.failed", error=error))

    def _await(self) -> None:
        """Let who brings the next item wake the thread."""
        self._some.clear()
        self._idle = True


def _run(behind: ref[Behind[Any]], some: threading.Event) -> None:
    while True:
        if not some.wait(1.0) and behind() is None:
            return
        time.sleep(PAUSE_SECONDS)
        if (found := behind()) is None:
            return
        found._await()
        found.flush()
        del found
