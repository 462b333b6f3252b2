"""Where durable subscriptions stand: the port to their checkpoints, which stand beside the events.

A checkpoint says that all the subscription takes was consumed up to and with a position. It is moved from what it was
read as, the fence of its lease included, so that one who wakes too late moves nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from .errors import CheckpointRefused
from .event_hash import NO_EVENT
from .event_store import EventStore
from .leases import Leases


class Mark(NamedTuple):
    """A checkpoint: up to and with the event at `position` of the store `epoch`, whose hash it was; 0: before the
    first. It is moved under the tenure of number `fence`."""

    epoch: UUID
    position: int = 0
    event_hash: bytes = NO_EVENT
    fence: int = 0


class Subscribed(NamedTuple):
    """A subscription as it is stored."""

    name: str
    topics: Sequence[str] | None
    """Of the events that it takes, as its consumer said last; None: all."""
    mark: Mark
    created_at: datetime
    moved_at: datetime


class Transactions(Protocol):
    """Transactions of one subscription, on a connection of their own. One thread uses it at a time."""

    def moving(self, before: Mark, after: Mark) -> AbstractContextManager[Any]:
        """Give the connection in a transaction that moves the checkpoint: committed at the end, or nothing of it stays.

        What is raised within comes out as it is, but for a connection that was lost. Raises CheckpointMoved,
        StoreUnavailable, and TransactionRefused where the transaction was ended within.
        """

    def close(self) -> None: ...


class Subscriptions(ABC):
    """The port. Every method may raise StoreUnavailable."""

    leases: Leases
    """Which consumer is active: `lease_name` names a subscription's."""

    @abstractmethod
    def all(self) -> list[Subscribed]:
        """Return every subscription, by name."""

    @abstractmethod
    def find(self, name: str) -> Subscribed | None:
        """Return a subscription, if there is one of that name."""

    @abstractmethod
    def create(self, name: str, topics: Sequence[str] | None, mark: Mark) -> None:
        """Make a subscription that stands at a mark, under the last fence of its lease; one that is there stays."""

    @abstractmethod
    def take_topics(self, name: str, topics: Sequence[str] | None, fence: int) -> None:
        """Note which topics a consumer takes, while its tenure lasts."""

    @abstractmethod
    def move(self, name: str, before: Mark, after: Mark) -> bool:
        """Move a checkpoint, if it is as it was; return whether it was so."""

    @abstractmethod
    def remove(self, name: str) -> bool:
        """Forget a subscription; return whether there was one."""

    @abstractmethod
    def transactions(self, name: str) -> Transactions:
        """Return what makes transactions that move a checkpoint; nothing is opened before the first."""


def lease_name(name: str) -> str:
    """Return the name of a subscription's lease."""
    return f"subscription.{name}"


def require_fit(name: str, mark: Mark, events: EventStore) -> None:
    """Raise CheckpointRefused where a checkpoint is of another store, or of events that this one does not hold."""
    if mark.epoch == events.epoch and (mark.position == 0 or events.hash_at(mark.position) == mark.event_hash):
        return
    history = "another event store" if mark.epoch != events.epoch else "a longer or another history"
    raise CheckpointRefused(
        f"the subscription {name} came to position {mark.position} of {history} than is here: say from where it goes "
        f"on (`tiu subscriptions rewind {name} POSITION`), or begin it anew (`tiu subscriptions remove {name}`)",
        subscription=name,
        position=mark.position,
    )
