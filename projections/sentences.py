"""What an event means in words: one plain sentence for each, and nothing personal in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..domain.agent import AgentErrorReported, AgentRegistered, AgentWentOffline, HeartbeatRecorded
from ..domain.agent_metrics import AgentMetricRecorded
from ..domain.assignment import AssignmentClosed, AssignmentOpened
from ..domain.dependency_graph import DependencyAdded, DependencyRemoved
from ..domain.messages import Event
from ..domain.parking import ParkedEventsDiscarded
from ..domain.project import (
    ProjectArchived,
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
    ProjectRestored,
)
from ..domain.project_file import (
    ContentEvent,
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
    ProjectFile,
)
from ..domain.project_metrics import MetricRecorded
from ..domain.project_state import Project
from ..domain.retention import RetentionRan
from ..domain.session import SessionEnded, SessionStarted
from ..domain.task import (
    ProgressClaimed,
    Task,
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
from ..domain.template import TemplateCreated, TemplatePublished, TemplateUnpublished
from ..domain.user import (
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
from ..domain.validation_run import (
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
from ..domain.workflow import StepAdded, WorkflowActivated, WorkflowArchived, WorkflowCreated
from ..domain.workflow_run import (
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunCompleted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)

Sentence = Callable[[Any, Any], str]
"""(the event, the state of its stream behind it) -> a sentence. The state is None where it is not known."""


def sentence(event: Event, state: Any) -> str:
    """Return what an event means in words; `state` is that of its stream behind it, or None."""
    return SENTENCES[type(event)](event, state)


def number(value: float) -> str:
    """Return a number as it is read: 60, not 60.0; else exactly."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _word(value: str) -> str:
    return value.replace("_", " ")


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _always(text: str) -> Sentence:
    return lambda event, state: text


def _of_project(did: str) -> Sentence:
    return lambda event, state: f"{_project(state)} {did}."


def _project(state: Any) -> str:
    return f'Project "{state.name}"' if isinstance(state, Project) else "The project"


def _of_task(did: str) -> Sentence:
    return lambda event, state: f"{_task(state)} {did}."


def _task(state: Any) -> str:
    return f'Task "{state.name}"' if isinstance(state, Task) else "The task"


def _of_file(did: str) -> Sentence:
    return lambda event, state: f"{_file(state)} {did}."


def _file(state: Any) -> str:
    return f'File "{state.file_path}"' if isinstance(state, ProjectFile) else "The file"


def _with_size(did: str) -> Sentence:
    def told(event: ContentEvent, state: Any) -> str:
        return f"{_file(state)} {did}: {_count(event.size_bytes, 'byte')}."

    return told


def _scored(did: str) -> Sentence:
    return lambda event, state: f"{_file(state)} {did}: {number(event.validation_score)} %."


def _issue(did: str) -> Sentence:
    return lambda event, state: f"Issue {event.issue_id} {did}."


def _step(did: str) -> Sentence:
    return lambda event, state: f"Step {event.step_id} of the workflow run {did}."


def _issue_reported(event: IssueReported, state: Any) -> str:
    where = f"in task {event.task_id}" if event.task_id else "in no task"
    return f"Issue {event.issue_id} was reported, {where}: {_word(event.issue_type)}, {event.severity}."


def _run_completed(event: RunCompleted, state: Any) -> str:
    assessed = _count(len(event.assessments), "assessment")
    return f"The validation run was completed: quality {number(event.quality_score)} %; {assessed} took effect."


def _dependency(did: str) -> Sentence:
    return lambda event, state: f"Task {event.task_id} {did} {event.depends_on_task_id}."


def _dependency_added(event: DependencyAdded, state: Any) -> str:
    return f"Task {event.task_id} was made to depend on task {event.depends_on_task_id} ({event.dependency_type})."


def _agent_registered(event: AgentRegistered, state: Any) -> str:
    named = f' "{event.name}"' if event.name is not None else ""
    return f"Agent{named} was registered, as {event.agent_type}."


def _heartbeat(event: HeartbeatRecorded, state: Any) -> str:
    if event.deadline is None:
        return "The agent was heard of; it holds no task."
    return f"The agent was heard of; its claim runs until {_time(event.deadline)}."


def _workflow_run_failed(event: WorkflowRunFailed, state: Any) -> str:
    return f"The workflow run failed; {_count(len(event.skipped), 'step')} skipped."


def _discarded(event: ParkedEventsDiscarded, state: Any) -> str:
    places = f"{event.first_position} to {event.last_position}"
    return f"Events at positions {places} were discarded: the read tables leave them out."


SENTENCES: dict[type[Event], Sentence] = {
    UserCreated: lambda event, state: f"A user was created, as {event.role}.",
    UserRenamed: _always("The user was given another name."),
    EmailChanged: _always("The user was given another email."),
    PasswordChanged: _always("The user was given another password."),
    RoleChanged: lambda event, state: f"The user was given the role {event.role}.",
    PreferencesChanged: _always("The user's preferences were replaced."),
    UserDeactivated: _always("The user was deactivated."),
    UserReactivated: _always("The user was reactivated."),
    UserForgotten: _always("The user was forgotten: the key of what is personal was destroyed."),
    SessionStarted: lambda event, state: f"User {event.user_id} started a session, until {_time(event.expires_at)}.",
    SessionEnded: lambda event, state: f"The session of user {event.user_id} was ended.",
    ProjectCreated: lambda event, state: (
        f"{_project(state)} was created"
        + (f" from template {event.template_id}." if event.template_id is not None else ".")
    ),
    ProjectCompleted: _of_project("was declared completed"),
    ProjectFailed: _of_project("was declared failed"),
    ProjectReactivated: _of_project("was made active again"),
    ProjectArchived: _of_project("was archived"),
    ProjectRestored: _of_project("was restored from the archive"),
    MetricRecorded: lambda event, state: f'Metric "{event.metric_name}" was recorded: {number(event.value)}.',
    TaskAdded: lambda event, state: f"{_task(state)} was added, with {event.priority} priority.",
    TaskAssigned: lambda event, state: f"{_task(state)} was assigned to agent {event.agent_id}.",
    TaskStarted: _of_task("was started"),
    ProgressClaimed: lambda event, state: (
        f"{number(event.claimed)} % of {_task(state)[0].lower()}{_task(state)[1:]} was claimed."
    ),
    TaskCompleted: _of_task("was declared completed, which claims 100 %"),
    TaskFailed: _of_task("was declared failed"),
    TaskBlocked: _of_task("was blocked"),
    TaskPutBack: _of_task("was put back to pending"),
    TaskClaimExpired: lambda event, state: (
        f"{_task(state)} is pending again: the claim of agent {event.agent_id} ran out ({event.attempts} so far)."
    ),
    TaskUnblocked: _of_task("was unblocked, and is pending"),
    TaskResumed: _of_task("was unblocked and taken into progress again"),
    TaskRetried: _of_task("is pending again, to be retried"),
    TaskReopened: _of_task("was reopened"),
    DependencyAdded: _dependency_added,
    DependencyRemoved: _dependency("depends no more on task"),
    RunStarted: lambda event, state: f"A {event.validation_type} validation run was started.",
    TaskAssessed: lambda event, state: (
        f"Task {event.task_id} was assessed: {number(event.authenticity)} % of what it claims is real."
    ),
    IssueReported: _issue_reported,
    RunCompleted: _run_completed,
    RunFailed: _always("The validation run failed: what it found takes no effect."),
    IssueBegun: _issue("was taken up"),
    IssueResolved: _issue("was resolved"),
    IssueIgnored: _issue("was ignored"),
    IssueReopened: _issue("was opened again"),
    WorkflowCreated: lambda event, state: f'Workflow "{event.name}" was created, as a draft.',
    StepAdded: lambda event, state: f'Step "{event.name}" was added to the workflow: {_word(event.type)}.',
    WorkflowActivated: _always("The workflow was activated."),
    WorkflowArchived: _always("The workflow was archived."),
    WorkflowRunStarted: lambda event, state: (
        f"A run of workflow {event.workflow_id} was started: {_count(len(event.steps), 'step')}."
    ),
    StepStarted: _step("was started"),
    StepCompleted: _step("was completed"),
    StepFailed: _step("failed"),
    WorkflowRunCompleted: _always("The workflow run was completed."),
    WorkflowRunFailed: _workflow_run_failed,
    AgentRegistered: _agent_registered,
    HeartbeatRecorded: _heartbeat,
    AgentWentOffline: _always("The agent went offline."),
    AgentErrorReported: _always("The agent reported an error."),
    AssignmentOpened: lambda event, state: (
        f"The agent claimed task {event.task_id}, until {_time(event.deadline)} at first."
    ),
    AssignmentClosed: lambda event, state: f"The agent's assignment of task {event.task_id} ended: {event.status}.",
    AgentMetricRecorded: lambda event, state: (
        f'Metric "{event.metric_type}" of agent {event.agent_id} was recorded: {number(event.value)}.'
    ),
    TemplateCreated: lambda event, state: (
        f'{"Public" if event.is_public else "Private"} template "{event.name}" was created.'
    ),
    TemplatePublished: _always("The template was made public."),
    TemplateUnpublished: _always("The template was made private."),
    FileCreated: _with_size("was created"),
    FileRevived: _with_size("was created again"),
    FileModified: _with_size("was given other content"),
    FileValidated: _scored("passed its validation"),
    FileValidationFailed: _scored("did not pass its validation"),
    FileDeleted: _of_file("was deleted"),
    RetentionRan: _always("Retention ran over the read tables."),
    ParkedEventsDiscarded: _discarded,
}
"""What each event means. Names stand in it as they are: who shows it makes control characters visible."""
