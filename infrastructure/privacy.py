"""Whom a log has forgotten, and forgetting them again in a database that was restored from before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple
from uuid import UUID

from ..domain.messages import Command
from ..domain.user import USER, ForgetUser, UserForgotten
from .decision import Answer
from .event_store import EventStore
from .streams import load_stream

PAGE = 1_000


class ForgottenAgain(NamedTuple):
    """What was done of a user: `forgotten` as by ForgetUser, its `key_destroyed` because the events had it forgotten
    already, or nothing where the id is that of no user here: `unknown` (the user came after the backup)."""

    user_id: UUID
    done: Literal["forgotten", "key_destroyed", "unknown"]
    position: int = 0
    """Of the event that was stored; 0 where none was."""


def forgotten_users(events: EventStore, after: int = 0) -> Iterator[UUID]:
    """Yield the ids of the users whom the log has forgotten behind a position, in the order in which it did."""
    while found := events.select_notifications(after, PAGE, topics=[UserForgotten.topic], inclusive_of_start=False):
        for notification in found:
            yield UUID(str(notification.originator_id))
        after = found[-1].id


def forget_again(events: EventStore, execute: Callable[[Command], Answer], user_id: UUID) -> ForgottenAgain:
    """Forget a user whom a kept list names, as far as the restored database does not have that.

    Events and keys may be of different days: a key may be there of whom the events have forgotten. Doing it twice
    changes nothing more. Raises what executing a command raises.
    """
    user: Any = load_stream(events, user_id)
    if user.aggregate is USER and not user.state.forgotten:
        return ForgottenAgain(user_id, "forgotten", execute(ForgetUser(user_id=user_id)).position)
    if user.aggregate in (None, USER):  # what is of another kind keeps its unique values
        events.destroy_keys([user_id])
    return ForgottenAgain(user_id, "key_destroyed" if user.aggregate is USER else "unknown")
