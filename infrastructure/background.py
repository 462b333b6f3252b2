"""A projector that runs beside whoever embeds it."""

from __future__ import annotations

import logging
import threading

from .event_store import Listener
from .leases import Lease
from .logs import fields
from .projector import Projector

FINISH_SECONDS = 5.0

log = logging.getLogger(__name__)


class Background:
    """A projector in a thread of its own."""

    def __init__(self, projector: Projector, listener: Listener, lease: Lease) -> None:
        self._stop = threading.Event()
        self._listener = listener
        self._thread = threading.Thread(target=self._run, args=(projector, lease), name="tiu-projector", daemon=True)
        self._thread.start()

    def _run(self, projector: Projector, lease: Lease) -> None:
        try:
            projector.run(self._listener, self._stop, lease)
        except Exception as error:  # noqa: BLE001 - it ends the thread; wait_for tells the caller
            extra = fields("projector.stopped", projection=projector.name, error=error)
            log.error("projector stopped: %s", error, extra=extra)

    def wake(self) -> bool:
        """Make it look for events now; False where it has stopped."""
        self._listener.wake()
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the batch at hand finish; what waits for a database that is away ends when its stores are closed."""
        self._stop.set()
        self._listener.wake()
        self._thread.join(FINISH_SECONDS)

    def join(self) -> None:
        self._thread.join()
        self._listener.close()
