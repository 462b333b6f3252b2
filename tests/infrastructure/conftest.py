"""The stores under test: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.read_store import ReadStore
from tests.support.copies import PostgreSQLCopies, SQLiteCopies
from tests.support.every_table import tell_all
from tests.support.places import Place, PostgreSQLPlace, SQLitePlace
from tests.support.stores import BACKENDS, Backend, PostgreSQLBackend, SQLiteBackend, copy_sqlite, new_backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SQLiteBackend:
    """A migrated file that nobody opens: a copy is made in a tenth of the time."""
    with new_backend("sqlite", tmp_path_factory.mktemp("template") / "tiu.db") as made:
        assert isinstance(made, SQLiteBackend)
        return made


@pytest.fixture(scope="session")
def sqlite_copies(sqlite_template: SQLiteBackend, tmp_path_factory: pytest.TempPathFactory) -> SQLiteCopies:
    return SQLiteCopies(sqlite_template, tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="session")
def postgresql_copies(pg_server: str, pg_template: str) -> Iterator[PostgreSQLCopies]:
    with ExitStack() as told:
        yield PostgreSQLCopies(pg_server, pg_template, told)


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: SQLiteBackend) -> Iterator[SQLiteBackend]:
    with closing(copy_sqlite(sqlite_template, tmp_path / "tiu.db")) as made:
        made.new_identity()
        yield made


@pytest.fixture
def postgresql(pg_url: str) -> Iterator[PostgreSQLBackend]:
    with new_backend("postgresql", pg_url) as made:
        assert isinstance(made, PostgreSQLBackend)
        made.new_identity()
        yield made


@pytest.fixture
def events(backend: Backend) -> EventStore:
    return backend.events()


@pytest.fixture
def reads(backend: Backend) -> ReadStore:
    return backend.reads()


@pytest.fixture
def sqlite_place(tmp_path: Path, sqlite_template: SQLiteBackend) -> Iterator[SQLitePlace]:
    with closing(copy_sqlite(sqlite_template, tmp_path / "app.db")) as live:
        live.new_identity()
        yield SQLitePlace(live, tmp_path, "SQLite")


@pytest.fixture
def postgresql_place(tmp_path: Path, pg_server: str, postgresql: PostgreSQLBackend) -> Iterator[PostgreSQLPlace]:
    with ExitStack() as databases:
        yield PostgreSQLPlace(postgresql, tmp_path, pg_server, databases)


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def sqlite_told(tmp_path: Path, sqlite_copies: SQLiteCopies) -> Iterator[SQLiteBackend]:
    """A database of the test's own with a row in every table."""
    with sqlite_copies.of(tell_all, tmp_path / "tiu.db") as made:
        yield made


@pytest.fixture
def postgresql_told(tmp_path: Path, postgresql_copies: PostgreSQLCopies) -> Iterator[PostgreSQLBackend]:
    """A database of the test's own with a row in every table."""
    with postgresql_copies.of(tell_all, tmp_path) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def told(request: pytest.FixtureRequest) -> Backend:
    """A database of the test's own with a row in every table."""
    made: Backend = request.getfixturevalue(f"{request.param}_told")
    return made
