"""What of a forgotten user no replay can know.

Forgetting a user destroys the key, with the event that says so. Tables that have not come to that event may still hold
what the events cannot give any more; once they have, both hold what stands in for it, and must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from uuid import UUID

from ..domain.session import SessionStarted
from ..domain.user import forgotten_values
from ..projections.projection import Kind, Table
from ..projections.tables import USER_SESSIONS, USERS
from .comparable import Value
from .comparison import Values
from .event_store import EventStore
from .privacy import forgotten_users
from .sqlite.values import json_text

STAND_INS: Mapping[str, tuple[str, Callable[[UUID], Mapping[str, object]]]] = {
    USERS.name: ("id", forgotten_values),
    USER_SESSIONS.name: ("user_id", SessionStarted.forgotten),
}
"""Table -> the column that says whose a row is, and what stands in for what is personal in it, by column."""


class Forgotten:
    """Satisfies `Unknowable`, for tables that stand at a position."""

    def __init__(self, events: EventStore, position: int) -> None:
        self._events = events
        self._position = position
        self.users: set[UUID] = set()
        """Those of whom something could not be compared."""

    def __call__(self, table: Table, live: Values, rebuilt: Values) -> Collection[str]:
        """Return the columns in which one of the rows has what stands in for a value that is gone."""
        if table.name not in STAND_INS:
            return self._in_another(live, rebuilt)
        column, stand_ins = STAND_INS[table.name]
        user_id = self._by_text.get(live[column])
        if user_id is None or live[column] != rebuilt[column]:
            return ()
        values = {name: _comparable(table.columns[name], value) for name, value in stand_ins(user_id).items()}
        gone = {name for name, value in values.items() if value in (live[name], rebuilt[name])}
        if gone:
            self.users.add(user_id)
        return gone

    def _in_another(self, live: Values, rebuilt: Values) -> Collection[str]:
        """A table of a service's own: it does not say whose a row is, but what stands in for a name does."""
        gone = set[str]()
        for name in live:
            for value in (live[name], rebuilt[name]):
                if value in self._names:
                    self.users.add(self._names[value])
                    gone.add(name)
        return gone

    @cached_property
    def _names(self) -> dict[Value, UUID]:
        """What stands in for names and addresses of those forgotten behind the position."""
        users = self._by_text.values()
        named = [(user_id, forgotten_values(user_id)) for user_id in users]
        return {str(values[name]).encode(): user_id for user_id, values in named for name in ("username", "email")}

    @cached_property
    def _by_text(self) -> dict[Value, UUID]:
        """Those forgotten behind the position."""
        return {str(user_id).encode(): user_id for user_id in forgotten_users(self._events, self._position)}


def _comparable(kind: Kind, value: object) -> Value:
    return (json_text(value) if kind is Kind.JSON else str(value)).encode()
