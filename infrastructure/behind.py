"""Work that is put off, for a thread that does much of it in a row."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from weakref import ref

from .logs import fields

PAUSE_SECONDS = 0.02
"""How long work is gathered."""
QUEUED = 512
"""How much of it waits at most; whoever brings more does it itself."""

log = logging.getLogger(__name__)


class Behind:
    """Its thread begins with the first work, and ends when nobody has a use for it any more. Thread-safe.
    What work raises is logged.
    """

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()
        self._some = threading.Event()
        self._beginning = threading.Lock()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Have work done soon."""
        if len(self._queue) >= QUEUED:
            work()
            return
        self._queue.append(work)
        if not self._some.is_set():
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
                work = self._queue.popleft()
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - nobody waits for it
                    log.error("a span was not made: %r", error, extra=fields("span.failed", error=error))


def _run(behind: ref[Behind], some: threading.Event) -> None:
    while True:
        if not some.wait(1.0) and behind() is None:
            return
        time.sleep(PAUSE_SECONDS)
        some.clear()
        if (found := behind()) is None:
            return
        found.flush()
        del found
