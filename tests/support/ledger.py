"""What clients were told, and what the store has: units that were sent, their answers, and the events of each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from claude_tiu import Answer, Command
from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import EventRow, EventStore
from tests.support.load import EVENTS

ROWS = 5_000


class At(NamedTuple):
    """Where an event of a command stands."""

    position: int
    stream_id: UUID
    version: int


@dataclass
class Sent:
    """A unit that a client has sent."""

    commands: Sequence[Command]
    answers: Sequence[Answer] | None = None
    refusal: str | None = None
    errors: list[tuple[str, str]] = field(default_factory=list)
    """The code and the message of each error before it was answered."""

    @property
    def is_open(self) -> bool:
        return self.answers is None and self.refusal is None

    @property
    def ids(self) -> list[UUID]:
        return [command.command_id for command in self.commands if command.command_id]


@dataclass(frozen=True)
class Faults:
    """What is not as it was acknowledged."""

    lost: frozenset[UUID] = frozenset()
    """Commands that were answered, and whose events are not there, or elsewhere than was said."""
    doubled: frozenset[UUID] = frozenset()
    """Commands that have more events than they make."""
    halves: frozenset[UUID] = frozenset()
    """Units of which a part is stored, or not in one piece, or that were refused and are stored."""

    def __or__(self, other: Faults) -> Faults:
        return Faults(self.lost | other.lost, self.doubled | other.doubled, self.halves | other.halves)

    def counts(self) -> dict[str, int]:
        """Return how many of each, for the record: a half of a unit is lost."""
        return {"lost": len(self.lost) + len(self.halves), "doubled": len(self.doubled)}


NONE = Faults()


class Ledger:
    """Filled by the threads that listen to clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._units: dict[UUID, Sent] = {}
        self.found: dict[UUID, list[At]] = {}
        """The events of each command, as they were at the last check."""
        self._end = 0, NO_EVENT

    def sent(self, unit_id: UUID, commands: Sequence[Command]) -> None:
        with self._lock:
            self._units[unit_id] = Sent(commands)

    def answered(self, unit_id: UUID, answers: Sequence[Answer]) -> None:
        """Note an answer: it must be the one that was given before, if any was."""
        unit = self._units[unit_id]
        assert unit.answers in (None, answers), f"another answer: first {unit.answers}, then {answers}"
        assert unit.refusal is None, f"refused as {unit.refusal}, then answered"
        unit.answers = answers

    def refused(self, unit_id: UUID, code: str) -> None:
        assert self._units[unit_id].answers is None, f"answered, then refused as {code}"
        self._units[unit_id].refusal = code

    def failed(self, unit_id: UUID, code: str, message: str) -> None:
        self._units[unit_id].errors.append((code, message))

    def units(self) -> dict[UUID, Sent]:
        with self._lock:
            return dict(self._units)

    def acknowledged(self) -> int:
        """Return the last position that anybody was told."""
        positions = (answer.position for unit in self.units().values() for answer in unit.answers or ())
        return max(positions, default=0)

    def check(self, events: EventStore, *, anew: bool = False) -> Faults:
        """Compare what was answered with the log, whose positions have no gap and whose hashes are chained.

        Only what was appended since the last check is read, unless it is read `anew`.
        """
        if anew:
            self.found, self._end = {}, (0, NO_EVENT)
        units = self.units()
        states = {unit_id: (unit.answers, unit.refusal) for unit_id, unit in units.items()}  # those of before the read
        for row in self._rows(events):
            if row.command_id is not None:
                self.found.setdefault(row.command_id, []).append(At(row.position, row.stream_id, row.version))
        lost, doubled, halves = set[UUID](), set[UUID](), set[UUID]()
        for unit_id, (answers, refusal) in states.items():
            unit = units[unit_id]
            found = [self.found.get(command_id, []) for command_id in unit.ids]
            wanted = [EVENTS.get(type(command), 1) for command in unit.commands]
            counts = [len(events) for events in found]
            doubled |= {id_ for id_, count, most in zip(unit.ids, counts, wanted, strict=True) if count > most}
            if answers is not None:
                told = zip(unit.ids, answers, found, strict=True)
                lost |= {id_ for id_, answer, events in told if not _is_answer(answer, events)}
            positions = [at.position for events in found for at in events]
            whole = counts == wanted and positions == list(range(positions[0], positions[0] + len(positions)))
            if positions and (refusal or not whole):
                halves.add(unit_id)
        return Faults(frozenset(lost), frozenset(doubled), frozenset(halves))

    def _rows(self, events: EventStore) -> Iterator[EventRow]:
        position, previous = self._end
        while rows := events.read_rows(position, ROWS):
            for row in rows:
                assert row.position == position + 1, f"there is a gap behind {position}"
                assert row.previous_hash == previous, f"the chain is broken at {row.position}"
                assert row.hash == event_hash(previous, *row[:-2]), f"the hash at {row.position} is another row's"
                position, previous = row.position, row.hash
                yield row
        self._end = position, previous


def _is_answer(answer: Answer, events: Sequence[At]) -> bool:
    if not events:
        return False
    version = max(at.version for at in events if at.stream_id == events[0].stream_id)
    return answer.position == events[-1].position and answer.version == version
