"""A batch of changes, folded in memory: what remains is at most one change of a row, last write wins per column.

A fold is written in one order: deletes (children first), updates, inserts (parents first). So a unique value that a
delete releases can be taken in the same batch; one that an update releases can not (both databases check each
statement at once), and a batch must be written before it is: `must_close` says so.

Rows are found by the integer of their id in here: a UUID's own hash and comparison are Python code, run for each event
many times over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from .projection import Delete, Insert, Operation, Row, RowChange, Table, Update


class Writes(NamedTuple):
    """What a batch comes to, of one table. Nobody changes it any more."""

    table: Table
    deletes: list[UUID]
    updates: list[tuple[UUID, dict[str, Any]]]
    inserts: list[Row]


Step = list[Writes] | Operation
"""What a read store takes at once: what a fold came to, parents before children, or an operation. A batch of events
comes to a sequence of them."""


class Folded:
    """The changes of one table."""

    __slots__ = ("changing", "columns", "deletes", "inserts", "key", "moved", "name", "table", "unique", "updates")

    def __init__(self, table: Table, moved: set[str]) -> None:
        self.table, self.name, self.key = table, table.name, table.key
        self.columns = len(table.columns)
        self.unique = frozenset(column for columns in table.unique for column in columns)
        self.moved = moved
        self.deletes: dict[int, UUID] = {}
        self.updates: dict[int, UUID] = {}
        self.inserts: dict[int, Row] = {}
        self.changing: dict[int, dict[str, Any]] = {}
        """What updates have come to so far, of stored rows and of new ones: ours to change."""

    def insert(self, row: Row) -> None:
        id_ = row[self.key].int
        if len(row) != self.columns:  # a wrong name among as many is found when they are written
            raise unlike_columns(self.table, row)
        if id_ in self.inserts or id_ in self.updates:
            raise ValueError(f"{self.name}: a second row {row[self.key]}")
        self.inserts[id_] = row

    def update(self, key: UUID, values: Row) -> None:
        id_ = key.int
        if self.unique and not self.unique.isdisjoint(values):
            self.moved.add(self.name)
        changing = self.changing.get(id_)
        if changing is not None:
            changing.update(values)
        elif id_ in self.inserts:
            self.inserts[id_] = self.changing[id_] = {**self.inserts[id_], **values}
        elif id_ in self.deletes:
            raise ValueError(f"{self.name}: an update of {key}, which was deleted")
        else:
            self.updates[id_] = key
            self.changing[id_] = {**values}

    def delete(self, key: UUID) -> None:
        id_ = key.int
        self.changing.pop(id_, None)
        if self.inserts.pop(id_, None) is None:
            self.updates.pop(id_, None)
            self.deletes[id_] = key

    def writes(self) -> Writes:
        """Return what the changes came to, and begin anew."""
        updates = [(key, self.changing[id_]) for id_, key in self.updates.items()]
        written = Writes(self.table, [*self.deletes.values()], updates, [*self.inserts.values()])
        self.deletes, self.updates, self.inserts, self.changing = {}, {}, {}, {}
        return written


def unlike_columns(table: Table, row: Iterable[str]) -> ValueError:
    """Return what says that a row has other columns than its table."""
    given, wanted = set(row), set(table.columns)
    told = [
        f"{what} {', '.join(sorted(columns))}"
        for what, columns in (("without", wanted - given), ("with", given - wanted))
        if columns
    ]
    return ValueError(f"{table.name}: a row {' and '.join(told)}: not the table's columns")


class Fold:
    """Folds changes of some tables, given with parents before children. `tables` takes a table's changes by its name:
    they raise ValueError where they contradict what the batch did to the row before."""

    def __init__(self, tables: tuple[Table, ...]) -> None:
        self.moved: set[str] = set()
        """The tables in which updates have changed what is unique."""
        self.tables = {table.name: Folded(table, self.moved) for table in tables}

    def must_close(self, change: RowChange) -> bool:
        """Whether the batch has to be written before this change, which may take what an update released."""
        if change[0] not in self.moved or isinstance(change, Delete):
            return False
        return not self.tables[change[0]].unique.isdisjoint(change[1] if isinstance(change, Insert) else change[2])

    def add(self, change: RowChange) -> None:
        """Fold a change in. Raises ValueError."""
        make(change, self.tables)

    def writes(self) -> list[Writes]:
        """Return what the fold has come to, parents first, and begin anew; tables that it left alone are left out."""
        self.moved.clear()
        return [
            folded.writes() for folded in self.tables.values() if folded.inserts or folded.updates or folded.deletes
        ]


class Changeable(Protocol):
    """Takes the changes of one table."""

    def insert(self, row: Row) -> None: ...

    def update(self, key: UUID, values: Row) -> None: ...

    def delete(self, key: UUID) -> None: ...


def make(change: RowChange, tables: Mapping[str, Changeable]) -> None:
    """Make a change in its table."""
    if isinstance(change, Update):
        tables[change[0]].update(change[1], change[2])
    elif isinstance(change, Insert):
        tables[change[0]].insert(change[1])
    else:
        tables[change[0]].delete(change[1])
