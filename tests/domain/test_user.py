"""A user: created once, and nothing of a person's own stays in the state or in an error."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from claude_tiu.domain.errors import AlreadyExists
from claude_tiu.domain.user import USER, CreateUser, UserCreated
from claude_tiu.domain.values import Role
from tests.domain.given import AT, NEW_ID, USER_ID, given

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
CREATE = CreateUser(user_id=USER_ID, username="ada", email="ada@example.org", password_hash=HASH)
CREATED = UserCreated(
    occurred_at=AT, username="ada", email="ada@example.org", password_hash=HASH, role="developer", preferences={}
)


def test_a_user_is_created_a_developer_unless_told_otherwise() -> None:
    assert given(USER).when(CREATE).then([CREATED]).role == "developer"


@pytest.mark.parametrize("role", ["admin", "developer", "viewer"])
def test_a_role_is_data(role: Role) -> None:
    command = CreateUser(
        username="ada", email="ada@example.org", password_hash=HASH, role=role, preferences={"theme": "dark"}
    )
    event = CREATED.model_copy(update={"role": role, "preferences": {"theme": "dark"}})
    assert given(USER).when(command).then([event]).role == role


def test_a_new_id_may_be_left_out() -> None:
    command = CreateUser(username="ada", email="ada@example.org", password_hash=HASH)
    given(USER).when(command).then([CREATED])
    assert command.stamped(at=AT, command_id=NEW_ID, new_id=NEW_ID).user_id == NEW_ID


def test_an_id_is_given_once() -> None:
    refusal = given(USER, [CREATED]).when(CREATE).then_refused(AlreadyExists, id=USER_ID)
    assert "ada" not in str(refusal.as_json())


def test_no_state_holds_what_is_personal() -> None:
    state = given(USER).when(CREATE).then([CREATED])
    assert asdict(state) == {"role": "developer"}


def test_what_is_personal_is_named_alike_by_the_command_and_its_event() -> None:
    assert CreateUser.personal == UserCreated.personal == {"username", "email", "password_hash"}


def test_names_and_emails_are_unique_in_the_whole_store() -> None:
    assert UserCreated.unique == ("username", "email")
