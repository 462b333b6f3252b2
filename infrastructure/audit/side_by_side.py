"""Comparing tables that stand in two places: both are read in the order of keys, piece by piece, and never whole."""

from __future__ import annotations

import marshal
from bisect import bisect_right
from collections.abc import Iterator

from ...projections.projection import Table
from ..comparable import ComparableRow
from ..comparison import MAX_ROWS, Comparison, Found, TableDifferences, Unknowable, nothing
from ..standing import PIECE, StandingTables

Rows = list[ComparableRow]
PLAIN = 2
"""The last form of marshal without references between what it holds: equal values are equal bytes, whatever they are
(to ==, 0.0 is -0.0)."""


class SideBySide(Comparison):
    """Of live tables, and of the same made anew."""

    def __init__(self, live: StandingTables, rebuilt: StandingTables) -> None:
        self._live = live
        self._rebuilt = rebuilt
        self.rows = 0
        """How many rows of the live tables were compared."""

    def differences(self, table: Table, limit: int = MAX_ROWS, unknowable: Unknowable = nothing) -> TableDifferences:
        found = Found(table, limit, unknowable)
        columns = [*table.columns]
        key = columns.index(table.key)
        for live, rebuilt in parts(self._live.pieces(table), self._rebuilt.pieces(table), key):
            self.rows += len(live)
            if marshal.dumps(live, PLAIN) == marshal.dumps(rebuilt, PLAIN):
                continue
            for ours, theirs in pairs(live, rebuilt, key):
                found.add(
                    None if ours is None else dict(zip(columns, ours, strict=True)),
                    None if theirs is None else dict(zip(columns, theirs, strict=True)),
                )
        return found.told()


def parts(left: Iterator[Rows], right: Iterator[Rows], key: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield all rows of two tables in parts of about a piece, each of the same range of keys in both: a row that is
    missing in one of them makes one part differ, and not all behind it."""
    sides = (_Ahead(left, key), _Ahead(right, key))
    while True:
        ends = [side.fill() for side in sides]
        known = [end for end in ends if end is not None]
        if not known:
            break
        one, other = (side.take(min(known)) for side in sides)
        yield one, other
    if any(side.rows for side in sides):
        yield sides[0].rows, sides[1].rows


class _Ahead:
    """The rows of one side, read a piece ahead."""

    def __init__(self, pieces: Iterator[Rows], key: int) -> None:
        self._pieces = pieces
        self._key = key
        self._ended = False
        self.rows: Rows = []

    def fill(self) -> bytes | None:
        """Have a piece at hand, and return the key up to which all rows are; None where all that are left are."""
        while not self._ended and len(self.rows) < PIECE:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                self.rows += piece
        return None if self._ended else _key_of(self.rows[-1], self._key)

    def take(self, end: bytes) -> Rows:
        """Take out the rows up to a key."""
        count = bisect_right(self.rows, end, key=lambda row: _key_of(row, self._key))
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def pairs(left: Rows, right: Rows, key: int) -> Iterator[tuple[ComparableRow | None, ComparableRow | None]]:
    """Yield the rows of a part that are not the same in both, in the order of keys; None where one is missing."""
    i = j = 0
    while i < len(left) or j < len(right):
        if j == len(right) or (i < len(left) and _key_of(left[i], key) < _key_of(right[j], key)):
            yield left[i], None
            i += 1
        elif i == len(left) or _key_of(right[j], key) < _key_of(left[i], key):
            yield None, right[j]
            j += 1
        else:
            if marshal.dumps(left[i], PLAIN) != marshal.dumps(right[j], PLAIN):
                yield left[i], right[j]
            i += 1
            j += 1


def _key_of(row: ComparableRow, key: int) -> bytes:
    """Return a row's key; SQLite takes NULL for one, and has it first."""
    value = row[key]
    return value if isinstance(value, bytes) else b""
