"""Subscriptions on an event loop: the same, awaited; whoever is cancelled loses nothing, and no loop is held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from claude_tiu import AsyncTiu, CreateProject, InvalidSubscription, UserCreated, aconnect
from tests.support.candidates import until
from tests.support.history import PROJECT, USER, create_user
from tests.support.patience import PATIENCE
from tests.support.stores import Backend

NAME = "mails"


def run(backend: Backend, story: Callable[[AsyncTiu], Coroutine[Any, Any, None]]) -> None:
    """Run a story on a database with a user (1) and a project (2)."""

    async def told() -> None:
        async with aconnect(backend.url, project=False) as tiu:
            await tiu.execute_all(
                [create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")]
            )
            await story(tiu)

    asyncio.run(asyncio.wait_for(told(), 2 * PATIENCE))


async def positions(tiu: AsyncTiu, name: str = NAME, **asked: Any) -> list[int]:
    async with tiu.subscribe(name, **asked, until_end=True) as subscription:
        return [delivery.position async for delivery in subscription]


def test_it_delivers_goes_on_and_begins_where_it_is_told(backend: Backend) -> None:
    async def story(tiu: AsyncTiu) -> None:
        async with tiu.subscribe("now", from_="now"):
            pass
        assert await positions(tiu, topics=UserCreated) == [1]
        assert await positions(tiu) == []
        await tiu.execute(create_user("bob"))
        assert await positions(tiu) == [3]
        assert await positions(tiu, "now") == [3]
        assert [one.position for one in await tiu.subscriptions()] == [3, 3]
        with pytest.raises(InvalidSubscription):
            tiu.subscribe("?")

    run(backend, story)


def test_what_broke_off_is_delivered_again_and_what_is_done_is_not(backend: Backend) -> None:
    async def story(tiu: AsyncTiu) -> None:
        for _ in range(2):
            async with tiu.subscribe(NAME) as subscription:
                async for delivery in subscription:
                    assert delivery.position == 1
                    break
        async with tiu.subscribe(NAME) as subscription:
            async for delivery in subscription:
                await delivery.done()
                break
        assert await positions(tiu) == [2]

    run(backend, story)


def test_exactly_once(backend: Backend) -> None:
    backend.on_events("CREATE TABLE seen (position INTEGER NOT NULL)")

    async def story(tiu: AsyncTiu) -> None:
        async with tiu.subscribe(NAME, until_end=True) as subscription:
            async for delivery in subscription:

                def work(connection: Any, position: int = delivery.position) -> int:
                    assert threading.current_thread() is not threading.main_thread()
                    connection.execute(f"INSERT INTO seen VALUES ({position})")
                    return position

                def fail(connection: Any, work: Callable[[Any], int] = work) -> None:
                    work(connection)
                    raise ZeroDivisionError

                if delivery.position == 1:
                    assert await delivery.transact(work) == 1
                else:
                    with pytest.raises(ZeroDivisionError):
                        await delivery.transact(fail)
                    break
        assert await positions(tiu) == [2]

    run(backend, story)
    assert backend.on_events("SELECT position FROM seen") == [(1,)]


def test_who_is_cancelled_while_waiting_loses_nothing(backend: Backend) -> None:
    async def story(tiu: AsyncTiu) -> None:
        seen: list[int] = []
        subscription = tiu.subscribe(NAME)

        async def follow() -> None:
            async for delivery in subscription:
                seen.append(delivery.position)

        for number in range(5):
            task = asyncio.create_task(follow())
            while len(seen) < 2 + number and not task.done():
                await asyncio.sleep(0.001)
            # what is stored and cancelled at once may be delivered to nobody: it must come again
            await tiu.execute(create_user(f"u{number}"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        task = asyncio.create_task(follow())
        while {*seen} != {*range(1, 8)}:
            await asyncio.sleep(0.001)
        subscription.stop()
        await task

    run(backend, story)


def test_who_is_cancelled_while_it_opens_leaves_it_closed(backend: Backend) -> None:
    async def story(tiu: AsyncTiu) -> None:
        subscription = tiu.subscribe(NAME)

        async def follow() -> None:
            async for _ in subscription:
                pass

        for moments in range(4):
            task = asyncio.create_task(follow())
            for _ in range(moments):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await positions(tiu) in ([], [1, 2], [2])

    run(backend, story)


def test_the_loop_goes_on_while_it_waits_and_while_it_works(backend: Backend) -> None:
    async def story(tiu: AsyncTiu) -> None:
        begun, go_on, seen = threading.Event(), threading.Event(), list[int]()

        def slow(connection: Any) -> None:
            begun.set()
            assert go_on.wait(30)

        async def follow() -> None:
            async for delivery in tiu.subscribe(NAME, from_="now"):
                await delivery.transact(slow)
                seen.append(delivery.position)

        waiting = [asyncio.create_task(positions(tiu, f"waiting-{n}", from_="now")) for n in range(3)]
        task = asyncio.create_task(follow())
        assert await asyncio.gather(*waiting) == [[], [], []]
        while not any(one.name == NAME for one in await tiu.subscriptions()):
            await asyncio.sleep(0.001)
        await tiu.execute(create_user("bob"))
        while not begun.is_set():
            await asyncio.sleep(0.001)  # or this waited for ever
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await tiu.subscriptions())[0].position == 3, "what has begun comes to its end"

    run(backend, story)


def test_more_of_them_than_there_are_threads_hold_nobody_up(backend: Backend) -> None:
    async def story() -> None:
        async with aconnect(backend.url, project=False, threads=1) as tiu:
            subscriptions = [tiu.subscribe(f"s{number}") for number in range(4)]
            seen: list[str] = []

            async def follow(subscription: Any) -> None:
                async for delivery in subscription:
                    seen.append(delivery.subscription)

            tasks = [asyncio.create_task(follow(subscription)) for subscription in subscriptions]
            await tiu.execute(create_user())
            while len(seen) < 4:
                await asyncio.sleep(0.001)
            for subscription in subscriptions:
                subscription.stop()
            await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(story(), 2 * PATIENCE))


def test_it_ends_with_its_connection_and_leaves_no_thread(backend: Backend) -> None:
    before = set(threading.enumerate())

    async def story() -> None:
        async with aconnect(backend.url, project=False) as tiu:
            await tiu.execute(create_user())
            seen: list[int] = []

            async def follow() -> None:
                async for delivery in tiu.subscribe(NAME):
                    seen.append(delivery.position)

            task = asyncio.create_task(follow())
            while not seen:
                await asyncio.sleep(0.001)
        await task
        assert seen == [1]

    asyncio.run(asyncio.wait_for(story(), 2 * PATIENCE))
    until(lambda: set(threading.enumerate()) <= before)
