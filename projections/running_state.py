"""The running state of a projection: the rows of its private tables, as they stand within a batch of events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from .fold import Writes, make, unlike_columns
from .projection import Row, RowChange, Table

LIMIT = 100_000
"""How many rows are remembered at most, of all private tables together. One of ours has about half a kilobyte."""
MANY = 10
Load = Callable[[Table, Collection[UUID]], Iterable[Row]]
LoadChildren = Callable[[Table, UUID], Iterable[Row]]


class Family(dict[int, dict[str, Any]]):
    """The rows under one parent that are known, by key."""

    __slots__ = ("whole",)

    def __init__(self) -> None:
        self.whole = False
        """Whether they are all that there are."""


class PrivateRows:
    """The rows of one private table that are known. None: there is no such row (any more)."""

    def __init__(self, table: Table, load: Load, load_children: LoadChildren) -> None:
        self.table = table
        self._parent = table.parent
        self._load = load
        self._load_children = load_children
        self.known: dict[int, dict[str, Any] | None] = {}
        self._families: dict[int, Family] = {}
        self.touched: dict[int, tuple[UUID, bool]] = {}
        """What the batch has changed so far: its key, and whether there was such a row before it."""
        self._unwritten: set[int] = set()
        """What was given out to be written since the last trim: a store may not have it yet."""

    def row(self, key: UUID) -> dict[str, Any]:
        """Return a row. Raises KeyError where there is none."""
        row = self.known.get(key.int)
        if row is None:
            if key.int not in self.known:
                self.fetch((key,))
                row = self.known.setdefault(key.int, None)
            if row is None:
                raise KeyError(f"{self.table.name} has no row {key}")
        return row

    def fetch(self, keys: Collection[UUID]) -> None:
        """Load what is stored under some keys that are not known yet; they may be no keys of this table."""
        for stored in self._load(self.table, keys):
            self._known(stored)

    def family(self, parent: UUID) -> Family:
        """Return all rows under a parent."""
        family = self._family(parent.int)
        if not family.whole:
            for stored in self._load_children(self.table, parent):
                self._known(stored)
            family.whole = True
        return family

    def _known(self, stored: Row) -> None:
        """Know a row from now on that is stored, unless it is known: it may have moved on since."""
        id_ = stored[self.table.key].int
        row = self.known.setdefault(id_, {**stored})
        if row is not None and self._parent:
            self._family(row[self._parent].int)[id_] = row

    def _family(self, parent: int) -> Family:
        family = self._families.get(parent)
        if family is None:
            family = self._families[parent] = Family()
        return family

    def insert(self, row: Row) -> None:
        """Raises ValueError for a second row of a key, or one with other columns than the table's."""
        table = self.table
        key: UUID = row[table.key]
        if len(row) != len(table.columns):
            raise unlike_columns(table, row)
        if self.known.get(key.int):
            raise ValueError(f"{table.name}: a second row {key}")
        own = {**row}
        self._put(key, own, was_there=False)
        if self._parent:
            self._family(row[self._parent].int)[key.int] = own

    def update(self, key: UUID, values: Row) -> None:
        """Raises KeyError where there is no such row."""
        id_ = key.int
        row = self.known.get(id_) or self.row(key)
        row.update(values)
        if id_ not in self.touched:
            self._put(key, row, was_there=True)
        if self._parent:
            self._family(row[self._parent].int)[id_] = row

    def delete(self, key: UUID) -> None:
        """Raises KeyError where there is no such row."""
        row = self.row(key)
        if self._parent:
            del self._families[row[self._parent].int][key.int]
        self._put(key, None, was_there=True)

    def _put(self, key: UUID, row: dict[str, Any] | None, *, was_there: bool) -> None:
        """Keep a row; at its first change in a batch it goes behind those that were changed before it."""
        id_ = key.int
        if id_ not in self.touched:
            self.touched[id_] = (key, was_there)
            self.known.pop(id_, None)
        self.known[id_] = row

    def writes(self) -> Writes:
        """Return what the changes came to since the last time."""
        written = Writes(self.table, [], [], [])
        for id_, (key, was_there) in self.touched.items():
            row = self.known[id_]
            if row is None:
                if was_there:
                    written.deletes.append(key)
            elif was_there:
                written.updates.append((key, {**row}))
            else:
                written.inserts.append({**row})
        self._unwritten.update(self.touched)
        self.touched.clear()
        return written

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows are remembered, and how many families."""
        return len(self.known), len(self._families)

    def trim(self, most: int) -> None:
        """Forget rows above so many, and families above as many that have none."""
        unwritten, self._unwritten = self._unwritten, set()
        for id_ in [*islice(self.known, max(0, len(self.known) - most))]:
            if id_ not in unwritten:
                row = self.known.pop(id_)
                if row is not None and self._parent:
                    family = self._families[row[self._parent].int]
                    del family[id_]
                    family.whole = False
        for parent in [*islice(self._families, max(0, len(self._families) - most))]:
            if not self._families[parent]:
                del self._families[parent]

    def clear(self) -> None:
        self.known.clear()
        self._families.clear()
        self.touched.clear()
        self._unwritten.clear()


class RunningState:
    """The private rows as they stand within a batch, over what is stored. Satisfies `Rows`.

    `load(table, keys)` and `load_children(table, parent)` read what is stored. Rows stay in memory between batches, of
    all tables no more than `limit`: the store's only writer is the projector that holds this. A row given to a handler
    stays as it is until the changes of that event are made; those that are to be written are copies.
    """

    def __init__(self, tables: tuple[Table, ...], load: Load, load_children: LoadChildren, limit: int = LIMIT) -> None:
        self.tables = {table.name: PrivateRows(table, load, load_children) for table in tables if table.private}
        self._limit = limit

    def get(self, table: str, key: UUID) -> Row:
        rows = self.tables[table]
        return rows.known.get(key.int) or rows.row(key)

    def get_many(self, table: str, keys: Collection[UUID]) -> list[Row]:
        rows = self.tables[table]
        if unknown := [key for key in keys if key.int not in rows.known]:
            rows.fetch(unknown)
        return [self.get(table, key) for key in keys]

    def children(self, table: str, parent: UUID) -> list[Row]:
        return [*self.tables[table].family(parent).values()]

    def add(self, change: RowChange) -> None:
        """Take a change of a private table in. Raises ValueError for a second row, KeyError where there is none."""
        make(change, self.tables)

    def fetch(self, ids: Mapping[int, UUID]) -> None:
        """Load at once what is stored under any of these ids, where many are not known yet; few are loaded one by one,
        by whoever asks for them."""
        unknown = [id_ for number, id_ in ids.items() if not any(number in rows.known for rows in self.tables.values())]
        if len(unknown) >= MANY:
            for rows in self.tables.values():
                if not rows.table.parent:
                    rows.fetch(unknown)

    def writes(self) -> list[Writes]:
        """Return what the private tables have come to since the last time, in their order."""
        return [rows.writes() for rows in self.tables.values() if rows.touched]

    @property
    def sizes(self) -> list[int]:
        """How much is remembered, which the limit bounds: of each table its rows, and its families of rows."""
        return [size for rows in self.tables.values() for size in rows.sizes]

    def trim(self) -> None:
        """Forget the rows changed longest ago, beyond the limit, but those given out to be written since the last trim:
        what is forgotten must be stored by now, and the batch behind the one just stored is not."""
        most = fair_share(self.sizes, self._limit)
        for rows in self.tables.values():
            rows.trim(most)

    def clear(self) -> None:
        """Forget everything: what is stored is no longer what was written."""
        for rows in self.tables.values():
            rows.clear()


def fair_share(sizes: Sequence[int], limit: int) -> int:
    """Return how much each may keep so that all keep no more than a limit together: the largest give way."""
    for number, size in enumerate(sorted(sizes)):
        share = limit // (len(sizes) - number)
        if size > share:
            return share
        limit -= size
    return max(sizes, default=0)
