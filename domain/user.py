"""A user: who owns projects.

The username, the email and the password hash are personal: no error repeats them, no state holds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate
from .errors import AlreadyExists
from .messages import Command, Event, given
from .values import JsonObject, Name, Role

FORGOTTEN_PREFIX = "forgotten:"


def _not_reserved(name: str) -> str:
    if name.startswith(FORGOTTEN_PREFIX):
        raise PydanticCustomError("reserved_name", "A name may not begin with 'forgotten:'")
    return name


Username = Annotated[Name, AfterValidator(_not_reserved)]
EMAIL = r"^[^@\s\x00]+@[^@\s\x00]+$"
PHC = r"^\$[A-Za-z0-9-]{1,32}\$[A-Za-z0-9./+=,$*_-]{16,}$"


def _email(text: str) -> str:
    if not re.fullmatch(EMAIL, text):
        raise PydanticCustomError("email", "An email address has one @, and no spaces")
    return text


def _password_hash(text: str) -> str:
    """A plain password must not get in."""
    if not re.fullmatch(PHC, text):
        raise PydanticCustomError("password_hash", "Input should be a PHC or modular-crypt string, never a password")
    return text


Email = Annotated[
    Name, Field(json_schema_extra={"pattern": EMAIL}), AfterValidator(_email), AfterValidator(_not_reserved)
]
PasswordHash = Annotated[
    str,
    Strict(),
    Field(max_length=255, json_schema_extra={"pattern": PHC}),
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


class UserCreated(Event):
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


@dataclass(frozen=True, slots=True)
class User:
    role: str


def decide(user: User | None, command: CreateUser, reads: object) -> list[Event]:
    if user is not None:
        raise AlreadyExists(f"user {command.user_id} exists already", id=given(command.user_id))
    return [
        UserCreated(
            occurred_at=command.at,
            username=command.username,
            email=command.email,
            password_hash=command.password_hash,
            role=command.role,
            preferences=command.preferences,
        )
    ]


def evolve(user: User | None, event: UserCreated) -> User:
    return User(role=event.role)


USER = Aggregate[User](
    name="user",
    commands=(CreateUser,),
    events=(UserCreated,),
    decide=decide,
    evolve=evolve,
    project_of=lambda user_id, user: None,
)
