"""Running state: the private rows as they stand within a batch, over what is stored."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import pytest

from claude_tiu.projections.projection import Delete, Insert, Kind, Row, Table, Update
from claude_tiu.projections.running_state import MANY, RunningState, fair_share
from tests.domain.given import uid

SUMS = Table("sums", "id", {"id": Kind.UUID, "sum": Kind.EXACT}, private=True)
STAGED = Table("staged", "id", {"id": Kind.UUID, "run_id": Kind.UUID, "n": Kind.INTEGER}, parent="run_id", private=True)
SHOWN = Table("shown", "id", {"id": Kind.UUID})
A, B, C, RUN, OTHER_RUN = map(uid, ("a", "b", "c", "run", "other run"))


class Stored:
    """What a store would give, and how often it was asked."""

    def __init__(self, limit: int = 2) -> None:
        self.rows: dict[tuple[str, UUID], Row] = {}
        self.asked: list[tuple[str, UUID]] = []
        self.loads = 0
        self.state = RunningState((SHOWN, SUMS, STAGED), self.load, self.load_children, limit)

    def load(self, table: Table, keys: Collection[UUID]) -> list[Row]:
        self.loads += 1
        self.asked += [(table.name, key) for key in keys]
        return [self.rows[table.name, key] for key in keys if (table.name, key) in self.rows]

    def write(self) -> None:
        """Store what a batch came to, as a projector does."""
        for table, deletes, updates, inserts in self.state.writes():
            for key in deletes:
                del self.rows[table.name, key]
            for row in (*(row for _, row in updates), *inserts):
                self.rows[table.name, row[table.key]] = row
        self.state.trim()

    def load_children(self, table: Table, parent: UUID) -> list[Row]:
        self.asked.append((table.name, parent))
        assert table.parent
        return [row for (name, _), row in self.rows.items() if name == table.name and row[table.parent] == parent]


@pytest.fixture
def stored() -> Stored:
    return Stored()


def sums(key: UUID, total: int) -> dict[str, object]:
    return {"id": key, "sum": total}


def staged(key: UUID, run: UUID = RUN, n: int = 0) -> dict[str, object]:
    return {"id": key, "run_id": run, "n": n}


def test_many_rows_are_read_at_once(stored: Stored) -> None:
    stored.rows = {("sums", key): sums(key, total) for total, key in enumerate((A, B, C))}
    stored.state.get("sums", B)
    stored.loads = 0
    assert [row["sum"] for row in stored.state.get_many("sums", (C, A, B))] == [2, 0, 1]
    assert stored.loads == 1
    assert stored.asked == [("sums", B), ("sums", C), ("sums", A)]


def test_one_of_many_that_is_not_there_is_told(stored: Stored) -> None:
    stored.rows["sums", A] = sums(A, 1)
    with pytest.raises(KeyError, match="no row"):
        stored.state.get_many("sums", (A, B))


def test_a_stored_row_is_read_once(stored: Stored) -> None:
    stored.rows["sums", A] = sums(A, 1)
    assert stored.state.get("sums", A) == stored.state.get("sums", A) == sums(A, 1)
    assert stored.asked == [("sums", A)]


def test_what_is_not_there_raises(stored: Stored) -> None:
    with pytest.raises(KeyError, match="sums"):
        stored.state.get("sums", A)


def test_changes_stand_over_what_is_stored(stored: Stored) -> None:
    stored.rows["sums", A] = sums(A, 1)
    stored.state.add(Update("sums", A, {"sum": 2**70}))
    stored.state.add(Insert("sums", sums(B, 5)))
    assert stored.state.get("sums", A) == sums(A, 2**70)
    assert stored.state.get("sums", B) == sums(B, 5)
    stored.state.add(Delete("sums", B))
    with pytest.raises(KeyError):
        stored.state.get("sums", B)


def test_what_is_to_be_written_is_not_changed_by_what_comes_later(stored: Stored) -> None:
    """It is written while the next batch is folded."""
    stored.rows["sums", B] = sums(B, 5)
    stored.state.add(Insert("sums", sums(A, 1)))
    stored.state.add(Update("sums", B, {"sum": 6}))
    ((_, _, updates, inserts),) = stored.state.writes()
    for key in (A, B):
        stored.state.add(Update("sums", key, {"sum": 99}))
    assert inserts == [sums(A, 1)]
    assert updates == [(B, sums(B, 6))]


def test_what_a_handler_gave_is_not_changed(stored: Stored) -> None:
    given = sums(A, 1)
    stored.state.add(Insert("sums", given))
    stored.state.add(Update("sums", A, {"sum": 2}))
    assert given == sums(A, 1)


def test_tables_that_are_read_by_others_are_not_kept(stored: Stored) -> None:
    assert stored.state.tables.keys() == {"sums", "staged"}


def test_what_a_batch_will_ask_for_is_fetched_at_once_and_not_again(stored: Stored) -> None:
    stored.rows["sums", A] = sums(A, 1)
    stored.state.add(Insert("sums", sums(B, 5)))
    others = [uid(f"other {number}") for number in range(MANY)]
    stored.state.fetch({key.int: key for key in (A, B, *others)})
    asked = [("sums", key) for key in (A, *others)]
    assert stored.asked == asked
    assert [stored.state.get("sums", key)["sum"] for key in (A, B)] == [1, 5]
    assert stored.asked == asked


def test_a_few_are_not_worth_it(stored: Stored) -> None:
    stored.state.fetch({key.int: key for key in (A, B)})
    assert stored.asked == []


def test_a_contradiction_raises(stored: Stored) -> None:
    stored.state.add(Insert("sums", sums(A, 1)))
    with pytest.raises(ValueError, match=str(A)):
        stored.state.add(Insert("sums", sums(A, 2)))
    with pytest.raises(ValueError, match="columns"):
        stored.state.add(Insert("sums", {"id": B}))
    for change in (Update("sums", C, {"sum": 1}), Delete("sums", C)):
        with pytest.raises(KeyError, match=str(C)):
            stored.state.add(change)


def test_children_are_those_stored_and_those_of_the_batch(stored: Stored) -> None:
    stored.rows["staged", A] = staged(A)
    stored.rows["staged", C] = staged(C, OTHER_RUN)
    stored.state.add(Insert("staged", staged(B)))
    stored.state.add(Update("staged", A, {"n": 7}))
    children = stored.state.children("staged", RUN)
    assert sorted(children, key=str) == sorted([staged(A, n=7), staged(B)], key=str)
    stored.state.add(Delete("staged", A))
    assert stored.state.children("staged", RUN) == [staged(B)]
    assert stored.state.children("staged", OTHER_RUN) == [staged(C, OTHER_RUN)]


def test_trimming_forgets_the_rows_used_longest_ago(stored: Stored) -> None:
    for key in (A, B, C):
        stored.rows["sums", key] = sums(key, 1)
        stored.state.add(Insert("sums", sums(key, 1)))
    stored.state.writes()
    stored.state.add(Update("sums", A, {"sum": 2}))
    stored.rows["sums", A] = sums(A, 2)
    stored.state.writes()
    stored.asked.clear()
    for _ in range(2):  # the first time they may not have been stored yet
        stored.state.trim()
    assert [stored.state.get("sums", key)["sum"] for key in (C, A)] == [1, 2]
    assert not stored.asked
    assert stored.state.get("sums", B) == sums(B, 1)
    assert stored.asked == [("sums", B)]


def test_what_may_not_be_stored_yet_is_not_trimmed(stored: Stored) -> None:
    """While a batch is folded, the one before it is written: it is trimmed when that is done."""
    for key in (A, B, C):
        stored.state.add(Insert("sums", sums(key, 1)))
        stored.state.add(Insert("staged", staged(key, uid(f"run of {key}"))))
    stored.state.writes()
    stored.asked.clear()
    stored.state.trim()
    assert [stored.state.get("sums", key) for key in (A, B, C)] == [sums(key, 1) for key in (A, B, C)]
    assert not stored.asked
    assert [len(stored.state.children("staged", uid(f"run of {key}"))) for key in (A, B, C)] == [1, 1, 1]


def test_trimmed_children_are_read_again(stored: Stored) -> None:
    for key, run in ((A, RUN), (B, OTHER_RUN), (C, uid("third run"))):
        stored.state.add(Insert("staged", staged(key, run)))
        stored.rows["staged", key] = staged(key, run)
    stored.asked.clear()
    stored.state.trim()
    assert stored.state.children("staged", RUN) == [staged(A)]
    assert stored.asked == [("staged", RUN)]


def test_what_is_remembered_stays_below_the_limit_however_many_rows_there_are() -> None:
    """Of all tables together: rows, deleted ones, and parents without a row any more. Nothing is lost by it."""
    stored = Stored(limit := 30)
    keys = [uid(f"key {number}") for number in range(500)]
    for number, key in enumerate(keys):
        run = uid(f"run {number // 4}")
        stored.state.add(Insert("sums", sums(key, number)))
        stored.state.add(Insert("staged", staged(key, run, number)))
        if number % 8 == 3:
            for issue in stored.state.children("staged", run):
                stored.state.add(Delete("staged", issue["id"]))
        stored.write()
        remembered = sum(sum(rows.sizes) for rows in stored.state.tables.values())
        assert remembered <= limit + 8  # and what the batch has changed, which may not be stored yet
    for number, key in enumerate(keys):
        assert stored.state.get("sums", key)["sum"] == number
        open_ = number % 8 > 3
        assert (staged(key, uid(f"run {number // 4}"), number) in children(stored, number // 4)) == open_
        stored.write()
    assert len(stored.asked) > len(keys)


def children(stored: Stored, run: int) -> list[Row]:
    return stored.state.children("staged", uid(f"run {run}"))


@pytest.mark.parametrize(
    ("sizes", "limit", "share"),
    [
        ([], 10, 0),
        ([3, 4], 10, 4),
        ([3, 7], 10, 7),
        ([3, 8], 10, 7),
        ([100, 2, 100], 10, 4),
        ([6, 6, 6], 10, 3),
    ],
)
def test_the_largest_give_way_to_the_small(sizes: list[int], limit: int, share: int) -> None:
    assert fair_share(sizes, limit) == share
    assert sum(min(size, share) for size in sizes) <= limit


def test_children_are_complete_while_some_of_them_are_not_stored_yet(stored: Stored) -> None:
    """One is stored, and one given out to be written: the store does not have it yet when it is asked."""
    stored.rows["staged", A] = staged(A)
    stored.state.add(Insert("staged", staged(B)))
    stored.state.writes()
    stored.state.trim()
    stored.state.add(Insert("staged", staged(C)))
    assert sorted(stored.state.children("staged", RUN), key=str) == sorted(map(staged, (A, B, C)), key=str)


def test_a_parent_is_read_again_once_one_of_its_rows_is_forgotten(stored: Stored) -> None:
    rows = [staged(key) for key in (A, B, C)]
    stored.rows = {("staged", key): row for key, row in zip((A, B, C), rows, strict=True)}
    for times in (1, 2):
        for _ in range(2):
            assert sorted(stored.state.children("staged", RUN), key=str) == sorted(rows, key=str)
        assert stored.asked == [("staged", RUN)] * times
        stored.state.trim()


def test_clearing_forgets_everything(stored: Stored) -> None:
    stored.state.add(Insert("sums", sums(A, 1)))
    stored.state.add(Insert("staged", staged(A)))
    stored.state.clear()
    assert stored.state.children("staged", RUN) == []
    with pytest.raises(KeyError):
        stored.state.get("sums", A)
