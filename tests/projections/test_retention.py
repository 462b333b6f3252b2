"""Archiving, restoring and retention are set operations: which, in which order, with which cutoffs."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid5

from claude_tiu.domain.messages import event_id
from claude_tiu.domain.project import ProjectArchived, ProjectRestored
from claude_tiu.domain.retention import RETENTION_ID, RetentionRan
from claude_tiu.domain.task import ProgressClaimed
from claude_tiu.projections.projection import Operation
from tests.domain.given import AT, PROJECT_ID, TASK_ID
from tests.projections.operating import Operated
from tests.projections.telling import Told, minutes

RAN = RetentionRan(
    occurred_at=AT,
    reports_before=AT - timedelta(days=90),
    details_before=AT - timedelta(days=30),
    dailies_before=AT - timedelta(days=365),
    sessions_before=AT,
    projects_before=AT - timedelta(days=366),
)


def test_archiving_and_restoring_move_a_project_and_write_no_metric() -> None:
    told = Told().with_project().with_task()
    for event, name in (
        (ProjectArchived(occurred_at=minutes(1)), "archive_project"),
        (ProjectRestored(occurred_at=minutes(2)), "restore_project"),
    ):
        assert told.tell(event, PROJECT_ID) == {}
        assert told.operations == [Operation(name, {"project_id": PROJECT_ID, "at": event.occurred_at})]


def test_a_run_rolls_up_before_it_drops_and_logs_each_table_and_rule_under_an_id_of_the_event() -> None:
    told = Told()
    assert told.tell(RAN, RETENTION_ID, None) == {}
    ran = event_id(RETENTION_ID, 1)

    def logs(rule: str, *tables: str) -> dict[str, object]:
        return {f"{table}_log": uuid5(ran, f"{rule}/{table}") for table in tables}

    metrics = ("progress_metrics", "progress_metrics_archive")
    reports = ("validation_issues", "validation_reports", "validation_issues_archive", "validation_reports_archive")
    assert told.operations == [
        Operation("roll_up_metrics", {"before": RAN.details_before}),
        Operation("drop_details", {"before": RAN.details_before, "at": AT, **logs("details", *metrics)}),
        Operation("drop_dailies", {"before": RAN.dailies_before, "at": AT, **logs("dailies", *metrics)}),
        Operation("drop_reports", {"before": RAN.reports_before, "at": AT, **logs("reports", *reports)}),
        Operation("drop_sessions", {"before": AT, "at": AT, **logs("sessions", "user_sessions")}),
    ]


def test_a_project_goes_on_from_its_running_state_once_it_is_restored() -> None:
    told, never = Operated(), Operated()
    for one in (told, never):
        one.with_project().with_task(claimed=10)
    told.tell(ProjectArchived(occurred_at=minutes(1)), PROJECT_ID, PROJECT_ID)
    assert (told.tables["projects"], told.tables["tasks"], told.series) == ({}, {}, [])
    told.tell(ProjectRestored(occurred_at=minutes(2)), PROJECT_ID, PROJECT_ID)
    for one in (told, never):
        one.tell(ProgressClaimed(occurred_at=minutes(3), claimed=40), TASK_ID, PROJECT_ID)
    assert (told.project, told.task, told.series) == (never.project, never.task, never.series)
