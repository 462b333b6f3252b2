"""The dependencies among a project's tasks: one graph, and one stream, for each project.

So no two commands can close a cycle together: both write this stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Protocol
from uuid import UUID

from .aggregate import Aggregate
from .errors import DependencyCycle, DuplicateDependency, NotFound, OutsideProject
from .layered import having
from .messages import Command, Event
from .name_ids import uuid5
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import DependencyType

BINDING = ("blocks", "requires")
"""The dependency types that keep a task from starting; 'suggests' never does."""


@lru_cache(maxsize=1_000)  # every start of a task asks for it several times
def graph_id(project_id: UUID) -> UUID:
    """Return the stream of a project's dependency graph."""
    return uuid5(project_id, "dependency_graph")


class DependencyCommand(Command):
    """The base of the commands to a dependency: the graph is that of the task's project."""

    reads: ClassVar = ("task_id", "depends_on_task_id")

    task_id: UUID
    depends_on_task_id: UUID


class AddDependency(DependencyCommand):
    """Make a task depend on another of its project; it binds at the task's next start."""

    dependency_type: DependencyType = "blocks"


class RemoveDependency(DependencyCommand):
    """Take a dependency away."""


class DependencyAdded(Event):
    topic: ClassVar = "dependency_graph.dependency_added.v1"

    project_id: UUID
    task_id: UUID
    depends_on_task_id: UUID
    dependency_type: str


class DependencyRemoved(Event):
    topic: ClassVar = "dependency_graph.dependency_removed.v1"

    task_id: UUID
    depends_on_task_id: UUID


@dataclass(frozen=True, slots=True)
class DependencyGraph:
    project_id: UUID
    dependencies: Mapping[UUID, Mapping[UUID, str]] = field(default_factory=dict)
    """task -> the tasks that it depends on -> the dependency's type."""

    def of(self, task_id: UUID) -> Mapping[UUID, str]:
        return self.dependencies.get(task_id, {})

    def binding(self, task_id: UUID) -> list[UUID]:
        """Return the tasks that must be completed before this one may come into progress."""
        return [other for other, dependency_type in self.of(task_id).items() if dependency_type in BINDING]

    def path(self, start: UUID, end: UUID) -> list[UUID] | None:
        """Return the tasks from `start` to `end` along dependencies, both included, or None."""
        came_from: dict[UUID, UUID | None] = {start: None}
        todo = [start]
        while todo:
            task = todo.pop()
            if task == end:
                return _walk_back(came_from, end)
            for other in self.of(task):
                if other not in came_from:
                    came_from[other] = task
                    todo.append(other)
        return None


def _walk_back(came_from: Mapping[UUID, UUID | None], end: UUID) -> list[UUID]:
    path = [end]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


class Reads(Protocol):
    """What deciding on a dependency asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...
    def project_of_task(self, task_id: UUID) -> UUID | None: ...
    def will_read(self, *stream_ids: UUID) -> None: ...


def stream_of(command: DependencyCommand, reads: Reads) -> UUID:
    project_id = reads.project_of_task(command.task_id)
    if project_id is None:
        raise NotFound(f"no task {command.task_id}", id=command.task_id)
    graph = graph_id(project_id)
    reads.will_read(graph, project_id)
    return graph


def decide(graph: DependencyGraph | None, command: DependencyCommand, reads: Reads) -> list[Event]:
    project_id = reads.project_of_task(command.task_id)
    assert project_id is not None  # stream_of found it
    graph = graph or DependencyGraph(project_id)
    match command:
        case AddDependency():
            return _add(graph, command, reads)
        case RemoveDependency():
            return _remove(graph, command, reads)
    raise TypeError(f"no command of a dependency graph: {type(command).__name__}")


def _add(graph: DependencyGraph, command: AddDependency, reads: Reads) -> list[Event]:
    task, other = command.task_id, command.depends_on_task_id
    other_project = reads.project_of_task(other)
    if other_project is None:
        raise NotFound(f"no task {other}", id=other)
    require_project(reads.project(graph.project_id), graph.project_id, ("active",), command)
    if other_project != graph.project_id:
        raise OutsideProject(
            f"task {other} is in project {other_project}, task {task} in {graph.project_id}",
            task_id=task,
            depends_on_task_id=other,
            project_id=graph.project_id,
            other_project_id=other_project,
        )
    if other in graph.of(task):
        raise DuplicateDependency(f"task {task} depends on {other} already", task_id=task, depends_on_task_id=other)
    if (path := graph.path(other, task)) is not None:
        cycle = [task, *path]
        raise DependencyCycle(
            "these tasks would wait for each other: " + " -> ".join(map(str, cycle)), cycle=[str(t) for t in cycle]
        )
    return [
        DependencyAdded(
            occurred_at=command.at,
            project_id=graph.project_id,
            task_id=task,
            depends_on_task_id=other,
            dependency_type=command.dependency_type,
        )
    ]


def _remove(graph: DependencyGraph, command: RemoveDependency, reads: Reads) -> list[Event]:
    task, other = command.task_id, command.depends_on_task_id
    require_project(reads.project(graph.project_id), graph.project_id, NOT_ARCHIVED, command)
    if other not in graph.of(task):
        raise NotFound(f"task {task} does not depend on {other}", task_id=task, depends_on_task_id=other)
    return [DependencyRemoved(occurred_at=command.at, task_id=task, depends_on_task_id=other)]


def evolve(graph: DependencyGraph | None, event: DependencyAdded | DependencyRemoved) -> DependencyGraph:
    if isinstance(event, DependencyAdded):
        graph = graph or DependencyGraph(event.project_id)
        others = having(graph.of(event.task_id), event.depends_on_task_id, event.dependency_type)
    else:
        assert graph is not None
        others = {other: type_ for other, type_ in graph.of(event.task_id).items() if other != event.depends_on_task_id}
    return DependencyGraph(graph.project_id, having(graph.dependencies, event.task_id, others))


DEPENDENCY_GRAPH = Aggregate[DependencyGraph](
    name="dependency_graph",
    commands=(AddDependency, RemoveDependency),
    events=(DependencyAdded, DependencyRemoved),
    decide=decide,
    evolve=evolve,
    project_of=lambda stream_id, graph: graph.project_id,
    stream_of=stream_of,
    asks_for_stream=True,
    grows=True,
)
