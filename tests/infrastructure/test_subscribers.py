"""Subscribers of one name, and what an operator, another store or an outage does to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from claude_tiu import (
    CheckpointRefused,
    CreateProject,
    InvalidSubscription,
    StoreReplaced,
    StoreUnavailable,
    SubscriptionFailed,
    TaskAdded,
    Tiu,
    connect,
)
from claude_tiu.infrastructure import consumer
from tests.support.candidates import until
from tests.support.history import PROJECT, USER, create_user
from tests.support.stores import Backend, append, event
from tests.support.subscribing import NAME, Following, add, positions
from tests.support.tampering import without_triggers


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    """A connection to a database with a user (1) and a project (2)."""
    with connect(backend.url, project=False) as made:
        made.execute_all([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")])
        yield made


class TestOneIsActive:
    def test_and_another_takes_over(self, backend: Backend, tiu: Tiu) -> None:
        with connect(backend.url, project=False) as elsewhere:
            one = Following(tiu)
            until(lambda: one.seen == [1, 2])
            with closing(Following(elsewhere)) as two:
                add(tiu, "a")
                until(lambda: one.seen == [1, 2, 3])
                assert two.seen == []
                assert (one.subscription.active, two.subscription.active) == (True, False)
                one.close()
                add(tiu, "b")
                until(lambda: two.seen == [4])
                (status,) = tiu.subscriptions()
                assert status.active is not None
                assert status.active.fence == 2

    def test_of_each_name(self, tiu: Tiu) -> None:
        with closing(Following(tiu)) as one, closing(Following(tiu, "other")) as two:
            until(lambda: one.seen == two.seen == [1, 2])

    def test_and_who_stands_by_ends_where_another_has_come_to_the_end(self, tiu: Tiu) -> None:
        with closing(Following(tiu)) as one, closing(Following(tiu, until_end=True)) as two:
            until(lambda: one.seen + two.seen == [1, 2])
            until(two.ended)

    def test_and_who_stands_by_can_be_stopped(self, tiu: Tiu) -> None:
        with closing(Following(tiu)) as one:
            until(lambda: one.seen == [1, 2])
            two = Following(tiu)
            two.close()
            assert two.error is None


class TestMoved:
    def test_on_it_leaves_out_what_is_between(self, tiu: Tiu) -> None:
        add(tiu, "a", "b")
        tiu.subscribe(NAME)
        tiu.skip_subscription(NAME, 3)
        assert positions(tiu) == [4]

    def test_back_it_delivers_again(self, tiu: Tiu) -> None:
        assert positions(tiu) == [1, 2]
        tiu.rewind_subscription(NAME, 1)
        assert positions(tiu) == [2]
        tiu.rewind_subscription(NAME, 0)
        assert positions(tiu) == [1, 2]

    def test_while_it_is_consumed_it_is_seen(self, tiu: Tiu) -> None:
        with closing(Following(tiu)) as following:
            until(lambda: tiu.subscriptions()[0].position == 2)
            tiu.rewind_subscription(NAME, 0)
            until(lambda: following.seen == [1, 2, 1, 2])

    def test_in_the_midst_of_a_delivery_it_counts(self, tiu: Tiu) -> None:
        add(tiu, "a", "b")
        with tiu.subscribe(NAME, until_end=True) as subscription:
            deliveries = iter(subscription)
            assert next(deliveries).position == 1
            tiu.skip_subscription(NAME, 3)
            until(lambda: next(deliveries).position == 4)
            assert [*deliveries] == []

    def test_the_other_way_or_out_of_the_log_it_is_refused(self, tiu: Tiu) -> None:
        assert positions(tiu) == [1, 2]
        for move, where in [(tiu.skip_subscription, (1, 2, 3)), (tiu.rewind_subscription, (2, 3))]:
            for position in where:
                with pytest.raises(InvalidSubscription):
                    move(NAME, position)
        assert tiu.subscriptions()[0].position == 2

    def test_to_no_position_it_is_refused(self, tiu: Tiu) -> None:
        tiu.subscribe(NAME)
        wrong: list[Any] = [-1, True, 1.0, "1", None, 2**70]
        for position in wrong:
            with pytest.raises(InvalidSubscription):
                tiu.skip_subscription(NAME, position)

    def test_there_must_be_one(self, tiu: Tiu) -> None:
        for name in ("none", "'", "\x00", ""):
            for call in (
                partial(tiu.skip_subscription, name, 1),
                partial(tiu.rewind_subscription, name, 0),
                partial(tiu.remove_subscription, name),
            ):
                with pytest.raises(InvalidSubscription, match="there is no subscription"):
                    call()

    def test_away_it_ends_its_consumer_and_begins_anew(self, tiu: Tiu) -> None:
        with closing(Following(tiu)) as following:
            until(lambda: tiu.subscriptions()[0].position == 2)
            tiu.remove_subscription(NAME)
            until(following.ended)
            assert isinstance(following.error, InvalidSubscription)
        assert tiu.subscriptions() == []
        assert positions(tiu) == [1, 2]


class TestUnreadable:
    def test_it_stops_before_it_and_says_so(self, tiu: Tiu) -> None:
        append(tiu.events, event(topic="test.of_newer_code.v1"))
        add(tiu, "a")
        seen: list[int] = []

        def consume() -> None:
            for delivery in tiu.subscribe(NAME):
                seen.append(delivery.position)

        for _ in range(2):
            with pytest.raises(SubscriptionFailed, match=r"before position 3 \(test\.of_newer_code\.v1\)") as caught:
                consume()
        assert caught.value.details["position"] == 3
        assert f"`tiu subscriptions skip {NAME} 3`" in caught.value.message
        assert seen == [1, 2], "what came before is done"
        assert tiu.subscriptions()[0].position == 2
        tiu.skip_subscription(NAME, 3)
        assert positions(tiu) == [4]

    def test_it_is_no_matter_where_it_is_not_wanted(self, tiu: Tiu) -> None:
        append(tiu.events, event(topic="test.of_newer_code.v1"))
        add(tiu, "a")
        assert positions(tiu, topics=TaskAdded) == [4]


class TestAnotherStore:
    """As tests/infrastructure/test_replaced_stores.py has it for projectors."""

    @pytest.mark.parametrize("running", [False, True])
    def test_it_refuses_and_goes_on_from_where_it_is_told(self, backend: Backend, tiu: Tiu, running: bool) -> None:
        with closing(Following(tiu)) if running else closing(tiu.subscribe(NAME)) as following:
            if isinstance(following, Following):
                until(lambda: tiu.subscriptions()[0].position == 2)
            else:
                assert positions(tiu) == [1, 2]
            backend.on_events("UPDATE store SET epoch = ?", uuid4())
            if isinstance(following, Following):
                until(following.ended)
                assert isinstance(following.error, StoreReplaced)
        with connect(backend.url, project=False) as other:
            with pytest.raises(CheckpointRefused, match="another event store"):
                positions(other)
            assert "another event store" in (other.subscriptions()[0].refused or "")
            other.rewind_subscription(NAME, 1)
            assert positions(other) == [2]

    def test_it_refuses_where_the_log_is_another_one(self, backend: Backend, tiu: Tiu) -> None:
        with closing(Following(tiu)) as following:
            until(lambda: tiu.subscriptions()[0].position == 2)
            without_triggers(backend)
            backend.on_events("DELETE FROM events WHERE position = 2")
            until(following.ended)
            assert isinstance(following.error, CheckpointRefused)
        with pytest.raises(CheckpointRefused, match="a longer or another history"):
            positions(tiu)
        tiu.rewind_subscription(NAME, 0)
        assert positions(tiu) == [1]


def test_a_rebuild_leaves_it_where_it_is(tiu: Tiu) -> None:
    assert positions(tiu) == [1, 2]
    tiu.catch_up()
    tiu.rebuild()
    add(tiu, "a")
    assert positions(tiu) == [3]


def test_it_waits_for_a_store_that_is_away(tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done meanwhile is not delivered again."""
    monkeypatch.setattr(consumer, "RETRY_SECONDS", 0.01)
    away = threading.Event()
    move = tiu._consumers._subscriptions.move

    def moved(*arguments: Any) -> bool:
        if away.is_set():
            raise StoreUnavailable("away")
        return move(*arguments)

    monkeypatch.setattr(tiu._consumers._subscriptions, "move", moved)
    away.set()
    with closing(Following(tiu)) as following:
        until(lambda: following.seen == [1, 2])
        time.sleep(0.1)
        away.clear()
        until(lambda: tiu.subscriptions()[0].position == 2)
        add(tiu, "a")
        until(lambda: following.seen == [1, 2, 3])
