"""The consumer of a subscription: takes events off the log one by one, while it holds the subscription's lease.

Of any number of one name one is active; the others stand by. What was handed out is done when the next is asked for,
and the checkpoint follows: at the latest behind SAVE_EVERY events or SAVE_SECONDS, and whenever nothing more waits. Or
it is moved in a transaction that holds what the service makes of the event.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from ..domain.messages import Event
from ..domain.registry import UndecodableEvent
from .errors import (
    CheckpointMoved,
    ConnectionClosed,
    InvalidSubscription,
    LeaseLost,
    StoreUnavailable,
    SubscriptionFailed,
    TransactionRefused,
)
from .event_store import EventRow, EventStore, Listener
from .leases import Lease
from .logs import fields
from .mapper import decode
from .subscriptions import Mark, Subscribed, Subscriptions, Transactions, lease_name, require_fit
from .visible import one_line

T = TypeVar("T")

SAVE_EVERY = 100
"""So many events that are done may be delivered again after a crash, or those of the last SAVE_SECONDS, whichever are
fewer; and the one at hand."""
SAVE_SECONDS = 0.1
PASS_SECONDS = 1.0
"""How often the checkpoint moves over events that are not wanted."""
WINDOW = 10_000
"""How many positions are looked through at once for events that are wanted."""
PAGE = 500
POLL_SECONDS = 1.0
"""How long to trust in being woken, before looking."""
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """What a subscription takes, and where it begins if it is new."""

    name: str
    topics: Sequence[str] | None
    begin: Callable[[EventStore], Mark]
    until_end: bool
    """Whether it ends where the log ended when it was opened."""


class Taken(NamedTuple):
    """An event that is handed out."""

    row: EventRow
    event: Event


class Consumer:
    """One thread uses it at a time; `stop` is for any, and for a signal's handler."""

    def __init__(self, events: EventStore, subscriptions: Subscriptions, wanted: Wanted) -> None:
        self._events, self._subscriptions, self._wanted = events, subscriptions, wanted
        self.observing = events.observing
        self._using = threading.RLock()
        self._stopped = self._interrupted = False
        self._listener: Listener | None = None
        self._lease: Lease | None = None
        self._transactions: Transactions | None = None
        self._until: int | None = None
        self._handed: EventRow | None = None
        self._forget()

    @property
    def name(self) -> str:
        return self._wanted.name

    @property
    def active(self) -> bool:
        """Whether it holds the lease, as far as it knows."""
        return self._lease is not None and self._lease.fence is not None

    def create(self) -> None:
        """Make the subscription, if there is none of its name. Raises InvalidSubscription."""
        if self._subscriptions.find(self.name) is None:
            mark = self._wanted.begin(self._events)
            self._subscriptions.create(self.name, self._wanted.topics, mark)

    def open(self) -> None:
        """Begin to compete for the lease. Raises RuntimeError where it has begun, and what `create` raises."""
        if self._listener is not None:
            raise RuntimeError(f"the subscription {self.name} is iterated already")
        self._interrupted = False
        self.create()
        self._until = self._flushed_end() if self._wanted.until_end else None
        self._listener = self._events.listen()
        self._lease = self._subscriptions.leases.candidate(lease_name(self.name), self._listener)
        self._transactions = self._subscriptions.transactions(self.name)

    def _forget(self) -> None:
        """What is remembered of the checkpoint, and behind it, does not count."""
        self._handed = None
        self._loaded = False
        self._stored = self._done = Mark(self._events.epoch)
        self._unsaved, self._saved_at = 0, time.monotonic()
        self._buffer = deque[EventRow]()
        self._scanned = self._end = 0
        self._looked = 0.0

    def next(self) -> Taken | None:
        """Return the next event, when it comes; None where it was stopped, or is at its end. The one before is done.

        A store that is away is waited for, and so is the lease. Raises SubscriptionFailed, CheckpointRefused,
        StoreReplaced, InvalidSubscription.
        """
        with self._using:
            self._end_delivery()
            while not self._is_told_to_end():
                try:
                    if not self._holds_lease():
                        if self._has_come_to_its_end():
                            return None
                        self._stand_by()
                    elif (row := self._find()) is not None:
                        return self._begin_delivery(row)
                    elif self._has_come_to_its_end():
                        break
                    elif self._scanned >= self._end:
                        self._rest()
                except CheckpointMoved as error:
                    extra = fields("subscription.moved", subscription=self.name, error=error)
                    log.info("subscription %s goes by where it stands by now: %s", self.name, error, extra=extra)
                    self._forget()
                except LeaseLost as error:
                    extra = fields("subscription.stands_by", subscription=self.name, error=error)
                    log.warning("subscription %s stands by: %s", self.name, error, extra=extra)
                    self._leave()
                except StoreUnavailable as error:
                    extra = fields("subscription.waits", subscription=self.name, error=error)
                    log.warning("subscription %s waits for its store: %s", self.name, error, extra=extra)
                    self._loaded = False
                    self._opened(self._listener).pause(RETRY_SECONDS)
            self._save_quietly()
            return None

    def _begin_delivery(self, row: EventRow) -> Taken:
        """A delivery begins here, and ends in `_end_delivery`, `done` or `transact`."""
        key = self._events.keys({row.key_id}).get(row.key_id) if row.key_id else None
        try:
            event = decode(row.topic, row.state, row.stream_id, row.version, key)
        except UndecodableEvent as error:
            self._save_quietly()
            raise SubscriptionFailed(
                f"the subscription {self.name} stopped before position {row.position} ({one_line(row.topic)}): "
                f"{one_line(error.message)}; newer code may read it, and `tiu subscriptions skip {self.name} "
                f"{row.position}` goes on behind it",
                subscription=self.name,
                position=row.position,
                topic=row.topic,
            ) from None
        self._handed = self._buffer.popleft()
        return Taken(row, event)

    def _end_delivery(self) -> None:
        """What was handed out is done: whoever asks for the next says so."""
        row, self._handed = self._handed, None
        if row is not None and self._loaded:
            self._is_done(row)

    def _is_done(self, row: EventRow) -> None:
        self._done = self._stored._replace(position=row.position, event_hash=row.hash)
        if not self._unsaved:
            self._saved_at = time.monotonic()
        self._unsaved += 1

    def done(self, row: EventRow) -> None:
        """Move the checkpoint behind the event that was handed out last, now. Raises LeaseLost, CheckpointMoved,
        TransactionRefused."""
        with self._using:
            self._require_handed(row)
            self._end_delivery()
            try:
                self._save()
            except BaseException:
                self._loaded = False
                raise

    def transact(self, row: EventRow, work: Callable[[Any], T]) -> T:
        """Do work on a connection, in a transaction that moves the checkpoint behind the event handed out last.

        Whatever is raised, nothing of it stays, and the event is handed out again. Raises what `work` raises,
        LeaseLost, CheckpointMoved, StoreUnavailable, TransactionRefused.
        """
        with self._using:
            self._require_handed(row)
            after = self._stored._replace(position=row.position, event_hash=row.hash)
            try:
                with self._opened(self._transactions).moving(self._stored, after) as connection:
                    result = work(connection)
            except BaseException as error:
                self._loaded, self._handed = False, None
                if isinstance(error, CheckpointMoved):
                    self._require_lease()
                raise
            self._handed = None
            self._stored = self._done = after
            self._unsaved, self._saved_at = 0, time.monotonic()
            return result

    def _require_handed(self, row: EventRow) -> None:
        if self._handed is not row or not self._loaded:
            raise TransactionRefused(
                f"the event at position {row.position} is not the one that {self.name} handed out last, or it is done"
            )

    def _find(self) -> EventRow | None:
        """Return the next event that is wanted, of the part of the log that is looked through now."""
        if not self._loaded:
            self._load()
        if self._unsaved >= SAVE_EVERY or (self._unsaved and time.monotonic() - self._saved_at >= SAVE_SECONDS):
            self._save()
        if not self._buffer:
            self._look_at_the_store()
            self._read()
        return self._buffer[0] if self._buffer else None

    def _load(self) -> None:
        """Go by what is stored. What was done is not done again, where the checkpoint was not moved meanwhile."""
        found = self._subscriptions.find(self.name)
        if found is None:
            raise InvalidSubscription(f"the subscription {self.name} was removed", subscription=self.name)
        self._require_tenure(found)
        require_fit(self.name, found.mark, self._events)
        if found.mark != self._stored:
            self._stored = self._done = found.mark
            self._unsaved = 0
        if found.topics != self._wanted.topics:
            extra = fields("subscription.topics_changed", subscription=self.name, position=found.mark.position)
            log.info(
                "subscription %s takes other topics behind position %d", self.name, found.mark.position, extra=extra
            )
            self._subscriptions.take_topics(self.name, self._wanted.topics, found.mark.fence)
        self._buffer.clear()
        self._scanned = self._end = self._done.position
        self._loaded = True

    def _read(self) -> None:
        """Look through the next part of the log. Nothing is handed out that a crash of the database could undo."""
        if self._scanned >= self._end:
            end = self._flushed_end()
            self._end = end if self._until is None else min(end, self._until)
        if self._scanned >= self._end:
            return
        up_to = min(self._end, self._scanned + WINDOW)
        self._buffer.extend(self._events.read_rows_of_topics(self._wanted.topics or (), self._scanned, up_to, PAGE))
        self._scanned = self._buffer[-1].position if self._buffer else up_to
        if not self._buffer and self._scanned - self._stored.position >= WINDOW:
            self._pass_over()

    def _flushed_end(self) -> int:
        end = self._events.max_notification_id() or 0
        if end > self._end:
            self._events.flush()
        return end

    def _pass_over(self) -> None:
        """Move the checkpoint over what is not wanted: a restart does not look through it again."""
        hash_ = self._events.hash_at(self._scanned)
        if hash_ is not None:
            self._done = self._stored._replace(position=self._scanned, event_hash=hash_)
        self._save()

    def _rest(self) -> None:
        """Wait at the end of the log."""
        if self._unsaved:
            self._save()
        elif self._scanned > self._stored.position and time.monotonic() - self._saved_at >= PASS_SECONDS:
            self._pass_over()
        self._opened(self._listener).wait(POLL_SECONDS)

    def _has_come_to_its_end(self) -> bool:
        if self._until is None:
            return False
        if self.active:
            return self._loaded and not self._buffer and self._scanned >= self._until
        found = self._subscriptions.find(self.name)
        return found is not None and found.mark.position >= self._until

    def _look_at_the_store(self) -> None:
        """Now and then: whether it is still the same, and the checkpoint as it was left. Raises CheckpointRefused,
        StoreReplaced, CheckpointMoved."""
        if time.monotonic() - self._looked < POLL_SECONDS:
            return
        self._looked = time.monotonic()
        self._events.require_same()
        found = self._subscriptions.find(self.name)
        if found is None or found.mark != self._stored:
            self._loaded = False
            self._load()
        require_fit(self.name, self._done, self._events)

    def _save(self) -> None:
        """Store what is done. Raises CheckpointMoved, LeaseLost."""
        if self._done != self._stored:
            if not self._subscriptions.move(self.name, self._stored, self._done):
                self._loaded = False
                self._require_lease()
                raise CheckpointMoved(f"the checkpoint of {self.name} has moved", name=self.name)
            self._stored = self._done
        self._unsaved, self._saved_at = 0, time.monotonic()

    def _save_quietly(self) -> None:
        """Where what is done cannot be stored, it is delivered again."""
        if self.active and self._loaded:
            try:
                if self._scanned > self._done.position and not self._buffer and self._handed is None:
                    self._pass_over()
                self._save()
            except (StoreUnavailable, ConnectionClosed, LeaseLost, CheckpointMoved) as error:
                extra = fields("subscription.delivers_again", subscription=self.name, error=error)
                log.warning(
                    "subscription %s: what was done last will be delivered again: %s", self.name, error, extra=extra
                )

    def _require_lease(self) -> None:
        """Raises LeaseLost where another's tenure has begun."""
        if (found := self._subscriptions.find(self.name)) is not None:
            self._require_tenure(found)

    def _require_tenure(self, found: Subscribed) -> None:
        fence = self._opened(self._lease).fence
        if found.mark.fence != fence:
            message = f"another has taken over {self.name} (tenure {found.mark.fence}, this one's was {fence})"
            raise LeaseLost(message, name=self.name)

    def _holds_lease(self) -> bool:
        """Whether this consumer is the active one; it takes the lease where it can. Raises LeaseLost."""
        lease = self._opened(self._lease)
        if lease.fence is not None:
            lease.keep()
            return True
        if acquired := lease.acquire():
            self._forget()
        return acquired

    def _stand_by(self) -> None:
        """Wait until it is worth trying for the lease again."""
        until = time.monotonic() + self._opened(self._lease).pause
        while not self._is_told_to_end() and (left := until - time.monotonic()) > 0:
            self._opened(self._listener).pause(left)

    def _leave(self) -> None:
        """Give the lease up, if it is held."""
        if self._lease is not None:
            with suppress(StoreUnavailable, ConnectionClosed):
                self._lease.give_up()
        self._forget()

    def _is_told_to_end(self) -> bool:
        return self._stopped or self._interrupted or self._listener is None

    def stop(self) -> None:
        """Let `next` return None, now or when it is asked, for good."""
        self._stopped = True
        self.interrupt()

    def interrupt(self) -> None:
        """Let `next` return None until it is opened again."""
        self._interrupted = True
        if (listener := self._listener) is not None:
            listener.wake()

    def finish(self, seconds: float) -> None:
        """Stop, and wait until nothing is asked of the store; not for what a service does with an event."""
        self.stop()
        if self._using.acquire(timeout=seconds):
            self._using.release()

    def close(self) -> None:
        """Store what is done, but for what was handed out last; give the lease up, and let connections go."""
        with self._using:
            if self._listener is None:
                return
            try:
                self._save_quietly()
                self._leave()
            finally:
                listener, self._listener = self._listener, None
                listener.close()
                self._opened(self._transactions).close()

    @staticmethod
    def _opened(value: T | None) -> T:
        if value is None:
            raise RuntimeError("this subscription is not iterated now")
        return value
