"""The subscriptions of one connection: its consumers, how far each subscription is, and moving or removing one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from weakref import WeakSet

from .consumer import Consumer
from .errors import CheckpointRefused, InvalidSubscription
from .event_store import EventStore
from .leases import Holder
from .postgresql.event_store import PostgreSQLEventStore
from .postgresql.subscriptions import PostgreSQLSubscriptions
from .settings import Settings
from .sqlite.event_store import SQLiteEventStore
from .sqlite.subscriptions import SQLiteSubscriptions
from .subscribing import Beginning, Topics, is_name, mark_behind, wanted
from .subscriptions import Subscribed, Subscriptions, lease_name, require_fit


class SubscriptionStatus(NamedTuple):
    """A subscription, and how far it is."""

    name: str
    topics: Sequence[str] | None
    """Which its consumer took last; None: all."""
    position: int
    """Up to which it has all that it takes."""
    last_position: int
    """Where the log ends."""
    active: Holder | None
    """Which process consumes it."""
    created_at: datetime
    moved_at: datetime
    """When its checkpoint was moved last."""
    refused: str | None
    """Why no consumer goes on from there."""

    @property
    def behind(self) -> int:
        """How many events are yet to be looked at, those that it does not take among them."""
        return self.last_position - self.position


def subscriptions_of(events: EventStore, settings: Settings) -> Subscriptions:
    """Return the subscriptions of a database whose event store was opened."""
    seconds = settings.projector_lease_seconds
    if isinstance(events, PostgreSQLEventStore):
        return PostgreSQLSubscriptions(events.connections, seconds)
    if isinstance(events, SQLiteEventStore):
        return SQLiteSubscriptions(events.connections, seconds)
    raise TypeError("such a store has no subscriptions")


class Consumers:
    """Every method may raise StoreUnavailable."""

    def __init__(self, events: EventStore, subscriptions: Subscriptions) -> None:
        self._events, self._subscriptions = events, subscriptions
        self._made: WeakSet[Consumer] = WeakSet()

    def consumer(self, name: str, topics: Topics, from_: Beginning, *, until_end: bool) -> Consumer:
        """Return a consumer, which nobody has opened yet. Raises InvalidSubscription."""
        made = Consumer(self._events, self._subscriptions, wanted(name, topics, from_, until_end))
        self._made.add(made)
        return made

    def finish(self, seconds: float) -> None:
        """Stop them all, and wait until none of them asks the store for anything."""
        made = list(self._made)
        for consumer in made:
            consumer.stop()
        for consumer in made:
            consumer.finish(seconds)

    def statuses(self) -> list[SubscriptionStatus]:
        """Return every subscription as it stands, by name."""
        last = self._events.max_notification_id() or 0
        return [self._status(found, last) for found in self._subscriptions.all()]

    def _status(self, found: Subscribed, last: int) -> SubscriptionStatus:
        holder = self._subscriptions.leases.holder(lease_name(found.name))
        active = holder if holder and holder.active else None
        refused = None
        try:
            require_fit(found.name, found.mark, self._events)
        except CheckpointRefused as error:
            refused = error.message
        stands = found.mark.position, last, active, found.created_at, found.moved_at
        return SubscriptionStatus(found.name, found.topics, *stands, refused)

    def skip(self, name: str, position: int) -> None:
        """Let a subscription go on behind a later position. Raises InvalidSubscription."""
        self._move(name, position, back=False)

    def rewind(self, name: str, position: int) -> None:
        """Let a subscription go on behind an earlier position. Raises InvalidSubscription."""
        self._move(name, position, back=True)

    def _move(self, name: str, position: int, *, back: bool) -> None:
        if type(position) is not int or position < 0:
            raise InvalidSubscription(f"a position is a number from 0 on: not {position!a:.60}")
        after = mark_behind(name, position, self._events, self._events.max_notification_id() or 0)
        while True:  # until nobody moves it meanwhile
            found = self._subscriptions.find(name) if is_name(name) else None
            if found is None:
                raise _none(name)
            stands = found.mark.position
            fits = found.mark.epoch == after.epoch
            if fits and (position >= stands if back else position <= stands):
                where = "before" if back else "behind"
                raise InvalidSubscription(f"{name} stands at position {stands}: {position} is not {where} that")
            if self._subscriptions.move(name, found.mark, after._replace(fence=found.mark.fence)):
                return

    def remove(self, name: str) -> None:
        """Forget a subscription. Raises InvalidSubscription."""
        if not is_name(name) or not self._subscriptions.remove(name):
            raise _none(name)


def _none(name: str) -> InvalidSubscription:
    return InvalidSubscription(f"there is no subscription {name!a:.90}")
