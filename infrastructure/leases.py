"""Leases: who of any number of candidates is active, for as long as it lives.

A tenure has a number, its fence, that only rises; what its holder writes is written under it, so that one who wakes too
late writes nothing. A holder that dies is noticed at once, by a lock that its server or its system lets go; one that
stands still, when it has not renewed its tenure in time.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from abc import ABC, abstractmethod
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from .errors import ConnectionClosed, LeaseLost, StoreUnavailable
from .event_store import Listener
from .logs import fields

BEATS = 4
"""A tenure is renewed so many times in a lease; it has run out a beat before that, which is left for taking over."""
PAUSE_SECONDS = 0.25
"""How often one that stands by looks whether the lease is free."""

log = logging.getLogger(__name__)


class Holder(NamedTuple):
    """Who is active, or was last."""

    fence: int
    """The number of its tenure."""
    host: str
    pid: int
    since: datetime
    active: bool
    """Whether it lives, and its tenure has not run out."""


class Lease(ABC):
    """A candidate for the lease of a name. One thread uses it; another renews the tenure meanwhile.

    Every method may raise StoreUnavailable.
    """

    def __init__(self, name: str, seconds: float, listener: Listener) -> None:
        """`seconds` is how long one that stands still keeps others out; `listener` is woken when the tenure is lost."""
        self.name = name
        self.seconds = seconds
        self.pause = min(PAUSE_SECONDS, seconds / 20)
        """How long to wait, in seconds, before the next attempt."""
        self.fence: int | None = None
        """The number of the tenure at hand."""
        self._listener = listener
        self._candidate = uuid4()
        self._lost = False
        self._ended = threading.Event()

    @property
    def term(self) -> float:
        """For how many seconds a renewal counts."""
        return self.seconds * (BEATS - 1) / BEATS

    def acquire(self) -> bool:
        """Begin a tenure where nobody has one that lasts; return whether one is at hand."""
        if self.fence is None:
            self.fence = self._take(self._candidate)
            if self.fence is not None:
                self._lost = False
                self._ended = threading.Event()
                arguments = (self.fence, self._ended)
                threading.Thread(target=self._beat, args=arguments, name="tiu-lease", daemon=True).start()
        return self.fence is not None

    def keep(self) -> None:
        """See to it that the tenure at hand is noticed to end with this process. Raises LeaseLost."""
        if self._lost:
            raise LeaseLost(f"another holds the lease of {self.name} by now", name=self.name)

    def give_up(self) -> None:
        """End the tenure at hand, if there is one: the next may begin at once."""
        fence, self.fence = self.fence, None
        self._ended.set()
        if fence is not None:
            self._let_go(fence)

    def _beat(self, fence: int, ended: threading.Event) -> None:
        while not ended.wait(self.seconds / BEATS):
            try:
                if self._renew(self._candidate, fence):
                    continue
            except StoreUnavailable as error:
                extra = fields("lease.not_renewed", projection=self.name, fence=fence, error=error)
                log.debug("the lease of %s could not be renewed: %s", self.name, error, extra=extra)
                continue
            except ConnectionClosed:
                return
            self._lost = True
            self._listener.wake()
            return

    @abstractmethod
    def _take(self, candidate: UUID) -> int | None:
        """Return the number of a new tenure, under which alone is written from now on; None where one lasts."""

    @abstractmethod
    def _renew(self, candidate: UUID, fence: int) -> bool:
        """Let a tenure last for `term` from now on; False where another has begun. From any thread."""

    @abstractmethod
    def _let_go(self, fence: int) -> None:
        """Let the lock of a tenure go."""


class Leases(ABC):
    """The leases of one database, of `seconds` each. Every method may raise StoreUnavailable."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @abstractmethod
    def candidate(self, name: str, listener: Listener) -> Lease:
        """Return a candidate for a lease, which lives no longer than its listener."""

    @abstractmethod
    def holder(self, name: str) -> Holder | None:
        """Return who holds a lease, or held it last."""


def this_process() -> dict[str, str | int]:
    """Return the host and the number of this process, as parameters."""
    return {"host": socket.gethostname()[:255], "pid": os.getpid()}
