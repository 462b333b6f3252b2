"""Subscriptions on an event loop: each has a thread of its own, which does what blocks, and waits for events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from .consumer import Consumer
from .subscribing import Delivered, E, delivery_of
from .threads import Threads, to_its_end

T = TypeVar("T")


@dataclass(frozen=True)
class AsyncDelivery(Delivered[E]):
    """An event as a subscription delivers it: see Delivery."""

    _threads: Threads = field(repr=False, compare=False)

    async def transact(self, work: Callable[[Any], T]) -> T:
        """Do work exactly once: see Delivery. `work` runs in a thread, with a connection that is not asynchronous; who
        is cancelled meanwhile waits for its end."""
        return await to_its_end(self._threads.ask(partial(self._consumer.transact, self._row, work)))

    async def done(self) -> None:
        """Say that it is done, now, and store that: see Delivery."""
        await to_its_end(self._threads.ask(partial(self._consumer.done, self._row)))


class AsyncSubscription(Generic[E]):
    """A durable subscription, on an event loop: see Subscription. A new one is made when it is entered, or iterated.

    Who is cancelled while waiting for the next delivery ends the iteration; nothing is lost, and it can be iterated
    again.
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

    async def __aiter__(self) -> AsyncIterator[AsyncDelivery[E]]:
        """Raises what a Subscription does."""
        consumer, threads = self._consumer, Threads(1)
        try:
            opened = threads.ask(consumer.open)
            try:
                await to_its_end(opened)
                while (taken := await threads.ask(consumer.next)) is not None:
                    with consumer.observing.delivery(consumer.name, taken.row):
                        yield delivery_of(AsyncDelivery, consumer, taken, _threads=threads)
            finally:
                if opened.exception() is None:  # else it is another iteration's
                    consumer.interrupt()
                    await to_its_end(threads.ask(consumer.close))
        finally:
            threads.end()

    def stop(self) -> None:
        """End the iteration once the delivery at hand is done; from any thread, or a signal's handler."""
        self._consumer.stop()

    async def close(self) -> None:
        """End the iteration now: the delivery at hand counts as not done."""
        self._consumer.interrupt()
        await _in_a_thread(self._consumer.close)

    async def __aenter__(self) -> Self:
        await _in_a_thread(self._consumer.create)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _in_a_thread(work: Callable[[], None]) -> None:
    threads = Threads(1)
    try:
        await to_its_end(threads.ask(work))
    finally:
        threads.end()
