"""One pass over the log: every row against its hash, the chain, its position, its time and its stream's versions.

What is wrong is noted row by row, and named in findings.py. Memory is bounded but for the streams' versions, about 150
bytes a stream, however long the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeVar

from ..event_hash import LINK, NO_EVENT
from . import merkle

KEPT = 1_000
"""How many places are kept of each thing that is wrong."""
SUSPECTS = 64
"""How many changed rows are kept, to see whether they were only moved."""
NEAR = 16
"""How far from its place a moved event is looked for at once."""

NoteT = TypeVar("NoteT")
Places = list[tuple[int, int]]
"""Positions, each from the first to the last."""


class Suspect(NamedTuple):
    """A row that its hash does not cover, where it stands."""

    position: int
    encoded: bytes
    hash: bytes

    def was_appended_at(self, position: int) -> bool:
        """Whether its hash covers it at another position."""
        moved = self.encoded[:40] + position.to_bytes(8, signed=True) + self.encoded[48:]
        return sha256(moved).digest() == self.hash


class Run(NamedTuple):
    """Rows beside each other that were appended `shift` positions further on."""

    first: int
    last: int
    shift: int


@dataclass
class Wrong:
    """What was found to be wrong with rows, in order of position."""

    missing: Places = field(default_factory=list)
    """Positions that no row has."""
    below: list[int] = field(default_factory=list)
    """Positions below the first."""
    changed: Places = field(default_factory=list)
    """Rows that are not what their hash covers."""
    unlinked: list[int] = field(default_factory=list)
    """Events that were appended behind another than the one before them."""
    moved: list[Run] = field(default_factory=list)
    fell: list[int] = field(default_factory=list)
    """Events recorded before the one before them."""
    skipped: list[int] = field(default_factory=list)
    """Events whose version is not the next of their stream."""
    suspects: list[Suspect] = field(default_factory=list)


class Walk:
    """Takes rows, as EventStore.encoded_rows gives them, in order; it stands at the last row that it took."""

    def __init__(self, sealed: Iterable[int] = ()) -> None:
        """`sealed` are the numbers of events at which the root is wanted, besides that at the end."""
        self.position = 0
        self.head = NO_EVENT
        self.tree = merkle.Tree()
        self.heads: dict[int, tuple[bytes, bytes]] = {}
        """By number of events: the hash of the last of them, and the root over them."""
        self.wrong = Wrong()
        self._time = -(2**63)
        self._versions: dict[bytes, int] = {}
        self._wanted = sorted(set(sealed), reverse=True)
        self._shift = 0

    def take(self, rows: Sequence[bytes]) -> None:
        unpack, tail, versions = LINK.unpack_from, LINK.size, self._versions
        position, head, time = self.position, self.head, self._time
        hashes = []
        for row in rows:
            end = len(row) - tail
            hash_, linked, at, version, stream, recorded = unpack(row, end)
            if (
                at != position + 1
                or linked != head
                or sha256(row[:end]).digest() != hash_
                or version != versions.get(stream, 0) + 1
                or recorded < time
            ):
                self._look(position, head, time, row)
            versions[stream] = version
            position, head, time = at, hash_, recorded
            hashes.append(hash_)
        self.position, self.head, self._time = position, head, time
        self._grow(hashes)

    def _grow(self, hashes: Sequence[bytes]) -> None:
        """Grow the tree, and note its root where that is wanted."""
        taken = 0
        while self._wanted and self._wanted[-1] <= self.tree.size + len(hashes) - taken:
            up_to = taken + self._wanted.pop() - self.tree.size
            self.tree.extend(hashes[taken:up_to])
            self.heads[self.tree.size] = (hashes[up_to - 1], self.tree.root)
            taken = up_to
        self.tree.extend(hashes[taken:])

    def _look(self, before: int, head: bytes, time: int, row: bytes) -> None:
        """Note what is wrong with a row; the one before it stands at `before` and has the hash `head`."""
        wrong = self.wrong
        hash_, linked, at, version, stream, recorded = LINK.unpack_from(row, len(row) - LINK.size)
        before = max(before, 0)
        if at < 1:
            _note(wrong.below, at)
            return
        if at > before + 1:
            _note(wrong.missing, (before + 1, at - 1))
        suspect = Suspect(at, row[: -LINK.size], hash_)
        if sha256(suspect.encoded).digest() != hash_:
            self._look_for_home(suspect)
            return
        self._shift = 0
        if linked != head and at == before + 1:
            _note(wrong.unlinked, at)
        if recorded < time:
            _note(wrong.fell, at)
        if version != self._versions.get(stream, 0) + 1:
            _note(wrong.skipped, at)

    def _look_for_home(self, suspect: Suspect) -> None:
        """Note a row that its hash does not cover as moved, or as changed."""
        near = [self._shift] if self._shift else []
        if len(self.wrong.suspects) < SUSPECTS:
            near += [sign * distance for distance in range(1, NEAR + 1) for sign in (1, -1)]
        at, runs = suspect.position, self.wrong.moved
        for shift in near:
            if suspect.was_appended_at(at + shift):
                self._shift = shift
                if runs and runs[-1].last == at - 1 and runs[-1].shift == shift:
                    runs[-1] = runs[-1]._replace(last=at)
                else:
                    _note(runs, Run(at, at, shift))
                return
        self._shift = 0
        if len(self.wrong.suspects) < SUSPECTS:
            self.wrong.suspects.append(suspect)
        changed = self.wrong.changed
        if changed and changed[-1][1] == at - 1:
            changed[-1] = (changed[-1][0], at)
        else:
            _note(changed, (at, at))


def _note(places: list[NoteT], place: NoteT) -> None:
    if len(places) < KEPT:
        places.append(place)
