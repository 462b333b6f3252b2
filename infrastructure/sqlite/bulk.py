"""Loading read tables in bulk, on SQLite: without indexes, search and triggers, which are made when the rows are in."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ...projections.projection import Projection, Table
from ..errors import ProjectionFailed
from ..migration import Migration
from ..rebuild import RebuildProgress, Tell, broken
from ..schemas import migrations_of
from ..sql import sequences, statements
from .connections import Connections, transaction
from .images import IN_MEMORY, image
from .schema import SQLiteFile

SQL = statements("sqlite/bulk.sql")
FILL_SEARCH = sequences("sqlite/bulk.sql")["fill_search"]
SEARCHED = ("table", "projects_search_ids")
"""What is there with our text search, which `fill_search` makes of the rows as its triggers do."""
RECORDS = ("schema_migrations", "migration_rollbacks")
CACHE_KIB = 64 << 10
LOG_PAGES = 16_384
"""The write-ahead log is brought into the file once in so many pages: each time waits for the disk."""


class Thing(NamedTuple):
    """A table, an index, a view or a trigger."""

    type: str
    name: str
    table: str
    sql: str


Things = Mapping[tuple[str, str], Thing]
"""By type and name."""


class BulkConnections(Connections):
    """Connections to a file that is being loaded. `synchronous` says what a crash may leave of it: NORMAL a whole file,
    OFF anything, where nobody would go on from it."""

    def __init__(self, path: Path, *, timeout: float, synchronous: str, cache_kib: int = CACHE_KIB) -> None:
        self._cache_kib = cache_kib
        super().__init__(path, timeout=timeout, synchronous=synchronous)

    def _open(self) -> sqlite3.Connection:
        connection = super()._open()
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"PRAGMA cache_size = -{self._cache_kib}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        return connection


def things(connection: sqlite3.Connection) -> Things:
    """Return what a file holds."""
    return {(row[0], row[1]): Thing(*row) for row in connection.execute(SQL["objects"])}


def things_of_migrations(projection: Projection) -> Things:
    """Return what the migrations of a projection's tables make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(image(tuple(migrations_of(projection, "sqlite"))))
        return {**things(connection), **{("table", name): Thing("table", name, name, "") for name in RECORDS}}


def strip(connection: sqlite3.Connection, private: Collection[str]) -> None:
    """Drop what `complete` makes; what finds running state, in `private` tables, stays, and triggers where nothing else
    does what they do."""
    left_out = ("index", "trigger") if SEARCHED in things(connection) else ("index",)
    for thing in things(connection).values():
        if thing.type in left_out and thing.table not in private:
            connection.execute(f"DROP {thing.type} {quoted(thing.name)}")


def private_tables(projection: Projection) -> frozenset[str]:
    """Return the names of the tables that hold a projection's running state."""
    return frozenset(table.name for table in projection.tables if table.private)


def _forget_uniqueness(connection: sqlite3.Connection, table: str) -> None:
    """Let rows of an empty table share values that SQLite holds unique in a column's own definition; the key stays."""
    made = things(connection)["table", table].sql
    connection.execute(f"DROP TABLE {quoted(table)}")
    connection.execute(made.replace(" UNIQUE ", " "))


def stripped(projection: Projection, sharing: Collection[Table] = ()) -> bytes:
    """Return a database of a projection's tables as rows are loaded into them: without what `complete` makes. In those
    that are `sharing`, rows may have the same unique values."""
    migrations = tuple(migrations_of(projection, "sqlite"))
    return _stripped(migrations, private_tables(projection), tuple(table.name for table in sharing))


@lru_cache(maxsize=32)
def _stripped(migrations: tuple[Migration, ...], private: frozenset[str], sharing: tuple[str, ...]) -> bytes:
    file = SQLiteFile(IN_MEMORY, migrations, 0)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for migration in migrations:
            file.apply(connection, migration)
        strip(connection, private)
        for table in sharing:
            _forget_uniqueness(connection, table)
        return connection.serialize()


def complete(connection: sqlite3.Connection, projection: Projection, wanted: Things, tell: Tell) -> None:
    """Make what is wanted and not there: indexes, the text search, triggers. Raises ProjectionFailed where rows break
    one, or refer to what is not there."""
    there = things(connection)
    left = [thing for key, thing in wanted.items() if key not in there]
    indexes = [thing for thing in left if thing.type == "index"]
    triggers = [thing for thing in left if thing.type == "trigger"]
    for number, thing in enumerate(indexes):
        tell(RebuildProgress("indexing", number, len(indexes) + 1))
        try:
            connection.execute(thing.sql)
        except sqlite3.IntegrityError:
            raise broken(thing.name, thing.table) from None
    tell(RebuildProgress("indexing", len(indexes), len(indexes) + 1))
    with transaction(connection):
        for statement in FILL_SEARCH if triggers and SEARCHED in there else ():
            connection.execute(statement)
        for thing in triggers:
            connection.execute(thing.sql)
    check_references(connection, projection)


def check_references(connection: sqlite3.Connection, projection: Projection) -> None:
    """Raise ProjectionFailed where a row refers to what is not there."""
    for table in projection.tables:
        found = connection.execute(f"PRAGMA foreign_key_check({quoted(table.name)})").fetchone()
        if found:
            raise ProjectionFailed(f"a rebuilt row of {table.name} refers to one of {found[2]} that is not there")


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever is in it."""
    return '"{}"'.format(name.replace('"', '""'))
