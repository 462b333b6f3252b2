"""users: one row a user; user_sessions: one row a session that was not ended.

A session's row may be gone when its end comes: retention deletes expired ones, forgetting those of a user, and history
that is imported comes in any order of times. So it is an operation that ends a session, which deletes a row if there
is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from ..domain.messages import Event, Recorded
from ..domain.session import SessionEnded, SessionStarted
from ..domain.user import (
    EmailChanged,
    PasswordChanged,
    PreferencesChanged,
    RoleChanged,
    UserCreated,
    UserDeactivated,
    UserForgotten,
    UserReactivated,
    UserRenamed,
    forgotten_values,
)
from .projection import Change, Handler, Insert, Operation, Rows, Update
from .tables import USER_SESSIONS, USERS


def user_created(recorded: Recorded, event: UserCreated, rows: Rows) -> Iterator[Change]:
    yield Insert(
        USERS.name,
        {
            "id": recorded.stream_id,
            "username": event.username,
            "email": event.email,
            "password_hash": event.password_hash,
            "role": event.role,
            "preferences": event.preferences,
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
            "last_login": None,
            "is_active": True,
        },
    )


def _update(user_id: UUID, event: Event, **values: Any) -> Update:
    return Update(USERS.name, user_id, {**values, "updated_at": event.occurred_at})


def renamed(recorded: Recorded, event: UserRenamed, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, username=event.username)


def email_changed(recorded: Recorded, event: EmailChanged, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, email=event.email)


def password_changed(recorded: Recorded, event: PasswordChanged, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, password_hash=event.password_hash)


def role_changed(recorded: Recorded, event: RoleChanged, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, role=event.role)


def preferences_changed(recorded: Recorded, event: PreferencesChanged, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, preferences=event.preferences)


def deactivated(recorded: Recorded, event: UserDeactivated, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, is_active=False)


def reactivated(recorded: Recorded, event: UserReactivated, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, is_active=True)


def forgotten(recorded: Recorded, event: UserForgotten, rows: Rows) -> Iterator[Change]:
    yield _update(recorded.stream_id, event, **forgotten_values(recorded.stream_id), is_active=False)
    yield Operation("forget_user", {"user_id": recorded.stream_id})


def session_started(recorded: Recorded, event: SessionStarted, rows: Rows) -> Iterator[Change]:
    yield _update(event.user_id, event, last_login=event.occurred_at)
    yield Insert(
        USER_SESSIONS.name,
        {
            "id": recorded.stream_id,
            "user_id": event.user_id,
            "token_hash": event.token_hash,
            "expires_at": event.expires_at,
            "metadata": event.metadata,
            "created_at": event.occurred_at,
        },
    )


def session_ended(recorded: Recorded, event: SessionEnded, rows: Rows) -> Iterator[Change]:
    yield Operation("end_session", {"session_id": recorded.stream_id})


HANDLERS: dict[type, Handler] = {
    UserCreated: user_created,
    UserRenamed: renamed,
    EmailChanged: email_changed,
    PasswordChanged: password_changed,
    RoleChanged: role_changed,
    PreferencesChanged: preferences_changed,
    UserDeactivated: deactivated,
    UserReactivated: reactivated,
    UserForgotten: forgotten,
    SessionStarted: session_started,
    SessionEnded: session_ended,
}
