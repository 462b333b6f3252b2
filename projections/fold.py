"""A batch of changes, folded in memory: what remains is at most one change of a row, last write wins per column.

A fold is written in one order: deletes (children first), updates, inserts (parents first). So a unique value that a
delete releases can be taken in the same batch; one that an update releases can not (both databases check each
statement at once), and a batch must be written before it is: `must_close` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from .projection import Delete, Insert, Operation, Row, RowChange, Table, Update


class Writes(NamedTuple):
    """What a fold comes to, of one table."""

    table: Table
    deletes: dict[UUID, None]
    updates: dict[UUID, dict[str, Any]]
    inserts: dict[UUID, dict[str, Any]]


class Fold:
    """Folds changes of some tables, given with parents before children."""

    def __init__(self, tables: tuple[Table, ...]) -> None:
        self._writes = {table.name: Writes(table, {}, {}, {}) for table in tables}
        self._changed_uniquely: set[str] = set()

    def __iter__(self) -> Iterator[Writes]:
        return iter(self._writes.values())

    def must_close(self, change: RowChange) -> bool:
        """Whether the batch has to be written before this change, which may take what an update released."""
        return change.table in self._changed_uniquely and self._takes_unique(change)

    def _takes_unique(self, change: RowChange) -> bool:
        if isinstance(change, Delete):
            return False
        given = change.row if isinstance(change, Insert) else change.values
        return any(column in given for columns in self._writes[change.table].table.unique for column in columns)

    def add(self, change: RowChange) -> None:
        """Fold a change in. Raises ValueError where it contradicts what the batch did to the row before."""
        writes = self._writes[change.table]
        match change:
            case Insert(row=row):
                self._insert(writes, row)
            case Update(key=key, values=values):
                if self._takes_unique(change):
                    self._changed_uniquely.add(change.table)
                if key in writes.inserts:
                    writes.inserts[key].update(values)
                elif key in writes.deletes:
                    raise ValueError(f"{change.table}: an update of {key}, which was deleted")
                else:
                    writes.updates.setdefault(key, {}).update(values)
            case Delete(key=key):
                if writes.inserts.pop(key, None) is None:
                    writes.updates.pop(key, None)
                    writes.deletes[key] = None

    @staticmethod
    def _insert(writes: Writes, row: Row) -> None:
        key = row[writes.table.key]
        if row.keys() != writes.table.columns.keys():
            raise ValueError(f"{writes.table.name}: a row has {sorted(row)}, not the table's columns")
        if key in writes.inserts or key in writes.updates:
            raise ValueError(f"{writes.table.name}: a second row {key}")
        writes.inserts[key] = dict(row)


Step = Fold | Operation
"""What a read store takes at once; a batch of events comes to a sequence of them."""


class RunningState:
    """The private rows as they stand within a batch, over what is stored. Satisfies `Rows`.

    `load(table, key)` and `load_children(table, parent)` read what is stored. Rows stay in memory between batches, the
    most recent `limit` of them: the store's only writer is the projector that holds this.
    """

    def __init__(
        self,
        tables: tuple[Table, ...],
        load: Callable[[Table, UUID], Row | None],
        load_children: Callable[[Table, UUID], list[Row]],
        limit: int = 100_000,
    ) -> None:
        self._tables = {table.name: table for table in tables if table.private}
        self._load = load
        self._load_children = load_children
        self._limit = limit
        self._rows: dict[str, dict[UUID, Row | None]] = {name: {} for name in self._tables}
        self._children: dict[str, dict[UUID, dict[UUID, Row]]] = {
            name: {} for name, table in self._tables.items() if table.parent
        }

    def get(self, table: str, key: UUID) -> Row:
        rows = self._rows[table]
        if key not in rows:
            rows[key] = self._load(self._tables[table], key)
        row = rows[key]
        if row is None:
            raise KeyError(f"{table} has no row {key}")
        return row

    def children(self, table: str, parent: UUID) -> list[Row]:
        return list(self._family(table, parent).values())

    def _family(self, table: str, parent: UUID) -> dict[UUID, Row]:
        families = self._children[table]
        if parent not in families:
            key = self._tables[table].key
            families[parent] = {row[key]: row for row in self._load_children(self._tables[table], parent)}
            self._rows[table].update(families[parent])
        return families[parent]

    def add(self, change: RowChange) -> None:
        """Take a change of a private table in; others are not kept."""
        table = self._tables.get(change.table)
        if table is None:
            return
        match change:
            case Insert(row=row):
                self._put(table, row[table.key], row)
            case Update(key=key, values=values):
                self._put(table, key, {**self.get(table.name, key), **values})
            case Delete(key=key):
                before = self.get(table.name, key) if table.parent else None
                if table.parent and before:
                    self._family(table.name, before[table.parent]).pop(key, None)
                self._rows[table.name][key] = None

    def _put(self, table: Table, key: UUID, row: Row) -> None:
        if table.parent:
            self._family(table.name, row[table.parent])[key] = row
        rows = self._rows[table.name]
        rows.pop(key, None)  # so that it stands behind those used before it
        rows[key] = row

    def _caches(self) -> list[dict[UUID, Any]]:
        return [*self._rows.values(), *self._children.values()]

    def trim(self) -> None:
        """Forget the rows used longest ago, beyond the limit; all that is forgotten must be stored by now."""
        for rows in self._caches():
            for key in list(rows)[: max(0, len(rows) - self._limit)]:
                del rows[key]

    def clear(self) -> None:
        """Forget everything: what is stored is no longer what was written."""
        for rows in self._caches():
            rows.clear()
