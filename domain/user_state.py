"""What other aggregates ask of a user: its state, and whether things may be made for it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from .aggregate import require_status
from .errors import NotFound
from .messages import Command

NOT_FORGOTTEN = ("active", "inactive")


@dataclass(frozen=True, slots=True)
class User:
    """Nothing that is personal: streams are read without keys."""

    role: str
    is_active: bool = True
    forgotten: bool = False

    @property
    def status(self) -> str:
        if self.forgotten:
            return "forgotten"
        return "active" if self.is_active else "inactive"


def require_user(user: User | None, user_id: UUID, allowed: tuple[str, ...], command: Command) -> None:
    """Raise NotFound or WrongStatus unless the user of what `command` is about has an allowed status."""
    if user is None:
        raise NotFound(f"no user {user_id}", id=user_id)
    require_status("user", user_id, user.status, allowed, command)
