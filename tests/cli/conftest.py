"""The databases that `tiu` is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.cli.story import tell
from tests.support.postgres_server import database_url
from tests.support.stores import BACKENDS, Backend, SQLiteBackend, new_backend


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
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A migrated database of the test's own, with nothing in it."""
    (tmp_path / "db").mkdir()
    place = tmp_path / "db" / "tiu.db" if request.param == "sqlite" else request.getfixturevalue("pg_url")
    with new_backend(request.param, place) as made:
        yield made


@pytest.fixture
def told(db: Backend) -> Backend:
    """A database of the test's own with the story in it, and its read tables up to date."""
    tell(db)
    return db


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
        with new_backend("sqlite", folders.mktemp("cli") / "tiu.db") as backend:
            yield backend
        return
    server, template = request.getfixturevalue("pg_server"), request.getfixturevalue("pg_template")
    name = f"tiu_cli_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        try:
            with new_backend("postgresql", database_url(server, name)) as backend:
                yield backend
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteBackend]:
    """A migrated SQLite database of the test's own, with nothing in it."""
    (tmp_path / "file").mkdir()
    with new_backend("sqlite", tmp_path / "file" / "tiu.db") as made:
        assert isinstance(made, SQLiteBackend)
        yield made
