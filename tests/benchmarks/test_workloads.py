"""The logs that are measured are ones that the domain could have made."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from claude_tiu import connect
from claude_tiu.domain.registry import decode_event, encode_event
from claude_tiu.infrastructure.event_hash import NO_EVENT
from claude_tiu.infrastructure.settings import sqlite_url
from tests.benchmarks.logs import fill
from tests.benchmarks.workloads import ISSUES, TASK_EVENTS, Setting, events_of, single_tasks

SETTING = Setting(uuid4(), uuid4())


@pytest.mark.parametrize("workload", ["W", "W2"])
def test_events_are_stored_as_the_domain_writes_them(workload: str) -> None:
    for event in events_of(workload, 1_500, SETTING):
        assert encode_event(decode_event(event.topic, event.state)) == event.state


@pytest.mark.parametrize("workload", ["W", "W2"])
def test_streams_grow_by_one_and_commands_are_never_repeated(workload: str) -> None:
    versions: Counter[UUID] = Counter()
    events = list(events_of(workload, 1_500, SETTING))
    for event in events:
        versions[event.stream_id] += 1
        assert event.version == versions[event.stream_id]
    assert len({event.command_id for event in events}) == len(events)
    assert abs(len(events) - 1_500) < 15


def test_w2_has_two_runs_a_project_that_assess_every_task() -> None:
    events = list(events_of("W2", 3_000, SETTING))
    topics = Counter(event.topic for event in events)
    tasks = topics["task.added.v1"]
    assert topics["project.created.v1"] == 3
    assert topics["validation_run.completed.v1"] == 6
    assert topics["validation_run.issue_reported.v1"] == 6 * ISSUES
    assert topics["validation_run.task_assessed.v1"] == 2 * tasks
    assert topics["task.completed.v1"] == tasks
    seen: set[UUID] = set()
    for event in events:  # nothing stands before its project
        if event.topic == "project.created.v1":
            seen.add(event.stream_id)
        assert event.project_id in seen


def test_single_tasks_are_the_same_events_one_after_the_other() -> None:
    events = list(single_tasks(7, 2, SETTING.project_id))
    assert [event.version for event in events] == [*range(1, TASK_EVENTS + 1)] * 2
    assert len({event.command_id for event in (*events, *single_tasks(9, 1, SETTING.project_id))}) == 3 * TASK_EVENTS


@pytest.mark.parametrize("workload", ["W", "W2", "demo"])
def test_a_filled_log_is_one_chain_that_the_domain_folds_and_the_projector_takes(workload: str, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "bench.db")
    filled = fill(url, workload, 600)
    with connect(url, project=False) as tiu:
        rows = tiu.events.read_rows(0, 10_000)
        assert [row.position for row in rows] == list(range(1, len(rows) + 1))
        assert [row.previous_hash for row in rows] == [NO_EVENT, *(row.hash for row in rows[:-1])]
        assert all(one.recorded_at < other.recorded_at for one, other in pairwise(rows[1:]))
        for stream_id in {row.stream_id for row in rows}:
            assert tiu.get(stream_id) is not None
        assert tiu.projector.catch_up() == filled.events
        assert tiu.lag().behind == 0


def test_a_filled_log_has_the_hashes_that_postgresql_computes(pg_empty: str) -> None:
    filled = fill(pg_empty, "W2", 600)
    with psycopg.connect(pg_empty) as connection:
        ((count, wrong),) = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE hash <> event_hash(events)) FROM events"
        ).fetchall()
    assert (count, wrong) == (filled.first_position - 1 + filled.events, 0)
