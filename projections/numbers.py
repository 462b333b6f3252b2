"""A project's numbers, and the progress_metrics row that each change of one writes (docs/explanation/numbers.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.messages import Recorded
from ..domain.name_ids import id_of, name_value, text_of, text_of_bytes
from ..domain.progress import Sums
from .projection import Change, Insert, Row, Update
from .tables import PROGRESS_METRICS, PROJECT_STATE, PROJECTS

_METRICS, _PROJECTS, _PROJECT_STATE = PROGRESS_METRICS.name, PROJECTS.name, PROJECT_STATE.name
_new = tuple.__new__  # a named tuple's own constructor takes twice as long, and these are made for every claim


def sums_of(state: Row, term: int = 0, authenticity: int = 0) -> Sums:
    """Return the sums of a project_state row, after a task's w * c moved by `term`."""
    return _new(Sums, (state["real_sum"] + term * authenticity, state["claimed_sum"] + term, state["weight_sum"]))


def change_numbers(
    recorded: Recorded, state: Row, sums: Sums, quality_score: float, cause: tuple[str, UUID]
) -> list[Change]:
    """Return what gives a project new sums and a quality score: its row, its metrics and its state.

    `state` is its row of project_state; `cause` goes into the metrics' metadata: ("task_id", id) or ("run_id", id).
    """
    project_id: UUID = state["project_id"]
    real, fake, rate = sums.numbers()
    changed: dict[str, Any] = {}
    if real != state["real_progress"]:
        changed["real_progress"] = real
    if fake != state["fake_progress"]:
        changed["fake_progress"] = fake
    if rate != state["authenticity_rate"]:
        changed["authenticity_rate"] = rate
    if quality_score != state["quality_score"]:
        changed["quality_score"] = quality_score
    seq = state["metric_seq"]
    changes: list[Change] = []
    if changed:
        event, stream_id, version, _, _ = recorded
        at = event.occurred_at
        # As messages.event_id() makes it.
        event_id = name_value(stream_id.int.to_bytes(16, "big"), b"%d" % version).to_bytes(16, "big")
        kind, cause_id, told = cause[0], text_of(cause[1]), text_of_bytes(event_id)
        for name, value in changed.items():
            seq += 1
            metadata = {kind: cause_id, "seq": seq, "event_id": told}
            changes.append(_metric_row(event_id, project_id, name, value, metadata, at))
        changes.append(_new(Update, (_PROJECTS, project_id, {**changed, "updated_at": at})))
    changed["real_sum"], changed["claimed_sum"], changed["weight_sum"] = sums
    changed["metric_seq"] = seq
    changes.append(_new(Update, (_PROJECT_STATE, project_id, changed)))
    return changes


def metric_row(recorded: Recorded, project_id: UUID, name: str, value: float, metadata: dict[str, Any]) -> Insert:
    """Return the progress_metrics row of an event's value."""
    event_id = recorded.event_id
    metadata = {**metadata, "event_id": str(event_id)}
    return _metric_row(event_id.bytes, project_id, name, value, metadata, recorded.event.occurred_at)


def _metric_row(
    event_id: bytes, project_id: UUID, name: str, value: float, metadata: dict[str, Any], at: datetime
) -> Insert:
    row = {
        "id": id_of(name_value(event_id, name.encode())),
        "project_id": project_id,
        "metric_name": name,
        "value": value,
        "metadata": metadata,
        "recorded_at": at,
    }
    return _new(Insert, (_METRICS, row))
