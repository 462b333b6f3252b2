"""What occurred by a time: of each stream its longest prefix that did, and stands on what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from claude_tiu.domain.agent import AgentRegistered
from claude_tiu.domain.agent_metrics import AgentMetricRecorded
from claude_tiu.domain.assignment import AssignmentClosed, AssignmentOpened
from claude_tiu.domain.dependency_graph import DependencyAdded
from claude_tiu.domain.messages import Event
from claude_tiu.domain.project import ProjectArchived, ProjectCompleted, ProjectCreated, ProjectRestored
from claude_tiu.domain.project_file import FileCreated
from claude_tiu.domain.project_metrics import MetricRecorded
from claude_tiu.domain.registry import encode_event
from claude_tiu.domain.session import SessionStarted
from claude_tiu.domain.task import ProgressClaimed, TaskAdded, TaskStarted
from claude_tiu.domain.template import TemplateCreated
from claude_tiu.domain.user import UserCreated, UserRenamed
from claude_tiu.domain.validation_run import IssueReported, RunCompleted, RunStarted
from claude_tiu.domain.workflow import StepAdded, WorkflowCreated
from claude_tiu.domain.workflow_run import WorkflowRunStarted
from claude_tiu.infrastructure.audit.occurred import occurred_by
from claude_tiu.infrastructure.event_store import LogEvent
from claude_tiu.projections.stands_on import GROUNDS
from tests.support.history import START, uid

ON_TIME, AT, LATE = START, START + timedelta(days=1), START + timedelta(days=1, microseconds=1)
USER, PROJECT, TASK, OTHER, WORKFLOW, STEP, AGENT, RUN = map(
    uid, ("user", "project", "task", "other", "workflow", "step", "agent", "run")
)


class Told(NamedTuple):
    stream: UUID
    make: Callable[[datetime], Event]
    project: UUID | None = None
    at: datetime = ON_TIME


def log(told: Sequence[Told]) -> list[LogEvent]:
    versions: dict[UUID, int] = {}
    found = []
    for position, (stream, make, project, at) in enumerate(told, 1):
        event, version = make(at), versions.get(stream, 0) + 1
        versions[stream] = version
        found.append(LogEvent(position, stream, version, event.topic, encode_event(event), project, None, b"", b""))
    return found


def there(*told: Told) -> list[int]:
    """The positions of what is there at AT."""
    return list(occurred_by(log(told), AT))


def kind(event: type[Event], **values: Any) -> Callable[[datetime], Event]:
    return lambda at: event.model_construct(occurred_at=at, **values)


def user(**values: Any) -> Told:
    secret = {"password_hash": "$"}
    said: dict[str, Any] = {"username": "ada", "email": "a@b", "role": "admin", "preferences": {}, **secret}
    return Told(USER, kind(UserCreated, **said), **values)


def project(**values: Any) -> Told:
    empty: dict[str, Any] = {"configuration": {}, "metadata": {}, "template_id": None, "description": None}
    return Told(PROJECT, kind(ProjectCreated, user_id=USER, name="Billing", **empty), PROJECT, **values)


def task(id_: UUID = TASK, **values: Any) -> Told:
    said: dict[str, Any] = {"expected_outputs": [], "validation_criteria": {}, "capabilities": [], "agent_type": None}
    more = {"description": None, "priority": "low", "ai_prompt": None, "estimated_duration": None}
    return Told(id_, kind(TaskAdded, project_id=PROJECT, name="Parser", **said, **more), PROJECT, **values)


def step(**values: Any) -> Told:
    said: dict[str, Any] = {"ai_prompt": None, "depends_on": [], "validation_config": {}, "step_order": 0}
    return Told(WORKFLOW, kind(StepAdded, step_id=STEP, name="Lint", type="validation", **said), **values)


def workflow(**values: Any) -> Told:
    said: dict[str, Any] = {"description": None, "template": None, "configuration": {}, "global_settings": {}}
    return Told(WORKFLOW, kind(WorkflowCreated, name="Review", **said), **values)


def agent(**values: Any) -> Told:
    said: dict[str, Any] = {"name": None, "capabilities": [], "configuration": {}, "coordination_hooks": {}}
    return Told(AGENT, kind(AgentRegistered, agent_type="tester", **said), **values)


def run(**values: Any) -> Told:
    return Told(RUN, kind(RunStarted, project_id=PROJECT, validation_type="deep"), PROJECT, **values)


ISSUE: dict[str, Any] = {"issue_id": uid("issue"), "issue_type": "mock_data", "severity": "low", "description": "Mock"}
ISSUE |= {"file_path": None, "line_number": None, "auto_fix_available": False, "suggested_fix": None}
OPENED: dict[str, Any] = {"assignment_id": uid("deal"), "deadline": AT, "lease_seconds": 9, "metadata": {}}
TEMPLATE: dict[str, Any] = {"description": None, "category": None, "structure": {}, "default_config": {}}
FILE: dict[str, Any] = {"content_zlib": None, "content_hash": "0" * 64, "size_bytes": 0, "metadata": {}}
DEPENDS: dict[str, Any] = {"project_id": PROJECT, "task_id": TASK, "depends_on_task_id": OTHER}
SESSION: dict[str, Any] = {"token_hash": "f", "metadata": {}}
METRIC: dict[str, Any] = {"value": 1.0, "metadata": {}}

GROUND: dict[str, Callable[..., Told]] = {
    "user": user,
    "project": project,
    "task": task,
    "other": lambda **values: task(OTHER, **values),
    "workflow": workflow,
    "step": step,
    "agent": agent,
    "run": run,
}
"""How what events stand on is made."""
STANDING: dict[type[Event], tuple[Told, tuple[str, ...]]] = {
    SessionStarted: (
        Told(uid("session"), kind(SessionStarted, user_id=USER, expires_at=AT, **SESSION)),
        ("user",),
    ),
    TemplateCreated: (
        Told(
            uid("template"),
            kind(TemplateCreated, name="T", workflow_template=None, is_public=True, created_by=USER, **TEMPLATE),
        ),
        ("user",),
    ),
    ProjectCreated: (project(), ("user",)),
    MetricRecorded: (
        Told(uid("metrics"), kind(MetricRecorded, project_id=PROJECT, metric_name="m", **METRIC), PROJECT),
        ("user", "project"),
    ),
    FileCreated: (
        Told(uid("file"), kind(FileCreated, project_id=PROJECT, file_path="a.py", **FILE), PROJECT),
        ("user", "project"),
    ),
    TaskAdded: (task(), ("user", "project")),
    DependencyAdded: (
        Told(uid("graph"), kind(DependencyAdded, dependency_type="blocks", **DEPENDS), PROJECT),
        ("user", "project", "task", "other"),
    ),
    RunStarted: (run(), ("user", "project")),
    IssueReported: (
        Told(RUN, kind(IssueReported, task_id=TASK, **ISSUE), PROJECT),
        ("user", "project", "task", "run"),
    ),
    RunCompleted: (
        Told(
            RUN,
            kind(RunCompleted, quality_score=1.0, quality_metrics={}, assessments={TASK: 1.0, OTHER: 2.0}),
            PROJECT,
        ),
        ("user", "project", "task", "other", "run"),
    ),
    WorkflowRunStarted: (
        Told(
            uid("flow"), kind(WorkflowRunStarted, workflow_id=WORKFLOW, project_id=PROJECT, steps={STEP: []}), PROJECT
        ),
        ("user", "project", "workflow", "step"),
    ),
    AssignmentOpened: (
        Told(AGENT, kind(AssignmentOpened, task_id=TASK, project_id=PROJECT, **OPENED)),
        ("user", "project", "task", "agent"),
    ),
    AgentMetricRecorded: (
        Told(uid("agent metrics"), kind(AgentMetricRecorded, agent_id=AGENT, metric_type="m", **METRIC)),
        ("agent",),
    ),
}
"""An event, and what it stands on, before it in the log."""
CASES = [(event, ground) for event, (_, grounds) in STANDING.items() for ground in grounds]


def test_every_event_that_stands_on_something_is_tried() -> None:
    assert STANDING.keys() == GROUNDS.keys()


@pytest.mark.parametrize("event", STANDING)
def test_an_event_is_there_that_occurred_by_the_time_as_did_all_it_stands_on(event: type[Event]) -> None:
    told, grounds = STANDING[event]
    before = [GROUND[name](at=AT) for name in grounds]
    assert there(*before, told._replace(at=AT)) == list(range(1, len(before) + 2))
    assert there(*before, told._replace(at=LATE)) == list(range(1, len(before) + 1))


@pytest.mark.parametrize(("event", "late"), CASES)
def test_an_event_is_not_there_without_what_it_stands_on(event: type[Event], late: str) -> None:
    told, grounds = STANDING[event]
    *before, _ = positions = [GROUND[name](at=LATE if name == late else ON_TIME) for name in grounds] + [told]
    assert len(before) + 1 not in there(*positions)


def claimed(**values: Any) -> Told:
    return Told(TASK, kind(ProgressClaimed, claimed=10.0), PROJECT, **values)


def of_project(event: type[Event], **values: Any) -> Told:
    return Told(PROJECT, kind(event), PROJECT, **values)


def test_a_stream_ends_before_its_first_event_that_is_late() -> None:
    assert there(user(), project(), task(), claimed(at=LATE), claimed(), task(OTHER)) == [1, 2, 3, 6]


def test_a_stream_ends_at_an_event_that_stands_on_nothing() -> None:
    opened = Told(AGENT, kind(AssignmentOpened, task_id=TASK, project_id=PROJECT, **OPENED))
    closing: dict[str, Any] = {"task_id": TASK, "project_id": PROJECT, "status": "released"}
    closed = Told(AGENT, kind(AssignmentClosed, assignment_id=uid("deal"), **closing))
    assert there(user(), project(), task(at=LATE), agent(), opened, closed) == [1, 2, 4]


def test_half_of_a_commit_may_be_there() -> None:
    """The task was started by a claim whose agent's clock was ahead before it."""
    opened = Told(AGENT, kind(AssignmentOpened, task_id=TASK, project_id=PROJECT, **OPENED))
    started = Told(TASK, kind(TaskStarted), PROJECT)
    assert there(user(), project(), task(), agent(at=LATE), opened, started) == [1, 2, 3, 6]


@pytest.mark.parametrize(
    "late",
    [
        claimed(),
        task(OTHER),
        run(),
        STANDING[MetricRecorded][0],
        STANDING[FileCreated][0],
        Told(AGENT, kind(AssignmentOpened, task_id=TASK, project_id=PROJECT, **OPENED)),
    ],
    ids=["of a task", "a new task", "a run", "a metric", "a file", "a claim"],
)
def test_an_archived_project_carries_nothing_until_it_is_restored(late: Told) -> None:
    """It was restored before what followed; but by its own clock later than the time."""
    before = (user(), project(), task(), agent(), of_project(ProjectArchived))
    assert there(*before, of_project(ProjectRestored, at=LATE), late) == [1, 2, 3, 4, 5]
    assert there(*before, of_project(ProjectRestored), late) == [1, 2, 3, 4, 5, 6, 7]


def test_an_archived_projects_own_stream_goes_on() -> None:
    own = of_project(ProjectCompleted), of_project(ProjectArchived), of_project(ProjectRestored)
    assert there(user(), project(), *own, of_project(ProjectCompleted)) == [1, 2, 3, 4, 5, 6]


def test_a_name_is_no_ground() -> None:
    """Two may have it as of a time, where one let it go later by its own clock."""
    renamed = Told(USER, kind(UserRenamed, username="ava"), at=LATE)
    other = user()._replace(stream=uid("other user"))
    assert there(user(), renamed, other) == [1, 3]
