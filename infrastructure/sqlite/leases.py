"""Leases on SQLite, among the processes of one host: a row beside the checkpoint, and a file that its holder locks.

The file says until when the tenure counts: it is renewed without writing to the database, which the holder itself may
be writing to for long. Its clock is the host's own that never jumps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from ..event_store import Listener
from ..leases import Holder, Lease, Leases, this_process
from ..sql import statements
from .file_lock import FileLock
from .generations import Files
from .values import time_of, time_text

SQL = statements("sqlite/leases.sql")
"""Those of projections: beside `checkpoints`, in `leases`."""


def _lock_path(path: Path, name: str) -> Path:
    """app.db -> app.read_model.db-lock"""
    return path.with_name(f"{path.stem}.{name}{path.suffix}-lock")


def _has_run_out(lock: FileLock) -> bool:
    """Whether what a tenure's file says has passed; what says nothing has not."""
    try:
        return float(lock.read()) < time.monotonic()
    except ValueError:
        return False


class SQLiteLeases(Leases):
    """Of the database whose events are in `path`; they and their checkpoints stand in `files`, where `sql` says."""

    def __init__(self, path: Path, files: Files, seconds: float, sql: Mapping[str, str] = SQL) -> None:
        super().__init__(seconds)
        self._path = path
        self._files = files
        self._sql = sql

    def candidate(self, name: str, listener: Listener) -> Lease:
        return SQLiteLease(self._path, self._files, name, self._seconds, listener, self._sql)

    def holder(self, name: str) -> Holder | None:
        with self._files.reading() as connection:
            row = connection.execute(self._sql["holder"], {"name": name}).fetchone()
        if row is None:
            return None
        fence, host, pid, since = row
        lock = FileLock(_lock_path(self._path, name))
        return Holder(fence, host, pid, time_of(since), not lock.is_free() and not _has_run_out(lock))


class SQLiteLease(Lease):
    def __init__(
        self, path: Path, files: Files, name: str, seconds: float, listener: Listener, sql: Mapping[str, str] = SQL
    ) -> None:
        super().__init__(name, seconds, listener)
        self._files = files
        self._sql = sql
        self._lock = FileLock(_lock_path(path, name))

    def _take(self, candidate: UUID) -> int | None:
        if not self._lock.take() and not _has_run_out(self._lock):
            return None
        try:
            return self._begin()
        except BaseException:
            self._lock.let_go()
            raise

    def _begin(self) -> int | None:
        with self._files.writing() as connection:
            if not self._lock.is_held():
                self._lock.let_go()
                if not _has_run_out(self._lock):
                    return None  # another was faster
                self._lock.replace()
            since = time_text(datetime.now(UTC))
            values = {"name": self.name, "since": since, **this_process()}
            ((fence,),) = connection.execute(self._sql["take"], values).fetchall()
            connection.execute(self._sql["fence"], {"name": self.name, "fence": fence})
            self._count()
        return int(fence)

    def _count(self) -> None:
        """Let the tenure count from now on."""
        self._lock.write(f"{time.monotonic() + self.term:020.6f}\n")

    def _renew(self, candidate: UUID, fence: int) -> bool:
        if not self._lock.is_held():
            return False
        self._count()
        return True

    def _let_go(self, fence: int) -> None:
        self._lock.let_go()
