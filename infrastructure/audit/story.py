"""A project's story: of its history what moved it on, the same again and again told in one line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import groupby

from .history import HistoryEntry
from .report import StoryLine

MOST_LINES = 200

MILESTONES = {
    "project.created.v1": "projects were created",
    "project.completed.v1": "projects were declared completed",
    "project.failed.v1": "projects were declared failed",
    "project.reactivated.v1": "projects were made active again",
    "project.archived.v1": "projects were archived",
    "project.restored.v1": "projects were restored",
    "task.added.v1": "tasks were added",
    "task.completed.v1": "tasks were declared completed",
    "task.failed.v1": "tasks were declared failed",
    "task.blocked.v1": "tasks were blocked",
    "task.reopened.v1": "tasks were reopened",
    "task.claim_expired.v1": "claims of agents ran out",
    "validation_run.completed.v1": "validation runs were completed",
    "validation_run.failed.v1": "validation runs failed",
    "validation_run.issue_resolved.v1": "issues were resolved",
    "validation_run.issue_ignored.v1": "issues were ignored",
    "workflow_run.completed.v1": "workflow runs were completed",
    "workflow_run.failed.v1": "workflow runs failed",
    "project_file.created.v1": "files were created",
    "project_file.deleted.v1": "files were deleted",
}
"""What is told, and how, where it happened several times on one day."""


def story_of(entries: Iterable[HistoryEntry]) -> list[StoryLine]:
    """Return a project's story, from everything in it; of a long one its beginning, and more of its end."""
    lines = _lines(entries)
    first: list[StoryLine] = []
    for line in lines:
        first.append(line)
        if len(first) == MOST_LINES // 4:
            break
    room = MOST_LINES - len(first) - 1
    count, last = 0, deque[StoryLine](maxlen=room)
    for line in lines:
        count += 1
        last.append(line)
    left_out = count - len(last)
    if left_out:
        first.append(StoryLine(last[0].occurred_at, f"Before this, {left_out:,} more lines are left out.", None))
    return [*first, *last]


def _lines(entries: Iterable[HistoryEntry]) -> Iterator[StoryLine]:
    for (topic, _, actor), group in groupby(_told(entries), key=_likeness):
        alike = [*group]
        (at, first), count = alike[0], len(alike)
        yield StoryLine(at, first.sentence if count == 1 else f"{count:,} {MILESTONES[topic]}.", actor)


def _told(entries: Iterable[HistoryEntry]) -> Iterator[tuple[datetime, HistoryEntry]]:
    for entry in entries:
        if entry.topic in MILESTONES and entry.occurred_at is not None:
            yield entry.occurred_at, entry


def _likeness(told: tuple[datetime, HistoryEntry]) -> tuple[str, date, str | None]:
    at, entry = told
    return entry.topic, at.date(), entry.actor
