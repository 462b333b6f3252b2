"""The read tables as dicts, with what archiving, restoring and retention mean for them.

What was rolled up is remembered value by value: a daily row is made from all of them anew, so nothing merges here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid5

from claude_tiu.testing.operations import METRICS, OPERATIONS, Tables, is_daily
from tests.projections.telling import Told

Value = tuple[datetime, int, float]


class Operated(Told):
    """Told, and the set operations done."""

    def __init__(self) -> None:
        super().__init__({**OPERATIONS, "roll_up_metrics": self._roll_up})
        self._rolled: dict[UUID, list[Value]] = {}
        """daily row -> the values that it is made of."""

    def _roll_up(self, tables: Tables, given: Mapping[str, Any]) -> None:
        there = {id_ for table in METRICS for id_ in tables[table.name]}
        self._rolled = {id_: values for id_, values in self._rolled.items() if id_ in there}
        for table in METRICS:
            rows = tables[table.name]
            for row in [row for row in rows.values() if row["recorded_at"] < given["before"] and not is_daily(row)]:
                day = row["recorded_at"].astimezone(UTC).date()
                id_ = uuid5(row["project_id"], f"{row['metric_name']}/{day}")
                values = self._rolled.setdefault(id_, [])
                values.append((row["recorded_at"], row["metadata"]["seq"], row["value"]))
                rows[id_] = {
                    "id": id_,
                    "project_id": row["project_id"],
                    "metric_name": row["metric_name"],
                    "value": max(values)[2],
                    "metadata": daily_metadata(values),
                    "recorded_at": datetime(day.year, day.month, day.day, tzinfo=UTC),
                }


def daily_metadata(values: list[Value]) -> dict[str, Any]:
    """The metadata of a daily row that is made of these values."""
    numbers = [value for _, _, value in values]
    total = sum(map(Fraction, numbers), Fraction(0))
    last_at, seq, _ = max(values)
    return {
        "aggregation_level": "daily",
        "count": len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "mean": float(total / len(numbers)),
        "sum": str(total),
        "last_at": last_at.astimezone(UTC).isoformat(),
        "seq": seq,
    }
