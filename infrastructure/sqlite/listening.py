"""Waiting for appends on SQLite."""

from __future__ import annotations

import weakref
from pathlib import Path
from queue import Empty, SimpleQueue

from .connections import open_database, translated

WATCH_SECONDS = 0.02
"""How often a listener looks whether another process has written."""


class SQLiteListener:
    """Woken at once by this process's appends; another's are seen by SQLite's count of changes to the file."""

    def __init__(self, path: Path, timeout: float, registry: weakref.WeakSet[SQLiteListener]) -> None:
        self._path = path
        self._woken = SimpleQueue[None]()
        self._connection = open_database(path, timeout=timeout)
        self._registry = registry
        self._seen = self._changes()

    def _changes(self) -> int:
        with translated(self._path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def wait(self, timeout: float) -> None:
        for _ in range(max(1, round(timeout / WATCH_SECONDS))):
            changes = self._changes()
            if changes != self._seen or self._is_woken(WATCH_SECONDS):
                break
        self._seen = self._changes()
        self._clear()

    def pause(self, timeout: float) -> None:
        self._is_woken(timeout)
        self._clear()

    def _is_woken(self, timeout: float) -> bool:
        try:
            self._woken.get(timeout=timeout)
        except Empty:
            return False
        return True

    def _clear(self) -> None:
        while not self._woken.empty():
            self._woken.get()

    def wake(self) -> None:
        """A signal's handler may call it wherever the main thread is: the queue takes no lock."""
        if self._woken.empty():
            self._woken.put(None)

    def close(self) -> None:
        self._registry.discard(self)
        self._connection.close()
