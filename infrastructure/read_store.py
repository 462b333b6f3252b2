"""The read store's port: folded batches in, with their checkpoint, in one transaction; rows out.

Statements for rows are made from a projection's table descriptions (names only: values are always parameters), so that
every projection, an embedding service's own included, is written by the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from ..projections.fold import Step, Writes, unlike_columns
from ..projections.projection import Kind, Projection, Row, Table
from .errors import ProjectionFailed


class Checkpoint(NamedTuple):
    """How far a projection has come: up to and with the event at `position` of the store `epoch`, whose hash it was."""

    version: int
    epoch: UUID
    position: int
    event_hash: bytes
    generation: int = 1
    """Which making of the tables it is of: what was remembered of others' rows does not count after a rebuild."""
    fence: int = 0
    """The number of the tenure under which it is moved (leases.py); 0 before the first."""


class ReadStore(ABC):
    """The port. Every method may raise StoreUnavailable."""

    waits: ClassVar[bool]
    """Whether it waits for a server while it writes: then another thread can compute something else meanwhile."""

    @abstractmethod
    def checkpoint(self, projection: str) -> Checkpoint | None:
        """Return a projection's checkpoint; None before its first batch."""

    @abstractmethod
    def fence(self, projection: str) -> int:
        """Return the number of the last tenure of a projection's lease; 0 before the first."""

    @abstractmethod
    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        """Take steps in order, and move the checkpoint from `before` to `after`, in one transaction.

        Raises CheckpointMoved where the checkpoint is not `before`, its fence included (and of a first one, where the
        lease's is not that of `after`), and ProjectionFailed where the database refuses a row; nothing is written then.
        """

    @abstractmethod
    def rehearse(self, steps: Sequence[Step], statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Take steps as `apply` does, return what `query` finds then, and undo it all. Raises ProjectionFailed."""

    @abstractmethod
    def reset(self, projection: Projection) -> None:
        """Empty every table of a projection and take its checkpoint away, in one transaction."""

    @abstractmethod
    def rows(self, table: Table, keys: Collection[UUID]) -> list[Row]:
        """Return the stored rows of a private table under some keys, of those that are there, in no order."""

    def row(self, table: Table, key: UUID) -> Row | None:
        """Return a stored row, if there is one."""
        return next(iter(self.rows(table, (key,))), None)

    @abstractmethod
    def children(self, table: Table, parent: UUID) -> list[Row]:
        """Return the stored rows of a private table under a parent."""

    @abstractmethod
    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a SELECT with :name parameters, and return its rows by column name, in the database's own types."""

    @abstractmethod
    def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Do as `query` does with somebody else's SELECT; nothing can be written by it. Raises InvalidQuery."""

    @abstractmethod
    def search(self, name: str, text: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a statement of the store's search.sql for what holds every word of `text`, and return rows as `query`
        does; where `text` has no words that count, nothing is found. `text` holds no NUL character."""

    @abstractmethod
    def close(self) -> None:
        """Let every connection go."""


def select_statement(table: Table, column: str | None, values: str) -> str:
    """Return the statement that reads rows by a column; `values` is the store's own SQL, with a placeholder."""
    return f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {column} {values}"


def all_statement(table: Table) -> str:
    """Return the statement that reads every row of a table, in no order."""
    return f"SELECT {', '.join(table.columns)} FROM {table.name}"


def keys_statement(table: Table) -> str:
    """Return the statement that reads the keys of all rows of a table, in order."""
    return f"SELECT {table.key} FROM {table.name} ORDER BY {table.key}"


def delete_statement(table: Table, keys: str) -> str:
    """Return the statement that deletes a table's rows; `keys` is the store's own SQL, with a placeholder."""
    return f"DELETE FROM {table.name} WHERE {table.key} {keys}"


def empty_statement(table: Table) -> str:
    """Return the statement that deletes every row of a table."""
    return f"DELETE FROM {table.name}"


@cache
def insert_statement(name: str, columns: tuple[str, ...], placeholder: str) -> str:
    """Return the statement that inserts a row."""
    return f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join([placeholder] * len(columns))})"


@cache
def update_statement(name: str, columns: tuple[str, ...], placeholder: str) -> str:
    """Return the statement that gives a row new values of some columns; the last of `columns` is its key."""
    *changed, key = columns
    changes = ", ".join(f"{column} = {placeholder}" for column in changed)
    return f"UPDATE {name} SET {changes} WHERE {key} = {placeholder}"


def staging_statement(table: Table) -> str:
    """Return the statement that makes a temporary table of a table's columns, without any of its constraints."""
    return (
        f"CREATE TEMPORARY TABLE IF NOT EXISTS staged_{table.name} ON COMMIT DELETE ROWS "
        f"AS SELECT * FROM {table.name} WITH NO DATA"
    )


def unstaging_statement(table: Table) -> str:
    """Return the statement that makes room for the next staged rows."""
    return f"TRUNCATE staged_{table.name}"


def copy_statement(name: str, columns: tuple[str, ...], *, binary: bool) -> str:
    """Return the statement that copies rows into a table, on PostgreSQL."""
    return f"COPY {name} ({', '.join(columns)}) FROM STDIN{' (FORMAT BINARY)' if binary else ''}"


def merge_statement(name: str, columns: tuple[str, ...]) -> str:
    """Return the statement that updates a table from its staged rows; the last of `columns` is its key."""
    *changed, key = columns
    changes = ", ".join(f"{column} = s.{column}" for column in changed)
    return f"UPDATE {name} AS t SET {changes} FROM staged_{name} AS s WHERE t.{key} = s.{key}"


Encoders = Mapping[Kind, Callable[[Any], Any]]
"""How a store gives values of a kind to its database; those of kinds that are left out go as they are."""


class Batch(NamedTuple):
    """Rows of one table that are written by one statement."""

    verb: Literal["delete", "update", "insert"]
    table: Table
    columns: tuple[str, ...]
    """Those that each row gives, in their order; of an update, and of a delete, the key comes last."""
    rows: list[tuple[Any, ...]]

    def statement(self, placeholder: str) -> str:
        """Return the statement for each of the rows."""
        match self.verb:
            case "insert":
                return insert_statement(self.table.name, self.columns, placeholder)
            case "update":
                return update_statement(self.table.name, self.columns, placeholder)
        return delete_statement(self.table, f"= {placeholder}")

    def encoded(self, encoders: Encoders) -> list[tuple[Any, ...]]:
        """Return the rows with their values as a store gives them to its database: encoded column by column."""
        encode = [encoders.get(self.table.columns[column]) for column in self.columns]
        if not any(encode):
            return self.rows
        columns = zip(*self.rows, strict=True)
        return [*zip(*map(_encoded, encode, columns), strict=True)]

    def check(self, matched: int) -> None:
        """Raise ProjectionFailed where rows were missing: the tables are not what the events made.

        Every row of an update or a delete must be there, unless rows of its table expire.
        """
        if matched != len(self.rows) and self.verb != "insert" and not self.table.expires:
            missing = len(self.rows) - matched
            raise ProjectionFailed(
                f"{missing} row(s) of {self.table.name} that an event changes are not there; rebuild the read tables",
                table=self.table.name,
            )


def _encoded(encode: Callable[[Any], Any] | None, values: tuple[Any, ...]) -> Sequence[Any]:
    return values if encode is None else [None if value is None else encode(value) for value in values]


def batches_of(writes: Sequence[Writes]) -> list[Batch]:
    """Return what is written, in order: deletes, children first; then updates and inserts, parents first."""
    batches = []
    for table, deletes, _, _ in reversed(writes):
        if deletes:
            batches.append(Batch("delete", table, (table.key,), [(key,) for key in deletes]))
    for table, _, updates, _ in writes:
        if updates:
            batches += _updates(table, updates)
    for table, _, _, inserts in writes:
        if inserts:
            columns = tuple(table.columns)
            batches.append(Batch("insert", table, columns, _values(table, columns, inserts)))
    return batches


def _updates(table: Table, updates: list[tuple[UUID, dict[str, Any]]]) -> Iterator[Batch]:
    """Yield a batch for each set of columns that rows are given."""
    by_columns: dict[tuple[str, ...], list[Row]] = {}
    for key, values in updates:
        by_columns.setdefault(tuple(values), []).append({**values, table.key: key})
    for given, rows in by_columns.items():
        columns = (*sorted(set(given) - {table.key}), table.key)
        if len(columns) > 1:
            yield Batch("update", table, columns, _values(table, columns, rows))


def _values(table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Raises ValueError where a row has other columns."""
    if len(columns) == 1:
        return [(row[columns[0]],) for row in rows]
    try:
        return [*map(itemgetter(*columns), rows)]
    except KeyError:
        unlike = next(row for row in rows if not row.keys() >= set(columns))
        raise unlike_columns(table, unlike) from None
