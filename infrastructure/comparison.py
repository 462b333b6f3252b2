"""How tables that were made twice of the same events differ: those that stand, and those that were made anew.

Both are read as they stand at one moment, at the same position. What is the same is decided in one way, whoever
compares: the database where both are in one, else we, as we read both. Two values are the same if they are in the form
of comparable.py: down to the bits of doubles, and to the digits of JSON.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from ..projections.projection import Kind, Table
from .comparable import ComparableRow, Value, text_of

MAX_ROWS = 5
MAX_TEXT = 80
EVERY_ROW = (1 << 63) - 1
Side = Literal["live", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A value, or a whole row, that is not the same. Of tables with personal data the values are not told."""

    key: str
    column: str | None
    """None where the row is on one side alone."""
    live: str | None
    rebuilt: str | None


@dataclass(frozen=True, slots=True)
class TableDifferences:
    """How a table differs."""

    table: str
    rows: int
    """How many rows differ, or are on one side alone."""
    first: tuple[Difference, ...]
    """What differs in the first of them, by their keys."""


Values = Mapping[str, Value]
"""A row, by column."""
Unknowable = Callable[[Table, Values, Values], Collection[str]]
"""(table, live row, rebuilt row) -> columns that need not be the same: of one of them, nobody can know any more what it
was. It is asked of tables with personal data."""


def nothing(table: Table, live: Values, rebuilt: Values) -> Collection[str]:
    """Satisfies `Unknowable`: every column must be the same."""
    return ()


class Found:
    """The differences of a table, as they are found: all are counted, the first are kept."""

    def __init__(self, table: Table, limit: int, unknowable: Unknowable) -> None:
        self._table = table
        self._limit = limit
        self._unknowable = unknowable
        self._first: list[Difference] = []
        self.rows = 0

    def add(self, live: Values | None, rebuilt: Values | None) -> None:
        """Take two rows of one key in; None: there is no such row."""
        told = self._of_rows(live, rebuilt)
        if not told:
            return
        if self.rows < self._limit:
            self._first += told
        self.rows += 1

    def _of_rows(self, live: Values | None, rebuilt: Values | None) -> list[Difference]:
        table = self._table
        key = text_of((live or rebuilt or {})[table.key]) or "NULL"
        if live is None or rebuilt is None:
            told = ["missing" if row is None else "there" for row in (live, rebuilt)]
            return [Difference(key, None, *told)]
        unlike = [column for column in table.columns if repr(live[column]) != repr(rebuilt[column])]
        if unlike and table.personal:
            unknowable = self._unknowable(table, live, rebuilt)
            unlike = [column for column in unlike if column not in unknowable]
        return [Difference(key, column, _told(table, live[column]), _told(table, rebuilt[column])) for column in unlike]

    def told(self, rows: int | None = None) -> TableDifferences:
        """Return what was found; `rows` says of how many rows, where not all of them were taken in."""
        return TableDifferences(self._table.name, self.rows if rows is None else rows, tuple(self._first))


def _told(table: Table, value: Value) -> str:
    if table.personal:
        return "(personal)"
    text = text_of(value)
    if text is None:
        return "NULL"
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


class Comparison(ABC):
    """Two sets of tables as they stood at one moment. Every method may raise StoreUnavailable."""

    @abstractmethod
    def differences(self, table: Table, limit: int = MAX_ROWS, unknowable: Unknowable = nothing) -> TableDifferences:
        """Return how a table differs: of how many rows, and what in the first `limit` of them."""


class DatabaseComparison(Comparison):
    """Of tables that stand in one database: it finds the rows that differ."""

    def differences(self, table: Table, limit: int = MAX_ROWS, unknowable: Unknowable = nothing) -> TableDifferences:
        if self._alike(table):
            return TableDifferences(table.name, 0, ())
        count, keys = self._differing(table, EVERY_ROW if table.personal else limit)
        found = Found(table, limit, unknowable)
        for key in keys:
            found.add(self._values("live", table, key), self._values("rebuilt", table, key))
        return found.told(count - len(keys) + found.rows)

    def _values(self, side: Side, table: Table, key: Any) -> Values | None:
        row = self._row(side, table, key)
        return None if row is None else dict(zip(table.columns, row, strict=True))

    @abstractmethod
    def _alike(self, table: Table) -> bool:
        """Whether no row differs, and none is on one side alone."""

    @abstractmethod
    def _differing(self, table: Table, limit: int) -> tuple[int, list[Any]]:
        """Return how many rows differ, and the keys of the first of them."""

    @abstractmethod
    def _row(self, side: Side, table: Table, key: Any) -> ComparableRow | None:
        """Return a row."""


@cache
def alike_statement(table: str, key: str, live: str, rebuilt: str, unlike: str) -> str:
    """Return the SELECT of whether two tables are the same, row by row; the names are as in `differing_statement`.

    Where each live row, by its unique key, has its like among as many rebuilt rows, there is no other rebuilt row. So
    one join in one direction says it, which PostgreSQL spreads over several processes, and a full join it does not.
    """
    return (
        f"SELECT (SELECT count(*) FROM {live}.{table}) = (SELECT count(*) FROM {rebuilt}.{table}) AND 0 = ("
        f"SELECT count(*) FROM {live}.{table} l LEFT JOIN {rebuilt}.{table} r ON r.{key} = l.{key}"
        f" WHERE r.{key} IS NULL OR {unlike})"
    )


@cache
def differing_statement(table: str, key: str, live: str, rebuilt: str, unlike: str, *, full_join: bool) -> str:
    """Return the SELECT of (how many rows differ, a key), in the order of keys.

    `live` and `rebuilt` are the names of schemas; `unlike` is the condition that a row l is not as a row r. Older
    SQLite has no FULL JOIN; where there is one, it takes half the time.
    """
    if full_join:
        differing = (
            f"SELECT coalesce(l.{key}, r.{key}) AS key FROM {live}.{table} l FULL JOIN {rebuilt}.{table} r"
            f" ON r.{key} = l.{key} WHERE l.{key} IS NULL OR r.{key} IS NULL OR {unlike}"
        )
    else:
        differing = (
            f"SELECT l.{key} AS key FROM {live}.{table} l LEFT JOIN {rebuilt}.{table} r ON r.{key} = l.{key}"
            f" WHERE r.{key} IS NULL OR {unlike} UNION ALL "
            f"SELECT r.{key} FROM {rebuilt}.{table} r LEFT JOIN {live}.{table} l ON l.{key} = r.{key}"
            f" WHERE l.{key} IS NULL"
        )
    return f"WITH differing AS ({differing}) SELECT count(*) OVER (), key FROM differing ORDER BY key LIMIT :limit"


Forms = Mapping[Kind, str]
"""The SQL that gives a column ({}) of a kind in its comparable form."""


def row_statement(table: Table, forms: Forms, schema: str) -> str:
    """Return the SELECT of one row of a schema's table, by :key."""
    return f"SELECT {_columns(table, forms)} FROM {schema}.{table.name} WHERE {table.key} = :key LIMIT 1"


def rows_statement(table: Table, forms: Forms) -> str:
    """Return the SELECT of every row of a table, in the order of keys."""
    return f"SELECT {_columns(table, forms)} FROM {table.name} ORDER BY {table.key}"


def value_statement(table: Table, column: str, form: str) -> str:
    """Return the SELECT of one column of a row, by :key."""
    return f"SELECT {form.format(column)} FROM {table.name} WHERE {table.key} = :key"


def _columns(table: Table, forms: Forms) -> str:
    return ", ".join(forms.get(kind, "{}").format(column) for column, kind in table.columns.items())
