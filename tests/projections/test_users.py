"""users and user_sessions: rows follow their events, and forgotten users' rows stay without what was personal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.domain.messages import Event
from claude_tiu.domain.session import SessionEnded, SessionStarted
from claude_tiu.domain.user import (
    EmailChanged,
    PasswordChanged,
    PreferencesChanged,
    RoleChanged,
    UserCreated,
    UserDeactivated,
    UserForgotten,
    UserReactivated,
    UserRenamed,
)
from claude_tiu.projections.fold import Fold
from claude_tiu.projections.projection import Operation, Update
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.users import HANDLERS
from claude_tiu.projections.write_side import write_side_changes
from tests.domain.given import AT, SESSION_ID, USER_ID, uid
from tests.projections.telling import Changes, Told, minutes

HASH = "$2b$12$0123456789abcdef"
LATER = minutes(5)
CREATED = UserCreated(
    occurred_at=AT,
    username="ana",
    email="ana@example.org",
    password_hash=HASH,
    role="viewer",
    preferences={"theme": "dark"},
)
ROW = {
    "id": USER_ID,
    "username": "ana",
    "email": "ana@example.org",
    "password_hash": HASH,
    "role": "viewer",
    "preferences": {"theme": "dark"},
    "created_at": AT,
    "updated_at": AT,
    "last_login": None,
    "is_active": True,
}
FORGOTTEN = {
    "username": f"forgotten:{USER_ID}",
    "email": f"forgotten:{USER_ID}",
    "password_hash": "!",
    "is_active": False,
}


def with_user() -> Told:
    told = Told()
    told.tell(CREATED, USER_ID, None)
    return told


def started(at: datetime = LATER, token_hash: str = "t" * 32) -> SessionStarted:
    return SessionStarted(
        occurred_at=at,
        user_id=USER_ID,
        token_hash=token_hash,
        expires_at=at + timedelta(hours=1),
        metadata={"address": "192.0.2.7"},
    )


def test_a_user_is_a_row() -> None:
    assert Told().tell(CREATED, USER_ID, None) == {"users": Changes([ROW])}


@pytest.mark.parametrize(
    ("event", "values"),
    [
        (UserRenamed(occurred_at=LATER, username="eve"), {"username": "eve"}),
        (EmailChanged(occurred_at=LATER, email="eve@example.org"), {"email": "eve@example.org"}),
        (PasswordChanged(occurred_at=LATER, password_hash="$y$"), {"password_hash": "$y$"}),  # noqa: S106 - of nobody
        (RoleChanged(occurred_at=LATER, role="admin"), {"role": "admin"}),
        (PreferencesChanged(occurred_at=LATER, preferences={"a": 1}), {"preferences": {"a": 1}}),
        (UserDeactivated(occurred_at=LATER), {"is_active": False}),
        (UserReactivated(occurred_at=LATER), {"is_active": True}),
        (UserForgotten(occurred_at=LATER), FORGOTTEN),
    ],
    ids=lambda value: str(value.topic) if isinstance(value, Event) else "",
)
def test_what_happens_to_a_user_changes_the_row_and_its_time(event: Event, values: dict[str, Any]) -> None:
    assert with_user().tell(event, USER_ID, None) == {
        "users": Changes(updates={USER_ID: {**values, "updated_at": LATER}})
    }


def test_every_event_of_users_and_sessions_is_told() -> None:
    assert HANDLERS.keys() == {type(event) for event in EVENTS}


class TestSessions:
    def test_a_session_is_a_row_and_a_login(self) -> None:
        assert with_user().tell(started(), SESSION_ID, None) == {
            "users": Changes(updates={USER_ID: {"last_login": LATER, "updated_at": LATER}}),
            "user_sessions": Changes(
                [
                    {
                        "id": SESSION_ID,
                        "user_id": USER_ID,
                        "token_hash": "t" * 32,
                        "expires_at": minutes(65),
                        "metadata": {"address": "192.0.2.7"},
                        "created_at": LATER,
                    }
                ]
            ),
        }

    def test_the_last_login_is_that_of_the_last_event_though_clocks_fall(self) -> None:
        told = with_user()
        told.tell(started(), SESSION_ID, None)
        told.tell(started(minutes(-5)), uid("another session"), None)
        row = told.tables["users"][USER_ID]
        assert (row["last_login"], row["updated_at"]) == (minutes(-5), minutes(-5))

    def test_its_end_deletes_the_row_if_there_is_one(self) -> None:
        """Retention may have deleted it, whatever the times say: no change of a row by its key would do."""
        told = with_user()
        told.tell(started(), SESSION_ID, None)
        assert told.tell(SessionEnded(occurred_at=minutes(6), user_id=USER_ID), SESSION_ID, None) == {}
        assert told.operations == [Operation("end_session", {"session_id": SESSION_ID})]


class TestForgetting:
    def test_every_session_of_the_user_goes(self) -> None:
        told = with_user()
        told.tell(UserForgotten(occurred_at=LATER), USER_ID, None)
        assert told.operations == [Operation("forget_user", {"user_id": USER_ID})]

    def test_the_rest_of_the_row_stays(self) -> None:
        told = with_user()
        told.tell(started(minutes(1)), SESSION_ID, None)
        told.tell(UserForgotten(occurred_at=LATER), USER_ID, None)
        row = told.tables["users"][USER_ID]
        assert row == {**ROW, **FORGOTTEN, "last_login": minutes(1), "updated_at": LATER}

    @given(st.data())
    def test_a_rebuild_without_the_key_comes_to_the_same_row(self, data: st.DataObject) -> None:
        """Live, the events came with what is personal; now the key is destroyed."""
        live, rebuilt = Told(), Told()
        history = [CREATED, *data.draw(st.lists(st.sampled_from(EVENTS[1:-2]), max_size=8)), EVENTS[-1]]
        for number, event in enumerate(history):
            stream = uid(f"session {number}") if isinstance(event, SessionStarted) else USER_ID
            at = event.model_copy(update={"occurred_at": minutes(number)})
            live.tell(at, stream, None)
            rebuilt.tell(at.model_copy(update=type(event).forgotten(USER_ID)), stream, None)
        assert rebuilt.tables["users"] == live.tables["users"]
        assert rebuilt.operations == live.operations == [Operation("forget_user", {"user_id": USER_ID})]


EVENTS: tuple[Event, ...] = (
    CREATED,
    UserRenamed(occurred_at=AT, username="eve"),
    EmailChanged(occurred_at=AT, email="eve@example.org"),
    PasswordChanged(occurred_at=AT, password_hash="$y$"),  # noqa: S106 - of nobody
    RoleChanged(occurred_at=AT, role="admin"),
    PreferencesChanged(occurred_at=AT, preferences={"a": 1}),
    UserDeactivated(occurred_at=AT),
    UserReactivated(occurred_at=AT),
    started(),
    SessionEnded(occurred_at=AT, user_id=USER_ID),
    UserForgotten(occurred_at=AT),
)


class TestUniqueValues:
    """A batch closes before a value that an update released is taken again: both databases check each statement."""

    @pytest.mark.parametrize(
        "release",
        [UserRenamed(occurred_at=AT, username="eve"), UserForgotten(occurred_at=AT)],
        ids=lambda event: str(event.topic),
    )
    @pytest.mark.parametrize("taken", ["by a new user", "by another"])
    def test_a_name_that_was_released_is_taken_in_a_batch_of_its_own(self, release: Event, taken: str) -> None:
        told, fold = with_user(), Fold(READ_MODEL.tables)
        for change in HANDLERS[type(release)](told.next(release, USER_ID, None), release, told):
            if not isinstance(change, Operation):
                assert not fold.must_close(change)
                fold.add(change)
        other = uid("other user")
        event: Event = CREATED if taken == "by a new user" else UserRenamed(occurred_at=AT, username="ana")
        (change,) = HANDLERS[type(event)](told.next(event, other, None), event, told)
        assert not isinstance(change, Operation)
        assert fold.must_close(change)

    def test_what_is_not_unique_keeps_it_open(self) -> None:
        fold = Fold(READ_MODEL.tables)
        fold.add(Update("users", USER_ID, {"username": "eve", "updated_at": AT}))
        assert not fold.must_close(Update("users", uid("other user"), {"last_login": AT, "updated_at": AT}))


class TestWriteSide:
    def test_a_name_or_an_email_that_is_given_up_is_released(self) -> None:
        renamed, changed = EVENTS[1:3]
        assert write_side_changes(USER_ID, None, renamed) == [{"op": "release", "id": USER_ID, "space": "username"}]
        assert write_side_changes(USER_ID, None, changed) == [{"op": "release", "id": USER_ID, "space": "email"}]

    def test_forgetting_releases_both_and_destroys_the_key(self) -> None:
        changes = write_side_changes(USER_ID, None, UserForgotten(occurred_at=AT))
        assert {change["op"]: change for change in changes} == {
            "release": {"op": "release", "id": USER_ID, "space": None},
            "destroy_key": {"op": "destroy_key", "id": USER_ID},
        }

    @pytest.mark.parametrize(
        "event", [e for e in EVENTS if not isinstance(e, UserRenamed | EmailChanged | UserForgotten)]
    )
    def test_nothing_else_changes_it(self, event: Event) -> None:
        assert write_side_changes(USER_ID, None, event) == []
