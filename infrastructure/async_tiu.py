"""The asynchronous face: what `Tiu` can do, awaited.

The work is done by a few threads, so the event loop is never held up, and commands at once share their commits as those
of threads do. Names, parameters and answers are the synchronous ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, overload

import psycopg

from ..domain.messages import Command
from ..projections.projection import Projection
from .async_subscription import AsyncSubscription
from .audit.as_of import AsOf
from .decision import Answer
from .errors import WaitTimeout
from .postgresql.host import execute_within
from .queries import Queries
from .read_side import ReadSide
from .settings import Settings
from .subscribing import Beginning, E, Topics
from .threads import Opening, Threaded, Threads, awaited, iterated, opening, to_its_end
from .tiu import Tiu, connect
from .waiting import Waiting

THREADS = 32


class AsyncQueries(Threaded[Queries]):
    """The questions that the read tables answer: see Queries."""

    dashboard = awaited(Queries.dashboard)
    projects = awaited(Queries.projects)
    project = awaited(Queries.project)
    user_id = awaited(Queries.user_id)
    tasks = awaited(Queries.tasks)
    ready_tasks = awaited(Queries.ready_tasks)
    validation_issues = awaited(Queries.validation_issues)
    reports = awaited(Queries.reports)
    open_issues = awaited(Queries.open_issues)
    assignments = awaited(Queries.assignments)
    file_content = awaited(Queries.file_content)
    metrics = awaited(Queries.metrics)
    counts = awaited(Queries.counts)
    cleanup_log = awaited(Queries.cleanup_log)
    workflow_run = awaited(Queries.workflow_run)
    ready_steps = awaited(Queries.ready_steps)
    search_projects = awaited(Queries.search_projects)
    search_files = awaited(Queries.search_files)


class AsyncAsOf(Threaded[AsOf]):
    """The read side as of a moment: see AsOf."""

    def __init__(self, sync: AsOf, threads: Threads) -> None:
        super().__init__(sync, threads)
        self.position, self.events, self.path = sync.position, sync.events, sync.path
        self.read = AsyncQueries(sync.read, threads)

    query = awaited(AsOf.query)
    close = awaited(AsOf.close)


class AsyncReadSide(Threaded[ReadSide]):
    """The read side of one projection: see ReadSide."""

    def __init__(self, sync: ReadSide, threads: Threads) -> None:
        super().__init__(sync, threads)
        self.name = sync.name

    query = awaited(ReadSide.query)
    wait_for = awaited(ReadSide.wait_for)
    lag = awaited(ReadSide.lag)
    holder = awaited(ReadSide.holder)
    parked = awaited(ReadSide.parked)
    waiting = awaited(ReadSide.waiting)
    retry_parked = awaited(ReadSide.retry_parked)
    discard_parked = awaited(ReadSide.discard_parked)
    catch_up = awaited(ReadSide.catch_up)
    catch_up_to = awaited(ReadSide.catch_up_to)
    rebuild = awaited(ReadSide.rebuild)
    verify = awaited(ReadSide.verify)
    discard_rebuild = awaited(ReadSide.discard_rebuild)


class AsyncTiu(Threaded[Tiu]):
    """A connection, for one event loop: see Tiu, which it has as `sync`.

    Who is cancelled while a command waits for its turn has had nothing stored; a command that has begun is stored or
    refused, unseen: ask again with the same command_id.
    """

    def __init__(self, sync: Tiu, threads: Threads) -> None:
        super().__init__(sync, threads)
        self.sync = sync
        self.database = sync.database
        self.read = AsyncQueries(sync.read, threads)
        self._waiting = Waiting(sync.wait_for)

    execute = awaited(Tiu.execute)
    execute_all = awaited(Tiu.execute_all)

    async def execute_within(
        self, connection: psycopg.AsyncConnection[Any], commands: Sequence[Command]
    ) -> list[Answer]:
        """Execute commands in the transaction that an asynchronous connection of the caller's is in: see Tiu."""
        async with connection.lock:
            return await to_its_end(
                self._threads.ask(lambda: execute_within(self._sync.events, connection.pgconn, commands))
            )

    @overload
    def subscribe(
        self, name: str, topics: Iterable[type[E]] | type[E], *, from_: Beginning = ..., until_end: bool = ...
    ) -> AsyncSubscription[E]: ...

    @overload
    def subscribe(
        self, name: str, topics: Topics = None, *, from_: Beginning = ..., until_end: bool = ...
    ) -> AsyncSubscription[Any]: ...

    def subscribe(
        self, name: str, topics: Topics = None, *, from_: Beginning = "start", until_end: bool = False
    ) -> AsyncSubscription[Any]:
        """Return a durable subscription, an asynchronous iterator: see Tiu. A new one is made when it is entered, or
        iterated; it has a thread of its own while it is iterated."""
        return AsyncSubscription(self._sync._consumers.consumer(name, topics, from_, until_end=until_end))

    subscriptions = awaited(Tiu.subscriptions)
    skip_subscription = awaited(Tiu.skip_subscription)
    rewind_subscription = awaited(Tiu.rewind_subscription)
    remove_subscription = awaited(Tiu.remove_subscription)

    get = awaited(Tiu.get)
    history = iterated(Tiu.history)
    correlated = iterated(Tiu.correlated)
    caused_by = awaited(Tiu.caused_by)
    seal = awaited(Tiu.seal)
    check_chain = awaited(Tiu.check_chain)
    prove = awaited(Tiu.prove)
    lag = awaited(Tiu.lag)
    holder = awaited(Tiu.holder)
    parked = awaited(Tiu.parked)
    waiting = awaited(Tiu.waiting)
    retry_parked = awaited(Tiu.retry_parked)
    discard_parked = awaited(Tiu.discard_parked)
    catch_up = awaited(Tiu.catch_up)
    catch_up_to = awaited(Tiu.catch_up_to)
    count = awaited(Tiu.count)
    rehearse = awaited(Tiu.rehearse)
    export = awaited(Tiu.export)
    rebuild = awaited(Tiu.rebuild)
    verify = awaited(Tiu.verify)
    discard_rebuild = awaited(Tiu.discard_rebuild)

    def projection(self, name: str) -> AsyncReadSide:
        """Return the read side of a projection that the connection was made with: see Tiu."""
        return AsyncReadSide(self._sync.projection(name), self._threads)

    as_of = opening(Tiu.as_of, AsyncAsOf, AsOf.close)

    async def wait_for(self, position: int | Answer, timeout: float = 30.0) -> None:
        """Wait until the read tables have the event at a position: see Tiu. One thread waits for all that wait."""
        number = position.position if isinstance(position, Answer) else position
        try:
            await self._threads.ask(lambda: self._sync.wait_for(number, 0))
        except WaitTimeout:
            await self._waiting.until(number, timeout)

    async def close(self) -> None:
        """Let what was asked for come to its end, stop projecting, and let every connection go."""
        self._threads.end()
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._close))

    def _close(self) -> None:
        self._threads.join()
        self._waiting.close()
        self._sync.close()


def aconnect(
    url: str | None = None,
    *,
    project: bool = True,
    settings: Settings | None = None,
    projections: Sequence[Projection] | None = None,
    threads: int = THREADS,
) -> Opening[AsyncTiu]:
    """Connect as `connect` does: `async with aconnect(...) as tiu`, or `tiu = await aconnect(...)`, closed later.

    At most `threads` calls are at work at once; others wait for their turn.
    """

    async def begin() -> AsyncTiu:
        at_work = Threads(threads)
        try:
            opened = partial(connect, url, project=project, settings=settings, projections=projections)
            sync = await at_work.ask(opened, lambda tiu: tiu.close())
        except BaseException:
            at_work.end()
            raise
        return AsyncTiu(sync, at_work)

    return Opening(begin)
