"""users: one row a user."""

from __future__ import annotations

from collections.abc import Iterator

from ..domain.messages import Recorded
from ..domain.user import UserCreated
from .projection import Change, Handler, Insert, Rows
from .tables import USERS


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


HANDLERS: dict[type, Handler] = {UserCreated: user_created}
