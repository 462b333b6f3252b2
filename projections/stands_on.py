"""What an event stands on: things of other streams that its rows refer to, or change, so that they must be there.

Of its own stream, an event stands on all that came before it; that goes without saying here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from ..domain.agent_metrics import AgentMetricRecorded
from ..domain.assignment import AssignmentOpened
from ..domain.dependency_graph import DependencyAdded
from ..domain.messages import Event
from ..domain.project import ProjectCreated
from ..domain.project_file import FileCreated
from ..domain.project_metrics import MetricRecorded
from ..domain.session import SessionStarted
from ..domain.task import TaskAdded
from ..domain.template import TemplateCreated
from ..domain.validation_run import IssueReported, RunCompleted, RunStarted
from ..domain.workflow_run import WorkflowRunStarted

GROUNDS: Mapping[type[Event], Callable[[Any], Iterable[UUID | None]]] = {
    SessionStarted: lambda event: (event.user_id,),
    TemplateCreated: lambda event: (event.created_by,),
    ProjectCreated: lambda event: (event.user_id,),
    MetricRecorded: lambda event: (event.project_id,),
    FileCreated: lambda event: (event.project_id,),
    TaskAdded: lambda event: (event.project_id,),
    DependencyAdded: lambda event: (event.project_id, event.task_id, event.depends_on_task_id),
    RunStarted: lambda event: (event.project_id,),
    IssueReported: lambda event: (event.task_id,),
    RunCompleted: lambda event: event.assessments,
    WorkflowRunStarted: lambda event: (event.project_id, event.workflow_id, *event.steps),
    AssignmentOpened: lambda event: (event.project_id, event.task_id),
    AgentMetricRecorded: lambda event: (event.agent_id,),
}


def stands_on(event: Event) -> list[UUID]:
    """Return the ids of the streams, and of the workflow steps, of which an event's rows need the rows."""
    grounds = GROUNDS.get(type(event))
    return [] if grounds is None else [id_ for id_ in grounds(event) if id_ is not None]
