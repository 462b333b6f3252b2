"""A user: created, changed, forgotten; and nothing of a person's own stays in the state or in an error."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import product
from typing import Any

import pytest
from hypothesis import given as any_given
from hypothesis import strategies as st

from claude_tiu.domain.errors import AlreadyExists, InvalidCommand, NotFound, Refused, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project import PROJECT, CreateProject
from claude_tiu.domain.template import TEMPLATE, CreateTemplate, TemplateCreated
from claude_tiu.domain.user import (
    USER,
    ChangeEmail,
    ChangePassword,
    ChangePreferences,
    ChangeRole,
    CreateUser,
    DeactivateUser,
    EmailChanged,
    ForgetUser,
    PasswordChanged,
    PreferencesChanged,
    ReactivateUser,
    RenameUser,
    RoleChanged,
    UserCreated,
    UserDeactivated,
    UserForgotten,
    UserReactivated,
    UserRenamed,
    decide,
    forgotten_values,
)
from claude_tiu.domain.user_state import User
from claude_tiu.domain.values import Role
from claude_tiu.testing.strategies import messages
from tests.domain.given import AT, COMMAND_ID, EARLIER, NEW_ID, USER_ID, DictReads, given, user

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
OTHER_HASH = HASH[:-4] + "NvPo"
CREATE = CreateUser(user_id=USER_ID, username="ada", email="ada@example.org", password_hash=HASH)
CREATED = UserCreated(
    occurred_at=AT, username="ada", email="ada@example.org", password_hash=HASH, role="developer", preferences={}
)
RENAME = RenameUser(user_id=USER_ID, username="lovelace")
CHANGE_EMAIL = ChangeEmail(user_id=USER_ID, email="lovelace@example.org")
CHANGE_PASSWORD = ChangePassword(user_id=USER_ID, password_hash=OTHER_HASH)
CHANGE_ROLE = ChangeRole(user_id=USER_ID, role="admin")
CHANGE_PREFERENCES = ChangePreferences(user_id=USER_ID, preferences={"theme": "dark"})
DEACTIVATE, REACTIVATE = DeactivateUser(user_id=USER_ID), ReactivateUser(user_id=USER_ID)
FORGET = ForgetUser(user_id=USER_ID)

CHANGES: dict[Command, Event] = {
    RENAME: UserRenamed(occurred_at=AT, username="lovelace"),
    CHANGE_EMAIL: EmailChanged(occurred_at=AT, email="lovelace@example.org"),
    CHANGE_PASSWORD: PasswordChanged(occurred_at=AT, password_hash=OTHER_HASH),
    CHANGE_ROLE: RoleChanged(occurred_at=AT, role="admin"),
}
MOVES: dict[tuple[str, Command], tuple[Event, str]] = {
    ("active", DEACTIVATE): (UserDeactivated(occurred_at=AT), "inactive"),
    ("inactive", REACTIVATE): (UserReactivated(occurred_at=AT), "active"),
    ("active", FORGET): (UserForgotten(occurred_at=AT), "forgotten"),
    ("inactive", FORGET): (UserForgotten(occurred_at=AT), "forgotten"),
}
HISTORY: dict[str, list[Event]] = {
    "active": [CREATED],
    "inactive": [CREATED, UserDeactivated(occurred_at=EARLIER)],
    "forgotten": [CREATED, UserForgotten(occurred_at=EARLIER)],
}
COMMANDS: tuple[Command, ...] = (*CHANGES, DEACTIVATE, REACTIVATE, FORGET)


class TestCreating:
    def test_a_user_is_created_a_developer_unless_told_otherwise(self) -> None:
        state = given(USER).when(CREATE).then([CREATED])
        assert (state.role, state.status) == ("developer", "active")

    @pytest.mark.parametrize("role", ["admin", "developer", "viewer"])
    def test_a_role_is_data(self, role: Role) -> None:
        command = CreateUser(
            username="ada", email="ada@example.org", password_hash=HASH, role=role, preferences={"theme": "dark"}
        )
        event = CREATED.model_copy(update={"role": role, "preferences": {"theme": "dark"}})
        assert given(USER).when(command).then([event]).role == role

    def test_a_new_id_may_be_left_out(self) -> None:
        command = CreateUser(username="ada", email="ada@example.org", password_hash=HASH)
        given(USER).when(command).then([CREATED])
        assert command.stamped(at=AT, command_id=NEW_ID, new_id=NEW_ID).user_id == NEW_ID

    @pytest.mark.parametrize("status", HISTORY)
    def test_an_id_is_given_once(self, status: str) -> None:
        refusal = given(USER, HISTORY[status]).when(CREATE).then_refused(AlreadyExists, id=USER_ID)
        assert "ada" not in str(refusal.as_json())


@pytest.mark.parametrize(
    ("status", "command"), list(product(HISTORY, COMMANDS)), ids=lambda x: x if isinstance(x, str) else type(x).__name__
)
def test_statuses_and_commands(status: str, command: Command) -> None:
    when = given(USER, HISTORY[status]).when(command)
    if move := MOVES.get((status, command)):
        event, after = move
        assert when.then([event]).status == after
    elif status != "forgotten" and command in CHANGES:
        assert when.then([CHANGES[command]]).status == status
    else:
        when.then_refused(WrongStatus, id=USER_ID, status=status, command=type(command).__name__)


@pytest.mark.parametrize("status", HISTORY)
def test_preferences_are_replaced_unless_the_user_is_forgotten(status: str) -> None:
    when = given(USER, HISTORY[status]).when(CHANGE_PREFERENCES)
    if status == "forgotten":
        when.then_refused(WrongStatus, id=USER_ID, status=status)
    else:
        when.then([PreferencesChanged(occurred_at=AT, preferences={"theme": "dark"})])


@pytest.mark.parametrize("command", [*COMMANDS, CHANGE_PREFERENCES], ids=lambda command: type(command).__name__)
def test_who_does_not_exist_takes_no_command(command: Command) -> None:
    given(USER).when(command).then_refused(NotFound, id=USER_ID)


def test_a_role_changes_the_state() -> None:
    assert given(USER, [CREATED]).when(CHANGE_ROLE).then([CHANGES[CHANGE_ROLE]]).role == "admin"


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: type(command).__name__)
def test_a_change_may_be_to_what_it_was(command: Command) -> None:
    """What is personal is not in the state: nothing could tell."""
    given(USER, [CREATED, CHANGES[command]]).when(command).then([CHANGES[command]])


class TestForgetting:
    def test_it_is_for_ever(self) -> None:
        state = given(USER, [CREATED]).when(FORGET).then([UserForgotten(occurred_at=AT)])
        assert state == User("developer", is_active=False, forgotten=True)
        assert USER.fold([UserReactivated(occurred_at=AT)], state) == User("developer", is_active=True, forgotten=True)
        assert User("developer", is_active=True, forgotten=True).status == "forgotten"

    def test_a_state_is_the_same_with_what_stands_in_for_what_is_personal(self) -> None:
        """Streams are loaded without keys: every state comes from such events."""
        history = [CREATED, *CHANGES.values()]
        without = [event.model_copy(update=type(event).forgotten(USER_ID)) for event in history]
        assert without != history
        assert USER.fold(without) == USER.fold(history)

    def test_what_stands_in_can_be_given_by_nobody(self) -> None:
        values = forgotten_values(USER_ID)
        assert values == {
            "username": f"forgotten:{USER_ID}",
            "email": f"forgotten:{USER_ID}",
            "password_hash": "!",
        }
        with pytest.raises(InvalidCommand) as caught:
            CreateUser(**values)
        assert {fault.field for fault in caught.value.faults} == values.keys()
        for kind, field in ((RenameUser, "username"), (ChangeEmail, "email"), (ChangePassword, "password_hash")):
            with pytest.raises(InvalidCommand):
                kind(user_id=USER_ID, **{field: values[field]})

    @pytest.mark.parametrize("aggregate", [PROJECT, TEMPLATE], ids=lambda aggregate: str(aggregate.name))
    @pytest.mark.parametrize("status", ["active", "inactive", "forgotten", None])
    def test_nothing_new_is_made_for_a_forgotten_user_but_for_an_inactive_one(
        self, aggregate: Any, status: str | None
    ) -> None:
        command: Command = CreateProject(user_id=USER_ID, name="Billing")
        if aggregate is TEMPLATE:
            command = CreateTemplate(created_by=USER_ID, name="Service", structure={})
        reads = DictReads(users={USER_ID: user(status)} if status else {})
        when = given(aggregate, reads=reads).when(command)
        if status is None:
            when.then_refused(NotFound, id=USER_ID)
        elif status == "forgotten":
            when.then_refused(WrongStatus, id=USER_ID, status="forgotten", command=type(command).__name__)
        else:
            (event,) = aggregate.decide(None, command.stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID), reads)
            assert (event.created_by if aggregate is TEMPLATE else event.user_id) == USER_ID

    def test_a_public_template_of_nobody_asks_for_no_user(self) -> None:
        command = CreateTemplate(name="Service", structure={}, is_public=True)
        (event,) = TEMPLATE.decide(None, command.stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID), DictReads())
        assert isinstance(event, TemplateCreated)
        assert event.created_by is None


class TestWhatIsPersonal:
    PERSONAL = (CREATE, RENAME, CHANGE_EMAIL, CHANGE_PASSWORD)
    SECRETS = ("ada", "lovelace", HASH, OTHER_HASH)

    def test_no_state_holds_it(self) -> None:
        state = given(USER, [CREATED, *CHANGES.values()]).when(RENAME).then([CHANGES[RENAME]])
        assert asdict(state) == {"role": "admin", "is_active": True, "forgotten": False}

    @pytest.mark.parametrize("command", PERSONAL, ids=lambda command: type(command).__name__)
    def test_no_refusal_repr_or_error_repeats_it(self, command: Command) -> None:
        stream = [] if command is not CREATE else [CREATED]
        with pytest.raises(Refused) as caught:
            USER.decide(USER.fold(stream), command.model_copy(update={"occurred_at": AT}), DictReads())
        told = repr(command) + str(command) + repr(caught.value) + json.dumps(caught.value.as_json())
        assert not any(secret in told for secret in self.SECRETS)

    @pytest.mark.parametrize("event", [CREATED, *CHANGES.values()], ids=lambda event: str(event.topic))
    def test_nor_does_an_events(self, event: Event) -> None:
        told = repr(event) + str(event) + repr([event])
        assert not any(secret in told for secret in self.SECRETS)

    @pytest.mark.parametrize(("command", "field"), [(type(c), next(iter(c.personal))) for c in PERSONAL[1:]])
    def test_no_fault_repeats_it(self, command: type[Command], field: str) -> None:
        with pytest.raises(InvalidCommand) as caught:
            command(**{"user_id": USER_ID, field: "s3cr3t\0"})
        assert [fault.field for fault in caught.value.faults] == [field]
        assert "s3cr3t" not in caught.value.message + json.dumps(caught.value.as_json())

    def test_a_command_and_its_event_name_it_alike(self) -> None:
        assert CreateUser.personal == UserCreated.personal == {"username", "email", "password_hash"}
        assert RenameUser.personal == UserRenamed.personal == {"username"}
        assert ChangeEmail.personal == EmailChanged.personal == {"email"}
        assert ChangePassword.personal == PasswordChanged.personal == {"password_hash"}

    def test_names_and_emails_are_unique_in_the_whole_store(self) -> None:
        assert UserCreated.unique == ("username", "email")
        assert (UserRenamed.unique, EmailChanged.unique) == (("username",), ("email",))


COMMANDS_TO_USERS = (CREATE, *COMMANDS, CHANGE_PREFERENCES)
MOVED_BY: dict[type[Command], dict[str | None, str]] = {
    CreateUser: {None: "active"},
    DeactivateUser: {"active": "inactive"},
    ReactivateUser: {"inactive": "active"},
    ForgetUser: {"active": "forgotten", "inactive": "forgotten"},
}


@any_given(commands=st.lists(st.sampled_from([type(c) for c in COMMANDS_TO_USERS]).flatmap(messages), max_size=12))
def test_whatever_comes_the_status_follows_the_table(commands: list[Command]) -> None:
    """The rules once more, by the status alone, over histories of any length."""
    state: User | None = None
    status: str | None = None
    unless_forgotten: dict[str | None, str] = {"active": "active", "inactive": "inactive"}
    for command in commands:
        stamped = command.stamped(at=AT, command_id=COMMAND_ID, new_id=USER_ID)
        expected = MOVED_BY.get(type(command), unless_forgotten)
        try:
            state = USER.fold(decide(state, stamped, DictReads()), state)
        except Refused:
            assert status not in expected
        else:
            status = expected[status]
            assert state is not None
            assert state.status == status
