"""Runs what blocks in threads, for callers on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from .errors import ConnectionClosed

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

PAGE = 100
"""How many entries of a long answer are fetched at once."""


class Threads:
    """A fixed number of threads; what is asked while all are at work waits for its turn.

    Who is cancelled while waiting for a turn has had nothing done. What a thread has begun comes to its own end.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "tiu-async")

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Have work done, in the caller's context. Raises ConnectionClosed behind `close`."""
        try:
            return self._pool.submit(copy_context().run, work)
        except RuntimeError:
            raise ConnectionClosed("the connection is closed") from None

    async def run(self, work: Callable[[], R]) -> R:
        """Return what work returns, or raise what it raises."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Wait for what was asked, and end."""
        self._pool.shutdown()

    def end(self) -> None:
        """End once what was asked is done."""
        self._pool.shutdown(wait=False)


class Threaded(Generic[S]):
    """What a synchronous object can do, awaited."""

    def __init__(self, sync: S, threads: Threads) -> None:
        self._sync = sync
        self._threads = threads


def awaited(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[Threaded[S], P], Coroutine[Any, Any, R]]:
    """Make of a method one that is awaited, of the same parameters and answer."""

    @wraps(method)
    async def call(self: Threaded[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._threads.run(partial(method, self._sync, *args, **kwargs))

    return call


def iterated(
    method: Callable[Concatenate[S, P], Iterator[R]],
) -> Callable[Concatenate[Threaded[S], P], AsyncIterator[R]]:
    """Make of a method that returns an iterator one that returns an asynchronous one; the first step calls it."""

    @wraps(method)
    async def call(self: Threaded[S], /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        entries = await self._threads.run(partial(method, self._sync, *args, **kwargs))
        while page := await self._threads.run(lambda: list(islice(entries, PAGE))):
            for entry in page:
                yield entry

    return call


class Closes(Protocol):
    """What `async with` closes."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Closes)


class Opening(Generic[C]):
    """What opens when it is awaited, or entered by `async with`, which closes it at its end."""

    def __init__(self, opened: Callable[[], Awaitable[C]]) -> None:
        self._opened = opened
        self._open: C | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._opened().__await__()

    async def __aenter__(self) -> C:
        self._open = await self
        return self._open

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            await self._open.close()


async def opened(submitted: Future[R], close: Callable[[R], None]) -> R:
    """Wait for what a thread opens; who is cancelled meanwhile leaves nothing open."""
    try:
        return await asyncio.wrap_future(submitted)
    except asyncio.CancelledError:
        submitted.add_done_callback(lambda done: None if done.cancelled() or done.exception() else close(done.result()))
        raise


def opening(
    method: Callable[Concatenate[S, P], R], face: Callable[[R, Threads], C], close: Callable[[R], None]
) -> Callable[Concatenate[Threaded[S], P], Opening[C]]:
    """Make of a method that opens something one that opens its asynchronous face."""

    @wraps(method)
    def call(self: Threaded[S], /, *args: P.args, **kwargs: P.kwargs) -> Opening[C]:
        async def begin() -> C:
            submitted = self._threads.submit(partial(method, self._sync, *args, **kwargs))
            return face(await opened(submitted, close), self._threads)

        return Opening(begin)

    return call
