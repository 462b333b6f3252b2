"""Rolling up: a metric's rows of a UTC day become one row, a daily value, without any loss that a later one would meet.

A daily row merges with what comes later of its day (the rest of the day, imported history), in any order and in any
portions: its metadata holds the exact sum, and when its last value was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from ..domain.name_ids import uuid5
from .projection import Insert, Row, Table, Update

Key = tuple[str, datetime]
"""A metric's name, and the time at which a UTC day begins."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is known of some of a day's values."""

    count: int
    least: float
    greatest: float
    total: Fraction
    last: tuple[datetime, int, float]
    """(recorded_at, seq, value) of the last one: seq differs wherever times repeat."""

    def merged(self, other: Day) -> Day:
        """Return what is known of the values of both."""
        return Day(
            self.count + other.count,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            self.total + other.total,
            max(self.last, other.last),
        )

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the day's row; the mean is the exact sum, divided once."""
        last_at, seq, _ = self.last
        return {
            "aggregation_level": "daily",
            "count": self.count,
            "min": _number(self.least),
            "max": _number(self.greatest),
            "mean": _number(float(self.total / self.count)),
            "sum": str(self.total),
            "last_at": last_at.isoformat(),
            "seq": seq,
        }


def _number(value: float) -> float:
    """JSON that both databases hold alike: 1e300 has no exponent on one of them."""
    return int(value) if value.is_integer() else value


def _of_detail(row: Row) -> Day:
    value = row["value"]
    return Day(1, value, value, Fraction(value), (_utc(row), row["metadata"]["seq"], value))


def _of_daily(row: Row) -> Day:
    known = row["metadata"]
    last = datetime.fromisoformat(known["last_at"]), known["seq"], row["value"]
    return Day(known["count"], float(known["min"]), float(known["max"]), Fraction(known["sum"]), last)


def _utc(row: Row) -> datetime:
    at: datetime = row["recorded_at"].astimezone(UTC)
    return at


def _key(row: Row) -> Key:
    return row["metric_name"], _utc(row).replace(hour=0, minute=0, second=0, microsecond=0)


def daily_id(project_id: UUID, metric_name: str, day: datetime) -> UUID:
    """Return the id of a daily row; `day` is the time at which it begins."""
    return uuid5(project_id, f"{metric_name}/{day.date().isoformat()}")


def roll_up(
    table: Table, project_id: UUID, details: Iterable[Row], dailies: Iterable[Row]
) -> Iterator[Insert | Update]:
    """Return the daily rows that a project's detail rows make, merged with those of `dailies` that are there already.

    `table` is progress_metrics or its archive; the rows are its rows, in no order. The details are read once.
    """
    rolled: dict[Key, Day] = {}
    for row in details:
        key, day = _key(row), _of_detail(row)
        rolled[key] = rolled[key].merged(day) if key in rolled else day
    there = {_key(row): row for row in dailies}
    for (name, begins), day in rolled.items():
        id_ = daily_id(project_id, name, begins)
        if (name, begins) in there:
            day = day.merged(_of_daily(there[name, begins]))
            yield Update(table.name, id_, {"value": day.last[2], "metadata": day.metadata()})
            continue
        values = {"metric_name": name, "value": day.last[2], "metadata": day.metadata(), "recorded_at": begins}
        yield Insert(table.name, {"id": id_, "project_id": project_id, **values})
