"""What events stand on: every id of something else that an event names is accounted for."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from claude_tiu.domain.registry import decode_event
from claude_tiu.projections.stands_on import stands_on

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "events").glob("*.json"))
OF_ITS_OWN = {"step_id", "depends_on", "skipped", "issue_id", "assignment_id"}
"""Made, and used, within the stream that names them."""
NO_ROW_NEEDS = {
    ("project.created.v1", "template_id"): "the row holds it as text, and refers to nothing",
    ("task.assigned.v1", "agent_id"): "no row of a task names its agent",
    ("task.claim_expired.v1", "agent_id"): "no row of a task names its agent",
    ("dependency_graph.dependency_removed.v1", "task_id"): "it was added in the same stream",
    ("dependency_graph.dependency_removed.v1", "depends_on_task_id"): "it was added in the same stream",
    ("validation_run.task_assessed.v1", "task_id"): "it takes effect with the run's completion, which names it again",
    ("agent.heartbeat_recorded.v1", "project_id"): "the assignment was opened in the same stream",
    ("agent.assignment_closed.v1", "task_id"): "the assignment was opened in the same stream",
    ("agent.assignment_closed.v1", "project_id"): "the assignment was opened in the same stream",
    ("parking.events_discarded.v1", "unit_id"): "no row refers to it",
    ("session.ended.v1", "user_id"): "the session was started in the same stream",
}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_every_id_that_an_event_names_is_stood_on_or_no_row_needs_it(golden: Path) -> None:
    topic = golden.stem.partition("+")[0].partition("-")[0]
    event = decode_event(topic, golden.read_bytes())
    named = {
        id_
        for name, value in event
        if name not in OF_ITS_OWN and (topic, name) not in NO_ROW_NEEDS
        for id_ in (value if isinstance(value, dict | list) else [value])
        if isinstance(id_, UUID)
    }
    assert set(stands_on(event)) == named
