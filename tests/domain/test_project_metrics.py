"""A project's own metrics: recorded of every project that is not archived, in a stream of their own."""

from __future__ import annotations

import pytest

from claude_tiu.domain.errors import NotFound, WrongStatus
from claude_tiu.domain.project_metrics import PROJECT_METRICS, MetricRecorded, RecordMetric, metrics_id
from tests.domain.given import AT, PROJECT_ID, DictReads, given, world

RECORD = RecordMetric(project_id=PROJECT_ID, metric_name="coverage", value=81.5, metadata={"tool": "coverage"})
RECORDED = MetricRecorded(
    occurred_at=AT, project_id=PROJECT_ID, metric_name="coverage", value=81.5, metadata={"tool": "coverage"}
)


@pytest.mark.parametrize("status", ["active", "completed", "failed"])
def test_a_metric_is_recorded_whatever_became_of_the_project(status: str) -> None:
    given(PROJECT_METRICS, reads=world(status)).when(RECORD).then([RECORDED])


def test_a_metric_may_be_recorded_again() -> None:
    given(PROJECT_METRICS, [RECORDED], reads=world()).when(RECORD).then([RECORDED])


def test_an_archived_project_takes_no_metric() -> None:
    given(PROJECT_METRICS, reads=world("archived")).when(RECORD).then_refused(
        WrongStatus, id=PROJECT_ID, status="archived", command="RecordMetric"
    )


def test_a_metric_needs_a_project() -> None:
    given(PROJECT_METRICS, reads=DictReads()).when(RECORD).then_refused(NotFound, id=PROJECT_ID)


def test_metrics_stand_in_a_stream_of_their_own() -> None:
    """However many are recorded, the project's version does not move, and no decision that rests on it is made anew."""
    assert PROJECT_METRICS.stream_of is not None
    assert PROJECT_METRICS.stream_of(RECORD, world()) == metrics_id(PROJECT_ID) != PROJECT_ID
