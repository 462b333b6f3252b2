"""The form that every projection has: tables, and a pure function from an event to changes of rows.

A projection may keep running state in tables of its own (marked `private`): rows that it reads back by key, or by
parent, through `Rows`. Everything it writes, rows and state alike, are changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from ..domain.messages import Event, Recorded
from .migration import Migration, Store

if TYPE_CHECKING:
    from .parking import Parking

Row = Mapping[str, Any]


class Kind(Enum):
    """What a column holds; each store knows its own form of it."""

    UUID = "uuid"
    TEXT = "text"
    INTEGER = "integer"
    EXACT = "exact"
    """An unbounded integer."""
    DOUBLE = "double"
    FLAG = "flag"
    JSON = "json"
    TIME = "time"


@dataclass(frozen=True)
class Table:
    """A table that a projection writes. Its key is one UUID column."""

    name: str
    key: str
    columns: Mapping[str, Kind]
    unique: tuple[tuple[str, ...], ...] = ()
    """Other sets of columns that the database holds unique."""
    parent: str | None = None
    """The column by which `Rows.children` finds rows of a private table."""
    private: bool = False
    """Running state: read back by its projection, and by nobody else."""
    personal: bool = False
    """Who reports on its rows tells their keys and the names of columns, and no value."""
    expires: bool = False
    """Retention drops rows that events may still tell of: what changes one that is gone changes nothing."""


class Insert(NamedTuple):
    """A new row, with every column of its table."""

    table: str
    row: Row


class Update(NamedTuple):
    """New values of some columns of a row that exists; an update never inserts."""

    table: str
    key: UUID
    values: Row


class Delete(NamedTuple):
    """The end of a row that exists."""

    table: str
    key: UUID


RowChange = Insert | Update | Delete
"""A change of one row, by its key."""


class Operation(NamedTuple):
    """A named change of rows that no key tells, by SQL that both databases take.

    What came before it is written first. It leaves private tables alone, so that running state needs not be told.
    """

    name: str
    parameters: Mapping[str, Any]
    statements: tuple[str, ...] = ()
    """What it runs, in order, with :name parameters; without, what infrastructure/operations.sql has under its name."""


Change = RowChange | Operation


class Rows(Protocol):
    """The running state as it stands before the event."""

    def get(self, table: str, key: UUID) -> Row:
        """Return a row of a private table. Raises KeyError where there is none."""

    def get_many(self, table: str, keys: Collection[UUID]) -> list[Row]:
        """Return rows of a private table by their keys, in that order; what is stored is read at once. Raises KeyError
        where there is none."""

    def children(self, table: str, parent: UUID) -> list[Row]:
        """Return the rows of a private table under a parent, in no order."""


Handler = Callable[[Recorded, Any, Rows], Iterable[Change]]
"""(where the event stands, the event, running state) -> changes, in order."""


@dataclass(frozen=True)
class Projection:
    """What events mean for some tables. A new `version` means that old rows no longer fit: they must be rebuilt."""

    name: str
    version: int
    tables: tuple[Table, ...]
    """Parents before children."""
    handlers: Mapping[type[Event], Handler]
    parking: Parking | None = None
    """How it parks what it cannot project; without, it stops there."""
    migrations: Mapping[Store, Sequence[Migration]] = field(default_factory=dict)
    """What makes its tables on each store; on one that is left out, they are made as they are described."""

    def changes(self, recorded: Recorded, rows: Rows) -> Iterator[Change]:
        """Return what an event changes; nothing, where the projection takes no interest in it."""
        handler = self.handlers.get(type(recorded.event))
        return iter(handler(recorded, recorded.event, rows) if handler else ())
