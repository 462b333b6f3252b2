"""projects and progress_metrics: a project's numbers, and a metric row for each double that changes."""

from __future__ import annotations

from uuid import uuid5

import pytest

from claude_tiu.domain.project import ProjectCompleted, ProjectFailed, ProjectReactivated
from claude_tiu.domain.project_metrics import MetricRecorded, metrics_id
from claude_tiu.domain.task import ProgressClaimed, TaskCompleted
from tests.domain.given import AT, PROJECT_ID, RUN_ID, TASK_ID, TEMPLATE_ID, USER_ID
from tests.projections.telling import OTHER_ID, Changes, Told, added, minutes, project_created, run_completed


def test_a_project_begins_at_0_0_100_0_without_a_metric() -> None:
    changes = Told().tell(project_created(), PROJECT_ID)
    assert changes["projects"] == Changes(
        [
            {
                "id": PROJECT_ID,
                "user_id": USER_ID,
                "name": "Billing",
                "description": None,
                "status": "active",
                "template_id": None,
                "configuration": {"a": 1},
                "metadata": {},
                "real_progress": 0.0,
                "fake_progress": 0.0,
                "authenticity_rate": 100.0,
                "quality_score": 0.0,
                "created_at": AT,
                "updated_at": AT,
                "completed_at": None,
            }
        ]
    )
    assert changes.keys() == {"projects", "project_state"}


def test_a_project_holds_its_templates_id_as_text() -> None:
    """The column is a VARCHAR: the specification has it so."""
    event = project_created().model_copy(update={"template_id": TEMPLATE_ID})
    assert Told().tell(event, PROJECT_ID)["projects"].inserts[0]["template_id"] == str(TEMPLATE_ID)


def test_completing_a_project_sets_completed_at_and_reactivating_clears_it() -> None:
    told = Told().with_project()
    assert told.tell(ProjectCompleted(occurred_at=minutes(1)), PROJECT_ID) == {
        "projects": Changes(
            updates={
                PROJECT_ID: {"status": "completed", "completed_at": minutes(1), "updated_at": minutes(1)},
            }
        )
    }
    assert told.tell(ProjectReactivated(occurred_at=minutes(2)), PROJECT_ID) == {
        "projects": Changes(
            updates={PROJECT_ID: {"status": "active", "completed_at": None, "updated_at": minutes(2)}},
        )
    }


def test_a_failed_project_has_no_completed_at() -> None:
    told = Told().with_project()
    told.tell(ProjectFailed(occurred_at=minutes(1), reason="lost"), PROJECT_ID)
    assert (told.project["status"], told.project["completed_at"]) == ("failed", None)
    assert told.project["updated_at"] == minutes(1)


def test_each_changed_name_is_a_metric_row_in_the_order_of_the_names() -> None:
    told = Told().with_project().with_task(claimed=50)
    completed = told.next(run_completed(), RUN_ID)
    told.with_run()
    changes = told.tell(run_completed({TASK_ID: 50.0}, at=minutes(9), quality_score=75.0), RUN_ID)
    event_id = uuid5(RUN_ID, "2")
    assert completed.event_id == uuid5(RUN_ID, "1")
    values = {"real_progress": 25.0, "fake_progress": 25.0, "authenticity_rate": 50.0, "quality_score": 75.0}
    assert changes["progress_metrics"] == Changes(
        [
            {
                "id": uuid5(event_id, name),
                "project_id": PROJECT_ID,
                "metric_name": name,
                "value": value,
                "metadata": {"event_id": str(event_id), "seq": seq, "run_id": str(RUN_ID)},
                "recorded_at": minutes(9),
            }
            for seq, (name, value) in enumerate(values.items(), 2)
        ]
    )
    assert changes["projects"] == Changes(updates={PROJECT_ID: {**values, "updated_at": minutes(9)}})


def test_a_metric_of_a_claim_names_its_task() -> None:
    told = Told().with_project().with_task(claimed=12.5)
    (metric,) = told.tables["progress_metrics"].values()
    event_id = uuid5(TASK_ID, "3")
    assert metric["metadata"] == {"event_id": str(event_id), "seq": 1, "task_id": str(TASK_ID)}
    assert (metric["id"], metric["value"]) == (uuid5(event_id, "real_progress"), 12.5)


def test_no_row_where_no_double_changes() -> None:
    told = Told().with_project().with_task(claimed=50)
    again = told.tell(ProgressClaimed(occurred_at=minutes(3), claimed=50.0), TASK_ID)
    assert "progress_metrics" not in again
    assert "projects" not in again
    assert told.task["updated_at"] == minutes(3)
    assert told.project["updated_at"] == AT


def test_a_change_too_small_for_a_double_is_no_row_and_yet_not_lost() -> None:
    """Sums are exact: what a double cannot show is there when enough has come together."""
    told = Told().with_project().with_task(weight=2**31 - 1, claimed=100).with_task(OTHER_ID, weight=1, claimed=0)
    before = list(told.series)
    told.tell(ProgressClaimed(occurred_at=AT, claimed=0.000001), OTHER_ID)
    assert told.series == before
    assert told.tables["project_state"][PROJECT_ID]["claimed_sum"] == (2**31 - 1) * 10**8 + 1


def test_tasks_weigh_by_their_estimate_and_1_without() -> None:
    told = Told().with_project().with_task(weight=3, claimed=100).with_task(OTHER_ID, claimed=20)
    assert told.project["real_progress"] == (3 * 100 + 20) / 4


def test_adding_a_task_dilutes_the_project() -> None:
    told = Told().with_project().with_task(claimed=50)
    changes = told.tell(added(at=minutes(1)), OTHER_ID)
    assert changes["projects"].updates == {PROJECT_ID: {"real_progress": 25.0, "updated_at": minutes(1)}}
    assert told.series == [(1, "real_progress", 50.0), (2, "real_progress", 25.0)]


@pytest.mark.parametrize("claims", [(0.1, 0.2, 0.7), (0.7, 0.1, 0.2), (99.999999, 1e-06, 0.2)])
def test_claims_may_fall_and_what_was_before_leaves_no_trace(claims: tuple[float, ...]) -> None:
    told = Told().with_project().with_task(claimed=0)
    for claimed in (*claims, 0.3):
        told.tell(ProgressClaimed(occurred_at=AT, claimed=claimed), TASK_ID)
    assert told.project["real_progress"] == 0.3
    assert told.project["fake_progress"] == 0.0


def test_a_completed_task_can_be_mostly_fake() -> None:
    told = Told().with_project().with_task(claimed=10).with_run()
    told.tell(TaskCompleted(occurred_at=AT), TASK_ID)
    told.tell(run_completed({TASK_ID: 1.0}), RUN_ID)
    assert (told.task["status"], told.task["real_progress"], told.task["fake_progress"]) == ("completed", 1.0, 99.0)
    assert told.project["authenticity_rate"] == 1.0


def test_a_metric_of_the_callers_own_takes_the_next_seq_and_leaves_the_project_row_alone() -> None:
    told = Told().with_project().with_task(claimed=50)
    event = MetricRecorded(
        occurred_at=minutes(1), project_id=PROJECT_ID, metric_name="coverage", value=0.5, metadata={"by": "ci"}
    )
    changes = told.tell(event, metrics_id(PROJECT_ID))
    event_id = uuid5(metrics_id(PROJECT_ID), "1")
    assert changes["progress_metrics"] == Changes(
        [
            {
                "id": uuid5(event_id, "coverage"),
                "project_id": PROJECT_ID,
                "metric_name": "coverage",
                "value": 0.5,
                "metadata": {"by": "ci", "event_id": str(event_id), "seq": 2},
                "recorded_at": minutes(1),
            }
        ]
    )
    assert "projects" not in changes
    told.tell(ProgressClaimed(occurred_at=AT, claimed=60.0), TASK_ID)
    assert [seq for seq, *_ in told.series] == [1, 2, 3]


def test_quality_is_that_of_the_last_completed_run_by_event_order() -> None:
    told = Told().with_project().with_run()
    told.tell(run_completed(at=minutes(9), quality_score=80.0), RUN_ID)
    told.with_run(run_id=OTHER_ID)
    told.tell(run_completed(at=minutes(-9), quality_score=20.0), OTHER_ID)
    assert (told.project["quality_score"], told.project["updated_at"]) == (20.0, minutes(-9))
