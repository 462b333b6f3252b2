"""A lock that goes with its process: a file that one holds at a time, and that is gone afterwards."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ..errors import StoreUnavailable


class FileLock:
    """The lock of a file. Two of one process keep each other out. One thread takes it; any may ask, and write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._closing = threading.RLock()

    def take(self) -> bool:
        """Take the lock where nobody holds it; return whether that was so. Raises StoreUnavailable."""
        while True:
            descriptor = self._open(self.path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
            if self.is_held():
                return True
            self.let_go()  # whoever had it has removed it meanwhile

    def replace(self) -> None:
        """Take the lock whoever holds it: theirs is then that of a file without a name. Raises StoreUnavailable."""
        fresh = self.path.with_name(f"{self.path.name}-{uuid4().hex}")
        self._descriptor = self._open(fresh)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(self.path)

    def _open(self, path: Path) -> int:
        try:
            return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"cannot open {path}: {error.strerror}", path=path) from None

    def is_held(self) -> bool:
        """Whether the lock is ours: nobody has replaced it."""
        with self._closing, suppress(FileNotFoundError):
            return self._descriptor is not None and self.path.stat().st_ino == os.fstat(self._descriptor).st_ino
        return False

    def is_free(self) -> bool:
        """Whether nobody holds the lock: an instant later, somebody may. Raises StoreUnavailable."""
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StoreUnavailable(f"cannot open {self.path}: {error.strerror}", path=self.path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def write(self, text: str) -> None:
        """Put a short text of always the same length into the file that is locked."""
        with self._closing:
            if self._descriptor is not None:
                os.pwrite(self._descriptor, text.encode(), 0)

    def read(self) -> str:
        """Return what the file holds, whoever locked it; "" where there is none."""
        with suppress(OSError):
            return self.path.read_text(encoding="utf-8")
        return ""

    def let_go(self) -> None:
        """Let the lock go, if it is held, and remove its file."""
        with self._closing:
            if self._descriptor is None:
                return
            if self.is_held():
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
