"""`tiu migrate roles`: the SQL alone, the roles, and what SQLite has not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from claude_tiu.infrastructure.postgresql.roles import ROLES, script
from tests.cli.running import done, json_lines, refused, tiu
from tests.cli.story import NOBODY, PROJECT, USER, tell, user
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


def test_the_auditor_can_call_every_verb_of_audit_and_show(pg_url: str, here: Path) -> None:
    with closing(PostgreSQLBackend(pg_url)) as backend:
        tell(backend)
        done(*ROLES_VERB, "--db", pg_url)
        try:
            auditor = f"{pg_url}&options={quote('-c role=tiu_auditor')}"
            done("audit", "seal", "--new-key", "key")
            done("audit", "seal", "--key", "key", "--out", "seal.json", "--db", auditor)
            for verb in (
                ("history", PROJECT, "--all"),
                ("history", USER),
                ("as-of", "--position", 5),
                ("as-of", "--position", 5, "--project", PROJECT, "--out", "as-of.db"),
                ("verify",),
                ("chain", "--seal", "seal.json"),
                ("export", "--project", PROJECT, "--out", "bundle.zip"),
            ):
                assert done("audit", *verb, "--db", auditor).out
            assert done("audit", "check", "bundle.zip", "--seal", "seal.json").out
            for verb in (("dashboard",), ("ready", PROJECT), ("metrics", PROJECT), ("search", "projects"), ("issues",)):
                done("show", *verb, "--db", auditor)
            assert (
                "permission denied" in tiu("apply", "-", "--db", auditor, stdin=json_lines([user(user_id=NOBODY)])).err
            )
        finally:
            done(*ROLES_VERB, "--drop", "--db", pg_url)
