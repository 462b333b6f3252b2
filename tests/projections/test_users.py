"""users: one row a user, times of its events."""

from __future__ import annotations

from claude_tiu.domain.user import UserCreated
from tests.domain.given import AT, USER_ID
from tests.projections.telling import Changes, Told


def test_a_user_is_a_row() -> None:
    event = UserCreated(
        occurred_at=AT,
        username="ana",
        email="ana@example.org",
        password_hash="$2b$12$0123456789abcdef",  # noqa: S106 - a hash that stands for one
        role="viewer",
        preferences={"theme": "dark"},
    )
    assert Told().tell(event, USER_ID, None) == {
        "users": Changes(
            [
                {
                    "id": USER_ID,
                    "username": "ana",
                    "email": "ana@example.org",
                    "password_hash": "$2b$12$0123456789abcdef",
                    "role": "viewer",
                    "preferences": {"theme": "dark"},
                    "created_at": AT,
                    "updated_at": AT,
                    "last_login": None,
                    "is_active": True,
                }
            ]
        )
    }
