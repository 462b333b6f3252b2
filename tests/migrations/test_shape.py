"""The read tables have one shape on both stores, and the migrations take back all that they made."""

from __future__ import annotations

import re

from tests.migrations.samples import ARCHIVED, INDEXES, PRIVATE, REQUIRED_TIME, ROWS, SQLITE_TYPES, TIME, VALUES
from tests.migrations.stores import NAMES, Store, fill


def test_a_table_has_the_same_columns_on_both_stores(sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()

    for table in ROWS:
        theirs = [
            (name, re.sub(r"character varying\(\d+\)", "text", type_), required)
            for name, type_, required in postgresql.columns(table)
        ]
        assert [(name, type_, bool(required)) for name, type_, required in sqlite.columns(table)] == [
            (name, SQLITE_TYPES[type_], required) for name, type_, required in theirs
        ], table
        assert [name for name, _, _ in theirs] == list(VALUES[table]), table


def test_a_table_has_the_same_keys_on_both_stores(sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()
    roots = {"users", "workflows", "agents", "cleanup_log"}

    for table in ROWS:
        assert sqlite.unique(table) == postgresql.unique(table), table
        assert sqlite.foreign_keys(table) == postgresql.foreign_keys(table), table
        assert bool(sqlite.foreign_keys(table)) == (table not in roots), table


def test_an_archive_table_has_its_tables_columns_and_keys(store: Store) -> None:
    archived_at = store.columns("projects_archive")[-1]
    assert archived_at[0] == "archived_at"

    for table in ARCHIVED:
        more = [archived_at] if table == "projects" else []
        assert store.columns(f"{table}_archive") == store.columns(table) + more
        assert store.unique(f"{table}_archive") == store.unique(table)
        assert store.foreign_keys(f"{table}_archive") == {
            (column, f"{parent}_archive" if parent in ARCHIVED else parent, action)
            for column, parent, action in store.foreign_keys(table)
        }


def test_every_foreign_key_and_every_time_that_the_specification_does_not_index_leads_an_index(store: Store) -> None:
    """Of the tables that the specification only draws, or names."""
    ours = {"step_executions", "agent_assignments", "agent_metrics", "cleanup_log", *(f"{t}_archive" for t in ARCHIVED)}
    missing = {
        (table, column)
        for table in ours
        for column in VALUES[table]
        if column in {name for name, _, _ in store.foreign_keys(table)}
        or VALUES[table][column] in (TIME, REQUIRED_TIME)
        if column not in store.indexed(table)
    }

    assert missing == set()


def test_every_index_of_the_specification_is_there_under_its_name(store: Store) -> None:
    assert store.indexes() >= INDEXES


def test_down_takes_back_what_up_made_and_up_makes_it_again(empty: Store) -> None:
    nothing = empty.catalogue()
    empty.up()
    first = empty.catalogue()
    fill(empty)
    empty.down()
    assert empty.catalogue() == nothing

    empty.up()

    assert empty.catalogue() == first
    assert len(first) > len(INDEXES)


def test_each_way_down_leaves_the_tables_below_it_empty_and_without_a_checkpoint(store: Store) -> None:
    """Or a projector would go on with tables that do not fit what it has seen."""
    for name in reversed(NAMES):
        fill(store)
        for table in PRIVATE.keys() & store.tables():
            store.insert(table)
        store.script((store.folder / f"{name}.down.sql").read_text())

        assert {table for table in store.tables() if store.rows(f"SELECT 1 FROM {table}")} == set(), name
