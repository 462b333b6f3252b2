"""What other aggregates ask of a project: its state, and whether it may be worked on."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from .aggregate import require_status
from .errors import NotFound
from .messages import Command

NOT_ARCHIVED = ("active", "completed", "failed")


@dataclass(frozen=True, slots=True)
class Project:
    user_id: UUID
    name: str
    status: str


def require_project(project: Project | None, project_id: UUID, allowed: tuple[str, ...], command: Command) -> None:
    """Raise NotFound or WrongStatus unless the project of what `command` is about has an allowed status."""
    if project is None:
        raise NotFound(f"no project {project_id}", id=project_id)
    require_status("project", project_id, project.status, allowed, command)
