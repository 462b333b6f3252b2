"""What happened, in memory: commands that the rules take, and the events that they make, at their positions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from ..domain.messages import Command, Event, Recorded
from .ledger import Ledger
from .names import AT, uid

Happened = Command | Event | tuple[UUID, Event] | Recorded
"""A command that was executed; or an event: of the stream of this id or, bare, of that of the event before it."""


@dataclass(frozen=True, repr=False)
class History:
    """Events in the order of their positions, from 1, and what stands behind the last. Never changed."""

    events: tuple[Recorded, ...] = ()
    commands: tuple[Command, ...] = ()
    """Those that were executed, with their ids and times filled in; events that were put in have none."""
    ledger: Ledger = field(default_factory=Ledger, repr=False)

    def stamped(self, command: Command) -> Command:
        """Return a command with its time (AT), its command_id and its new id filled in, where it has none.

        New ids are `uid("task 1")`, `uid("task 2")`, …: by the field that they are for, in the order of the commands.
        """
        kind = command.creates.removesuffix("_id") if command.creates else ""
        number = 1 + sum(one.creates == command.creates for one in self.commands)
        return command.stamped(
            at=AT, command_id=uid(f"command {len(self.commands) + 1}"), new_id=uid(f"{kind} {number}")
        )

    def executed(self, command: Command) -> History:
        """Return the history behind a command. Raises Refused."""
        command = self.stamped(command)
        step = self.ledger.execute([command])
        return History((*self.events, *step.events), (*self.commands, command), step.after)

    def put(self, stream_id: UUID, event: Event) -> History:
        """Return the history behind an event of a stream, whatever the rules say of it."""
        step = self.ledger.put(stream_id, event)
        return History((*self.events, *step.events), self.commands, step.after)

    def behind(self, happened: Iterable[Happened]) -> History:
        """Return the history behind commands and events. Raises Refused, and ValueError for an event of no stream."""
        history = self
        for one in happened:
            history = history._behind(one)
        return history

    def _behind(self, one: Happened) -> History:
        match one:
            case Command():
                return self.executed(one)
            case Recorded():
                return self.put(one.stream_id, one.event)
            case Event():
                if not self.events:
                    raise ValueError(f"of which stream is {type(one).__name__}? Give (stream_id, event)")
                return self.put(self.events[-1].stream_id, one)
        return self.put(*one)

    def __repr__(self) -> str:
        """As Hypothesis shows it: event by event."""
        return f"History of {len(self.events)} events\n{self}\n"

    def __str__(self) -> str:
        return "\n".join(map(line_of, self.events)) or "no events"


def line_of(recorded: Recorded) -> str:
    """Return an event at its place as one line: its position, its stream and version, and what it says."""
    event = recorded.event
    said = ", ".join(f"{name}={getattr(event, name)!r}" for name in type(event).model_fields if name != "occurred_at")
    at = event.occurred_at.isoformat()
    return f"{recorded.position:>4} {at} {type(event).__name__}({said}) of {recorded.stream_id}, {recorded.version}"
