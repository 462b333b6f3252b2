"""The bytes that were stored, for ever: a full example of every topic, and the file that holds it.

`python -m tests.domain.golden` at the root writes the files of new topics. It never touches one that is there: a topic
whose bytes must change needs a new version of it, and an upcaster for the old.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from claude_tiu.domain.agent import AgentErrorReported, AgentRegistered, AgentWentOffline, HeartbeatRecorded
from claude_tiu.domain.agent_metrics import AgentMetricRecorded
from claude_tiu.domain.assignment import AssignmentClosed, AssignmentOpened
from claude_tiu.domain.dependency_graph import DependencyAdded, DependencyRemoved
from claude_tiu.domain.messages import Event
from claude_tiu.domain.parking import ParkedEventsDiscarded
from claude_tiu.domain.project import (
    ProjectArchived,
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
    ProjectRestored,
)
from claude_tiu.domain.project_file import (
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
)
from claude_tiu.domain.project_metrics import MetricRecorded
from claude_tiu.domain.registry import encode_event
from claude_tiu.domain.retention import RetentionRan
from claude_tiu.domain.session import SessionEnded, SessionStarted
from claude_tiu.domain.task import (
    ProgressClaimed,
    TaskAdded,
    TaskAssigned,
    TaskBlocked,
    TaskClaimExpired,
    TaskCompleted,
    TaskFailed,
    TaskPutBack,
    TaskReopened,
    TaskResumed,
    TaskRetried,
    TaskStarted,
    TaskUnblocked,
)
from claude_tiu.domain.template import TemplateCreated, TemplatePublished, TemplateUnpublished
from claude_tiu.domain.user import (
    EmailChanged,
    PasswordChanged,
    PreferencesChanged,
    RoleChanged,
    UserCreated,
    UserDeactivated,
    UserForgotten,
    UserReactivated,
    UserRenamed,
)
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
from claude_tiu.domain.workflow import StepAdded, WorkflowActivated, WorkflowArchived, WorkflowCreated
from claude_tiu.domain.workflow_run import (
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunCompleted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)
from tests.domain.given import (
    AGENT_ID,
    ASSIGNMENT_ID,
    ISSUE_ID,
    PROJECT_ID,
    STEP_ID,
    TASK_ID,
    TEMPLATE_ID,
    USER_ID,
    WORKFLOW_ID,
    uid,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "events"
AT = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)
CONTENT: dict[str, Any] = {  # without a repetition: every zlib makes the same of it
    "content_zlib": "eJwrKMrMK9FQP7zyw/yZTeqaXAA+Awbt",
    "content_hash": "8c82df0c1adab64c838b73eb200d054a0ef2f1eed04e602fcd192708842d71d3",
    "size_bytes": 16,
}
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
    "user.renamed.v1": UserRenamed(occurred_at=AT, username="Grace Høpper ☃"),
    "user.email_changed.v1": EmailChanged(occurred_at=AT, email="grace@example.org"),
    "user.password_changed.v1": PasswordChanged(
        occurred_at=AT,
        password_hash="$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",  # noqa: S106 - nobody's
    ),
    "user.role_changed.v1": RoleChanged(occurred_at=AT, role="viewer"),
    "user.preferences_changed.v1": PreferencesChanged(occurred_at=AT, preferences=JSON),
    "user.deactivated.v1": UserDeactivated(occurred_at=AT),
    "user.reactivated.v1": UserReactivated(occurred_at=AT),
    "user.forgotten.v1": UserForgotten(occurred_at=AT),
    "session.started.v1": SessionStarted(
        occurred_at=AT, user_id=USER_ID, token_hash="5f4dcc3b" * 8, expires_at=AT + timedelta(days=1), metadata=JSON
    ),
    "session.ended.v1": SessionEnded(occurred_at=AT, user_id=USER_ID),
    "project.created.v1": ProjectCreated(
        occurred_at=AT,
        user_id=USER_ID,
        name="Rechnungs-Prüfung",
        description='Two lines,\n"quoted"',
        configuration=JSON,
        metadata={"team": 7},
        template_id=TEMPLATE_ID,
    ),
    "project.completed.v1": ProjectCompleted(occurred_at=AT),
    "project.failed.v1": ProjectFailed(occurred_at=AT, reason="no money"),
    "project.reactivated.v1": ProjectReactivated(occurred_at=AT),
    "project.archived.v1": ProjectArchived(occurred_at=AT),
    "project.restored.v1": ProjectRestored(occurred_at=AT),
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
        agent_type="backend-developer",
        capabilities=["päth", "python"],
    ),
    "task.assigned.v1": TaskAssigned(occurred_at=AT, agent_id=AGENT_ID, assignment_id=ASSIGNMENT_ID),
    "task.started.v1": TaskStarted(occurred_at=AT),
    "task.progress_claimed.v1": ProgressClaimed(occurred_at=AT, claimed=33.333333),
    "task.completed.v1": TaskCompleted(occurred_at=AT),
    "task.failed.v1": TaskFailed(occurred_at=AT, reason="out of tokens"),
    "task.blocked.v1": TaskBlocked(occurred_at=AT, reason="no access"),
    "task.put_back.v1": TaskPutBack(occurred_at=AT),
    "task.claim_expired.v1": TaskClaimExpired(occurred_at=AT, agent_id=AGENT_ID, attempts=2),
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
    "workflow.created.v1": WorkflowCreated(
        occurred_at=AT,
        name="Review",
        description="Prüft jede Änderung",
        template="review-2",
        configuration=JSON,
        global_settings={"model": "large"},
    ),
    "workflow.step_added.v1": StepAdded(
        occurred_at=AT,
        step_id=STEP_ID,
        name="Lint",
        type="external_command",
        ai_prompt="Run the linter.\nSay what it says.",
        depends_on=[uid("other step"), uid("a third step")],
        validation_config=JSON,
        step_order=2147483647,
    ),
    "workflow.activated.v1": WorkflowActivated(occurred_at=AT),
    "workflow.archived.v1": WorkflowArchived(occurred_at=AT),
    "workflow_run.started.v1": WorkflowRunStarted(
        occurred_at=AT,
        workflow_id=WORKFLOW_ID,
        project_id=PROJECT_ID,
        steps={STEP_ID: [], uid("other step"): [STEP_ID]},
    ),
    "workflow_run.step_started.v1": StepStarted(occurred_at=AT, step_id=STEP_ID),
    "workflow_run.step_completed.v1": StepCompleted(
        occurred_at=AT, step_id=STEP_ID, result_data=JSON, execution_metadata={"tokens": 1200}
    ),
    "workflow_run.step_failed.v1": StepFailed(
        occurred_at=AT, step_id=STEP_ID, reason="exit 2", result_data=JSON, execution_metadata={"tokens": 7}
    ),
    "workflow_run.completed.v1": WorkflowRunCompleted(occurred_at=AT),
    "workflow_run.failed.v1": WorkflowRunFailed(occurred_at=AT, reason="exit 2", skipped=[uid("other step")]),
    "agent.registered.v1": AgentRegistered(
        occurred_at=AT,
        agent_type="backend-developer",
        name="Päule",
        capabilities=["päth", "python"],
        configuration=JSON,
        coordination_hooks={"before": ["sync"]},
    ),
    "agent.heartbeat_recorded.v1": HeartbeatRecorded(
        occurred_at=AT,
        assignment_id=ASSIGNMENT_ID,
        project_id=PROJECT_ID,
        deadline=datetime(2026, 3, 1, 12, 49, 56, 789012, tzinfo=UTC),
    ),
    "agent.went_offline.v1": AgentWentOffline(occurred_at=AT),
    "agent.error_reported.v1": AgentErrorReported(occurred_at=AT, reason="out of memory"),
    "agent.assignment_opened.v1": AssignmentOpened(
        occurred_at=AT,
        assignment_id=ASSIGNMENT_ID,
        task_id=TASK_ID,
        project_id=PROJECT_ID,
        deadline=datetime(2026, 3, 1, 12, 49, 56, 789012, tzinfo=UTC),
        lease_seconds=900,
        metadata=JSON,
    ),
    "agent.assignment_closed.v1": AssignmentClosed(
        occurred_at=AT, assignment_id=ASSIGNMENT_ID, task_id=TASK_ID, project_id=PROJECT_ID, status="released"
    ),
    "agent_metrics.metric_recorded.v1": AgentMetricRecorded(
        occurred_at=AT, agent_id=AGENT_ID, metric_type="tokens", value=0.1 + 0.2, metadata=JSON
    ),
    "template.created.v1": TemplateCreated(
        occurred_at=AT,
        name="Service",
        description="A small service",
        category="backend",
        structure={
            "tasks": [
                {
                    "key": "parser",
                    "name": "Parser",
                    "description": "Reads invoices",
                    "priority": "high",
                    "ai_prompt": "Write a parser.",
                    "expected_outputs": ["parser.py"],
                    "validation_criteria": {"tests": 12},
                    "estimated_duration": 60,
                    "depends_on": [{"key": "design", "dependency_type": "requires"}],
                },
                {
                    "key": "design",
                    "name": "Design",
                    "description": None,
                    "priority": "medium",
                    "ai_prompt": None,
                    "expected_outputs": [],
                    "validation_criteria": {},
                    "estimated_duration": None,
                    "depends_on": [],
                },
            ]
        },
        default_config=JSON,
        workflow_template={
            "name": "Review",
            "description": None,
            "configuration": {},
            "global_settings": {},
            "steps": [
                {
                    "key": "lint",
                    "name": "Lint",
                    "type": "validation",
                    "ai_prompt": None,
                    "depends_on": [],
                    "validation_config": {},
                }
            ],
        },
        is_public=True,
        created_by=USER_ID,
    ),
    "template.published.v1": TemplatePublished(occurred_at=AT),
    "template.unpublished.v1": TemplateUnpublished(occurred_at=AT),
    "project_file.created.v1": FileCreated(
        occurred_at=AT, project_id=PROJECT_ID, file_path="src/päth/parser.py", metadata=JSON, **CONTENT
    ),
    "project_file.revived.v1": FileRevived(occurred_at=AT, metadata=JSON, **CONTENT),
    "project_file.modified.v1": FileModified(occurred_at=AT, metadata={"lines": 1}, **CONTENT),
    "project_file.validated.v1": FileValidated(occurred_at=AT, validation_score=99.5),
    "project_file.validation_failed.v1": FileValidationFailed(occurred_at=AT, validation_score=33.333333),
    "project_file.deleted.v1": FileDeleted(occurred_at=AT),
    "retention.ran.v1": RetentionRan(
        occurred_at=AT,
        reports_before=datetime(2025, 12, 1, 12, 34, 56, 789012, tzinfo=UTC),
        details_before=datetime(2026, 1, 30, 12, 34, 56, 789012, tzinfo=UTC),
        dailies_before=datetime(2025, 3, 1, 12, 34, 56, 789012, tzinfo=UTC),
        sessions_before=AT,
        projects_before=datetime(1926, 3, 25, tzinfo=UTC),
    ),
    "parking.events_discarded.v1": ParkedEventsDiscarded(
        occurred_at=AT,
        unit_id=PROJECT_ID,
        first_position=7,
        last_position=2**53,
        reason="Zeile 7 ist kapütt",
        projection="board",
    ),
}
"""topic -> what its golden file decodes to today. A topic that an upcaster replaced stays, with the newer event."""

ADDED_LATER: dict[str, dict[str, Any]] = {
    "project.created.v1": {"template_id": None},
    "task.added.v1": {"agent_type": None, "capabilities": []},
    "parking.events_discarded.v1": {"projection": "read_model"},
}
"""topic -> the fields that it got after it was first stored, and what an event that was stored without them has."""


def first_golden_file(topic: str, folder: Path = GOLDEN) -> Path:
    """The file of a topic as it was first stored."""
    return folder / f"{topic}.json"


def golden_file(topic: str, folder: Path = GOLDEN) -> Path:
    """The file of a topic with all its fields: a second one, where some were added later."""
    return folder / f"{topic}-2.json" if topic in ADDED_LATER else first_golden_file(topic, folder)


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
