"""Subscribing: what a service says of a subscription, and what it is given.

for delivery in tiu.subscribe("mails", [TaskCompleted]):
    send(delivery.event.task_id, key=delivery.idempotency_key)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar
from uuid import UUID

from ..domain.messages import Event, event_id
from ..domain.name_ids import uuid5
from ..domain.registry import UndecodableEvent, aggregate_of, event_of, topics_of
from .audit.as_of import Moment
from .audit.parts import recorded_at
from .consumer import Consumer, Taken, Wanted
from .errors import InvalidQuery, InvalidSubscription
from .event_store import EventRow, EventStore
from .subscriptions import Mark

E = TypeVar("E", bound=Event)
T = TypeVar("T")

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""It names a file on SQLite, and some file systems know no capital letters."""
Topics = Iterable[type[Event] | str] | type[Event] | str | None
"""Classes of events, or topics; None: all."""
Beginning = Literal["start", "now"] | int | datetime
"""Where a new subscription begins: at the first event, behind the last, at a position, or with what was recorded from a
time on."""


@dataclass(frozen=True)
class Delivered(Generic[E]):
    """An event as a subscription delivers it.

    `kind` is what its stream is ("task"), `id` the event's own, `recorded_at` when it was stored (UTC). What is
    personal in `event` is there unless its person was forgotten. `idempotency_key` is the same each time that this
    event is delivered under this name, and no other's: it can be the `command_id` of a command that follows from it.
    """

    subscription: str
    event: E
    position: int
    stream_id: UUID
    version: int
    id: UUID
    kind: str
    topic: str
    recorded_at: datetime
    actor: str | None
    command_id: UUID | None
    correlation_id: str | None
    causation_id: str | None
    project_id: UUID | None
    idempotency_key: UUID
    _row: EventRow = field(repr=False, compare=False)
    _consumer: Consumer = field(repr=False, compare=False)


@dataclass(frozen=True)
class Delivery(Delivered[E]):
    """An event as a subscription delivers it: see Delivered. It is done when the next one is asked for."""

    def transact(self, work: Callable[[Any], T]) -> T:
        """Do work exactly once: `work(connection)` writes to the service's own tables in one transaction with the
        checkpoint. It returns what `work` does, when that is committed.

        On PostgreSQL the connection is a psycopg.Connection, on SQLite a sqlite3.Connection to the file of the events.
        Whatever is raised, nothing of it stays, and the event is delivered again by going on. Raises what `work` does,
        LeaseLost where another has taken over, CheckpointMoved where somebody skipped or rewound, TransactionRefused
        where `work` ended the transaction, or the delivery is done.
        """
        return self._consumer.transact(self._row, work)

    def done(self) -> None:
        """Say that it is done, now, and store that. Raises LeaseLost, CheckpointMoved, TransactionRefused."""
        self._consumer.done(self._row)


class Subscription(Generic[E]):
    """A durable subscription: an iterator of deliveries, that waits for more. A context manager.

    Of all that iterate under one name one is active, and the others stand by. What was delivered is done when the next
    one is asked for; an event whose loop body raised, or broke off, is delivered again. One thread uses it, but for
    `stop`.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    @property
    def name(self) -> str:
        """Its name."""
        return self._consumer.name

    @property
    def active(self) -> bool:
        """Whether it is the active one of its name; False while it stands by, and while nobody iterates."""
        return self._consumer.active

    def __iter__(self) -> Iterator[Delivery[E]]:
        """Raises, when the first delivery is asked for or a later one, CheckpointRefused, InvalidSubscription,
        StoreReplaced, SubscriptionFailed."""
        consumer = self._consumer
        consumer.open()
        try:
            while (taken := consumer.next()) is not None:
                with consumer.observing.delivery(consumer.name, taken.row):
                    yield delivery_of(Delivery, consumer, taken)
        finally:
            consumer.close()

    def stop(self) -> None:
        """End the iteration once the delivery at hand is done; from any thread, or a signal's handler."""
        self._consumer.stop()

    def close(self) -> None:
        """End the iteration now: the delivery at hand counts as not done."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


D = TypeVar("D", bound=Delivered[Any])


def delivery_of(kind: type[D], consumer: Consumer, taken: Taken, **more: Any) -> D:
    """Return what was taken as it is delivered, with what else its kind has."""
    row = taken.row
    id_ = event_id(row.stream_id, row.version)
    return kind(
        subscription=consumer.name,
        event=taken.event,
        position=row.position,
        stream_id=row.stream_id,
        version=row.version,
        id=id_,
        kind=aggregate_of(row.topic).name,
        topic=row.topic,
        recorded_at=row.recorded_at,
        actor=row.actor,
        command_id=row.command_id,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        project_id=row.project_id,
        # With its hash: in a store that was restored, and has another event in its place, that is another key.
        idempotency_key=uuid5(id_, f"{consumer.name} {row.hash.hex()}"),
        _row=row,
        _consumer=consumer,
        **more,
    )


def is_name(name: Any) -> bool:
    """Whether a subscription may have a name."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def wanted(name: Any, topics: Topics, from_: Beginning, until_end: bool) -> Wanted:
    """Return what a service wants of a subscription. Raises InvalidSubscription."""
    if not is_name(name):
        raise InvalidSubscription(
            f"a subscription's name has 1 to 64 small letters, digits, - and _, and begins with none of these two: not "
            f"{name!a:.90}"
        )
    return Wanted(name, _topics(topics), partial(_beginning, name, _checked(name, from_)), until_end)


def _topics(given: Any) -> list[str] | None:
    if given is None:
        return None
    several = [*given] if isinstance(given, Iterable) and not isinstance(given, str | type) else [given]
    if not several:
        raise InvalidSubscription("a subscription takes some topics; for all, leave them out")
    return sorted({topic for one in several for topic in topics_of(_event(one))})


def _event(given: type[Event] | str) -> type[Event]:
    try:
        return event_of(given if isinstance(given, str) else given.topic)
    except (UndecodableEvent, AttributeError, TypeError):
        raise InvalidSubscription(f"neither the class of an event nor a topic: {given!a:.90}") from None


def _checked(name: str, given: Any) -> Beginning:
    from_: Beginning = given
    if isinstance(from_, datetime):
        try:
            Moment(recorded_at=from_)
        except InvalidQuery as error:
            raise InvalidSubscription(f"{name}: {error.message}") from None
    elif given not in ("start", "now") and not (type(given) is int and given >= 1):
        raise InvalidSubscription(
            f'{name} begins at "start", "now", a position from 1 on, or a time: not at {from_!a:.60}'
        )
    return from_


def _beginning(name: str, from_: Beginning, events: EventStore) -> Mark:
    """Return where a new subscription stands. Raises InvalidSubscription."""
    end = events.max_notification_id() or 0
    events.flush()
    match from_:
        case "start":
            position = 0
        case "now":
            position = end
        case datetime():
            position = bisect_left(range(1, end + 1), from_, key=partial(recorded_at, events))
        case _:
            position = from_ - 1
    return mark_behind(name, position, events, end)


def mark_behind(name: str, position: int, events: EventStore, end: int) -> Mark:
    """Return the checkpoint behind a position. Raises InvalidSubscription where the log is not that long."""
    if position == 0:
        return Mark(events.epoch)
    hash_ = events.hash_at(position) if position <= end else None
    if hash_ is None:
        raise InvalidSubscription(f"{name}: there is no position {position}: the log ends at {end}", position=position)
    return Mark(events.epoch, position, hash_)
