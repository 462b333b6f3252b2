"""A project's numbers, and the progress_metrics row that each change of one writes (docs/explanation/numbers.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

from ..domain.messages import Recorded
from ..domain.progress import Sums
from ..domain.project_metrics import STANDARD_METRICS
from .projection import Change, Insert, Row, Rows, Update
from .tables import PROGRESS_METRICS, PROJECT_STATE, PROJECTS


def sums_of(state: Row) -> Sums:
    """Return the sums that a project_state row holds."""
    return Sums(state["real_sum"], state["claimed_sum"], state["weight_sum"])


def change_numbers(
    recorded: Recorded,
    rows: Rows,
    sums: Sums,
    *,
    quality_score: float | None = None,
    cause: dict[str, Any],
) -> Iterator[Change]:
    """Give a project new sums, and a new quality score if there is one: its row, its metrics and its state.

    `cause` goes into the metrics' metadata: {"task_id"} or {"run_id"}.
    """
    assert recorded.project_id is not None
    state = rows.get(PROJECT_STATE.name, recorded.project_id)
    quality = state["quality_score"] if quality_score is None else quality_score
    before = (*sums_of(state).numbers(), state["quality_score"])
    after = (*sums.numbers(), quality)
    changed = {name: new for name, old, new in zip(STANDARD_METRICS, before, after, strict=True) if old != new}
    if changed:
        yield Update(PROJECTS.name, recorded.project_id, {**changed, "updated_at": recorded.event.occurred_at})
    seq = state["metric_seq"]
    for name, value in changed.items():
        seq += 1
        yield metric_row(recorded, recorded.project_id, name, value, {**cause, "seq": seq})
    new_state = {"real_sum": sums.real, "claimed_sum": sums.claimed, "weight_sum": sums.weight}
    yield Update(PROJECT_STATE.name, recorded.project_id, {**new_state, "quality_score": quality, "metric_seq": seq})


def metric_row(recorded: Recorded, project_id: UUID, name: str, value: float, metadata: dict[str, Any]) -> Insert:
    """Return the progress_metrics row of an event's value."""
    event_id = recorded.event_id
    return Insert(
        PROGRESS_METRICS.name,
        {
            "id": uuid5(event_id, name),
            "project_id": project_id,
            "metric_name": name,
            "value": value,
            "metadata": {**metadata, "event_id": str(event_id)},
            "recorded_at": recorded.event.occurred_at,
        },
    )
