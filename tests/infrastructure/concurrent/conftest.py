"""Processes that live on from test to test, and the database that a client alone fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.concurrent.clients import Worker
from tests.support.stores import Backend, SQLiteBackend, copy_sqlite


@pytest.fixture(scope="session")
def workers() -> Iterator[list[Worker]]:
    """Two processes in which clients and readers run."""
    made = [Worker() for _ in range(2)]
    yield made
    for worker in made:
        worker.leave()


@pytest.fixture
def twin(tmp_path: Path, sqlite_template: SQLiteBackend) -> Iterator[Backend]:
    with closing(copy_sqlite(sqlite_template, tmp_path / "twin.db")) as made:
        made.new_identity()
        yield made
