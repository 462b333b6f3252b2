"""The tables beside the live ones, on SQLite: in the file of the next generation."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from ...projections.projection import Projection, Table
from ...projections.read_model import NAME
from ..comparable import ComparableRow
from ..comparison import Comparison, DatabaseComparison, Side, alike_statement, differing_statement, row_statement
from ..errors import RebuildRefused, StoreUnavailable
from ..read_store import Checkpoint
from ..rebuild import Shadow, Tell
from ..schemas import migrations_of
from ..sql import sequences, statements
from .bulk import BulkConnections, Things, complete, private_tables, strip, things, things_of_migrations
from .connections import Connections, open_database, transaction, translated
from .file_lock import FileLock
from .generations import CurrentFile, read_path
from .read_store import SQLiteReadStore
from .schema import SQLiteFile
from .standing import FORMS, give_comparable

SQL = statements("sqlite/shadow.sql")
RECORD = sequences("sqlite/shadow.sql")["record"]
SIDES = ("", "-wal", "-shm")
SORTING_KIB = 16 << 10
"""As much is sorted at once for an index, and as much cached meanwhile: with four times as much it takes as long."""


class SQLiteShadow(Shadow):
    def __init__(self, path: Path, projection: Projection, *, timeout: float) -> None:
        self._path = path
        self._projection = projection
        self._timeout = timeout
        self._migrations = migrations_of(projection, "sqlite")
        whose = "" if projection.name == NAME else f"{projection.name}-"
        self._lock = path.with_name(f"{path.stem}.{whose}rebuild{path.suffix}-lock")
        self._find()
        self._files = CurrentFile(lambda: self._beside, self._connections)
        self.reads = SQLiteReadStore(self._files)

    def _connections(self, path: Path) -> Connections:
        """What a crash takes of what is loaded is loaded again; a power cut leaves the file whole all the same."""
        return BulkConnections(path, timeout=self._timeout, synchronous="NORMAL")

    def _find(self) -> None:
        self._generation = SQLiteFile(self._path, [], self._timeout).read_generation(self._projection.name)
        self._live, self._beside = (self._file_of(self._generation + number) for number in (0, 1))

    def _file_of(self, generation: int) -> Path:
        return read_path(self._path, generation, self._projection.name)

    def abandoned(self) -> bool:
        if not self._beside.exists():
            return False
        try:
            with self._only_one():
                return True
        except RebuildRefused:
            return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._only_one():
            self._find()
            for generation in range(1, self._generation):  # a crash may have come between a swap and the end of a file
                self._remove(self._file_of(generation))
            yield

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = FileLock(self._lock)
        if not lock.take():
            raise RebuildRefused(f"{self._lock}: another rebuild is at work")
        try:
            yield
        finally:
            lock.let_go()

    def check(self) -> None:
        others = sorted(f"{thing.type} {thing.name}" for thing in self._others().values() if thing.type != "index")
        if others:
            raise RebuildRefused(
                f"{self._live} holds what a rebuild would lose ({', '.join(others)}): move it to a file of its own",
                in_the_way=others,
            )

    def _others(self) -> Things:
        ours = things_of_migrations(self._projection)
        return {key: thing for key, thing in self._things(self._live).items() if key not in ours}

    def _things(self, path: Path) -> Things:
        with self._open(path) as connection:
            return things(connection)

    @contextmanager
    def _open(self, path: Path, synchronous: str = "NORMAL") -> Iterator[sqlite3.Connection]:
        opened = open_database(path, timeout=self._timeout, synchronous=synchronous)
        with closing(opened) as connection, translated(path):
            yield connection

    def stands(self) -> bool:
        if not self._beside.exists():
            return False
        migrations = {one.version for one in self._migrations}
        if self._file().recorded().keys() != migrations:
            return False
        return self._tables(self._beside) == self._tables(self._live)

    def _tables(self, path: Path) -> dict[str, str]:
        return {thing.name: thing.sql for thing in self._things(path).values() if thing.type in ("table", "view")}

    def _file(self) -> SQLiteFile:
        return SQLiteFile(self._beside, self._migrations, self._timeout)

    def make(self) -> None:
        self.drop()
        file = self._file()
        for migration in file.migrations:
            file.up(migration)
        with self._open(self._live) as live:
            recorded = live.execute(SQL["recorded"]).fetchall()
        with self._open(self._beside) as connection, transaction(connection):
            for version, applied_at, rollback_sql, created_at in recorded:
                values = {"applied_at": applied_at, "rollback_sql": rollback_sql, "created_at": created_at}
                for statement in RECORD:
                    connection.execute(statement, {"version": version, **values})
            strip(connection, private_tables(self._projection))

    def finish(self, tell: Tell) -> None:
        self._files.let_go()  # of what loading has cached, before as much is taken for sorting
        with self._files.reading() as connection:
            connection.execute(f"PRAGMA cache_size = -{SORTING_KIB}")
            complete(connection, self._projection, self._things(self._live), tell)
            with self._open(self._live) as live:
                if live.execute(SQL["has_statistics"]).fetchone():
                    connection.execute("ANALYZE")

    @contextmanager
    def held(self) -> Iterator[Checkpoint | None]:
        with self._open(self._live) as connection, transaction(connection):
            yield self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> Checkpoint | None:
        row = connection.execute(SQL["checkpoint"], {"projection": self._projection.name}).fetchone()
        if row is None:
            return None
        version, epoch, *rest = row
        return Checkpoint(version, UUID(epoch), *rest)

    @contextmanager
    def comparison(self) -> Iterator[Comparison]:
        with self._open(self._live) as connection:
            connection.execute("ATTACH DATABASE ? AS rebuilt", (f"file:{quote(str(self._beside))}?mode=rw",))
            connection.execute("BEGIN")
            live, rebuilt = connection.execute(SQL["positions"], {"projection": self._projection.name}).fetchone()
            if live != rebuilt:
                raise StoreUnavailable(f"the tables to compare stand at {live} and at {rebuilt}")
            yield SQLiteComparison(connection)

    def outwait(self) -> float:
        """Whoever reads has a file open, and goes on reading that."""
        return 0.0

    def swap(self, bring: Callable[[Checkpoint | None], None]) -> None:
        with self._open(self._live) as live, transaction(live):
            checkpoint = self._checkpoint(live)
            bring(checkpoint)
            if self._things(self._beside) != things(live):
                raise RebuildRefused(f"{self._live} has changed its form meanwhile: rebuild again")
            leases = live.execute(SQL["leases"]).fetchall()
            self._sync(1 if checkpoint is None else checkpoint.generation + 1, leases)
            self._name()
        self._remove(self._live)

    def _sync(self, generation: int, leases: Iterable[tuple[Any, ...]]) -> None:
        self._files.let_go()
        with self._open(self._beside, "FULL") as connection:
            with transaction(connection):
                connection.executemany(SQL["set_lease"], leases)
                values = {"generation": generation, "projection": self._projection.name}
                connection.execute(SQL["set_generation"], values)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        folder = os.open(self._beside.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _name(self) -> None:
        with self._open(self._path, "FULL") as events, transaction(events):
            values = {
                "generation": self._generation,
                "next": self._generation + 1,
                "projection": self._projection.name,
            }
            if events.execute(SQL["name_generation"], values).rowcount != 1:
                raise RebuildRefused(f"{self._path} names other read tables than {self._live}: rebuild again")

    def drop(self) -> bool:
        self._files.let_go()
        return self._remove(self._beside)

    @staticmethod
    def _remove(path: Path) -> bool:
        """Whoever has the file open is not disturbed."""
        there = path.exists()
        for side in SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
        return there

    def close(self) -> None:
        self._files.close()


class SQLiteComparison(DatabaseComparison):
    """Of the tables of two files, over a connection inside a transaction that has both."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        give_comparable(connection)

    @staticmethod
    def _unlike(table: Table) -> str:
        return " OR ".join(f"l.{column} IS NOT r.{column}" for column in table.columns)

    def _alike(self, table: Table) -> bool:
        statement = alike_statement(table.name, table.key, "main", "rebuilt", self._unlike(table))
        return bool(self._connection.execute(statement).fetchone()[0])

    def _differing(self, table: Table, limit: int) -> tuple[int, list[Any]]:
        unlike = self._unlike(table)
        statement = differing_statement(table.name, table.key, "main", "rebuilt", unlike, full_join=False)
        rows = self._connection.execute(statement, {"limit": limit}).fetchall()
        return (rows[0][0], [key.decode() for _, key in rows]) if rows else (0, [])

    def _row(self, side: Side, table: Table, key: Any) -> ComparableRow | None:
        statement = row_statement(table, FORMS, "main" if side == "live" else "rebuilt")
        row: ComparableRow | None = self._connection.execute(statement, {"key": key}).fetchone()
        return row
