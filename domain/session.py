"""A session of a user, by the hash of its token.

The token's hash and the session's metadata are personal: they are stored under the user's key. A session is over when
it is ended, when its time is up, and when its user is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

from pydantic import Field, Strict

from .aggregate import Aggregate, require_status
from .errors import AlreadyExists, Expired, NotFound
from .messages import Command, Event, given
from .user_state import NOT_FORGOTTEN, User, require_user
from .values import JsonObject, Timestamp

TokenHash = Annotated[str, Strict(), Field(pattern=r"^[!-~]{32,255}$")]


class StartSession(Command):
    """Start a session of an active user, which counts as a login.

    `token_hash` is a hash of the token, never the token; `expires_at` lies behind the session's start.
    """

    stream: ClassVar = "session_id"
    creates: ClassVar = "session_id"
    personal: ClassVar = frozenset({"token_hash", "metadata"})
    person: ClassVar = "user_id"
    reads: ClassVar = ("user_id",)

    session_id: UUID | None = None
    user_id: UUID
    token_hash: TokenHash
    expires_at: Timestamp
    metadata: JsonObject = {}


class EndSession(Command):
    """End a session before it expires. One that has expired, or whose user is forgotten, is over already."""

    stream: ClassVar = "session_id"

    session_id: UUID


class SessionStarted(Event):
    topic: ClassVar = "session.started.v1"
    personal: ClassVar = frozenset({"token_hash", "metadata"})
    person: ClassVar = "user_id"

    user_id: UUID
    token_hash: str
    expires_at: datetime
    metadata: dict[str, Any]

    @classmethod
    def forgotten(cls, person_id: UUID) -> dict[str, Any]:
        return {"token_hash": "!", "metadata": {}}


class SessionEnded(Event):
    topic: ClassVar = "session.ended.v1"

    user_id: UUID


@dataclass(frozen=True, slots=True)
class Session:
    user_id: UUID
    expires_at: datetime
    status: str = "open"


class Reads(Protocol):
    """What deciding on a session asks of other streams."""

    def user(self, user_id: UUID) -> User | None: ...


def decide(session: Session | None, command: Command, reads: Reads) -> list[Event]:
    if isinstance(command, StartSession):
        return [_start(session, command, reads)]
    assert isinstance(command, EndSession)
    if session is None:
        raise NotFound(f"no session {command.session_id}", id=command.session_id)
    require_status("session", command.session_id, session.status, ("open",), command)
    _require_unexpired(command.session_id, session.expires_at, command)
    require_user(reads.user(session.user_id), session.user_id, NOT_FORGOTTEN, command)
    return [SessionEnded(occurred_at=command.at, user_id=session.user_id)]


def _start(session: Session | None, command: StartSession, reads: Reads) -> SessionStarted:
    session_id = given(command.session_id)
    if session is not None:
        raise AlreadyExists(f"session {session_id} exists already", id=session_id)
    require_user(reads.user(command.user_id), command.user_id, ("active",), command)
    _require_unexpired(session_id, command.expires_at, command)
    return SessionStarted(
        occurred_at=command.at,
        user_id=command.user_id,
        token_hash=command.token_hash,
        expires_at=command.expires_at,
        metadata=command.metadata,
    )


def _require_unexpired(session_id: UUID, expires_at: datetime, command: Command) -> None:
    if expires_at <= command.at:
        end, now = expires_at.isoformat(), command.at.isoformat()
        raise Expired(
            f"{type(command).__name__}: session {session_id} expires at {end}, and it is {now}",
            id=session_id,
            expires_at=end,
            occurred_at=now,
        )


def evolve(session: Session | None, event: Event) -> Session:
    if isinstance(event, SessionStarted):
        return Session(user_id=event.user_id, expires_at=event.expires_at)
    assert session is not None
    if isinstance(event, SessionEnded):
        return replace(session, status="ended")
    raise TypeError(f"no event of a session: {type(event).__name__}")


SESSION = Aggregate[Session](
    name="session",
    commands=(StartSession, EndSession),
    events=(SessionStarted, SessionEnded),
    decide=decide,
    evolve=evolve,
    project_of=lambda session_id, session: None,
)
