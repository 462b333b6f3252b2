"""What SQLite says of its two files."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import StatisticsUnavailable
from ..monitor import IndexUse, Monitor, SlowStatement, TableSize
from ..sql import statements
from .connections import open_database, translated

SQL = statements("sqlite/monitor.sql")
SIDES = ("", "-wal", "-shm")
UNITS = ("kB", "MB", "GB", "TB", "PB")


class SQLiteMonitor(Monitor):
    """`files` gives name -> path. Each question opens them anew: they may have been replaced."""

    def __init__(self, files: Callable[[], Mapping[str, Path]], *, timeout: float) -> None:
        self._files = files
        self._timeout = timeout

    def sizes(self, *, limit: int = 1_000) -> list[TableSize]:
        found = []
        for name, path in self._files().items():
            with _opened(path, self._timeout) as connection:
                if not _has_dbstat(connection):
                    raise StatisticsUnavailable("this SQLite tells no sizes: it was built without dbstat")
                for table, size, index in connection.execute(SQL["sizes"]):
                    found.append(TableSize(name, table, pretty(size), size, index, None))
        return sorted(found, key=lambda one: (-one.size_bytes, one.schemaname, one.tablename))[:limit]

    def slow(self, *, limit: int = 10) -> list[SlowStatement]:
        raise StatisticsUnavailable("SQLite keeps no statistics of statements: PostgreSQL does, in pg_stat_statements")

    def indexes(self, *, limit: int = 1_000) -> list[IndexUse]:
        found = []
        for name, path in self._files().items():
            with _opened(path, self._timeout) as connection:
                sizes = dict(connection.execute(SQL["index_sizes"])) if _has_dbstat(connection) else {}
                for table, index in connection.execute(SQL["indexes"]):
                    found.append(IndexUse(name, table, index, None, None, None, sizes.get(index)))
        return sorted(found, key=lambda one: (one.schemaname, one.relname, one.indexrelname))[:limit]

    def pool(self) -> None:
        return None


def facts(path: Path, timeout: float) -> dict[str, Any]:
    """Return SQLite's `version`, and the `journal_mode` and `encoding` of a file. Raises StoreUnavailable."""
    with _opened(path, timeout) as connection:
        return {name: connection.execute(SQL[name]).fetchone()[0] for name in ("version", "journal_mode", "encoding")}


def open_to_others(path: Path) -> str | None:
    """Return what is wrong where others than its owner may read or write a file, or one that SQLite keeps beside it."""
    for side in SIDES:
        file = path.with_name(path.name + side)
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & 0o077:
            may = " and ".join(word for word, bits in (("read", 0o044), ("write", 0o022)) if mode & bits) or "run"
            return f"{file}: others than its owner may {may} it (mode {mode:o}): chmod 600 {file}"
    return None


@contextmanager
def _opened(path: Path, timeout: float) -> Iterator[sqlite3.Connection]:
    connection = open_database(path, timeout=timeout)
    try:
        with translated(path):
            yield connection
    finally:
        connection.close()


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(SQL["has_dbstat"]).fetchone()[0])


def pretty(size: int) -> str:
    """Return a size as PostgreSQL's pg_size_pretty shows it: a unit is used up to 10,239 of it."""
    if size < 10 * 1024:
        return f"{size} bytes"
    halves = size // 512  # rounding is decided by half a unit
    for unit in UNITS:
        if halves < 20 * 1024 - 1 or unit == UNITS[-1]:
            break
        halves //= 1024
    return f"{(halves + 1) // 2} {unit}"
