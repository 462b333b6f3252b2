"""The form that every aggregate has: decide what a command means now, evolve a state by what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from .errors import WrongStatus
from .messages import Command, Decided, Event

State = TypeVar("State")


@dataclass(frozen=True)
class Aggregate(Generic[State]):
    """One kind of stream.

    `decide(state, command, reads)` returns the events that the command makes, those of other streams as Elsewhere, or
    raises Refused; `reads` gives it the other states that it asks for, and what it asked for is guarded until its
    events are stored. What cannot be guarded so (the next ready task, what is due, what is open in a project) only an
    exclusive command may ask: it is decided and stored while no other writes.
    `evolve(state, event)` returns the next state and never refuses.
    `stream_of(command, reads)` finds the stream of a command that does not name it itself; None where it has none of
    its own, and all its events are Elsewhere. It makes it of the command alone, unless it `asks_for_stream`.
    What a decision will ask for, and its command does not name, it tells beforehand (`reads.will_read`), so that all of
    it is loaded at once; what it does not tell is loaded when it is asked for.
    A state that `grows` has more in it with each event; one that is `of_last` is that of its last event, whatever was
    before, so nothing else of its stream is loaded. Of the topics that are `superseded` a state needs each last event
    alone, at its place: those before it leave nothing behind, whatever comes between.
    """

    name: str
    commands: tuple[type[Command], ...]
    events: tuple[type[Event], ...]
    decide: Callable[[State | None, Any, Any], Sequence[Decided]]
    evolve: Callable[[State | None, Any], State]
    project_of: Callable[[UUID, State], UUID | None]
    stream_of: Callable[[Any, Any], UUID | None] | None = None
    asks_for_stream: bool = False
    grows: bool = False
    of_last: bool = False
    superseded: frozenset[str] = frozenset()

    def fold(self, events: Iterable[Event], state: State | None = None) -> State | None:
        """Return the state that `events` make of `state`."""
        for event in events:
            state = self.evolve(state, event)
        return state


def require_status(kind: str, id_: UUID, status: str, allowed: tuple[str, ...], command: Command) -> None:
    """Raise WrongStatus unless `status` is one of `allowed`."""
    if status not in allowed:
        wanted = " or ".join(allowed)
        raise WrongStatus(
            f"{type(command).__name__}: {kind} {id_} is {status}, and should be {wanted}",
            command=type(command).__name__,
            id=id_,
            status=status,
            allowed=list(allowed),
        )
