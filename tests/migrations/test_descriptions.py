"""Every table that the migrations make is described, and SQLite holds what its types do not say."""

from __future__ import annotations

from claude_tiu.projections.projection import Kind
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.migrations.stores import Store

NOT_DESCRIBED = {"checkpoints", "leases", "projects_search_ids", "project_files_search_ids"}
"""Written by the read store and by triggers."""


def test_every_table_is_described(store: Store) -> None:
    described = [table.name for table in (*READ_TABLES, *PRIVATE_TABLES)]

    assert len(described) == len(set(described))
    assert set(described) == store.tables() - NOT_DESCRIBED


def test_on_sqlite_a_check_says_what_the_type_does_not(sqlite: Store) -> None:
    """Text that is JSON or a time, a number that is a flag."""
    sqlite.up()
    ddl = "\n".join(str(row[3]) for row in sqlite.catalogue() if row[0] == "table")
    checks = {Kind.JSON: "json_valid({0})", Kind.FLAG: "{0} IN (0, 1)", Kind.TIME: "{0} GLOB '????-??-??T"}

    for table in READ_TABLES:
        own = ddl[ddl.index(f"CREATE TABLE {table.name} (") :].split(") STRICT")[0]
        missing = [n for n, kind in table.columns.items() if kind in checks and checks[kind].format(n) not in own]
        assert missing == [], table.name
