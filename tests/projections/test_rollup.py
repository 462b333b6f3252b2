"""Rolling up: whatever the portions, a day comes to the same row, exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.projections.projection import Insert, Update
from claude_tiu.projections.rollup import daily_id, roll_up
from claude_tiu.projections.tables import PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE
from tests.domain.given import PROJECT_ID
from tests.projections.operating import daily_metadata

Row = dict[str, Any]
DAY = datetime(2026, 3, 1, tzinfo=UTC)
SEQ = count(1)


def detail(value: float, at: datetime = DAY, seq: int | None = None, name: str = "velocity") -> Row:
    return {
        "id": uuid4(),
        "project_id": PROJECT_ID,
        "metric_name": name,
        "value": value,
        "metadata": {"seq": next(SEQ) if seq is None else seq, "event_id": "…"},
        "recorded_at": at,
    }


def rolled(rows: list[Row], dailies: dict[UUID, Row] | None = None) -> dict[UUID, Row]:
    """The daily rows, as they stand after rolling up."""
    stored = {id_: dict(row) for id_, row in (dailies or {}).items()}
    for change in roll_up(PROGRESS_METRICS, PROJECT_ID, iter(rows), list(stored.values())):
        assert change.table == PROGRESS_METRICS.name
        match change:
            case Insert(row=row):
                assert row.keys() == PROGRESS_METRICS.columns.keys()
                assert row["id"] not in stored
                stored[row["id"]] = dict(row)
            case Update(key=key, values=values):
                stored[key].update(values)
    return {id_: {**row, "metadata": json.loads(json.dumps(row["metadata"]))} for id_, row in stored.items()}


times = st.builds(
    lambda hours, seconds, offset: (DAY + timedelta(hours=hours, seconds=seconds)).astimezone(
        timezone(timedelta(hours=offset))
    ),
    st.sampled_from([0, 5, 23, 24, 30, 60]),
    st.sampled_from([0, 1e-6, 3599.999999]),
    st.sampled_from([-11, 0, 5]),
)
values = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
histories = st.lists(st.tuples(values, times, st.sampled_from(["velocity", "coverage"])), max_size=30).map(
    lambda drawn: [detail(value, at, seq, name) for seq, (value, at, name) in enumerate(drawn)]
)


@given(histories)
def test_a_daily_row_is_made_of_all_the_days_values(rows: list[Row]) -> None:
    expected: dict[UUID, Row] = {}
    for name, day in {(row["metric_name"], row["recorded_at"].astimezone(UTC).date()) for row in rows}:
        of_day = [
            (row["recorded_at"], row["metadata"]["seq"], row["value"])
            for row in rows
            if row["metric_name"] == name and row["recorded_at"].astimezone(UTC).date() == day
        ]
        id_ = uuid5(PROJECT_ID, f"{name}/{day}")
        expected[id_] = {
            "id": id_,
            "project_id": PROJECT_ID,
            "metric_name": name,
            "value": max(of_day)[2],
            "metadata": daily_metadata(of_day),
            "recorded_at": datetime(day.year, day.month, day.day, tzinfo=UTC),
        }
    assert rolled(rows) == expected


@given(st.data(), histories)
def test_any_portions_in_any_order_come_to_the_same(data: st.DataObject, rows: list[Row]) -> None:
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)))))
    dailies: dict[UUID, Row] = {}
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        dailies = rolled(shuffled[begin:end], dailies)
    assert dailies == rolled(rows)


@given(histories)
def test_its_json_is_the_same_on_both_databases(rows: list[Row]) -> None:
    """One of them writes numbers without an exponent: what it gives back must be what was written."""
    for row in rolled(rows).values():
        for name in ("min", "max", "mean"):
            number = row["metadata"][name]
            without_exponent = json.loads(format(Decimal(json.dumps(number)), "f"))
            assert (without_exponent, type(without_exponent)) == (number, type(number))


def test_a_sum_that_floats_would_lose_is_kept() -> None:
    (row,) = rolled([detail(1e300), detail(1.0), detail(-1e300), detail(5e-324)]).values()
    assert row["metadata"]["mean"] == 0.25
    (row,) = rolled([detail(1.7976931348623157e308), detail(1.7976931348623157e308)]).values()
    assert row["metadata"]["mean"] == 1.7976931348623157e308


def test_of_values_at_one_time_the_last_is_the_one_of_the_highest_seq() -> None:
    (row,) = rolled([detail(1.0, seq=3), detail(9.0, seq=1), detail(5.0, seq=2)]).values()
    assert (row["value"], row["metadata"]["seq"]) == (1.0, 3)


def test_a_later_time_is_later_whatever_the_seq() -> None:
    (row,) = rolled([detail(1.0, DAY + timedelta(hours=1), seq=1), detail(9.0, seq=2)]).values()
    assert (row["value"], row["metadata"]["seq"], row["recorded_at"]) == (1.0, 1, DAY)


def test_a_day_is_one_of_utc() -> None:
    west = datetime(2026, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-1)))
    (row,) = rolled([detail(1.0, west)]).values()
    assert (row["id"], row["recorded_at"]) == (daily_id(PROJECT_ID, "velocity", DAY), DAY)


def test_days_that_nothing_new_came_of_stay_as_they_are() -> None:
    before = rolled([detail(1.0), detail(2.0, DAY + timedelta(days=1))])
    changes = list(roll_up(PROGRESS_METRICS_ARCHIVE, PROJECT_ID, [detail(3.0)], list(before.values())))
    assert [(type(change), change.table) for change in changes] == [(Update, PROGRESS_METRICS_ARCHIVE.name)]
    assert list(roll_up(PROGRESS_METRICS, PROJECT_ID, [], list(before.values()))) == []
