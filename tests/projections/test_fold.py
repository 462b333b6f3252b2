"""Folding: at most one change of a row remains of a batch, and it comes to the same as the changes one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.projections.fold import Fold, Writes
from claude_tiu.projections.projection import Delete, Insert, Kind, Row, RowChange, Table, Update
from claude_tiu.projections.running_state import RunningState
from tests.domain.given import uid

PARENTS = Table("parents", "id", {"id": Kind.UUID, "name": Kind.TEXT, "size": Kind.INTEGER}, unique=(("name",),))
CHILDREN = Table("children", "id", {"id": Kind.UUID, "parent_id": Kind.UUID, "size": Kind.INTEGER})
TABLES = (PARENTS, CHILDREN)
A, B, C = uid("a"), uid("b"), uid("c")

Database = dict[str, dict[UUID, dict[str, Any]]]


def parent(key: UUID, name: str = "x", size: int = 0) -> Insert:
    return Insert("parents", {"id": key, "name": name, "size": size})


def child(key: UUID, of: UUID, size: int = 0) -> Insert:
    return Insert("children", {"id": key, "parent_id": of, "size": size})


Folded = dict[str, tuple[list[UUID], dict[UUID, Any], dict[UUID, Any]]]


def fold(*changes: RowChange) -> Folded:
    """(deletes, updates, inserts) of each table that has any."""
    folded = Fold(TABLES)
    for change in changes:
        folded.add(change)
    return written(folded)


def written(folded: Fold) -> Folded:
    return {
        table.name: (deletes, dict(updates), {row["id"]: row for row in inserts})
        for table, deletes, updates, inserts in folded.writes()
    }


def test_the_last_write_of_a_column_wins_and_the_others_stay() -> None:
    changes = fold(
        Update("parents", A, {"size": 1, "name": "n"}), Update("parents", A, {"size": 2}), Update("parents", B, {})
    )
    assert changes["parents"] == ([], {A: {"size": 2, "name": "n"}, B: {}}, {})


def test_an_update_of_a_new_row_goes_into_it() -> None:
    assert fold(parent(A), Update("parents", A, {"size": 2})) == {
        "parents": ([], {}, {A: {"id": A, "name": "x", "size": 2}})
    }


def test_folding_leaves_the_changes_themselves_alone() -> None:
    insert, update = parent(A), Update("parents", B, {"size": 1})
    fold(insert, Update("parents", A, {"size": 2}), update, Update("parents", B, {"size": 2}))
    assert (insert.row["size"], update.values["size"]) == (0, 1)


def test_a_row_that_came_and_went_was_never_there() -> None:
    assert fold(parent(A), Update("parents", A, {"size": 2}), Delete("parents", A)) == {}


def test_a_deleted_row_takes_its_updates_with_it() -> None:
    assert fold(Update("parents", A, {"size": 2}), Delete("parents", A)) == {"parents": ([A], {}, {})}


def test_a_row_deleted_and_made_again_is_both() -> None:
    again = {A: {"id": A, "name": "y", "size": 3}}
    assert fold(Delete("parents", A), parent(A, "y"), Update("parents", A, {"size": 3})) == {
        "parents": ([A], {}, again)
    }
    assert fold(Delete("parents", A), parent(A), Delete("parents", A)) == {"parents": ([A], {}, {})}


def test_tables_come_with_parents_first() -> None:
    assert list(fold(child(B, A), parent(A))) == ["parents", "children"]


def test_a_batch_closes_before_a_value_that_an_update_released_is_taken_again() -> None:
    folded = Fold(TABLES)
    folded.add(Update("parents", A, {"name": "new"}))
    assert folded.must_close(parent(B, "old"))
    assert folded.must_close(Update("parents", C, {"name": "old"}))


def test_it_stays_open_for_what_takes_no_unique_value() -> None:
    folded = Fold(TABLES)
    folded.add(Update("parents", A, {"size": 1}))
    assert not folded.must_close(parent(B, "old"))
    folded.add(Update("parents", A, {"name": "new"}))
    assert not folded.must_close(Update("parents", B, {"size": 1}))
    assert not folded.must_close(Delete("parents", B))
    assert not folded.must_close(child(C, A))


def test_it_stays_open_where_a_delete_released_the_value() -> None:
    """Deletes are written first."""
    folded = Fold(TABLES)
    folded.add(Delete("parents", A))
    assert not folded.must_close(parent(B, "x"))


@pytest.mark.parametrize(
    "changes",
    [
        (parent(A), parent(A)),
        (Update("parents", A, {"size": 1}), parent(A)),
        (Delete("parents", A), Update("parents", A, {"size": 1})),
    ],
    ids=["a second row", "a row that was updated", "an update of what was deleted"],
)
def test_contradictions_raise(changes: tuple[RowChange, ...]) -> None:
    with pytest.raises(ValueError, match=str(A)):
        fold(*changes)


def test_a_row_has_every_column_and_no_other() -> None:
    with pytest.raises(ValueError, match="parents: a row without size: not the table's columns"):
        fold(Insert("parents", {"id": A, "name": "x"}))
    with pytest.raises(ValueError, match="parents: a row with colour: not the table's columns"):
        fold(Insert("parents", {"id": A, "name": "x", "size": 1, "colour": "red"}))


def test_what_was_given_to_be_written_is_not_changed_by_the_next_batch() -> None:
    folded = Fold(TABLES)
    folded.add(parent(A))
    folded.add(Update("parents", B, {"size": 1}))
    ((_, _, updates, inserts),) = folded.writes()
    folded.add(Update("parents", A, {"size": 2}))
    folded.add(Update("parents", B, {"size": 2}))
    assert inserts == [parent(A).row]
    assert updates == [(B, {"size": 1})]


# Folding in batches = one by one


@st.composite
def histories(draw: st.DrawFn) -> list[RowChange]:
    """Changes that a database would take one by one, names unique among parents and children under a parent."""
    database: Database = {"parents": {}, "children": {}}
    changes: list[RowChange] = []
    for _ in range(draw(st.integers(0, 25))):
        change = draw(st.sampled_from(possible(database)))
        if isinstance(change, Update):
            sizes: dict[str, Any] = {"size": draw(st.integers(0, 9))} if draw(st.booleans()) else {}
            change = Update(change.table, change.key, {**change.values, **sizes})
        apply(database, change)
        changes.append(change)
    return changes


def possible(database: Database) -> list[RowChange]:
    parents, children = database["parents"], database["children"]
    free_names = set("xyz") - {row["name"] for row in parents.values()}
    used = {row["parent_id"] for row in children.values()}
    changes: list[RowChange] = [Update(table, key, {}) for table, rows in database.items() for key in rows]
    for key in (A, B, C):
        for name in sorted(free_names):
            changes.append(Update("parents", key, {"name": name}) if key in parents else parent(key, name))
        changes += [child(key, of) for of in parents if key not in children]
    changes += [Delete("parents", key) for key in parents if key not in used]
    changes += [Delete("children", key) for key in children]
    return changes


def apply(database: Database, change: RowChange) -> None:
    """Make one change, and hold what a database holds after every statement."""
    make(database, change)
    names = [row["name"] for row in database["parents"].values()]
    assert len(names) == len(set(names))
    assert {row["parent_id"] for row in database["children"].values()} <= database["parents"].keys()


def make(database: Database, change: RowChange) -> None:
    rows = database[change.table]
    match change:
        case Insert(row=row):
            assert row["id"] not in rows
            rows[row["id"]] = dict(row)
        case Update(key=key, values=values):
            rows[key].update(values)
        case Delete(key=key):
            del rows[key]


def write(database: Database, tables: list[Writes], apply: Callable[[Database, RowChange], None] = apply) -> None:
    """Write a batch as the stores do: deletes, children first; updates; inserts, parents first."""
    for table, deletes, _, _ in reversed(tables):
        for key in deletes:
            apply(database, Delete(table.name, key))
    for table, _, updates, _ in tables:
        for key, values in updates:
            apply(database, Update(table.name, key, values))
    for table, _, _, inserts in tables:
        for row in inserts:
            apply(database, Insert(table.name, row))


@given(histories(), st.sets(st.integers(1, 25)))
def test_batches_split_anywhere_come_to_the_same_as_the_changes_one_by_one(
    changes: list[RowChange], splits: set[int]
) -> None:
    expected: Database = {"parents": {}, "children": {}}
    found: Database = {"parents": {}, "children": {}}
    folded = Fold(TABLES)
    for number, change in enumerate(changes):
        apply(expected, change)
        if number in splits or folded.must_close(change):
            write(found, folded.writes())
        folded.add(change)
    write(found, folded.writes())
    assert found == expected


@given(histories(), st.sets(st.integers(1, 25)), st.booleans())
def test_so_do_those_of_running_state_whatever_it_remembers(
    changes: list[RowChange], splits: set[int], forgets: bool
) -> None:
    expected: Database = {"parents": {}, "children": {}}
    found: Database = {"parents": {}, "children": {}}
    tables = (replace(PARENTS, private=True), replace(CHILDREN, private=True, parent="parent_id"))

    def load(table: Table, keys: Collection[UUID]) -> list[Row]:
        return [found[table.name][key] for key in keys if key in found[table.name]]

    def load_children(table: Table, parent: UUID) -> list[Row]:
        return [row for row in found[table.name].values() if row["parent_id"] == parent]

    state = RunningState(tables, load, load_children, limit=1)
    for number, change in enumerate(changes):
        if number in splits:
            write(found, state.writes(), make)  # private tables hold nothing unique, and refer to nothing
            state.clear() if forgets else state.trim()
            assert found == expected
        apply(expected, change)
        state.add(change)
    for parent in expected["parents"]:
        under = [row for row in expected["children"].values() if row["parent_id"] == parent]
        assert sorted(state.children("children", parent), key=str) == sorted(under, key=str)
    write(found, state.writes(), make)
    assert found == expected
