"""`tiu migrate roles`: the SQL alone, the roles, and what SQLite has not."""

from __future__ import annotations

from contextlib import closing

import pytest

from claude_tiu.infrastructure.postgresql.roles import ROLES, script
from tests.cli.running import done, refused
from tests.support.stores import PostgreSQLBackend, SQLiteBackend

ROLES_VERB = ("migrate", "roles")


@pytest.mark.parametrize("drop", [False, True])
def test_the_sql_is_printed_and_no_database_is_asked(drop: bool) -> None:
    ran = done(*ROLES_VERB, "--print", "--db", "postgresql://nobody@127.0.0.1:1/x", *(["--drop"] if drop else []))
    assert ran.out == script(drop=drop)


def test_roles_are_made_and_dropped(pg_url: str) -> None:
    with closing(PostgreSQLBackend(pg_url)) as backend:
        there = "SELECT count(*) FROM pg_roles WHERE rolname = ANY (?)"
        made = done(*ROLES_VERB, "--db", pg_url, "--json").json
        assert made["made"] == list(ROLES)
        assert backend.on_events(there, list(ROLES)) == [(4,)]
        assert "dropped tiu_writer" in done(*ROLES_VERB, "--drop", "--db", pg_url).out
        assert backend.on_events(there, list(ROLES)) == [(0,)]


def test_sqlite_has_none(sqlite: SQLiteBackend) -> None:
    assert "SQLite has no roles" in refused(*ROLES_VERB, "--db", sqlite.url)
    assert "SQLite has no roles" in refused(*ROLES_VERB, "--drop", "--db", sqlite.url)


def test_a_database_that_is_not_migrated_gets_none(pg_empty: str) -> None:
    assert "is not migrated" in refused(*ROLES_VERB, "--db", pg_empty)
