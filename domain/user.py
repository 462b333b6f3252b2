"""A user: who owns projects.

The username, the email and the password hash are personal: no error repeats them, no state holds them, and they are
stored under a key of the user's own, which forgetting the user destroys. What stands in for them then is
`forgotten_values`; no user can take them, for names may not begin so, and "!" is no password hash.

Inactive is what the embedding service makes of it: an inactive user starts no session, and is else as any other. A
forgotten one stays, because its projects stand on it, and takes no command any more.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate
from .errors import AlreadyExists
from .messages import Command, Event, given
from .user_state import NOT_FORGOTTEN, User, require_user
from .values import JsonObject, Name, Role

FORGOTTEN_PREFIX = "forgotten:"


def _not_reserved(name: str) -> str:
    if name.startswith(FORGOTTEN_PREFIX):
        raise PydanticCustomError("reserved_name", "A name may not begin with 'forgotten:'")
    return name


Username = Annotated[Name, AfterValidator(_not_reserved)]
EMAIL = r"^[^@\s\x00]+@[^@\s\x00]+$"

_HASH = "[A-Za-z0-9./]"
_LONG_NAMES = "argon2i|argon2d|argon2id|scrypt|bcrypt-sha256|pbkdf2|pbkdf2-sha1|pbkdf2-sha256|pbkdf2-sha512|sha1"
_FORMS = (
    rf"2[abxy]?\$[0-9]{{2}}\${_HASH}{{53}}",  # bcrypt
    rf"(1|apr1)\${_HASH}{{0,8}}\${_HASH}{{22}}",  # md5-crypt
    rf"5\$(rounds=[0-9]{{1,9}}\$)?{_HASH}{{0,16}}\${_HASH}{{43}}",  # sha256-crypt
    rf"6\$(rounds=[0-9]{{1,9}}\$)?{_HASH}{{0,16}}\${_HASH}{{86}}",  # sha512-crypt
    rf"(7|g?y\${_HASH}{{1,86}})\${_HASH}{{0,86}}\${_HASH}{{43}}",  # scrypt of crypt(3), yescrypt, gost-yescrypt
    rf"[PH]\${_HASH}{{31}}",  # phpass
    rf"({_LONG_NAMES})\$[A-Za-z0-9./+=,$-]{{16,}}",  # no password begins with such a name, whatever comes behind it
    r"[a-z0-9-]{2,32}(\$v=[0-9]{1,9})?\$[a-z0-9-]{1,32}=[A-Za-z0-9/+.,=-]{1,99}\$[A-Za-z0-9/+.-]{11,}\$[A-Za-z0-9/+]{22,}",
)
PASSWORD_HASH = rf"^\$({'|'.join(_FORMS)})$"
"""The forms of modular crypt, told by their short names and exact lengths; the last is that of any PHC string that has
parameters, a salt and a hash."""


def _email(text: str) -> str:
    if not re.fullmatch(EMAIL, text):
        raise PydanticCustomError("email", "An email address has one @, and no spaces")
    return text


def _password_hash(text: str) -> str:
    """A plain password must not get in."""
    if not re.fullmatch(PASSWORD_HASH, text):
        raise PydanticCustomError("password_hash", "Input should be a PHC or modular-crypt string, never a password")
    return text


Email = Annotated[
    Name, Field(json_schema_extra={"pattern": EMAIL}), AfterValidator(_email), AfterValidator(_not_reserved)
]
PasswordHash = Annotated[
    str,
    Strict(),
    Field(max_length=255, json_schema_extra={"pattern": PASSWORD_HASH}),
    AfterValidator(_password_hash),
]


class CreateUser(Command):
    """Create a user. `password_hash` is stored as given: a PHC or modular-crypt string of 255 characters at most."""

    stream: ClassVar = "user_id"
    creates: ClassVar = "user_id"
    personal: ClassVar = frozenset({"username", "email", "password_hash"})

    user_id: UUID | None = None
    username: Username
    email: Email
    password_hash: PasswordHash
    role: Role = "developer"
    preferences: JsonObject = {}


class UserCommand(Command):
    """The base of the commands to a user that exists."""

    stream: ClassVar = "user_id"

    user_id: UUID


class RenameUser(UserCommand):
    """Give a user another name; the old one is free from then on."""

    personal: ClassVar = frozenset({"username"})
    person: ClassVar = "user_id"

    username: Username


class ChangeEmail(UserCommand):
    """Give a user another email; the old one is free from then on."""

    personal: ClassVar = frozenset({"email"})
    person: ClassVar = "user_id"

    email: Email


class ChangePassword(UserCommand):
    """Give a user another password hash. Sessions go on: end those that should not."""

    personal: ClassVar = frozenset({"password_hash"})
    person: ClassVar = "user_id"

    password_hash: PasswordHash


class ChangeRole(UserCommand):
    """Give a user a role."""

    role: Role


class ChangePreferences(UserCommand):
    """Replace a user's preferences, as a whole."""

    preferences: JsonObject


class DeactivateUser(UserCommand):
    """Let a user start no more sessions; those that are open stay."""


class ReactivateUser(UserCommand):
    """Let an inactive user start sessions again."""


class ForgetUser(UserCommand):
    """Destroy the key of what is personal of a user, free the name and the email, and end every session.

    There is no way back. The user's id, role, preferences, projects and templates stay; nothing is made for a forgotten
    user any more.
    """


def forgotten_values(user_id: UUID) -> dict[str, Any]:
    """Return what stands in for what is personal of a forgotten user, by field."""
    name = f"{FORGOTTEN_PREFIX}{user_id}"
    return {"username": name, "email": name, "password_hash": "!"}


class UserEvent(Event):
    """The base of the events of a user."""

    @classmethod
    def forgotten(cls, person_id: UUID) -> dict[str, Any]:
        values = forgotten_values(person_id)
        return {name: values[name] for name in cls.personal}


class UserCreated(UserEvent):
    topic: ClassVar = "user.created.v1"
    unique: ClassVar = ("username", "email")
    personal: ClassVar = frozenset({"username", "email", "password_hash"})

    username: str
    email: str
    password_hash: str
    role: str
    preferences: dict[str, Any]

    @classmethod
    def forgotten(cls, person_id: UUID) -> dict[str, Any]:
        name = f"{FORGOTTEN_PREFIX}{person_id}"
        return {"username": name, "email": name, "password_hash": "!"}


class UserRenamed(UserEvent):
    topic: ClassVar = "user.renamed.v1"
    unique: ClassVar = ("username",)
    personal: ClassVar = frozenset({"username"})

    username: str


class EmailChanged(UserEvent):
    topic: ClassVar = "user.email_changed.v1"
    unique: ClassVar = ("email",)
    personal: ClassVar = frozenset({"email"})

    email: str


class PasswordChanged(UserEvent):
    topic: ClassVar = "user.password_changed.v1"
    personal: ClassVar = frozenset({"password_hash"})

    password_hash: str


class RoleChanged(UserEvent):
    topic: ClassVar = "user.role_changed.v1"

    role: str


class PreferencesChanged(UserEvent):
    topic: ClassVar = "user.preferences_changed.v1"

    preferences: dict[str, Any]


class UserDeactivated(UserEvent):
    topic: ClassVar = "user.deactivated.v1"


class UserReactivated(UserEvent):
    topic: ClassVar = "user.reactivated.v1"


class UserForgotten(UserEvent):
    topic: ClassVar = "user.forgotten.v1"


def decide(user: User | None, command: Command, reads: object) -> list[Event]:
    if isinstance(command, CreateUser):
        return [_create(user, command)]
    assert isinstance(command, UserCommand)

    def require(*allowed: str) -> None:
        require_user(user, command.user_id, allowed, command)

    match command:
        case DeactivateUser():
            require("active")
            return [UserDeactivated(occurred_at=command.at)]
        case ReactivateUser():
            require("inactive")
            return [UserReactivated(occurred_at=command.at)]
    require(*NOT_FORGOTTEN)
    return [_change(command)]


def _create(user: User | None, command: CreateUser) -> UserCreated:
    if user is not None:
        raise AlreadyExists(f"user {command.user_id} exists already", id=given(command.user_id))
    return UserCreated(
        occurred_at=command.at,
        username=command.username,
        email=command.email,
        password_hash=command.password_hash,
        role=command.role,
        preferences=command.preferences,
    )


def _change(command: UserCommand) -> Event:
    """What a user takes who is not forgotten. It may be what it was: the state does not say what is personal."""
    match command:
        case RenameUser():
            return UserRenamed(occurred_at=command.at, username=command.username)
        case ChangeEmail():
            return EmailChanged(occurred_at=command.at, email=command.email)
        case ChangePassword():
            return PasswordChanged(occurred_at=command.at, password_hash=command.password_hash)
        case ChangeRole():
            return RoleChanged(occurred_at=command.at, role=command.role)
        case ChangePreferences():
            return PreferencesChanged(occurred_at=command.at, preferences=command.preferences)
        case ForgetUser():
            return UserForgotten(occurred_at=command.at)
    raise TypeError(f"no command of a user: {type(command).__name__}")


def evolve(user: User | None, event: Event) -> User:
    if isinstance(event, UserCreated):
        return User(role=event.role)
    assert user is not None
    match event:
        case RoleChanged():
            return replace(user, role=event.role)
        case UserDeactivated():
            return replace(user, is_active=False)
        case UserReactivated():
            return replace(user, is_active=True)
        case UserForgotten():
            return replace(user, is_active=False, forgotten=True)
    return user


USER = Aggregate[User](
    name="user",
    commands=(
        CreateUser,
        RenameUser,
        ChangeEmail,
        ChangePassword,
        ChangeRole,
        ChangePreferences,
        DeactivateUser,
        ReactivateUser,
        ForgetUser,
    ),
    events=(
        UserCreated,
        UserRenamed,
        EmailChanged,
        PasswordChanged,
        RoleChanged,
        PreferencesChanged,
        UserDeactivated,
        UserReactivated,
        UserForgotten,
    ),
    decide=decide,
    evolve=evolve,
    project_of=lambda user_id, user: None,
)
