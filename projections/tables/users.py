"""Users and their sessions."""

from __future__ import annotations

from ..projection import Kind, Table

USERS = Table(
    "users",
    "id",
    {
        "id": Kind.UUID,
        "username": Kind.TEXT,
        "email": Kind.TEXT,
        "password_hash": Kind.TEXT,
        "role": Kind.TEXT,
        "preferences": Kind.JSON,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "last_login": Kind.TIME,
        "is_active": Kind.FLAG,
    },
    unique=(("username",), ("email",)),
    personal=True,
)

USER_SESSIONS = Table(
    "user_sessions",
    "id",
    {
        "id": Kind.UUID,
        "user_id": Kind.UUID,
        "token_hash": Kind.TEXT,
        "expires_at": Kind.TIME,
        "metadata": Kind.JSON,
        "created_at": Kind.TIME,
    },
    personal=True,
)
