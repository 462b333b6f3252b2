"""How tables that were made twice of the same events differ: those that stand, and those that were made beside them.

Both are read as they stand at one moment, at the same position; each table is compared in the database, and of what
differs no more than the first rows are brought here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from ..projections.projection import Row, Table

MAX_ROWS = 5
MAX_TEXT = 80
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


class Comparison(ABC):
    """Two sets of tables as they stood at one moment. Every method may raise StoreUnavailable."""

    def differences(self, table: Table, limit: int = MAX_ROWS) -> TableDifferences:
        """Return how a table differs: of how many rows, and what in the first `limit` of them."""
        count, keys = self._differing(table, limit)
        first = [found for key in keys for found in self._of_row(table, key)]
        return TableDifferences(table.name, count, tuple(first))

    def _of_row(self, table: Table, key: Any) -> list[Difference]:
        live, rebuilt = self._row("live", table, key), self._row("rebuilt", table, key)
        if live is None or rebuilt is None:
            told = ["missing" if row is None else "there" for row in (live, rebuilt)]
            return [Difference(str(key), None, *told)]
        unlike = [column for column in table.columns if repr(live[column]) != repr(rebuilt[column])]
        return [
            Difference(str(key), column, _told(table, live[column]), _told(table, rebuilt[column]))
            for column in unlike or table.columns
        ]

    @abstractmethod
    def _differing(self, table: Table, limit: int) -> tuple[int, list[Any]]:
        """Return how many rows differ, and the keys of the first of them."""

    @abstractmethod
    def _row(self, side: Side, table: Table, key: Any) -> Row | None:
        """Return a row, in the database's own types."""


def _told(table: Table, value: Any) -> str:
    if table.personal:
        return "(personal)"
    text = "NULL" if value is None else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


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


@cache
def row_statement(table: str, columns: tuple[str, ...], key: str, schema: str) -> str:
    """Return the SELECT of one row of a schema's table, by :key."""
    return f"SELECT {', '.join(columns)} FROM {schema}.{table} WHERE {key} = :key LIMIT 1"
