"""What all tests share: Hypothesis profiles, and a PostgreSQL with a database for each test that asks for one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres_server import database_url, find_bindir, new_database, ram, temporary_server

# A shared machine's pauses say nothing about the code, hence no deadline, and no complaint about slow drawing.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    max_examples=40,
    stateful_step_count=30,
)
settings.register_profile("ci", settings.get_profile("default"), database=None)
settings.register_profile("long", settings.get_profile("default"), max_examples=1_000, stateful_step_count=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


# SQLite waits for the disk with each commit, and a test's files are gone with it.
if (folder := ram(4_096)) is not None and not os.statvfs(folder).f_flag & os.ST_NOEXEC:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The URL of a server's maintenance database: TEST_DATABASE_URL, else a server of the tests' own."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
    elif bindir := find_bindir():
        with temporary_server(bindir, "autovacuum=off") as url:  # else sizes and plans change of themselves
            yield url
    elif os.environ.get("CI"):
        pytest.fail("no PostgreSQL: set TEST_DATABASE_URL or install the test extra")
    else:
        pytest.skip("no PostgreSQL: set TEST_DATABASE_URL, install the test extra, or put pg_ctl on PATH")


@pytest.fixture(scope="session")
def pg_template(pg_server: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to: the template of the tests' own."""
    from claude_tiu.infrastructure.migrations import migrate_up

    with new_database(pg_server, "template") as name:
        migrate_up(database_url(pg_server, name))
        yield name


@pytest.fixture
def pg_empty(pg_server: str) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    with new_database(pg_server, "empty") as name:
        yield database_url(pg_server, name)


@pytest.fixture
def pg_url(pg_server: str, pg_template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with new_database(pg_server, "test", template=pg_template) as name:
        yield database_url(pg_server, name)
