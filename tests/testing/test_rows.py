"""Tables in memory: what a database would refuse, or give back otherwise, is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from claude_tiu import TaskAdded
from claude_tiu.projections import Change, Delete, Insert, Kind, Projection, Table, Update
from claude_tiu.testing import BrokenProjection, History, given, uid
from tests.testing.test_scenario import PLAN

SEATS = Table(
    "seats",
    "id",
    {"id": Kind.UUID, "seat": Kind.INTEGER, "note": Kind.TEXT, "free": Kind.FLAG, "at": Kind.TIME, "more": Kind.JSON},
    unique=(("seat",),),
    private=True,
)
HISTORY = given(*PLAN[:3]).history
ONE, OTHER = uid("one"), uid("other")


def seat(**values: Any) -> Insert:
    return Insert("seats", dict.fromkeys(SEATS.columns) | {"id": ONE} | values)


def projected(*changes: Change, history: History = HISTORY) -> Any:
    projection = Projection("seating", 1, (SEATS,), {TaskAdded: lambda recorded, event, rows: list(changes)})
    return given(history).project(projection)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([seat(), seat()], "a second row"),
        ([seat(seat=1), seat(id=OTHER, seat=1)], "two rows of seats with the same seat"),
        ([seat(), seat(id=OTHER, seat=1), Update("seats", ONE, {"seat": 1})], "two rows of seats"),
        ([Insert("seats", {"id": ONE})], "other columns"),
        ([Insert("chairs", {"id": ONE})], "no table 'chairs'"),
        ([Update("seats", ONE, {"seat": 1})], "an update of the row"),
        ([seat(), Update("seats", ONE, {"chair": 1})], "no columns"),
        ([Delete("seats", ONE)], "a delete of the row"),
        ([seat(seat="1")], "seats.seat holds integer"),
        ([seat(seat=True)], "seats.seat holds integer"),
        ([seat(note=1)], "seats.note holds text"),
        ([seat(free=1)], "seats.free holds flag"),
        ([seat(at=datetime(2026, 3, 1))], "a time without an offset"),  # noqa: DTZ001 - it is what is refused
    ],
)
def test_what_a_database_would_refuse_is_told_with_its_event(changes: list[Change], told: str) -> None:
    with pytest.raises(BrokenProjection, match=told) as caught:
        projected(*changes)
    assert "TaskAdded" in str(caught.value)


def test_rows_are_as_they_are_read_back() -> None:
    rows = projected(seat(seat=1, more={"b": (1.0, -0.0), "a": None}), seat(id=OTHER))
    rows.then_rows("seats", [{"seat": 1, "more": {"a": None, "b": [1, 0]}}, {"seat": None, "more": None}])


def test_children_are_those_of_a_table_that_has_a_parent() -> None:
    def asked(recorded: Any, event: Any, rows: Any) -> list[Change]:
        return [*rows.children("seats", ONE)]

    with pytest.raises(BrokenProjection, match="names no parent"):
        given(HISTORY).project(Projection("seating", 1, (SEATS,), {TaskAdded: asked}))
