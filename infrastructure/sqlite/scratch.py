"""Read tables in memory, for as long as they are looked at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...projections.projection import Projection, Row, Table
from ..read_store import Batch, all_statement
from ..schemas import migrations_of
from .connections import transaction, translated
from .images import IN_MEMORY, fill, image
from .read_store import ENCODERS, SQLiteReadStore, decoded

RawRows = Mapping[str, tuple[Any, ...]]
"""The rows of a table by their keys, as the database holds them."""


class _Memory:
    """One connection to a database in memory. Satisfies `Files`."""

    def __init__(self, projection: Projection) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("PRAGMA foreign_keys = ON")
        fill(self._connection, image(tuple(migrations_of(projection, "sqlite"))))

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with translated(IN_MEMORY):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        with translated(IN_MEMORY), transaction(self._connection) as connection:
            yield connection

    def close(self) -> None:
        self._connection.close()


class Scratch(SQLiteReadStore):
    """Empty tables of a projection, for one thread."""

    def __init__(self, projection: Projection) -> None:
        super().__init__(_Memory(projection))

    def raw_rows(self, table: Table) -> RawRows:
        """Return every row of a table."""
        place = list(table.columns).index(table.key)
        with self._connections.reading() as connection:
            return {row[place]: row for row in connection.execute(all_statement(table))}

    def put(self, rows: Iterable[tuple[Table, Row]]) -> None:
        """Insert rows, whatever they refer to."""
        with self._connections.reading() as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for table, row in rows:
                batch = Batch("insert", table, tuple(table.columns), [tuple(row[column] for column in table.columns)])
                connection.executemany(batch.statement("?"), batch.encoded(ENCODERS))
            connection.execute("PRAGMA foreign_keys = ON")


def in_python(table: Table, row: tuple[Any, ...]) -> Row:
    """Return a raw row in Python's terms."""
    return next(decoded(table.columns, [row]))
