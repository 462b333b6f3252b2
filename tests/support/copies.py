"""Databases in which something was told once: a test's own copy is made in a tenth of the time.

All copies are one log: where two of them meet, give each a `new_identity` and tell it by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

from tests.support.postgres_server import database_url, new_database
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend, copy_sqlite

Tell = Callable[[Backend], None]


class Copies(ABC):
    """Copies of the databases of one store."""

    @abstractmethod
    def of(self, tell: Tell, path: Path) -> AbstractContextManager[Backend]:
        """Give a copy of the migrated database that `tell` was called with once; at `path`, if it is a file."""


class SQLiteCopies(Copies):
    def __init__(self, migrated: SQLiteBackend, folder: Path) -> None:
        self._migrated = migrated
        self._folder = folder
        self._told: dict[Tell, SQLiteBackend] = {}

    @contextmanager
    def of(self, tell: Tell, path: Path) -> Iterator[SQLiteBackend]:
        if tell not in self._told:
            with closing(copy_sqlite(self._migrated, self._folder / f"{len(self._told)}.db")) as made:
                tell(made)
            self._told[tell] = made
        with closing(copy_sqlite(self._told[tell], path)) as made:
            yield made


class PostgreSQLCopies(Copies):
    """`told` is closed before the server goes."""

    def __init__(self, server: str, migrated: str, told: ExitStack) -> None:
        self._server = server
        self._migrated = migrated
        self._databases = told
        self._told: dict[Tell, str] = {}

    @contextmanager
    def of(self, tell: Tell, path: Path) -> Iterator[PostgreSQLBackend]:
        if tell not in self._told:
            name = self._databases.enter_context(new_database(self._server, "told", template=self._migrated))
            with closing(self._backend(name)) as made:
                tell(made)
            self._told[tell] = name
        with (
            new_database(self._server, "test", template=self._told[tell]) as name,
            closing(self._backend(name)) as made,
        ):
            yield made

    def _backend(self, name: str) -> PostgreSQLBackend:
        return PostgreSQLBackend(database_url(self._server, name))
