"""The read tables have one shape on both stores, and the migrations take back all that they made."""

from __future__ import annotations

import re

import pytest

from tests.migrations.samples import INDEXES, ROWS, SQLITE_TYPES, VALUES
from tests.migrations.stores import Store, add_tasks


@pytest.mark.parametrize("table", ROWS)
def test_a_table_has_the_same_columns_on_both_stores(table: str, sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()

    theirs = [
        (name, re.sub(r"character varying\(\d+\)", "text", type_), required)
        for name, type_, required in postgresql.columns(table)
    ]

    assert [(name, type_, bool(required)) for name, type_, required in sqlite.columns(table)] == [
        (name, SQLITE_TYPES[type_], required) for name, type_, required in theirs
    ]
    assert [name for name, _, _ in theirs] == list(VALUES[table])


@pytest.mark.parametrize("table", ROWS)
def test_a_table_has_the_same_foreign_keys_on_both_stores(table: str, sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()

    assert sqlite.foreign_keys(table) == postgresql.foreign_keys(table)
    assert bool(sqlite.foreign_keys(table)) == (table != "users")


def test_every_index_of_the_specification_is_there_under_its_name(store: Store) -> None:
    assert store.indexes() >= INDEXES


def test_down_takes_back_what_up_made_and_up_makes_it_again(empty: Store) -> None:
    nothing = empty.catalogue()
    empty.up()
    first = empty.catalogue()
    for table in ROWS:
        if table == "task_dependencies":
            add_tasks(empty, "other task")
        empty.insert(table)
    empty.down()
    assert empty.catalogue() == nothing

    empty.up()

    assert empty.catalogue() == first
    assert len(first) > len(INDEXES)
