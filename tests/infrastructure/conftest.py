"""The stores under test: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.read_store import ReadStore
from tests.support.stores import BACKENDS, Backend, PostgreSQLBackend, SQLiteBackend, new_backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    place = tmp_path / "tiu.db" if request.param == "sqlite" else request.getfixturevalue("pg_url")
    with new_backend(request.param, place) as made:
        yield made


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteBackend]:
    with new_backend("sqlite", tmp_path / "tiu.db") as made:
        assert isinstance(made, SQLiteBackend)
        yield made


@pytest.fixture
def postgresql(pg_url: str) -> Iterator[PostgreSQLBackend]:
    with new_backend("postgresql", pg_url) as made:
        assert isinstance(made, PostgreSQLBackend)
        yield made


@pytest.fixture
def events(backend: Backend) -> EventStore:
    return backend.events()


@pytest.fixture
def reads(backend: Backend) -> ReadStore:
    return backend.reads()
