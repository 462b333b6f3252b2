"""Retention: a run is one event with its cutoffs, and one for each project that it archives."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain import retention
from claude_tiu.domain.agenda import ASSIGNMENT, COMPLETED_PROJECT, OPEN_RUN
from claude_tiu.domain.errors import InvalidCommand
from claude_tiu.domain.messages import Elsewhere
from claude_tiu.domain.project import ProjectArchived
from claude_tiu.domain.retention import RETENTION, RETENTION_ID, Retention, RetentionRan, RunRetention
from tests.domain.given import AT, EARLIER, DictReads, Entry, given, project, uid, world

OLD, NEW = uid("old"), uid("new")


def days(count: int) -> datetime:
    return AT - timedelta(days=count)


RAN = RetentionRan(
    occurred_at=AT,
    reports_before=days(90),
    details_before=days(30),
    dailies_before=days(365),
    sessions_before=AT,
    projects_before=days(365),
)


def completed(*projects: tuple[UUID, datetime], opened: dict[UUID, str] | None = None) -> DictReads:
    """Completed projects, with what is open in them."""
    entries = [Entry(COMPLETED_PROJECT, project_id, project_id, at) for project_id, at in projects]
    entries += [Entry(kind, uid(kind), project_id, EARLIER) for project_id, kind in (opened or {}).items()]
    return replace(
        world(), projects={project_id: project("completed") for project_id, _ in projects}, agenda=tuple(entries)
    )


def archived(project_id: UUID) -> Elsewhere:
    return Elsewhere(project_id, ProjectArchived(occurred_at=AT))


def test_the_specifications_policies_are_the_defaults() -> None:
    assert given(RETENTION).when(RunRetention()).then([RAN]) == Retention(AT)


def test_days_to_keep_may_be_others() -> None:
    command = RunRetention(report_days=1, metric_days=2, daily_days=36_500, project_days=4)
    given(RETENTION).when(command).then(
        [
            RetentionRan(
                occurred_at=AT,
                reports_before=days(1),
                details_before=days(2),
                dailies_before=days(36_500),
                sessions_before=AT,
                projects_before=days(4),
            )
        ]
    )


@pytest.mark.parametrize("name", ["report_days", "metric_days", "daily_days", "project_days"])
@pytest.mark.parametrize("value", [0, -1, 36_501, 1.0, "30", True, None])
def test_days_are_a_whole_number_from_1_to_100_years(name: str, value: Any) -> None:
    with pytest.raises(InvalidCommand, match=name):
        RunRetention(**{name: value})


def test_projects_completed_before_the_cutoff_are_archived_the_oldest_first() -> None:
    reads = completed((NEW, days(365) - timedelta(microseconds=1)), (OLD, days(500)))
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN, archived(OLD), archived(NEW)])


def test_at_the_same_time_they_go_in_the_order_of_their_ids() -> None:
    ids = sorted(uid(str(number)) for number in range(5))
    reads = completed(*((project_id, days(400)) for project_id in reversed(ids)))
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN, *map(archived, ids)])


def test_a_project_completed_at_the_cutoff_or_later_stays() -> None:
    reads = completed((OLD, days(365)), (NEW, AT))
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN])


@pytest.mark.parametrize("kind", [ASSIGNMENT, OPEN_RUN])
def test_one_in_which_work_is_open_is_skipped(kind: str) -> None:
    reads = completed((OLD, days(500)), (NEW, days(400)), opened={OLD: kind})
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN, archived(NEW)])


@pytest.mark.parametrize("status", ["active", "archived", None])
def test_one_that_is_seen_not_to_be_completed_is_skipped(status: str | None) -> None:
    """As a cached state may have it: its version is guarded, so that the run is then decided again."""
    reads = completed((OLD, days(500)))
    reads = replace(reads, projects={OLD: project(status)} if status else {})
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN])


def test_a_run_archives_so_many_and_those_that_are_skipped_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_ARCHIVED", 2)
    ids = [uid(str(number)) for number in range(4)]
    reads = completed(*((ids[number], days(500 - number)) for number in range(4)), opened={ids[0]: OPEN_RUN})
    given(RETENTION, reads=reads).when(RunRetention()).then([RAN, archived(ids[1]), archived(ids[2])])


def test_a_run_as_of_an_earlier_time_than_the_last_is_none_the_worse() -> None:
    """It finds nothing that the last one left, unless history was imported meanwhile."""
    later = RAN.model_copy(update={"occurred_at": AT + timedelta(days=1)})
    assert given(RETENTION, [later]).when(RunRetention()).then([RAN]) == Retention(AT)


def test_all_runs_are_in_one_stream_of_no_project() -> None:
    assert RETENTION.stream_of is not None
    assert RETENTION.stream_of(RunRetention(), world()) == RETENTION_ID == UUID("3f3a0f13-920d-5f33-a5a5-a0c4b9c418d3")
    assert RETENTION.project_of(RETENTION_ID, Retention(AT)) is None


def test_what_is_due_and_open_is_asked_exclusively() -> None:
    assert RunRetention.exclusive
