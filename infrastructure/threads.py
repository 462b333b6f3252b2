"""Runs what blocks in threads, for callers on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial, wraps
from itertools import islice
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from .errors import ConnectionClosed

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

PAGE = 100
"""How many entries of a long answer are fetched at once."""


class Asked(NamedTuple):
    """Work that somebody awaits: in which context, what is awaited, and what undoes it where nobody does any more."""

    work: Callable[[], Any]
    context: Context
    answer: asyncio.Future[Any]
    undo: Callable[[Any], None]


class Answered(NamedTuple):
    """What became of it."""

    asked: Asked
    result: Any
    error: BaseException | None


class Threads:
    """Some threads that work for one event loop; what is asked while all are at work waits for its turn.

    Who is cancelled while waiting for a turn has had nothing done. What a thread has begun comes to its own end.
    Answers go back to the loop together: to wake it for each one costs as much again as a command does.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._asked = SimpleQueue[Asked | None]()
        self._answered = deque[Answered]()
        self._woken = self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, work: Callable[[], R], undo: Callable[[R], None] = lambda _: None) -> asyncio.Future[R]:
        """Have work done, in the caller's context. What it returned goes to `undo` if who asked was cancelled.

        Raises ConnectionClosed behind `close`, RuntimeError on another event loop than before.
        """
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise RuntimeError("this connection is another event loop's")
        if self._closed:
            raise ConnectionClosed("the connection is closed")
        answer: asyncio.Future[R] = loop.create_future()
        self._asked.put(Asked(work, copy_context(), answer, undo))
        if len(self._threads) < self._most and not self._idle.acquire(blocking=False):
            self._threads.append(threading.Thread(target=self._run, args=(loop,), name="tiu-async", daemon=True))
            self._threads[-1].start()
        return answer

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (asked := self._next()) is not None:
            if asked.answer.cancelled():
                continue
            result, error = _done(asked)
            if error is None and asked.answer.cancelled():
                asked.undo(result)
                continue
            self._answered.append(Answered(asked, result, error))
            if not self._woken:
                self._woken = True
                with suppress(RuntimeError):  # the loop has ended, and nobody waits
                    loop.call_soon_threadsafe(self._tell)

    def _next(self) -> Asked | None:
        try:
            return self._asked.get_nowait()
        except Empty:
            self._idle.release()
            return self._asked.get()

    def _tell(self) -> None:
        self._woken = False  # before the answers are taken: who adds one behind them wakes the loop again
        while self._answered:
            asked, result, error = self._answered.popleft()
            if not asked.answer.cancelled():
                asked.answer.set_result(result) if error is None else asked.answer.set_exception(error)
            elif error is None:
                threading.Thread(target=asked.undo, args=(result,), name="tiu-async-undo").start()

    def end(self) -> None:
        """Take nothing more; the threads end once what was asked is done."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._asked.put(None)

    def join(self) -> None:
        """Wait for the threads to have ended."""
        for thread in self._threads:
            thread.join()


def _done(asked: Asked) -> tuple[Any, BaseException | None]:
    try:
        return asked.context.run(asked.work), None
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        return None, error


async def to_its_end(answer: asyncio.Future[R]) -> R:
    """Await an answer; who is cancelled meanwhile still waits until the work has come to its end."""
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        while not answer.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([answer])
        raise


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
        return await self._threads.ask(partial(method, self._sync, *args, **kwargs))

    return call


def iterated(
    method: Callable[Concatenate[S, P], Iterator[R]],
) -> Callable[Concatenate[Threaded[S], P], AsyncIterator[R]]:
    """Make of a method that returns an iterator one that returns an asynchronous one; the first step calls it."""

    @wraps(method)
    async def call(self: Threaded[S], /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        entries = await self._threads.ask(partial(method, self._sync, *args, **kwargs))
        while page := await self._threads.ask(lambda: list(islice(entries, PAGE))):
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


def opening(
    method: Callable[Concatenate[S, P], R], face: Callable[[R, Threads], C], close: Callable[[R], None]
) -> Callable[Concatenate[Threaded[S], P], Opening[C]]:
    """Make of a method that opens something one that opens its asynchronous face."""

    @wraps(method)
    def call(self: Threaded[S], /, *args: P.args, **kwargs: P.kwargs) -> Opening[C]:
        async def begin() -> C:
            return face(await self._threads.ask(partial(method, self._sync, *args, **kwargs), close), self._threads)

        return Opening(begin)

    return call
