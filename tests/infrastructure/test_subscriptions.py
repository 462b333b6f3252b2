"""The contract of durable subscriptions: what is delivered, when it is done, where one goes on, who is active."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from claude_tiu import (
    AddTask,
    CreateProject,
    ForgetUser,
    InvalidSubscription,
    ProjectCreated,
    StoreUnavailable,
    TaskAdded,
    TaskCompleted,
    Tiu,
    UserCreated,
    connect,
)
from claude_tiu.domain import registry
from claude_tiu.domain.messages import event_id
from claude_tiu.infrastructure import consumer
from tests.support.candidates import until
from tests.support.history import EVENTS, PROJECT, USER, create_user, store_history, uid
from tests.support.stores import Backend, append, event
from tests.support.subscribing import NAME, Following, add, positions


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    """A connection to a database with a user (1) and a project (2)."""
    with connect(backend.url, project=False) as made:
        made.execute_all([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")])
        yield made


class TestADelivery:
    def test_is_the_event_with_what_the_log_knows_of_it(self, tiu: Tiu) -> None:
        command = AddTask(
            task_id=uid("t"), project_id=PROJECT, name="T", command_id=uuid4(), actor="ada", correlation_id="c",
            causation_id="why",
        )  # fmt: skip
        before = datetime.now(UTC) - timedelta(seconds=60)
        tiu.execute(command)
        (delivery,) = tiu.subscribe(NAME, TaskAdded, until_end=True)
        assert delivery.event.name == "T"
        assert (delivery.subscription, delivery.position, delivery.version) == (NAME, 3, 1)
        assert (delivery.stream_id, delivery.kind, delivery.project_id) == (uid("t"), "task", PROJECT)
        assert delivery.id == event_id(uid("t"), 1)
        assert delivery.topic == "task.added.v1"
        assert delivery.command_id == command.command_id
        assert (delivery.actor, delivery.correlation_id, delivery.causation_id) == ("ada", "c", "why")
        assert before < delivery.recorded_at < before + timedelta(seconds=120)

    def test_has_the_same_key_each_time_and_another_under_another_name(self, tiu: Tiu) -> None:
        def keys(name: str) -> list[Any]:
            with tiu.subscribe(name, until_end=True) as subscription:
                return [next(iter(subscription)).idempotency_key for _ in range(2)]

        one, again = keys(NAME)
        assert one == again
        assert one not in keys("other")
        assert len({delivery.idempotency_key for delivery in tiu.subscribe(NAME, until_end=True)}) == 2

    def test_has_personal_data_as_long_as_there_is_a_key(self, tiu: Tiu) -> None:
        (known,) = tiu.subscribe(NAME, UserCreated, until_end=True)
        assert (known.event.username, known.event.email) == ("ada", "ada@example.org")
        assert "ada" not in repr(known)
        tiu.execute(ForgetUser(user_id=USER))
        (forgotten,) = tiu.subscribe("other", UserCreated, until_end=True)
        assert forgotten.event.username == f"forgotten:{USER}"

    def test_of_a_person_who_is_forgotten_while_it_waits_has_none(self, tiu: Tiu) -> None:
        """It was read already, with the one before it."""
        tiu.execute(create_user("bob", user_id=uid("bob")))
        with tiu.subscribe(NAME, UserCreated, until_end=True) as subscription:
            deliveries = iter(subscription)
            assert next(deliveries).event.username == "ada"
            tiu.execute(ForgetUser(user_id=uid("bob")))
            assert next(deliveries).event.username == f"forgotten:{uid('bob')}"

    def test_of_all_events_of_every_kind_is_typed(self, backend: Backend) -> None:
        store_history(backend.events())
        with connect(backend.url, project=False) as tiu:
            found = [*tiu.subscribe(NAME, until_end=True)]
        assert [delivery.position for delivery in found] == [*range(1, EVENTS + 1)]
        assert all(type(delivery.event) is registry.EVENTS[delivery.topic] for delivery in found)


class TestTopics:
    def test_are_classes_of_events_or_their_topics(self, tiu: Tiu) -> None:
        add(tiu, "a", "b")
        assert positions(tiu, "a", topics=TaskAdded) == [3, 4]
        assert positions(tiu, "b", topics="task.added.v1") == [3, 4]
        assert positions(tiu, "c", topics=[UserCreated, "task.added.v1"]) == [1, 3, 4]
        assert positions(tiu, "d", topics=(ProjectCreated, TaskCompleted)) == [2]

    def test_of_a_class_are_its_older_forms_too(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.UPCASTERS, "task.added.v0", ("task.added.v1", lambda body: body))
        add(tiu, "a")
        body = tiu.events.load(uid("a"))[0].state
        append(tiu.events, event(topic="task.added.v0", state=body, project_id=PROJECT))
        assert positions(tiu, topics=TaskAdded) == [3, 4]
        assert positions(tiu, "other", topics="task.added.v0") == [3, 4]

    def test_may_be_others_later_and_count_from_where_it_stands(self, tiu: Tiu) -> None:
        add(tiu, "a")
        assert positions(tiu, topics=UserCreated) == [1]
        assert positions(tiu, topics=TaskAdded) == []
        add(tiu, "b")
        assert positions(tiu, topics=[TaskAdded, UserCreated]) == [4]
        (status,) = tiu.subscriptions()
        assert status.topics == ["task.added.v1", "user.created.v1"]


class TestItBegins:
    def test_at_the_start(self, tiu: Tiu) -> None:
        assert positions(tiu) == [1, 2]

    def test_behind_what_there_is(self, tiu: Tiu) -> None:
        with tiu.subscribe(NAME, from_="now"):
            pass
        add(tiu, "a")
        assert positions(tiu) == [3]

    def test_at_a_position(self, tiu: Tiu) -> None:
        assert positions(tiu, from_=2) == [2]
        assert positions(tiu, "other", from_=3) == []

    def test_with_what_was_recorded_from_a_time_on(self, tiu: Tiu) -> None:
        add(tiu, "a")
        *_, last = tiu.subscribe(NAME, until_end=True)
        assert positions(tiu, "a", from_=last.recorded_at) == [3]
        assert positions(tiu, "b", from_=last.recorded_at + timedelta(microseconds=1)) == []
        assert positions(tiu, "c", from_=datetime(2020, 1, 1, tzinfo=UTC)) == [1, 2, 3]

    def test_there_only_if_it_is_new(self, tiu: Tiu) -> None:
        assert positions(tiu) == [1, 2]
        add(tiu, "a")
        assert positions(tiu, from_="start") == [3]
        add(tiu, "b")
        assert positions(tiu, from_="now") == [4]

    @pytest.mark.parametrize("from_", [4, 2**70])
    def test_not_behind_the_end(self, tiu: Tiu, from_: int) -> None:
        with pytest.raises(InvalidSubscription, match="the log ends at 2"):
            tiu.subscribe(NAME, from_=from_)
        assert tiu.subscriptions() == []


class TestItIsDone:
    def test_when_the_next_is_asked_for(self, tiu: Tiu) -> None:
        add(tiu, "a")
        with tiu.subscribe(NAME) as subscription:
            deliveries = iter(subscription)
            assert [next(deliveries).position for _ in range(2)] == [1, 2]
        assert positions(tiu) == [2, 3]

    def test_not_where_the_body_raised_or_broke_off(self, tiu: Tiu) -> None:
        def consume() -> None:
            for delivery in tiu.subscribe(NAME):
                assert delivery.position == 1
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            consume()
        for delivery in tiu.subscribe(NAME):
            assert delivery.position == 1
            break
        assert positions(tiu) == [1, 2]

    def test_where_it_says_so(self, tiu: Tiu) -> None:
        for delivery in tiu.subscribe(NAME):
            delivery.done()
            break
        assert positions(tiu) == [2]

    def test_when_it_is_stopped_behind_it(self, tiu: Tiu) -> None:
        subscription = tiu.subscribe(NAME)
        for delivery in subscription:
            assert delivery.position == 1
            subscription.stop()
        assert [*subscription] == [], "it stays stopped"
        assert positions(tiu) == [2]

    def test_is_stored_at_the_latest_behind_so_many(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a process that dies leaves it."""
        monkeypatch.setattr(consumer, "SAVE_EVERY", 3)
        monkeypatch.setattr(consumer, "SAVE_SECONDS", 3600)
        add(tiu, "a", "b", "c")
        with tiu.subscribe(NAME) as subscription:
            deliveries, stored = iter(subscription), []
            for _ in range(5):
                next(deliveries)
                stored.append(tiu.subscriptions()[0].position)
        assert stored == [0, 0, 0, 3, 3]

    def test_is_stored_at_the_latest_after_some_time(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumer, "SAVE_SECONDS", 0)
        with tiu.subscribe(NAME) as subscription:
            deliveries = iter(subscription)
            next(deliveries)
            next(deliveries)
            assert tiu.subscriptions()[0].position == 1

    def test_is_stored_when_nothing_more_waits(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumer, "SAVE_SECONDS", 3600)
        with closing(Following(tiu)) as following:
            until(lambda: tiu.subscriptions()[0].position == 2)
        assert following.seen == [1, 2]


class TestWhatIsNotWanted:
    def test_is_passed_over_for_good(self, tiu: Tiu) -> None:
        add(tiu, "a", "b")
        assert positions(tiu, topics=UserCreated) == [1]
        assert tiu.subscriptions()[0].position == 4

    def test_is_passed_over_window_by_window(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumer, "WINDOW", 2)
        monkeypatch.setattr(consumer, "PAGE", 1)
        add(tiu, *"abcdefg")
        tiu.execute(create_user("bob"))
        with tiu.subscribe(NAME, UserCreated) as subscription:
            deliveries = iter(subscription)
            assert next(deliveries).position == 1
            assert next(deliveries).position == 10
            assert tiu.subscriptions()[0].position in (8, 9)
        assert positions(tiu, "all") == [*range(1, 11)]

    def test_is_passed_over_while_it_waits(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumer, "PASS_SECONDS", 0)
        with closing(Following(tiu, topics=TaskCompleted)) as following:
            until(lambda: tiu.subscriptions()[0].behind == 0)
            add(tiu, "a")
            until(lambda: tiu.subscriptions()[0].position == 3)
        assert following.seen == []

    def test_does_not_carry_it_over_what_is(self, tiu: Tiu) -> None:
        """The delivery at hand is not done, though all behind it is looked through."""
        for delivery in tiu.subscribe(NAME, ProjectCreated):
            assert delivery.position == 2
            break
        assert tiu.subscriptions()[0].position < 2
        assert positions(tiu, topics=ProjectCreated) == [2]


class TestWhatComes:
    def test_is_delivered_when_it_is_stored(self, tiu: Tiu, backend: Backend) -> None:
        with closing(Following(tiu, from_="now")) as following, connect(backend.url, project=False) as other:
            until(lambda: following.subscription.active)
            add(other, "a")
            until(lambda: following.seen == [3])
            add(tiu, "b")
            until(lambda: following.seen == [3, 4])

    def test_is_not_delivered_before_it_is_on_disk(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed = threading.Event()
        asked = threading.Event()

        def flush() -> None:
            asked.set()
            if not flushed.wait(0.01):
                raise StoreUnavailable("not yet")

        tiu.subscribe(NAME)
        tiu.execute(create_user("bob"))
        monkeypatch.setattr(tiu.events, "flush", flush)
        monkeypatch.setattr(consumer, "RETRY_SECONDS", 0.01)
        with closing(Following(tiu)) as following:
            until(asked.is_set)
            assert following.seen == []
            flushed.set()
            until(lambda: following.seen == [1, 2, 3])

    def test_ends_where_the_log_ended_when_it_began(self, tiu: Tiu) -> None:
        with tiu.subscribe(NAME, until_end=True) as subscription:
            seen = []
            for delivery in subscription:
                seen.append(delivery.position)
                add(tiu, f"task {delivery.position}")
        assert seen == [1, 2]
        assert positions(tiu) == [3, 4]

    def test_ends_at_once_in_an_empty_log(self, backend: Backend) -> None:
        with connect(backend.url, project=False) as tiu:
            assert positions(tiu) == []
            assert positions(tiu, "now", from_="now") == []


class TestItEnds:
    def test_by_a_signals_handler(self, tiu: Tiu) -> None:
        subscription = tiu.subscribe(NAME)
        before = signal.signal(signal.SIGUSR2, lambda *_: subscription.stop())

        def tell() -> None:
            until(lambda: tiu.subscriptions()[0].position == 2)  # it waits for more
            signal.raise_signal(signal.SIGUSR2)

        telling = threading.Thread(target=tell)
        telling.start()
        try:
            assert [delivery.position for delivery in subscription] == [1, 2]
        finally:
            telling.join()
            signal.signal(signal.SIGUSR2, before)

    def test_with_its_connection(self, backend: Backend, tiu: Tiu) -> None:
        other = connect(backend.url, project=False)
        following = Following(other)
        until(lambda: following.seen == [1, 2])
        other.close()
        until(following.ended)
        assert following.error is None
        assert tiu.subscriptions()[0].position == 2
        assert tiu.subscriptions()[0].active is None

    def test_and_leaves_nothing_open(self, tiu: Tiu) -> None:
        before = set(threading.enumerate())
        positions(tiu)
        for _ in tiu.subscribe("other"):
            break
        until(lambda: set(threading.enumerate()) <= before)

    def test_and_may_begin_again(self, tiu: Tiu) -> None:
        with tiu.subscribe(NAME) as subscription:
            assert [next(iter(subscription)).position for _ in range(3)] == [1, 1, 1]

    def test_before_it_is_iterated_twice(self, tiu: Tiu) -> None:
        with tiu.subscribe(NAME) as subscription:
            deliveries = iter(subscription)
            next(deliveries)
            with pytest.raises(RuntimeError, match="iterated already"):
                next(iter(subscription))
