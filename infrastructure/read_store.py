"""The read store's port: folded batches in, with their checkpoint, in one transaction; rows out.

Statements for rows are made from a projection's table descriptions (names only: values are always parameters), so that
every projection, an embedding service's own included, is written by the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from ..projections.fold import Fold, Step
from ..projections.projection import Projection, Row, Table
from .errors import ProjectionFailed


class Checkpoint(NamedTuple):
    """How far a projection has come: up to and with the event at `position` of the store `epoch`, whose hash it was."""

    version: int
    epoch: UUID
    position: int
    event_hash: bytes
    generation: int = 1
    """Which making of the tables it is of: what was remembered of others' rows does not count after a rebuild."""


class ReadStore(ABC):
    """The port. Every method may raise StoreUnavailable."""

    @abstractmethod
    def checkpoint(self, projection: str) -> Checkpoint | None:
        """Return a projection's checkpoint; None before its first batch."""

    @abstractmethod
    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        """Take steps in order, and move the checkpoint from `before` to `after`, in one transaction.

        Raises CheckpointMoved where the checkpoint is not `before`, and ProjectionFailed where the database refuses a
        row; nothing is written then.
        """

    @abstractmethod
    def rehearse(self, steps: Sequence[Step], statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Take steps as `apply` does, return what `query` finds then, and undo it all. Raises ProjectionFailed."""

    @abstractmethod
    def reset(self, projection: Projection) -> None:
        """Empty every table of a projection and take its checkpoint away, in one transaction."""

    @abstractmethod
    def row(self, table: Table, key: UUID) -> Row | None:
        """Return a stored row of a private table."""

    @abstractmethod
    def children(self, table: Table, parent: UUID) -> list[Row]:
        """Return the stored rows of a private table under a parent."""

    @abstractmethod
    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a SELECT with :name parameters, and return its rows by column name, in the database's own types."""

    @abstractmethod
    def search(self, name: str, text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a statement of the store's search.sql for what holds every word of `text`, and return rows as `query`
        does; where `text` has no words that count, nothing is found. `text` holds no NUL character."""

    @abstractmethod
    def close(self) -> None:
        """Let every connection go."""


class RowStatements(NamedTuple):
    """The statements for a table's rows, with a placeholder for each value."""

    insert: str
    delete: str
    select: str
    children: str
    empty: str


@cache
def _statements(name: str, columns: tuple[str, ...], key: str, parent: str | None, placeholder: str) -> RowStatements:
    listed = ", ".join(columns)
    values = ", ".join([placeholder] * len(columns))
    return RowStatements(
        insert=f"INSERT INTO {name} ({listed}) VALUES ({values})",
        delete=f"DELETE FROM {name} WHERE {key} = {placeholder}",
        select=f"SELECT {listed} FROM {name} WHERE {key} = {placeholder}",
        children=f"SELECT {listed} FROM {name} WHERE {parent or key} = {placeholder}",
        empty=f"DELETE FROM {name}",
    )


@cache
def update_statement(name: str, columns: tuple[str, ...], key: str, placeholder: str) -> str:
    """Return the statement that gives a row new values of some columns, its key last among the parameters."""
    changes = ", ".join(f"{column} = {placeholder}" for column in columns)
    return f"UPDATE {name} SET {changes} WHERE {key} = {placeholder}"


def statements_of(table: Table, placeholder: str) -> RowStatements:
    """Return a table's row statements."""
    return _statements(table.name, tuple(table.columns), table.key, table.parent, placeholder)


class Batch(NamedTuple):
    """One statement, and the parameters of every row that it is run for."""

    statement: str
    parameters: list[list[Any]]
    table: str
    must_match: bool
    """Every row of an update or a delete must be there, unless rows of its table expire."""

    def check(self, matched: int) -> None:
        """Raise ProjectionFailed where rows were missing: the tables are not what the events made."""
        if self.must_match and matched != len(self.parameters):
            missing = len(self.parameters) - matched
            raise ProjectionFailed(
                f"{missing} row(s) of {self.table} that an event changes are not there; rebuild the read tables",
                table=self.table,
            )


def batches_of(fold: Fold, encoders: Mapping[Any, Any], placeholder: str) -> list[Batch]:
    """Return a fold's statements: deletes, children first; then updates and inserts, parents first."""
    writes = list(fold)
    batches = []
    for table, deletes, _, _ in reversed(writes):
        if deletes:
            keys = [[encoders[table.columns[table.key]](key)] for key in deletes]
            batches.append(Batch(statements_of(table, placeholder).delete, keys, table.name, not table.expires))
    for table, _, updates, _ in writes:
        encode = {column: encoders[kind] for column, kind in table.columns.items()}
        by_columns: dict[tuple[str, ...], list[list[Any]]] = {}
        for key, values in updates.items():
            columns = tuple(sorted(values))
            row = [encode[column](values[column]) for column in columns]
            by_columns.setdefault(columns, []).append([*row, encode[table.key](key)])
        for columns, rows in by_columns.items():
            statement = update_statement(table.name, columns, table.key, placeholder)
            batches.append(Batch(statement, rows, table.name, not table.expires))
    for table, _, _, inserts in writes:
        if inserts:
            encode_row = [(column, encoders[kind]) for column, kind in table.columns.items()]
            rows = [[encode(row[column]) for column, encode in encode_row] for row in inserts.values()]
            batches.append(Batch(statements_of(table, placeholder).insert, rows, table.name, False))
    return batches
