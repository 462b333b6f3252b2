"""What a page shows of a project, asked of the read tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from claude_tiu import AssignmentRow, AsyncTiu, IssueRow, NotFound, ProjectRow, ReadyTask, TaskRow

SEVERITIES = ("critical", "high", "medium", "low")
MOST_ISSUES = 100


@dataclass(frozen=True)
class View:
    """A project as it stands."""

    project: ProjectRow
    tasks: Sequence[TaskRow]
    ready: Sequence[ReadyTask]
    issues: Sequence[IssueRow]
    agents: dict[UUID, AssignmentRow]
    """task -> who was given it last."""

    @property
    def claimed(self) -> float:
        """What the agents say, in percent."""
        return self.project.real_progress + self.project.fake_progress

    @property
    def done(self) -> int:
        """How many tasks are completed."""
        return sum(task.status == "completed" for task in self.tasks)

    @property
    def by_severity(self) -> list[tuple[str, list[IssueRow]]]:
        """The issues of each severity that there are any of, the most severe first."""
        found = ((severity, [one for one in self.issues if one.severity == severity]) for severity in SEVERITIES)
        return [(severity, issues) for severity, issues in found if issues]


async def project_row(tiu: AsyncTiu, project_id: UUID) -> ProjectRow:
    """Return a project's row. Raises NotFound."""
    project = await tiu.read.project(project_id)
    if project is None:
        raise NotFound(f"no project {project_id}", id=project_id)
    return project


async def look(tiu: AsyncTiu, project_id: UUID) -> View:
    """Return a project as it stands. Raises NotFound."""
    project, tasks, ready, issues, assignments = await asyncio.gather(
        project_row(tiu, project_id),
        tiu.read.tasks(project_id),
        tiu.read.ready_tasks(project_id),
        tiu.read.open_issues(project_id, limit=MOST_ISSUES),
        tiu.read.assignments(project_id),
    )
    agents = {one.task_id: one for one in reversed(assignments) if one.status in ("assigned", "completed")}
    return View(project, tasks, ready, issues, agents)
