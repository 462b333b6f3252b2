"""Given, when, then: a test of the domain, or of a projection, as the rule that it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ..domain.errors import Refused
from ..domain.messages import Command, Event
from ..projections.projection import Projection
from .history import Happened, History
from .operations import InMemory
from .rows import Projected


def given(*happened: Happened | History) -> Given:
    """Return what stands behind commands and events: `given(CreateProject(…), (task_id, TaskAdded(…)), …)`.

    A command is decided by the rules; an event is put in as it is, of the stream whose id stands with it: bare, of the
    stream of the event before it. Everything is in memory. Raises Refused where the rules refuse one of the commands.
    """
    history = History()
    for one in happened:
        history = history.behind(one.events) if isinstance(one, History) else history.behind([one])
    return Given(history)


@dataclass(frozen=True)
class Given:
    """What stands before a command comes."""

    history: History

    def when(self, command: Command) -> When:
        """Let a command come, stamped with AT and ids by name where it has none (see History.stamped)."""
        return When(self.history, self.history.stamped(command))

    def state(self, stream_id: UUID) -> Any:
        """Return the state of a stream, as `Tiu.get` does; None where it has no events."""
        return self.history.ledger.state(stream_id)

    def project(self, projection: Projection, operations: Mapping[str, InMemory] | None = None) -> ThenRows:
        """Project all events in memory. `operations` say what the projection's named operations do to its tables.

        Raises BrokenProjection where a handler does what a projection may not (see rows.Projected).
        """
        projected = Projected(projection, operations)
        for recorded in self.history.events:
            projected.take(recorded)
        return ThenRows(projected)


@dataclass(frozen=True)
class When:
    """A command that comes."""

    before: History
    command: Command
    _outcome: list[History | Refused] = field(default_factory=list, init=False, repr=False)

    def _decided(self) -> History | Refused:
        if not self._outcome:
            try:
                self._outcome.append(self.before.executed(self.command))
            except Refused as refusal:
                self._outcome.append(refusal)
        return self._outcome[0]

    def then(self, *expected: Event | tuple[UUID, Event]) -> Given:
        """It makes exactly these events, in order, each with its stream where that is given; return what stands then.

        Raises AssertionError where it makes others, and Refused where it is refused.
        """
        decided = self._decided()
        if isinstance(decided, Refused):
            raise decided
        made = decided.events[len(self.before.events) :]
        found: list[Event | tuple[UUID, Event]] = [recorded.event for recorded in made]
        for place, one in enumerate(expected[: len(made)]):
            if isinstance(one, tuple):
                found[place] = made[place].stream_id, made[place].event
        same_events(found, expected)
        return Given(decided)

    def then_refused(self, error: type[Refused], **details: Any) -> Refused:
        """It is refused with this error, whose details hold these ids and values; return the refusal.

        Raises AssertionError where it is not.
        """
        return refused(self._decided, error, **details)


def same_events(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Raise AssertionError unless events (or pairs with them) are the same, of the same classes and in order."""
    told = [
        f"{name}:\n" + "".join(f"  {one!r}\n" for one in events)
        for name, events in (("made", found), ("expected", expected))
    ]
    assert list(found) == list(expected), "".join(told)
    assert [*map(_kinds, found)] == [*map(_kinds, expected)], "".join(told)


def _kinds(one: Any) -> tuple[type, ...]:
    return (type(one), *map(type, one)) if isinstance(one, tuple) else (type(one),)


def refused(decide: Callable[[], Any], error: type[Refused], **details: Any) -> Refused:
    """Return the refusal that `decide` raises or returns. Raises AssertionError unless it is exactly this error, with
    these ids and values in its details and in its message, and fit for JSON."""
    try:
        made = decide()
    except Refused as raised:
        made = raised
    assert isinstance(made, Refused), f"{error.__name__} was expected, and it was not refused"
    assert type(made) is error, f"{error.__name__} was expected, and it was refused by {type(made).__name__}: {made}"
    expected = {name: str(value) if isinstance(value, UUID) else value for name, value in details.items()}
    found = {name: made.details.get(name) for name in expected}
    assert found == expected, f"details: {found}, and {expected} was expected"
    unsaid = [value for value in expected.values() if isinstance(value, str) and value not in made.message]
    assert not unsaid, f"the message does not say {unsaid}: {made.message}"
    answer = made.as_json()
    assert json.loads(json.dumps(answer)) == answer, f"its details are no JSON: {answer}"
    return made


@dataclass(frozen=True)
class ThenRows:
    """The tables of a projection, behind its last event."""

    projected: Projected

    def then_rows(self, table: str, expected: Sequence[Mapping[str, Any]]) -> ThenRows:
        """The table has exactly these rows, in any order; columns that no expected row names are not looked at."""
        self.projected.require_rows(table, expected)
        return self

    def then_changes(self, *expected: Any) -> ThenRows:
        """The last event changed exactly this, in order: Insert, Update, Delete or Operation."""
        found = self.projected.changes
        assert found == list(expected), f"changes: {found}"
        return self
