"""The databases that the migrations are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from tests.migrations.stores import PostgreSQL, SQLite, Store


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    store = SQLite(tmp_path / "read.db")
    with closing(store):
        yield store


@pytest.fixture
def postgresql(pg_empty: str) -> Iterator[Store]:
    store = PostgreSQL(pg_empty)
    with closing(store):
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest) -> Store:
    """A database with nothing in it."""
    return cast(Store, request.getfixturevalue(request.param))


@pytest.fixture
def store(empty: Store) -> Store:
    """A database with the read tables, all of them empty."""
    empty.up()
    return empty


@pytest.fixture
def graph(store: Store) -> Store:
    """A project to which tasks and dependencies can be added."""
    store.insert("users")
    store.insert("projects")
    return store
