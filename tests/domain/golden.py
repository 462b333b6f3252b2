"""The bytes that were stored, for ever: a full example of every topic, and the file that holds it.

`python -m tests.domain.golden` at the root writes the files of new topics. It never touches one that is there: a topic
whose bytes must change needs a new version of it, and an upcaster for the old.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from claude_tiu.domain.dependency_graph import DependencyAdded, DependencyRemoved
from claude_tiu.domain.messages import Event
from claude_tiu.domain.project import (
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
)
from claude_tiu.domain.project_metrics import MetricRecorded
from claude_tiu.domain.registry import encode_event
from claude_tiu.domain.task import (
    ProgressClaimed,
    TaskAdded,
    TaskBlocked,
    TaskCompleted,
    TaskFailed,
    TaskPutBack,
    TaskReopened,
    TaskResumed,
    TaskRetried,
    TaskStarted,
    TaskUnblocked,
)
from claude_tiu.domain.user import UserCreated
from claude_tiu.domain.validation_run import (
    IssueBegun,
    IssueIgnored,
    IssueReopened,
    IssueReported,
    IssueResolved,
    RunCompleted,
    RunFailed,
    RunStarted,
    TaskAssessed,
)
from tests.domain.given import ISSUE_ID, PROJECT_ID, TASK_ID, USER_ID, uid

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "events"
AT = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)
JSON = {"": None, "a": [True, False, -1, 0.1, 9007199254740991], "é\u2028🙂": {'"\\/': "\n\t\x01"}}

EXAMPLES: dict[str, Event] = {
    "user.created.v1": UserCreated(
        occurred_at=AT,
        username="Ada Løvelace 🙂",
        email="ada@example.org",
        password_hash="$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234",  # noqa: S106 - nobody's
        role="admin",
        preferences=JSON,
    ),
    "project.created.v1": ProjectCreated(
        occurred_at=AT,
        user_id=USER_ID,
        name="Rechnungs-Prüfung",
        description='Two lines,\n"quoted"',
        configuration=JSON,
        metadata={"team": 7},
    ),
    "project.completed.v1": ProjectCompleted(occurred_at=AT),
    "project.failed.v1": ProjectFailed(occurred_at=AT, reason="no money"),
    "project.reactivated.v1": ProjectReactivated(occurred_at=AT),
    "project_metrics.metric_recorded.v1": MetricRecorded(
        occurred_at=AT, project_id=PROJECT_ID, metric_name="coverage", value=0.1 + 0.2, metadata=JSON
    ),
    "task.added.v1": TaskAdded(
        occurred_at=AT,
        project_id=PROJECT_ID,
        name="Parser",
        description="Reads invoices",
        priority="critical",
        ai_prompt="Write a parser.\nTest it.",
        expected_outputs=["parser.py", {"tests": 12}, None],
        validation_criteria=JSON,
        estimated_duration=2147483647,
    ),
    "task.started.v1": TaskStarted(occurred_at=AT),
    "task.progress_claimed.v1": ProgressClaimed(occurred_at=AT, claimed=33.333333),
    "task.completed.v1": TaskCompleted(occurred_at=AT),
    "task.failed.v1": TaskFailed(occurred_at=AT, reason="out of tokens"),
    "task.blocked.v1": TaskBlocked(occurred_at=AT, reason="no access"),
    "task.put_back.v1": TaskPutBack(occurred_at=AT),
    "task.unblocked.v1": TaskUnblocked(occurred_at=AT),
    "task.resumed.v1": TaskResumed(occurred_at=AT),
    "task.retried.v1": TaskRetried(occurred_at=AT),
    "task.reopened.v1": TaskReopened(occurred_at=AT),
    "dependency_graph.dependency_added.v1": DependencyAdded(
        occurred_at=AT,
        project_id=PROJECT_ID,
        task_id=TASK_ID,
        depends_on_task_id=uid("other"),
        dependency_type="requires",
    ),
    "dependency_graph.dependency_removed.v1": DependencyRemoved(
        occurred_at=AT, task_id=TASK_ID, depends_on_task_id=uid("other")
    ),
    "validation_run.started.v1": RunStarted(occurred_at=AT, project_id=PROJECT_ID, validation_type="comprehensive"),
    "validation_run.task_assessed.v1": TaskAssessed(occurred_at=AT, task_id=TASK_ID, authenticity=0.000001),
    "validation_run.issue_reported.v1": IssueReported(
        occurred_at=AT,
        issue_id=ISSUE_ID,
        task_id=TASK_ID,
        issue_type="security_risk",
        severity="critical",
        description="eval of input",
        file_path="src/päth/parser.py",
        line_number=12,
        auto_fix_available=True,
        suggested_fix="ast.literal_eval",
    ),
    "validation_run.completed.v1": RunCompleted(
        occurred_at=AT, quality_score=70, quality_metrics=JSON, assessments={TASK_ID: 100, uid("other"): 66.666667}
    ),
    "validation_run.failed.v1": RunFailed(occurred_at=AT, reason="no agent"),
    "validation_run.issue_begun.v1": IssueBegun(occurred_at=AT, issue_id=ISSUE_ID),
    "validation_run.issue_resolved.v1": IssueResolved(occurred_at=AT, issue_id=ISSUE_ID),
    "validation_run.issue_ignored.v1": IssueIgnored(occurred_at=AT, issue_id=ISSUE_ID),
    "validation_run.issue_reopened.v1": IssueReopened(occurred_at=AT, issue_id=ISSUE_ID),
}
"""topic -> what its golden file decodes to today. A topic that an upcaster replaced stays, with the newer event."""


def golden_file(topic: str, folder: Path = GOLDEN) -> Path:
    return folder / f"{topic}.json"


def write_missing(folder: Path = GOLDEN) -> list[Path]:
    """Write the golden files of new topics; returns them. One that exists is never opened for writing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for topic, event in EXAMPLES.items():
        path = golden_file(topic, folder)
        if event.topic == topic and not path.exists():
            with path.open("xb") as file:
                file.write(encode_event(event))
            written.append(path)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{path.name}\n" for path in write_missing())
