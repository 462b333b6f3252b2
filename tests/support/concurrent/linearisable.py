"""Whether a history of concurrent clients is linearisable.

It is, if there is one order of all its calls in which each call is executed alone and gets the answer or the refusal
that it got, stores the events that it stored, and comes behind every call that had returned before it was made. The log
gives the order of the calls that stored something; each other call found things as they stood between two of them. So
the search is small: in the order in which they were made, each call is put at the first place where it fits. What a
call allows those behind it only grows with its place, so if there is an order, this finds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from claude_tiu import Answer, Command
from claude_tiu.domain.messages import Event, Recorded
from claude_tiu.domain.registry import command_json
from claude_tiu.infrastructure.mapper import person_of
from claude_tiu.testing.ledger import Ledger, Step, refusal_of


class Refusal(NamedTuple):
    """A refusal, as its caller can tell it from another."""

    code: str
    details: Mapping[str, Any]


class Failure(NamedTuple):
    """An error that is no refusal."""

    error: str


class Call(NamedTuple):
    """One call of a client: what it asked, when (nanoseconds of the host's monotonic clock), and what it was told."""

    client: int
    unit: Sequence[Command]
    invoked: int
    returned: int
    outcome: Sequence[Answer] | Refusal | Failure


class Entry(NamedTuple):
    """A row of the log. One whose person's key is gone is not `readable`: what is forgotten stands in its event."""

    position: int
    stream_id: UUID
    version: int
    project_id: UUID | None
    command_id: UUID | None
    event: Event
    readable: bool = True

    @property
    def recorded(self) -> Recorded:
        return Recorded(self.event, self.stream_id, self.version, self.position, self.project_id)


class Verdict(NamedTuple):
    """What is wrong with a history (nothing: it is linearisable), what stands at its end, and its stored calls in the
    order of the log."""

    faults: Sequence[str]
    after: Ledger
    stored: Sequence[Call]


def check(calls: Sequence[Call], log: Sequence[Entry], before: Ledger) -> Verdict:
    """Judge a history: all its calls, and what stands in the log behind the ledger that was before them."""
    faults = [
        f"call {number}: {call.outcome.error}" for number, call in enumerate(calls) if isinstance(call.outcome, Failure)
    ]
    faults += _gaps(log, before.position)
    owners, doubled = _owners(calls, before.position)
    faults += doubled
    ledgers, places, wrong = _replayed(calls, log, before, owners)
    faults += wrong
    if not wrong:  # else it is not known what stood there
        faults += _misplaced(calls, ledgers, places)
    return Verdict(faults, ledgers[-1], [calls[number] for number in places])


def _gaps(log: Sequence[Entry], before: int) -> list[str]:
    positions = [entry.position for entry in log]
    if positions == list(range(before + 1, before + 1 + len(log))):
        return []
    return [f"the log has a gap, or is out of order: {positions} behind {before}"]


def _owners(calls: Sequence[Call], before: int) -> tuple[dict[int, int], list[str]]:
    """Return which call stored what ends at a position, and which calls were told what cannot be theirs.

    Of those that were told of one position, the longest is taken to have stored it, and of equals the one that was made
    first: the others are retries of it, or of a part of it, and must have asked by its command_ids. (Of a unit made of
    commands that others have stored each alone, this would be wrong; there are none.)
    """
    told = {
        number: {answer.position for answer in call.outcome}
        for number, call in enumerate(calls)
        if isinstance(call.outcome, list) and all(answer.position > before for answer in call.outcome)
    }
    storer: dict[int, int] = {}
    owners: dict[int, int] = {}
    faults: list[str] = []
    for number in sorted(told, key=lambda number: (-len(told[number]), calls[number].invoked)):
        if others := {storer[position] for position in told[number] if position in storer}:
            ids = {command.command_id for other in others for command in calls[other].unit} - {None}
            if not {command.command_id for command in calls[number].unit} <= ids:
                faults.append(f"call {number} was told of what {sorted(others)} stored")
        else:
            storer |= dict.fromkeys(told[number], number)
            owners[max(told[number])] = number
    return owners, faults


def _replayed(
    calls: Sequence[Call], log: Sequence[Entry], before: Ledger, owners: Mapping[int, int]
) -> tuple[list[Ledger], list[int], list[str]]:
    """Execute the stored calls alone, in the order of the log: (what stood before and behind each, which they are, and
    what is wrong with the first that is)."""
    ledgers, places = [before], list[int]()
    rest = list(log)
    for position, number in sorted(owners.items()):
        call = calls[number]
        step, refusal = refusal_of(ledgers[-1], call.unit)
        if step is None:
            return ledgers, places, [f"call {number} stored, and should have been refused: {refusal!r}"]
        stored, rest = rest[: len(step.events)], rest[len(step.events) :]
        if wrong := _wrongly_stored(call, step, stored):
            return ledgers, places, [f"call {number}, stored up to position {position}: {wrong}"]
        ledgers.append(step.after)
        places.append(number)
    if rest:
        return ledgers, places, [f"nobody was told of the events from position {rest[0].position} on"]
    return ledgers, places, []


def _wrongly_stored(call: Call, step: Step, stored: Sequence[Entry]) -> str | None:
    if not step.events:
        return "what it stored was known already"
    if list(step.answers) != list(call.outcome):
        return f"it should have been told {step.answers}"
    expected = [_as_in_log(made, entry) for made, entry in zip(step.events, stored, strict=False)]
    found = [entry.recorded for entry in stored]
    if len(found) < len(step.events) or expected != found:
        return f"it should have stored {step.events}, and the log has {found}"
    ids = {command.command_id for command in call.unit} - {None}
    if ids and {entry.command_id for entry in stored} != ids:
        return f"its events are of other commands: {[entry.command_id for entry in stored]}"
    return None


def _as_in_log(made: Recorded, entry: Entry) -> Recorded:
    if entry.readable:
        return made
    person_id = person_of(made.event, made.stream_id)
    assert person_id is not None
    return made._replace(event=made.event.model_copy(update=type(made.event).forgotten(person_id)))


def _misplaced(calls: Sequence[Call], ledgers: Sequence[Ledger], places: Sequence[int]) -> list[str]:
    """Put each call at its first possible place: one that stored, at its own; else where its outcome is explained."""
    own = {number: place for place, number in enumerate(places)}
    moments = sorted(
        (moment, is_return, number)
        for number, call in enumerate(calls)
        for is_return, moment in enumerate((call.invoked, call.returned))
    )
    faults: list[str] = []
    reached: dict[int, int] = {}
    floor = 0
    """What all that has returned so far had seen, as a place among the ledgers."""
    for _, is_return, number in moments:
        if is_return:
            floor = max(floor, reached[number])
            continue
        call, place = calls[number], own.get(number)
        if place is not None:
            if floor > place:
                faults.append(f"call {number} was made when what stands behind it in the log had been told already")
            reached[number] = max(floor, place + 1)
            continue
        if isinstance(call.outcome, Failure):
            reached[number] = floor
            continue
        ceiling = min((own[other] for other in own if calls[other].invoked > call.returned), default=len(places))
        fits = (here for here in range(floor, ceiling + 1) if _explained(call, ledgers[here]))
        found = next(fits, None)
        if found is None:
            window = f"between positions {ledgers[floor].position} and {ledgers[max(floor, ceiling)].position}"
            faults.append(f"call {number}: nothing that stood {window} explains {call.outcome}")
        reached[number] = floor if found is None else found
    return faults


def _explained(call: Call, ledger: Ledger) -> bool:
    """Whether a call that stored nothing is told so there: it is refused, or a retry."""
    step, refusal = refusal_of(ledger, call.unit)
    if step is not None:
        return not step.events and step.answers == call.outcome
    return refusal is not None and call.outcome == Refusal(refusal.code, refusal.details)


def told(calls: Sequence[Call], log: Sequence[Entry]) -> str:
    """A history as text: whoever reads of a fault has nothing else, since a race does not come again."""
    start = min((call.invoked for call in calls), default=0)
    lines = []
    for number, call in sorted(enumerate(calls), key=lambda one: one[1].invoked):
        asked = " ".join(command_json(command).decode() for command in call.unit)
        at, until = ((moment - start) / 1000 for moment in (call.invoked, call.returned))
        lines.append(f"call {number} of client {call.client}, {at:.0f} to {until:.0f} µs: {asked}\n    {call.outcome}")
    lines += [f"{entry.position}: {entry.stream_id} {entry.version} {entry.event!r}" for entry in log]
    return "\n".join(lines)
