"""The asynchronous face: the synchronous one awaited, in step with it; no loop is held up, nothing is half done."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar, assert_type
from uuid import uuid4

import pytest

from claude_tiu import (
    AddTask,
    Answer,
    AsyncDelivery,
    AsyncSubscription,
    AsyncTiu,
    ConnectionClosed,
    CreateProject,
    DashboardRow,
    Delivery,
    HistoryEntry,
    NotFound,
    ReadSide,
    Subscription,
    TaskAdded,
    Tiu,
    WaitTimeout,
    aconnect,
    connect,
)
from claude_tiu.infrastructure.async_tiu import THREADS, AsyncAsOf, AsyncQueries, AsyncReadSide
from claude_tiu.infrastructure.audit.as_of import AsOf
from claude_tiu.infrastructure.event_store import Unit
from claude_tiu.infrastructure.queries import Queries
from claude_tiu.infrastructure.threads import Opening
from tests.support.candidates import until
from tests.support.history import PROJECT, USER, create_user, uid
from tests.support.stores import Backend

T = TypeVar("T")

FACES = [
    (AsyncQueries, Queries),
    (AsyncTiu, Tiu),
    (AsyncAsOf, AsOf),
    (AsyncReadSide, ReadSide),
    (AsyncSubscription, Subscription),
    (AsyncDelivery, Delivery),
]
OF_ITS_OWN = {"sync"}
"""What leads from the asynchronous face to the other."""
INNER = {"events", "projector", "monitor", "leases", "observing", "sides"}
"""What the synchronous one lets the command line look into; it is there by `sync`."""


def run(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(asyncio.wait_for(story(), 120))


def public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


class Slow:
    """Holds the appends of a store up until it is told to let them go on."""

    def __init__(self, tiu: AsyncTiu, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        store = tiu.sync.events
        append = store.append

        def held(units: Sequence[Any]) -> Any:
            self.begun.set()
            assert self.go_on.wait(60)
            return append(units)

        monkeypatch.setattr(store, "append", held)

    async def has_begun(self) -> None:
        while not self.begun.is_set():
            await asyncio.sleep(0.001)


class TestInStep:
    """A method that only one of the two has, or has otherwise, fails here."""

    @pytest.mark.parametrize(("face", "sync"), FACES)
    def test_what_one_can_do_the_other_can(self, face: type, sync: type) -> None:
        assert public(face) == public(sync)

    @pytest.mark.parametrize(("face", "sync"), FACES)
    def test_parameters_and_answers_are_the_same(self, face: type, sync: type) -> None:
        for name in public(sync):
            one, other = getattr(face, name), getattr(sync, name)
            if not isinstance(other, property):
                told = re.sub(r"\bAsync(?=[A-Z])", "", str(inspect.signature(one)))
                assert told == str(inspect.signature(other)), name
            assert inspect.getdoc(one), name

    def test_so_do_their_attributes(self, backend: Backend) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                assert public(tiu) - OF_ITS_OWN == public(tiu.sync) - INNER
                async with tiu.as_of(position=0) as then:
                    with tiu.sync.as_of(position=0) as other:
                        assert public(then) == public(other)
                one, same = tiu.projection("read_model"), tiu.sync.projection("read_model")
                assert public(one) == public(same) - INNER
                assert await one.lag() == same.lag()

        run(story)

    def test_connecting_is_the_same_but_for_the_number_of_threads(self) -> None:
        one, other = inspect.signature(aconnect), inspect.signature(connect)
        assert [p for name, p in one.parameters.items() if name != "threads"] == list(other.parameters.values())

    def test_type_checkers_see_the_types(self) -> None:
        async def story(tiu: AsyncTiu) -> None:
            assert_type(await tiu.execute(create_user()), Answer)
            assert_type(await tiu.read.dashboard(USER), list[DashboardRow])
            assert_type(tiu.history(USER), AsyncIterator[HistoryEntry])
            assert_type(tiu.as_of(position=1), Opening[AsyncAsOf])
            assert_type(tiu.subscribe("a", TaskAdded), AsyncSubscription[TaskAdded])
            assert_type(tiu.sync.subscribe("a", [TaskAdded]), Subscription[TaskAdded])
            assert_type(tiu.sync.subscribe("a"), Subscription[Any])
            async for delivery in tiu.subscribe("a", TaskAdded):
                assert_type(delivery.event, TaskAdded)
            await tiu.read.dashboard("ada")  # type: ignore[arg-type]
            await tiu.execute()  # type: ignore[call-arg]

        assert inspect.iscoroutinefunction(story)  # what is in it is for mypy alone


def test_it_does_what_the_other_does(backend: Backend) -> None:
    async def story() -> None:
        async with aconnect(backend.url) as tiu:
            user = await tiu.execute(create_user(user_id=USER))
            done = await tiu.execute_all(
                [CreateProject(project_id=PROJECT, user_id=USER, name="P"), AddTask(project_id=PROJECT, name="T")]
            )
            await tiu.wait_for(done[-1])
            assert [row.name for row in await tiu.read.dashboard(user.id)] == ["P"]
            assert (await tiu.get(PROJECT)).name == "P"
            assert (await tiu.lag()).behind == 0
            sentences = [entry.sentence async for entry in tiu.history(PROJECT, everything=True)]
            assert sentences == [entry.sentence for entry in tiu.sync.history(PROJECT, everything=True)]
            assert len(sentences) == 2
            async with tiu.as_of(position=1) as then:
                assert await then.read.projects() == []
                assert await then.query("SELECT count(*) AS users FROM users") == [{"users": 1}]
            with pytest.raises(NotFound):
                await tiu.get(uid("nothing"))

    run(story)


def test_a_long_history_comes_page_by_page(backend: Backend) -> None:
    async def story() -> None:
        async with aconnect(backend.url, project=False) as tiu:
            await tiu.execute(create_user(user_id=USER))
            await tiu.execute(CreateProject(project_id=PROJECT, user_id=USER, name="P"))
            await tiu.execute_all([AddTask(project_id=PROJECT, name="T") for _ in range(250)])
            assert len([entry async for entry in tiu.history(PROJECT, everything=True)]) == 251

    run(story)


def test_a_thousand_commands_at_once_share_their_commits(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = list[int]()
    store: Any = type(backend.events())
    stored = store._store

    together: Any = None

    def counted(self: Any, units: Sequence[Unit], independent: bool) -> Any:
        commits.append(len(units))
        if together:  # on a slow disk: all other threads have come to wait before this is stored
            others = min(THREADS - len(units), 1_002 - sum(commits))
            until(lambda: len(together._queue) >= others)
        return stored(self, units, independent)

    monkeypatch.setattr(store, "_store", counted)

    async def story() -> None:
        nonlocal together
        async with aconnect(backend.url) as tiu:
            await tiu.execute(create_user(user_id=USER))
            await tiu.execute(CreateProject(project_id=PROJECT, user_id=USER, name="P"))
            together = tiu.sync._executor._together
            answers = await asyncio.gather(
                *(tiu.execute(AddTask(task_id=uid(f"t{n}"), project_id=PROJECT, name="T")) for n in range(1_000))
            )
            assert [answer.id for answer in answers] == [uid(f"t{n}") for n in range(1_000)]
            assert sorted(answer.position for answer in answers) == list(range(3, 1_003))
            await tiu.wait_for(1_002)
            assert (await tiu.read.counts(PROJECT)).tasks == 1_000

    run(story)
    assert sum(commits) == 1_002
    assert len(commits) < 200, commits


class TestTheLoop:
    def test_goes_on_while_a_command_waits_for_the_disk(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                slow = Slow(tiu, monkeypatch)
                command = asyncio.create_task(tiu.execute(create_user()))
                await slow.has_begun()  # or this waited for ever
                assert not command.done()
                slow.go_on.set()
                assert (await command).version == 1

        run(story)

    def test_those_that_wait_for_rows_hold_nobody_up(self, backend: Backend) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False, threads=1) as tiu:
                waits = [asyncio.create_task(tiu.wait_for(position, 60)) for position in (1, 1, 2, 3)]
                for n in range(3):
                    await tiu.execute(create_user(username=f"u{n}", email=f"u{n}@example.org"))
                assert not any(wait.done() for wait in waits)
                await tiu.catch_up_to(3)
                await asyncio.gather(*waits)

        run(story)

    def test_whoever_waits_is_told_of_his_own_time(self, backend: Backend) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                longer = asyncio.create_task(tiu.wait_for(1, 60))
                with pytest.raises(WaitTimeout, match=r"stand at position 0, not at 7, after 0\.2 s"):
                    await tiu.wait_for(7, 0.2)
                assert not longer.done()
                longer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await longer

        run(story)


class TestCancelled:
    def test_while_it_waits_for_its_turn_nothing_is_done(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False, threads=1) as tiu:
                slow = Slow(tiu, monkeypatch)
                first = asyncio.create_task(tiu.execute(create_user(user_id=USER)))
                await slow.has_begun()
                second = asyncio.create_task(tiu.execute(create_user(username="bob", email="bob@example.org")))
                await asyncio.sleep(0)
                await cancel(second)
                slow.go_on.set()
                await first
                assert await tiu.execute(CreateProject(user_id=USER, name="P")) is not None
                assert tiu.sync.events.max_notification_id() == 2

        run(story)

    def test_while_it_is_done_it_is_done_to_its_end(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        command = create_user(user_id=USER, command_id=uuid4())

        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                slow = Slow(tiu, monkeypatch)
                one = asyncio.create_task(tiu.execute(command))
                await slow.has_begun()
                await cancel(one)
                slow.go_on.set()
                answer = await tiu.execute(command)  # it asks again, and is told of the first time
                assert (answer.position, tiu.sync.events.max_notification_id()) == (1, 1)

        run(story)

    def test_while_the_connection_closes_it_still_waits_for_what_was_asked(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def story() -> None:
            tiu = await aconnect(backend.url, project=False)
            slow = Slow(tiu, monkeypatch)
            command = asyncio.create_task(tiu.execute(create_user(user_id=USER)))
            await slow.has_begun()
            closing = asyncio.create_task(tiu.close())
            await asyncio.sleep(0.01)
            await cancel(closing)
            slow.go_on.set()
            assert (await command).position == 1
            await tiu.close()

        run(story)
        assert backend.events().max_notification_id() == 1

    def test_while_it_connects_it_leaves_nothing_open(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

        def slowly(*arguments: Any, **more: Any) -> Tiu:
            begun.set()
            assert go_on.wait(60)
            return connect(*arguments, **more)

        close = Tiu.close

        def told(tiu: Tiu) -> None:
            close(tiu)
            closed.set()

        monkeypatch.setattr("claude_tiu.infrastructure.async_tiu.connect", slowly)
        monkeypatch.setattr(Tiu, "close", told)

        async def story() -> None:
            async def connecting() -> None:
                async with aconnect(backend.url):
                    pass

            task = asyncio.create_task(connecting())
            while not begun.is_set():
                await asyncio.sleep(0.001)
            await cancel(task)

        run(story)
        assert not closed.is_set()
        go_on.set()
        assert closed.wait(60)


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestClosed:
    def test_it_says_so(self, backend: Backend) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                waits = asyncio.create_task(tiu.wait_for(1, 60))
                await tiu.read.projects()
                while not tiu._waiting._waits:
                    await asyncio.sleep(0.001)
            for call in (waits, tiu.execute(create_user()), tiu.read.projects(), tiu.wait_for(1)):
                with pytest.raises(ConnectionClosed):
                    await call
            await tiu.close()  # once more does nothing

        run(story)

    def test_no_thread_stays(self, backend: Backend) -> None:
        before = set(threading.enumerate())

        async def story() -> None:
            async with aconnect(backend.url) as tiu:
                await tiu.wait_for(await tiu.execute(create_user()))

        run(story)
        until(lambda: set(threading.enumerate()) <= before)
