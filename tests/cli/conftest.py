"""The databases that `tiu` is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.story import tell
from tests.infrastructure.conftest import postgresql_copies, sqlite_copies, sqlite_template
from tests.support.copies import Copies
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS, Backend, SQLiteBackend, copy_sqlite, new_backend

__all__ = ["postgresql_copies", "sqlite_copies", "sqlite_template"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to be in: what a verb makes by mistake lands there. No setting of this machine names a database."""
    ours = (
        "DB_HOST",
        "DB_PORT",
        "DB_NAME",
        "DB_USER",
        "DB_PASSWORD",
        "SQLITE_PATH",
        "MASTER_KEY",
        "SEALING_KEY",
        "PROJECTIONS",
    )
    for name in (*ours, "PROJECTOR_ON_POISON", "PROJECTOR_LEASE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=BACKENDS)
def db(request: pytest.FixtureRequest) -> Backend:
    """A migrated database of the test's own, with nothing in it."""
    made: Backend = request.getfixturevalue("sqlite" if request.param == "sqlite" else "postgresql")
    return made


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: SQLiteBackend) -> Iterator[SQLiteBackend]:
    """A migrated SQLite database of the test's own, with nothing in it."""
    (tmp_path / "db").mkdir()
    with closing(copy_sqlite(sqlite_template, tmp_path / "db" / "tiu.db")) as made:
        yield made


@pytest.fixture
def postgresql(pg_url: str) -> Iterator[Backend]:
    with new_backend("postgresql", pg_url) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A database of the test's own with the story in it, and its read tables up to date."""
    copies: Copies = request.getfixturevalue(f"{request.param}_copies")
    (tmp_path / "db").mkdir()
    with copies.of(tell, tmp_path / "db" / "tiu.db") as made:
        yield made


@pytest.fixture(scope="session", params=BACKENDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A database with the story in it, for tests that change nothing."""
    with lasting(request, tmp_path_factory) as backend:
        tell(backend)
        yield backend


@pytest.fixture(scope="session", params=BACKENDS)
def empty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A migrated database with nothing in it, for tests that change nothing."""
    with lasting(request, tmp_path_factory) as backend:
        yield backend


@contextmanager
def lasting(request: pytest.FixtureRequest, folders: pytest.TempPathFactory) -> Iterator[Backend]:
    """Give a migrated database of the kind that is asked for, with nothing in it."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        with closing(copy_sqlite(template, folders.mktemp("cli") / "tiu.db")) as backend:
            yield backend
        return
    server, template = request.getfixturevalue("pg_server"), request.getfixturevalue("pg_template")
    with (
        new_database(server, "cli", template=template) as name,
        new_backend("postgresql", database_url(server, name)) as backend,
    ):
        yield backend
