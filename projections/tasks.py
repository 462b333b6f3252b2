"""tasks and task_dependencies: one row a task, one a dependency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..domain.dependency_graph import DependencyAdded, DependencyRemoved
from ..domain.messages import Event, Recorded
from ..domain.name_ids import uuid5
from ..domain.progress import FULL, micros, task_numbers
from ..domain.task import STATUS_AFTER, ProgressClaimed, TaskAdded, TaskCompleted
from ..domain.values import INT32_MAX
from .numbers import change_numbers, sums_of
from .projection import Change, Delete, Handler, Insert, Row, Rows, Update
from .tables import PROJECT_STATE, TASK_DEPENDENCIES, TASK_STATE, TASKS

MICROSECOND = timedelta(microseconds=1)
MINUTE = 60_000_000  # microseconds
_PROJECT_STATE, _TASK_STATE, _TASKS = PROJECT_STATE.name, TASK_STATE.name, TASKS.name
_new = tuple.__new__  # as in numbers.py


def task_added(recorded: Recorded, event: TaskAdded, rows: Rows) -> Iterator[Change]:
    real, fake = task_numbers(0, FULL)
    yield Insert(
        TASKS.name,
        {
            "id": recorded.stream_id,
            "project_id": event.project_id,
            "name": event.name,
            "description": event.description,
            "status": "pending",
            "priority": event.priority,
            "real_progress": real,
            "fake_progress": fake,
            "authenticity_score": 100.0,
            "ai_prompt": event.ai_prompt,
            "expected_outputs": event.expected_outputs,
            "validation_criteria": event.validation_criteria,
            "estimated_duration": event.estimated_duration,
            "actual_duration": None,
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
            "completed_at": None,
            "added_position": recorded.position,
        },
    )
    weight = event.estimated_duration or 1
    yield Insert(
        TASK_STATE.name,
        {
            "task_id": recorded.stream_id,
            "claimed": 0,
            "authenticity": FULL,
            "weight": weight,
            "worked": 0,
            "in_progress_since": None,
        },
    )
    project = rows.get(PROJECT_STATE.name, event.project_id)
    sums = sums_of(project).plus(weight, 0, FULL)
    yield from change_numbers(recorded, project, sums, project["quality_score"], ("task_id", recorded.stream_id))


def status_changed(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    """Every event that gives a task another status; a spell in progress begins or ends with it."""
    state = rows.get(TASK_STATE.name, recorded.stream_id)
    status = STATUS_AFTER[type(event)]
    values: dict[str, Any] = {
        "status": status,
        "updated_at": event.occurred_at,
        "completed_at": event.occurred_at if status == "completed" else None,
    }
    began = state["in_progress_since"]
    if status == "in_progress":
        yield Update(TASK_STATE.name, recorded.stream_id, {"in_progress_since": event.occurred_at})
    elif began is not None:
        worked = min(state["worked"] + max(0, (event.occurred_at - began) // MICROSECOND), INT32_MAX * MINUTE)
        values["actual_duration"] = worked // MINUTE
        yield Update(TASK_STATE.name, recorded.stream_id, {"in_progress_since": None, "worked": worked})
    yield Update(TASKS.name, recorded.stream_id, values)


def progress_claimed(recorded: Recorded, event: ProgressClaimed, rows: Rows) -> list[Change]:
    return _claim(recorded, micros(event.claimed), rows, {"updated_at": event.occurred_at})


def task_completed(recorded: Recorded, event: TaskCompleted, rows: Rows) -> list[Change]:
    return [*status_changed(recorded, event, rows), *_claim(recorded, FULL, rows, {})]


def _claim(recorded: Recorded, claimed: int, rows: Rows, values: dict[str, Any]) -> list[Change]:
    """Return what a claim changes; `values` are those that the task's row is given besides its numbers."""
    _, task_id, _, _, project_id = recorded
    assert project_id is not None
    weight, claimed_before, authenticity = term_of(rows.get(_TASK_STATE, task_id))
    project = rows.get(_PROJECT_STATE, project_id)
    sums = sums_of(project, weight * (claimed - claimed_before), authenticity)
    values["real_progress"], values["fake_progress"] = task_numbers(claimed, authenticity)
    changes = change_numbers(recorded, project, sums, project["quality_score"], ("task_id", task_id))
    changes.append(_new(Update, (_TASKS, task_id, values)))
    changes.append(_new(Update, (_TASK_STATE, task_id, {"claimed": claimed})))
    return changes


def term_of(task: Row) -> tuple[int, int, int]:
    """Return a task_state row's term in its project's sums: (weight, claimed, authenticity)."""
    return task["weight"], task["claimed"], task["authenticity"]


def dependency_id(task_id: UUID, depends_on_task_id: UUID) -> UUID:
    """Return the id of a dependency's row: each pair depends once."""
    return uuid5(task_id, str(depends_on_task_id))


def dependency_added(recorded: Recorded, event: DependencyAdded, rows: Rows) -> Iterator[Change]:
    yield Insert(
        TASK_DEPENDENCIES.name,
        {
            "id": dependency_id(event.task_id, event.depends_on_task_id),
            "task_id": event.task_id,
            "depends_on_task_id": event.depends_on_task_id,
            "dependency_type": event.dependency_type,
            "created_at": event.occurred_at,
        },
    )


def dependency_removed(recorded: Recorded, event: DependencyRemoved, rows: Rows) -> Iterator[Change]:
    yield Delete(TASK_DEPENDENCIES.name, dependency_id(event.task_id, event.depends_on_task_id))


HANDLERS: dict[type, Handler] = {
    **dict.fromkeys(STATUS_AFTER, status_changed),
    TaskAdded: task_added,
    ProgressClaimed: progress_claimed,
    TaskCompleted: task_completed,
    DependencyAdded: dependency_added,
    DependencyRemoved: dependency_removed,
}
