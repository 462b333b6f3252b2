"""The rows of a bundle beside those that its events make: which differ, in which columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .findings import Findings
from .form import TABLES, row_of

PLACES = {table.name: place for place, table in enumerate(TABLES)}
KEYS = {table.name: table.key for table in TABLES}
MAX_TEXT = 60


class _Row(NamedTuple):
    """A row in its place among the rows."""

    place: int
    key: str
    table: str
    values: dict[str, Any]


def compare(given: Iterator[bytes], made: Iterator[tuple[str, bytes]], findings: Findings) -> tuple[int, set[str]]:
    """Go through rows in their order, those of a bundle and those that its events make, side by side.

    Return how many are the same, and the tables of which there are rows. Raises ValueError for a line that is no row.
    """
    same, tables = 0, set()
    ours, (table, theirs) = next(given, None), next(made, NONE)
    while ours is not None or theirs is not None:
        if ours == theirs:
            same += 1
            tables.add(table)
            ours, (table, theirs) = next(given, None), next(made, NONE)
            continue
        left = None if ours is None else _parsed(ours)
        right = None if theirs is None else _parsed(theirs)
        order = _order(left, right)
        findings.add(_difference(left if order <= 0 else None, right if order >= 0 else None))
        if order <= 0:
            ours = next(given, None)
        if order >= 0:
            tables.add(table)
            table, theirs = next(made, NONE)
    return same, tables


NONE: tuple[str, bytes | None] = ("", None)


def _parsed(text: bytes) -> _Row:
    table, values = row_of(text)
    return _Row(PLACES[table], values[KEYS[table]], table, values)


def _order(left: _Row | None, right: _Row | None) -> int:
    """Return whether a row of the bundle comes first (-1), one that was made (1), or both are of one key (0)."""
    if left is None or right is None:
        return 1 if left is None else -1
    ours, theirs = left[:2], right[:2]
    return (ours > theirs) - (ours < theirs)


def _difference(left: _Row | None, right: _Row | None) -> str:
    if left is None or right is None:
        row = left or right
        assert row is not None  # noqa: S101 - one of them is there
        said = (
            "stands in here, and no event makes it" if right is None else "follows from the events, and is not in here"
        )
        return f"{row.table} {row.key}: this row {said}"
    unlike = [column for column in right.values if left.values.get(column) != right.values[column]]
    told = ", ".join(f"{name} is {_short(left.values.get(name))}, not {_short(right.values[name])}" for name in unlike)
    return f"{right.table} {right.key}: {told or 'it has another form'}"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
