"""Connections to one SQLite file: a writer, and readers that come and go."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from ..errors import ConnectionClosed, FileExists, StoreUnavailable

MAX_IDLE_READERS = 4


def open_database(
    path: Path, *, timeout: float, synchronous: str = "FULL", read_only: bool = False
) -> sqlite3.Connection:
    """Return a connection in autocommit mode to a file that exists: looking makes none, and changes none.

    `timeout` is how long, in seconds, a locked database is waited for. Raises StoreUnavailable.
    """
    with translated(path):
        url = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"
        connection = sqlite3.connect(url, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # a destroyed key leaves nothing on its page
        except BaseException:
            connection.close()
            raise
        return connection


def make_database(path: Path, *, timeout: float) -> None:
    """Make a file that is its owner's alone (0600), if there is none, and turn its write-ahead log on.

    One that exists is never opened here but by SQLite: closing any descriptor of a file drops every lock that this
    process holds on it (POSIX), SQLite's among them. Raises StoreUnavailable.
    """
    with suppress(FileExists):
        make_file(path)
    connection = open_database(path, timeout=timeout)
    try:
        with translated(path):
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def make_file(path: Path) -> None:
    """Make an empty file that is its owner's alone (0600). Raises FileExists, StoreUnavailable."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise FileExists(f"{path} is there already: nothing is overwritten", path=path) from None
    except OSError as error:
        raise StoreUnavailable(f"cannot make {path}: {error.strerror}", path=path) from None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about its file into StoreUnavailable; broken constraints pass."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: {error}", path=path) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE ... COMMIT; nothing stays where anything is raised, or where it was rolled back within."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Connections:
    """The connections of one process to one file. Thread-safe."""

    def __init__(self, path: Path, *, timeout: float, synchronous: str = "FULL") -> None:
        self.path = path
        self.timeout = timeout
        self._synchronous = synchronous
        self._writer = self._open()
        self._file = _identity(path)
        self._write_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def _open(self) -> sqlite3.Connection:
        return open_database(self.path, timeout=self.timeout, synchronous=self._synchronous)

    def is_at_its_path(self) -> bool:
        """Whether the file that was opened is still the one of its name."""
        return self._file == _identity(self.path)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the writer inside a transaction of its own."""
        with self.turn(), translated(self.path), transaction(self._writer) as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until nobody else of this process writes, and keep it so. Raises StoreUnavailable."""
        self._require_open()
        if not self._write_lock.acquire(timeout=self.timeout):
            raise StoreUnavailable(f"{self.path}: database is locked", path=self.path)
        try:
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read with."""
        with self._lock:
            self._require_open()
            idle = self._idle.pop() if self._idle else None
        connection = idle or self._open()
        try:
            with translated(self.path):
                yield connection
        finally:
            self._give_back(connection)

    def _require_open(self) -> None:
        if self._closed:
            raise ConnectionClosed(f"{self.path}: this connection was closed", path=self.path)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._write_lock:
            self._writer.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Held:
    """One connection inside a transaction, in place of Connections: what reads and writes through it is part of it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        yield self._connection

    def close(self) -> None:
        """Do nothing: whoever holds the connection closes it."""
