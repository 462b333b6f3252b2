"""Tables as they stand at one moment, on SQLite: inside a transaction that reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ...projections.projection import Kind, Projection, Table
from ..comparable import DIGEST, LONG_BYTES, ComparableRow, bounded, json_columns, one_json, with_one_json
from ..comparison import Forms, rows_statement
from ..errors import StoreUnavailable
from ..standing import PIECE, StandingTables
from .connections import open_database, translated
from .generations import read_path
from .read_store import checkpoint_of
from .schema import SQLiteFile

_BOUNDED = (
    f"CASE WHEN length(CAST({{0}} AS BLOB)) > {LONG_BYTES} OR substr({{0}}, 1, {len(DIGEST)}) = '{DIGEST.decode()}' "
    "THEN tiu_bounded(CAST({0} AS BLOB)) ELSE {0} END"
)
CACHE_KIB = 32 << 10
"""Rows are read in the order of keys, and stand in that of events."""
FORMS: Forms = {Kind.TEXT: _BOUNDED, Kind.JSON: _BOUNDED}
ONE_JSON: Forms = {Kind.TEXT: _BOUNDED, Kind.JSON: _BOUNDED.replace("tiu_bounded", "tiu_bounded_json")}


def give_comparable(connection: sqlite3.Connection) -> None:
    """Make a connection give text as its bytes, whatever they are, and let statements use `FORMS`."""
    connection.text_factory = bytes
    connection.create_function("tiu_bounded", 1, bounded, deterministic=True)
    connection.create_function("tiu_bounded_json", 1, _bounded_json, deterministic=True)


def _bounded_json(text: bytes) -> bytes:
    return one_json([text], ours=True)[0]


class SQLiteTables(StandingTables):
    """Of one file, over a connection inside a transaction. With `one_json` JSON is not as it is kept, but in the form
    that any database's can be brought to."""

    keeps_json_text = True

    def __init__(self, connection: sqlite3.Connection, projection: Projection, *, one_json: bool = False) -> None:
        self.checkpoint = checkpoint_of(connection, projection.name)
        self._connection = connection
        self._one_json = one_json
        give_comparable(connection)

    def pieces(self, table: Table) -> Iterator[list[ComparableRow]]:
        indexes = json_columns(table) if self._one_json else []
        statement = rows_statement(table, ONE_JSON if self._one_json else FORMS)
        with closing(self._connection.execute(statement)) as cursor:
            while rows := cursor.fetchmany(PIECE):
                yield with_one_json(rows, indexes, ours=True)


@contextmanager
def file_tables(
    path: Path, projection: Projection, *, timeout: float, one_json: bool = False
) -> Iterator[SQLiteTables]:
    """Give the read tables of a file."""
    with closing(open_database(path, timeout=timeout, read_only=True)) as connection, translated(path):
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("BEGIN")
        yield SQLiteTables(connection, projection, one_json=one_json)


@contextmanager
def live_tables(path: Path, projection: Projection, *, timeout: float) -> Iterator[SQLiteTables]:
    """Give the read tables that an events file names."""
    events = SQLiteFile(path, [], timeout)
    with ExitStack() as stack:
        while True:
            generation = events.read_generation(projection.name)
            file = read_path(path, generation, projection.name)
            try:
                tables = stack.enter_context(file_tables(file, projection, timeout=timeout))
                break
            except StoreUnavailable:
                if events.read_generation(projection.name) == generation:  # it was not replaced meanwhile
                    raise
        yield tables
