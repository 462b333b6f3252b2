"""The read store's contract: what is written is written with its checkpoint, in one transaction, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu.infrastructure import operations
from claude_tiu.infrastructure.errors import CheckpointMoved, ConnectionClosed, ProjectionFailed
from claude_tiu.infrastructure.postgresql.connections import Connections
from claude_tiu.infrastructure.postgresql.read_store import PostgreSQLReadStore
from claude_tiu.infrastructure.read_store import Checkpoint, ReadStore
from claude_tiu.projections.fold import Fold, Step, Writes
from claude_tiu.projections.projection import Delete, Insert, Kind, Operation, Projection, RowChange, Table, Update
from tests.support.stores import Backend, PostgreSQLBackend

PARENTS = Table("parents", "id", {"id": Kind.UUID, "name": Kind.TEXT}, private=True)
THINGS = Table(
    "things",
    "id",
    {"id": Kind.UUID, "parent_id": Kind.UUID, **{f"a_{kind.value}": kind for kind in Kind}},
    parent="parent_id",
    private=True,
)
PROJECTION = Projection("test", 1, (PARENTS, THINGS), {})
EPOCH = UUID(int=77)
ONE, TWO, PARENT = UUID(int=1), UUID(int=2), UUID(int=9)

VALUES: dict[str, Any] = {
    "a_uuid": UUID(int=2**128 - 1),
    "a_text": "Ünïcödé ☃ 𝄞 ' \" % :name ? \\ \r\n\t",
    "a_integer": 2**63 - 1,
    "a_exact": 10**60 + 1,
    "a_double": 0.1 + 0.2,
    "a_flag": True,
    "a_json": {"b": [1, 2.5, None, True, "☃"], "a": {"n": -(2**53) + 1, "": ""}},
    "a_time": datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
}
OTHERS: dict[str, list[Any]] = {
    "a_text": ["", "x" * 100_000],
    "a_integer": [0, -(2**63)],
    "a_exact": [0, -1, 2**63, -(2**64), 10**400, -(10**400)],
    "a_double": [0.0, 100.0, 5e-324, 1.7976931348623157e308, 2 / 3, -1e-7],
    "a_flag": [False],
    "a_json": [{}, [], "text", 0, [{"deep": [[[]]]}]],
    "a_time": [
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
}


@pytest.fixture
def store(backend: Backend) -> ReadStore:
    backend.create_tables(PROJECTION)
    return backend.reads()


def at(position: int) -> Checkpoint:
    return Checkpoint(1, EPOCH, position, bytes([position]) * 32)


def thing(key: UUID = ONE, **values: Any) -> Insert:
    return Insert("things", {"id": key, "parent_id": PARENT} | VALUES | values)


def fold(*changes: RowChange) -> list[Writes]:
    made = Fold(PROJECTION.tables)
    for change in changes:
        made.add(change)
    return made.writes()


def apply(store: ReadStore, before: int | None, after: int, *steps: Step) -> None:
    store.apply("test", None if before is None else at(before), steps, at(after))


def count(backend: Backend) -> int:
    ((found,),) = backend.on_reads("SELECT count(*) FROM things")
    return int(found)


class TestApply:
    def test_there_is_no_checkpoint_before_the_first_batch(self, store: ReadStore) -> None:
        assert store.checkpoint("test") is None

    def test_rows_and_checkpoint_are_there_together(self, store: ReadStore) -> None:
        apply(store, None, 3, fold(thing()))
        assert store.checkpoint("test") == at(3)
        assert store.row(THINGS, ONE) is not None
        assert store.checkpoint("other") is None

    def test_folds_are_written_in_their_order(self, store: ReadStore, backend: Backend) -> None:
        folds = [fold(thing()), fold(Update("things", ONE, {"a_text": "second"})), fold(Delete("things", ONE))]
        apply(store, None, 1, *folds[:2])
        assert (store.row(THINGS, ONE) or {})["a_text"] == "second"
        apply(store, 1, 2, *folds[2:], fold(thing(TWO)))
        assert store.row(THINGS, ONE) is None
        assert count(backend) == 1

    def test_a_batch_that_changes_nothing_moves_the_checkpoint(self, store: ReadStore) -> None:
        apply(store, None, 1, fold())
        apply(store, 1, 2)
        assert store.checkpoint("test") == at(2)

    def test_updates_of_different_columns_leave_the_others(self, store: ReadStore) -> None:
        apply(store, None, 1, fold(thing(ONE), thing(TWO)))
        changes = [Update("things", ONE, {"a_text": "x", "a_flag": False}), Update("things", TWO, {"a_integer": 5})]
        apply(store, 1, 2, fold(*changes))
        assert store.row(THINGS, ONE) == thing(ONE, a_text="x", a_flag=False).row
        assert store.row(THINGS, TWO) == thing(TWO, a_integer=5).row

    def test_a_row_with_a_wrong_column_among_as_many_names_it(self, store: ReadStore, backend: Backend) -> None:
        row = {name: value for name, value in thing(ONE).row.items() if name != "a_text"} | {"a_test": "x"}
        with pytest.raises(ValueError, match="things: a row without a_text and with a_test: not the table's columns"):
            apply(store, None, 1, fold(Insert("things", row)))
        assert count(backend) == 0


class TestAMovedCheckpoint:
    @pytest.mark.parametrize(
        ("stored", "before"), [(None, 1), (1, None), (1, 2), (2, 1)], ids=["gone", "there already", "behind", "ahead"]
    )
    def test_writes_nothing(self, store: ReadStore, backend: Backend, stored: int | None, before: int | None) -> None:
        if stored is not None:
            apply(store, None, stored)
        with pytest.raises(CheckpointMoved):
            apply(store, before, 9, fold(thing()))
        assert count(backend) == 0
        assert store.checkpoint("test") == (None if stored is None else at(stored))

    @pytest.mark.parametrize(
        "changed", [{"version": 2}, {"epoch": UUID(int=78)}, {"event_hash": bytes(32)}], ids=lambda c: next(iter(c))
    )
    def test_is_one_that_differs_in_anything(self, store: ReadStore, changed: dict[str, Any]) -> None:
        apply(store, None, 1)
        with pytest.raises(CheckpointMoved):
            store.apply("test", at(1)._replace(**changed), [], at(2))
        assert store.checkpoint("test") == at(1)

    @pytest.mark.parametrize("before", [None, 1])
    def test_of_racing_projectors_one_writes(self, backend: Backend, store: ReadStore, before: int | None) -> None:
        if before is not None:
            apply(store, None, before)
        outcomes: list[str] = []
        barrier = threading.Barrier(4)

        def race(one: ReadStore) -> None:
            barrier.wait()
            try:
                apply(one, before, 2, fold(thing(uuid4())))
                outcomes.append("written")
            except CheckpointMoved:
                outcomes.append("moved")

        threads = [threading.Thread(target=race, args=(backend.reads(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["moved"] * 3 + ["written"]
        assert count(backend) == 1


class TestAFailingRow:
    @pytest.mark.parametrize("before", [None, 1])
    def test_writes_nothing_of_its_batch(self, store: ReadStore, backend: Backend, before: int | None) -> None:
        apply(store, None, 1, fold(thing(ONE)))
        backend.on_reads("CREATE UNIQUE INDEX one_text ON things (a_text)")
        if before is None:
            backend.on_reads("DELETE FROM checkpoints")
        with pytest.raises(Exception):  # noqa: B017, PT011 - the database's own, of either
            apply(store, before, 2, fold(thing(TWO, a_text="free")), fold(thing(PARENT, a_text="free")))
        assert count(backend) == 1
        assert store.checkpoint("test") == (None if before is None else at(before))

    def test_leaves_the_store_usable(self, store: ReadStore) -> None:
        apply(store, None, 1, fold(thing()))
        with pytest.raises(Exception):  # noqa: B017, PT011 - the database's own, of either
            apply(store, 1, 2, fold(thing()))
        apply(store, 1, 2, fold(thing(TWO)))
        assert store.row(THINGS, TWO) is not None

    @pytest.mark.parametrize("change", [Update("things", TWO, {"a_text": "x"}), Delete("things", TWO)])
    def test_is_also_one_that_is_missing(self, store: ReadStore, change: RowChange) -> None:
        """An update never inserts: a row that is not there means that the tables are not what the events made."""
        apply(store, None, 1, fold(thing(ONE)))
        with pytest.raises(ProjectionFailed, match=r"1 row.* of things .* rebuild"):
            apply(store, 1, 2, fold(Update("things", ONE, {"a_text": "x"}), change, thing(PARENT)))
        assert store.row(THINGS, ONE) == thing(ONE).row
        assert store.row(THINGS, PARENT) is None
        assert store.checkpoint("test") == at(1)


OPERATIONS = {
    "copy_things": (
        "INSERT INTO parents (id, name) SELECT id, :name FROM things WHERE a_time < :before",
        "DELETE FROM things WHERE id IN (SELECT id FROM parents WHERE name = :name)",
    )
}


class TestPreparedStatements:
    """What is written often is prepared once a connection of PostgreSQL's; psycopg lets go of it behind a rollback."""

    def test_that_are_gone_cost_neither_the_batch_nor_the_connection(self, postgresql: PostgreSQLBackend) -> None:
        postgresql.create_tables(PROJECTION)
        with closing(Connections(postgresql.url, max_size=1, timeout=10, recycle=3600)) as connections:
            store = PostgreSQLReadStore(connections)
            apply(store, None, 1, fold(thing()))
            apply(store, 1, 2, fold(Update("things", ONE, {"a_integer": 2})))
            server = store.query("SELECT pg_backend_pid() AS pid", {})
            kept = store.query("SELECT name FROM pg_prepared_statements WHERE name LIKE 'written_%'", {})
            assert len(kept) >= 4
            for position, gone in enumerate(kept, 2):
                with connections.using() as connection:
                    connection.execute(f"DEALLOCATE {gone['name']}".encode())
                apply(store, position, position + 1, fold(Update("things", ONE, {"a_integer": position})))
                assert (store.row(THINGS, ONE) or {})["a_integer"] == position
            assert store.query("SELECT pg_backend_pid() AS pid", {}) == server


class TestOperations:
    @pytest.fixture(autouse=True)
    def _named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "STATEMENTS", OPERATIONS)

    def test_see_what_was_written_before_them_and_are_seen_by_what_comes_after(
        self, store: ReadStore, backend: Backend
    ) -> None:
        copy = Operation("copy_things", {"name": "x", "before": datetime(2999, 1, 1, tzinfo=UTC), "unused": ONE})
        none = Operation("copy_things", {"name": "y", "before": VALUES["a_time"]})
        apply(store, None, 1, fold(thing(ONE)), none, copy, fold(thing(TWO), Update("parents", ONE, {"name": "z"})))
        assert store.row(PARENTS, ONE) == {"id": ONE, "name": "z"}
        assert (store.row(THINGS, ONE), store.row(THINGS, TWO)) == (None, thing(TWO).row)
        assert count(backend) == 1

    def test_refused_leave_nothing_of_their_batch(self, store: ReadStore, backend: Backend) -> None:
        apply(store, None, 1, fold(Insert("parents", {"id": ONE, "name": "taken"})))
        copy = Operation("copy_things", {"name": "secret", "before": datetime(2999, 1, 1, tzinfo=UTC)})
        with pytest.raises(ProjectionFailed, match="refuses") as caught:
            apply(store, 1, 2, fold(thing(ONE)), copy)
        assert "secret" not in str(caught.value)
        assert count(backend) == 0
        assert store.checkpoint("test") == at(1)

    def test_that_no_store_has_are_refused(self, store: ReadStore) -> None:
        with pytest.raises(ProjectionFailed, match="'forget_all'"):
            apply(store, None, 1, fold(), Operation("forget_all", {}))
        assert store.checkpoint("test") is None


class TestReset:
    def test_empties_the_tables_and_takes_the_checkpoint_away(self, store: ReadStore, backend: Backend) -> None:
        apply(store, None, 1, fold(thing(ONE), thing(TWO), Insert("parents", {"id": PARENT, "name": "p"})))
        store.reset(PROJECTION)
        assert store.checkpoint("test") is None
        assert backend.tables(PROJECTION) == {"parents": [], "things": []}
        apply(store, None, 1, fold(thing(ONE)))

    def test_leaves_other_projections_alone(self, store: ReadStore) -> None:
        apply(store, None, 1)
        store.apply("other", None, [], at(1))
        store.reset(PROJECTION)
        assert store.checkpoint("other") == at(1)

    def test_of_what_is_empty_is_nothing(self, store: ReadStore) -> None:
        store.reset(PROJECTION)
        assert store.checkpoint("test") is None


class TestValues:
    def test_a_row_comes_back_as_it_was_written(self, store: ReadStore) -> None:
        apply(store, None, 1, fold(thing()))
        row = store.row(THINGS, ONE)
        assert row == thing().row
        assert row is not None
        assert {name: type(value) for name, value in row.items()} == {
            name: type(value) for name, value in thing().row.items()
        }
        assert row["a_time"].utcoffset() == VALUES["a_time"].utcoffset()

    @pytest.mark.parametrize(("column", "values"), OTHERS.items(), ids=OTHERS)
    def test_so_does_every_extreme_of_its_kind(self, store: ReadStore, column: str, values: Sequence[Any]) -> None:
        keys = [UUID(int=n + 1) for n in range(len(values))]
        written = [thing(key, **{column: value}) for key, value in zip(keys, values, strict=True)]
        apply(store, None, 1, fold(*written))
        assert [store.row(THINGS, key) for key in keys] == [one.row for one in written]
        changes = [Update("things", key, {column: value}) for key, value in zip(keys, reversed(values), strict=True)]
        apply(store, 1, 2, fold(*changes))
        assert [(store.row(THINGS, key) or {})[column] for key in keys] == list(reversed(values))

    def test_nothing_is_null_in_every_kind(self, store: ReadStore, backend: Backend) -> None:
        nothing: dict[str, Any] = dict.fromkeys(VALUES)
        apply(store, None, 1, fold(thing(**nothing)))
        assert backend.on_reads(f"SELECT {', '.join(VALUES)} FROM things") == [(None,) * len(VALUES)]
        assert store.row(THINGS, ONE) == thing(**nothing).row

    def test_both_stores_hold_the_same_values(self, store: ReadStore, backend: Backend) -> None:
        """Doubles to the bit, big integers to the digit."""
        apply(store, None, 1, fold(thing()))
        ((double, exact),) = backend.on_reads("SELECT a_double, CAST(a_exact AS TEXT) FROM things")
        assert double.hex() == (0.1 + 0.2).hex()
        assert exact == str(10**60 + 1)

    def test_there_is_no_row_of_an_unknown_key(self, store: ReadStore) -> None:
        assert store.row(THINGS, ONE) is None
        assert store.children(THINGS, PARENT) == []

    def test_children_are_the_rows_under_a_parent(self, store: ReadStore) -> None:
        other = UUID(int=10)
        apply(store, None, 1, fold(thing(ONE), thing(TWO), thing(UUID(int=3), parent_id=other)))
        found = store.children(THINGS, PARENT)
        assert sorted(row["id"] for row in found) == [ONE, TWO]
        assert thing(ONE).row in found
        assert [row["id"] for row in store.children(THINGS, other)] == [UUID(int=3)]


class TestQuery:
    def test_parameters_are_values_and_never_text_of_the_statement(self, store: ReadStore) -> None:
        nasty = "'; DROP TABLE things; -- :a_text %(x)s ?"
        apply(store, None, 1, fold(thing(a_text=nasty)))
        query = "SELECT a_text AS found FROM things WHERE a_text = :text AND id = :id AND a_time <= :time"
        found = store.query(query, {"text": nasty, "id": ONE, "time": VALUES["a_time"]})
        assert found == [{"found": nasty}]

    def test_quoted_colons_and_percent_signs_are_text(self, store: ReadStore) -> None:
        assert store.query("SELECT ':x 100%' AS said, :x AS given", {"x": "y"}) == [{"said": ":x 100%", "given": "y"}]


def test_closing_twice_is_closing_once_and_then_it_is_unavailable(store: ReadStore) -> None:
    store.close()
    store.close()
    with pytest.raises(ConnectionClosed):
        store.checkpoint("test")
    with pytest.raises(ConnectionClosed):
        apply(store, None, 1)
