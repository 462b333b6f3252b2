"""A projection in memory, told one event after the other, strictly: what a database would refuse is refused here.

So is what no database sees, and what makes tables that are rebuilt differ: a handler that changes what it is given,
reads what it has not declared, or makes something else of the same event the second time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..domain.messages import Recorded
from ..projections.projection import Change, Delete, Insert, Kind, Operation, Projection, Row, Table, Update
from .exact import exactly
from .history import History, line_of
from .operations import OPERATIONS, InMemory, Tables


class BrokenProjection(AssertionError):
    """A projection does what it may not: its tables would not be the same when they are rebuilt.

    `history` is the one in which it does, where a check found it.
    """

    history: History | None = None

    def __str__(self) -> str:
        return super().__str__() + (f"\nin this history:\n{self.history}" if self.history else "")


class Projected:
    """The tables of a projection in memory. Also what its handlers read (its `Rows`).

    `operations` say what the projection's named operations do to the tables; one that is not among them is refused.
    """

    def __init__(self, projection: Projection, operations: Mapping[str, InMemory] | None = None) -> None:
        self.projection = projection
        self.tables: Tables = {table.name: {} for table in projection.tables}
        self.changes: list[Change] = []
        """What the last event changed, in order."""
        self._operations = OPERATIONS if operations is None else operations
        self._described = {table.name: table for table in projection.tables}
        self._given: list[tuple[str, Row, Row]] = []
        """(table, row that a handler was given, that row as it was)"""

    def described(self, name: str) -> Table:
        """Return a table's description. Raises BrokenProjection for one that the projection does not have."""
        if name not in self._described:
            raise BrokenProjection(f"{self.projection.name} has no table {name!r}: it changes its own alone")
        return self._described[name]

    # What handlers read

    def get(self, table: str, key: UUID) -> Row:
        """Return a row of a private table. Raises KeyError where there is none."""
        self._private(table)
        row = self.tables[table][key]
        return self._lent(table, row)

    def get_many(self, table: str, keys: Collection[UUID]) -> list[Row]:
        """Return rows of a private table, in the order of their keys. Raises KeyError where there is none."""
        return [self.get(table, key) for key in keys]

    def children(self, table: str, parent: UUID) -> list[Row]:
        """Return the rows of a private table under a parent: in no order, so here the last comes first."""
        column = self._private(table).parent
        if column is None:
            raise BrokenProjection(f"it reads the children of {table}, which names no parent")
        return [self._lent(table, row) for row in self.tables[table].values() if row[column] == parent][::-1]

    def _private(self, name: str) -> Table:
        table = self._described.get(name)
        if table is None or not table.private:
            raise BrokenProjection(f"it reads {name}, which is no table that {self.projection.name} declares private")
        return table

    def _lent(self, table: str, row: dict[str, Any]) -> Row:
        given = deepcopy(row)
        self._given.append((table, given, row))
        return given

    # What happens

    def take(self, recorded: Recorded) -> list[Change]:
        """Project an event, and return what it changes.

        Raises BrokenProjection, with the event, where its handler breaks the rules; and what the handler raises.
        """
        try:
            self.changes = self._changes_of(recorded)
            for change in self.changes:
                self.make(change)
        except BrokenProjection as broken:
            raise BrokenProjection(f"{broken}\n  at {line_of(recorded)}") from None
        return self.changes

    def _changes_of(self, recorded: Recorded) -> list[Change]:
        changes = self._handled(recorded)
        if exactly(self._handled(recorded)) != exactly(changes):
            raise BrokenProjection(
                "the same event at the same place means something else the second time: its handler looks at a clock, "
                "at chance, or at what it remembers of itself"
            )
        return changes

    def _handled(self, recorded: Recorded) -> list[Change]:
        event = recorded.event
        before = deepcopy(event.__dict__)
        self._given.clear()
        changes = deepcopy([*self.projection.changes(recorded, self)])
        if exactly(event.__dict__) != exactly(before):
            raise BrokenProjection(
                "its handler changes the event that it is given: other projections are given it, too"
            )
        for table, given, row in self._given:
            if exactly(dict(given)) != exactly(row):
                raise BrokenProjection(
                    f"its handler changes a row of {table} that it is given: only a Change is stored"
                )
        return changes

    def make(self, change: Change) -> None:
        """Make one change, as a database would. Raises BrokenProjection."""
        match change:
            case Insert(name, row):
                self._insert(self.described(name), row)
            case Update(name, key, values):
                self._update(self.described(name), key, values)
            case Delete(name, key):
                self._delete(self.described(name), key)
            case Operation(name, parameters):
                if name not in self._operations:
                    raise BrokenProjection(f"nobody says what the operation {name!r} does in memory: give `operations`")
                self._operations[name](self.tables, parameters)

    def _insert(self, table: Table, row: Row) -> None:
        if row.keys() != table.columns.keys():
            different = sorted(row.keys() ^ table.columns.keys())
            raise BrokenProjection(f"a row of {table.name} with other columns than its table has: {different}")
        key = row[table.key]
        if key in self.tables[table.name]:
            raise BrokenProjection(f"a second row {key} of {table.name}")
        self._put(table, key, {name: fitting(table, name, value) for name, value in row.items()})

    def _update(self, table: Table, key: UUID, values: Row) -> None:
        row = self.tables[table.name].get(key)
        if unknown := values.keys() - table.columns.keys():
            raise BrokenProjection(f"{table.name} has no columns {sorted(unknown)}")
        if row is not None:
            self._put(table, key, row | {name: fitting(table, name, value) for name, value in values.items()})
        elif not table.expires:
            raise BrokenProjection(f"an update of the row {key} of {table.name}, which is not there")

    def _put(self, table: Table, key: UUID, row: dict[str, Any]) -> None:
        rows = self.tables[table.name]
        for columns in table.unique:
            values = [row[column] for column in columns]
            if None not in values and any(
                values == [other[column] for column in columns] for id_, other in rows.items() if id_ != key
            ):
                raise BrokenProjection(f"two rows of {table.name} with the same {', '.join(columns)}")
        rows[key] = row

    def _delete(self, table: Table, key: UUID) -> None:
        if self.tables[table.name].pop(key, None) is None and not table.expires:
            raise BrokenProjection(f"a delete of the row {key} of {table.name}, which is not there")

    # What is there then

    def by_key(self) -> dict[str, dict[str, Row]]:
        """Return every row of every table, by the text of its key."""
        return {name: {str(key): row for key, row in rows.items()} for name, rows in self.tables.items()}

    def require_rows(self, table: str, expected: Sequence[Row]) -> None:
        """Raise AssertionError unless a table has exactly these rows, in the columns that they name."""
        described = self.described(table)
        named = sorted({name for row in expected for name in row} or described.columns)
        if unknown := set(named) - described.columns.keys():
            raise AssertionError(f"{table} has no columns {sorted(unknown)}")
        rows = [{name: row[name] for name in named} for row in self.tables[table].values()]
        wanted = [{name: fitting(described, name, value) for name, value in row.items()} for row in expected]
        found, sought = sorted(map(exactly, rows)), sorted(map(exactly, wanted))
        assert found == sought, "\n".join([f"rows of {table}:", *found, "expected:", *sought])


KINDS: Mapping[Kind, tuple[type, ...]] = {
    Kind.UUID: (UUID,),
    Kind.TEXT: (str,),
    Kind.INTEGER: (int,),
    Kind.EXACT: (int,),
    Kind.DOUBLE: (float, int),
    Kind.FLAG: (bool,),
    Kind.JSON: (dict, list, tuple, str, int, float, bool),
    Kind.TIME: (datetime,),
}


def fitting(table: Table, column: str, value: Any) -> Any:
    """Return a column's value as any store gives it back. Raises BrokenProjection where it is of another kind."""
    kind = table.columns[column]
    if value is None:
        return None
    if not _is_of(kind, value):
        raise BrokenProjection(f"{table.name}.{column} holds {kind.value}, and is given {value!r}")
    match kind:
        case Kind.DOUBLE:
            return float(value) + 0.0  # SQLite keeps no −0.0
        case Kind.TIME:
            return _utc(f"{table.name}.{column}", value)
        case Kind.JSON:
            return _json(value)
    return value


def _is_of(kind: Kind, value: Any) -> bool:
    return isinstance(value, KINDS[kind]) and (kind in (Kind.FLAG, Kind.JSON) or not isinstance(value, bool))


def _utc(column: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise BrokenProjection(f"{column} is given a time without an offset: {at!r}")
    return at.astimezone(UTC)


def _json(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_json(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value
