"""The descriptions by which projections write their tables, held against what the migrations make."""

from __future__ import annotations

import re

from claude_tiu.projections.projection import Kind
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.support.schemas import Store

NOT_DESCRIBED = {"checkpoints", "projects_search_ids", "project_files_search_ids"}
"""Written by the read store and by triggers."""

TYPES = {
    "postgresql": {
        Kind.UUID: {"uuid"},
        Kind.TEXT: {"text", "character varying"},
        Kind.INTEGER: {"integer", "bigint"},
        Kind.EXACT: {"numeric"},
        Kind.DOUBLE: {"double precision"},
        Kind.FLAG: {"boolean"},
        Kind.JSON: {"jsonb"},
        Kind.TIME: {"timestamp with time zone"},
    },
    "sqlite": {
        Kind.UUID: {"TEXT"},
        Kind.TEXT: {"TEXT"},
        Kind.INTEGER: {"INTEGER"},
        Kind.EXACT: {"TEXT"},
        Kind.DOUBLE: {"REAL"},
        Kind.FLAG: {"INTEGER"},
        Kind.JSON: {"TEXT"},
        Kind.TIME: {"TEXT"},
    },
}


def test_every_table_is_described(store: Store) -> None:
    described = [table.name for table in (*READ_TABLES, *PRIVATE_TABLES)]

    assert len(described) == len(set(described))
    assert set(described) == store.tables() - NOT_DESCRIBED


def test_a_description_agrees_with_its_table(store: Store) -> None:
    for table in (*READ_TABLES, *PRIVATE_TABLES):
        columns = [(name, re.sub(r"\(\d+\)", "", type_)) for name, type_, _ in store.columns(table.name)]

        assert [name for name, _ in columns] == list(table.columns), table.name
        wrong = [name for name, type_ in columns if type_ not in TYPES[store.name][table.columns[name]]]
        assert wrong == [], table.name
        assert store.unique(table.name) == {(table.key,), *table.unique}, table.name


def test_parents_are_listed_before_their_children(store: Store) -> None:
    names = [table.name for table in READ_TABLES]
    late = [
        (table, parent)
        for table in names
        for _, parent, _ in store.foreign_keys(table)
        if names.index(parent) >= names.index(table)
    ]

    assert late == []


def test_on_sqlite_a_check_says_what_the_type_does_not(sqlite: Store) -> None:
    """Text that is JSON or a time, a number that is a flag."""
    sqlite.up()
    ddl = "\n".join(str(row[3]) for row in sqlite.catalogue() if row[0] == "table")
    checks = {Kind.JSON: "json_valid({0})", Kind.FLAG: "{0} IN (0, 1)", Kind.TIME: "{0} GLOB '????-??-??T"}

    for table in READ_TABLES:
        own = ddl[ddl.index(f"CREATE TABLE {table.name} (") :].split(") STRICT")[0]
        missing = [n for n, kind in table.columns.items() if kind in checks and checks[kind].format(n) not in own]
        assert missing == [], table.name
