"""The files of the read tables, of each projection: one for each time that they were made anew. The events file names
the current one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Protocol

from ...projections.read_model import NAME
from ..errors import ConnectionClosed, StoreUnavailable
from .connections import Connections


def read_path(path: Path, generation: int, projection: str = NAME) -> Path:
    """Return the file that holds a projection's tables, beside the events file `path`: app.db -> app.read-1.db; of an
    embedding service's, it has the projection's name: app.board-1.db."""
    return path.with_name(f"{path.stem}.{'read' if projection == NAME else projection}-{generation}{path.suffix}")


class Files(Protocol):
    """Connections to what is one file at a time."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection to read with."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Give the writer inside a transaction of its own."""

    def close(self) -> None: ...


class CurrentFile:
    """The connections to whichever file is current. Thread-safe.

    It is asked for before each use. A writer asks again inside its transaction: whoever makes another file current
    holds the write lock of the one before meanwhile, so nothing is written that nobody would read.
    """

    def __init__(self, current: Callable[[], Path], open_file: Callable[[Path], Connections]) -> None:
        self._current = current
        self._open_file = open_file
        self._lock = threading.Lock()
        self._file: Connections | None = None
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with ExitStack() as stack:
            _, connection = self._entered(stack, Connections.reading)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        while True:
            with ExitStack() as stack:
                file, connection = self._entered(stack, Connections.writing)
                if self._current() == file.path:
                    yield connection
                    return

    def _entered(
        self, stack: ExitStack, using: Callable[[Connections], AbstractContextManager[Connection]]
    ) -> tuple[Connections, Connection]:
        """A file that cannot be used any more is no fault, unless it is still the current one."""
        while True:
            path = self._current()
            try:
                file = self._opened(path)
                return file, stack.enter_context(using(file))
            except (StoreUnavailable, ConnectionClosed):
                if self._closed or self._current() == path:
                    raise

    def _opened(self, path: Path) -> Connections:
        with self._lock:
            if self._closed:
                raise ConnectionClosed(f"{path}: this connection was closed", path=path)
            before = self._file
            if before is not None and before.path == path:
                return before
            file = self._file = self._open_file(path)
        if before is not None:
            before.close()
        return file

    def let_go(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.let_go()
