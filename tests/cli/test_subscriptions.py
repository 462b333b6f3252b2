"""`tiu subscriptions`: how far each is, letting one go on elsewhere, or go; and who else tells of it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from claude_tiu import connect
from claude_tiu.infrastructure import doctor
from tests.cli.running import done, refused, tiu
from tests.support.history import create_user
from tests.support.stores import Backend


@pytest.fixture
def subscribed(db: Backend) -> Backend:
    """Two subscriptions in a log of two events: one has both, one the first."""
    with connect(db.url, project=False) as made:
        made.execute_all([create_user("ada"), create_user("bob")])
        assert len([*made.subscribe("all", until_end=True)]) == 2
        made.subscribe("mails", "user.created.v1", from_=2)
        made.catch_up()
    return db


def test_list_shows_each(subscribed: Backend) -> None:
    found = done("subscriptions", "list", "--db", subscribed.url, "--json").json
    told = [(one["name"], one["position"], one["last_position"], one["behind"], one["active"]) for one in found]
    assert told == [("all", 2, 2, 0, None), ("mails", 1, 2, 1, None)]
    assert [one["topics"] for one in found] == [None, ["user.created.v1"]]
    shown = done("subscriptions", "list", "--db", subscribed.url).out
    assert "mails" in shown
    assert "moved at" in shown


def test_list_says_who_consumes_it_and_that_there_are_none(db: Backend) -> None:
    assert done("subscriptions", "list", "--db", db.url).out == "no subscriptions\n"
    assert done("subscriptions", "list", "--db", db.url, "--json").json == []
    with connect(db.url, project=False) as made:
        made.execute(create_user("ada"))
        with made.subscribe("mails") as subscription:
            deliveries = iter(subscription)
            next(deliveries)
            (one,) = done("subscriptions", "list", "--db", db.url, "--json").json
            assert (one["active"]["fence"], one["active"]["active"]) == (1, True)
            assert f":{one['active']['pid']}" in done("subscriptions", "list", "--db", db.url).out


def test_it_moves_and_removes(subscribed: Backend) -> None:
    here = ("--db", subscribed.url)
    assert done("subscriptions", "skip", "mails", 2, *here).out == "mails goes on behind position 2\n"
    assert done("subscriptions", "rewind", "mails", 0, *here, "--json").json == {"name": "mails", "position": 0}
    assert done("subscriptions", "remove", "all", *here, "--json").json == {"removed": "all"}
    assert done("subscriptions", "remove", "mails", *here).out == "mails is removed\n"
    assert done("subscriptions", "list", *here, "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("skip", "all", 2), "all stands at position 2: 2 is not behind that"),
        (("skip", "all", 3), "all: there is no position 3: the log ends at 2"),
        (("rewind", "all", 2), "all stands at position 2: 2 is not before that"),
        (("remove", "none"), "there is no subscription 'none'"),
        (("skip", "../x", 1), "there is no subscription '../x'"),
    ],
)
def test_what_cannot_be_is_one_clear_error(subscribed: Backend, arguments: tuple[object, ...], said: str) -> None:
    assert said in refused("subscriptions", *arguments, "--db", subscribed.url)


def test_the_doctor_tells_of_each_and_of_one_that_nobody_consumes(
    subscribed: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "MOVING_SECONDS", 0.2)
    ran = tiu("doctor", "--db", subscribed.url, "--json")
    assert ran.status == 1
    found = ran.json["subscriptions"]
    assert found["ok"] is False
    assert found["problem"].startswith("mails is 1 events behind, and nobody consumes it")
    assert [(one["name"], one["behind"]) for one in found["found"]] == [("all", 0), ("mails", 1)]
    assert done("subscriptions", "skip", "mails", 2, "--db", subscribed.url).status == 0
    assert "mails at position 2" in done("doctor", "--db", subscribed.url).out.replace("\n", " ").replace("  ", " ")


def test_the_doctor_tells_of_one_of_another_store(subscribed: Backend) -> None:
    subscribed.on_events("UPDATE subscriptions SET epoch = ?", uuid4())
    found = tiu("doctor", "--db", subscribed.url, "--json").json["subscriptions"]
    assert "all came to position 2 of another event store" in found["problem"]
    assert "another event store" in done("subscriptions", "list", "--db", subscribed.url).out
