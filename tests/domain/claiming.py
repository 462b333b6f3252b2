"""Projects, tasks and agents in memory: every decision of theirs, and what it asks, without a store.

What the queue would name is computed from the streams, from scratch each time. The agenda is what the write-side
changes make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from claude_tiu.domain.agenda import OPEN_WORK
from claude_tiu.domain.agent import AGENT, Agent
from claude_tiu.domain.aggregate import Aggregate
from claude_tiu.domain.dependency_graph import BINDING, DEPENDENCY_GRAPH, DependencyGraph, graph_id
from claude_tiu.domain.messages import Command, Elsewhere, Event, given
from claude_tiu.domain.project import PROJECT
from claude_tiu.domain.project_state import Project
from claude_tiu.domain.registry import AGGREGATE_OF
from claude_tiu.domain.task import TASK, Task, TaskAdded
from claude_tiu.domain.user_state import User
from claude_tiu.projections.write_side import PRIORITY_RANK, write_side_changes


class Memory:
    """Executes commands one after the other; satisfies every Reads."""

    def __init__(self) -> None:
        self.log: list[tuple[UUID, Event]] = []
        self.agenda: dict[tuple[str, UUID], tuple[UUID, datetime]] = {}
        self._states: dict[UUID, tuple[Aggregate[Any], Any]] = {}

    def execute(self, command: Command) -> list[tuple[UUID, Event]]:
        """Return the events that the command makes, with their streams. Raises Refused."""
        aggregate = AGGREGATE_OF[type(command)]
        stream_id = self._stream_of(aggregate, command)
        state = None if stream_id is None else self._state(aggregate, stream_id)
        made = []
        for one in aggregate.decide(state, command, self):
            made.append((one.stream_id, one.event) if isinstance(one, Elsewhere) else (given(stream_id), one))
        for place in made:
            self._append(*place)
        return made

    def _stream_of(self, aggregate: Aggregate[Any], command: Command) -> UUID | None:
        if aggregate.stream_of is not None:
            return aggregate.stream_of(command, self)
        stream_id: UUID = getattr(command, given(command.stream))
        return stream_id

    def _append(self, stream_id: UUID, event: Event) -> None:
        aggregate = AGGREGATE_OF[type(event)]
        state = aggregate.evolve(self._state(aggregate, stream_id), event)
        self._states[stream_id] = aggregate, state
        self.log.append((stream_id, event))
        for change in write_side_changes(stream_id, aggregate.project_of(stream_id, state), event):
            if change["op"] == "schedule":
                self.agenda[change["kind"], change["id"]] = change["project_id"], change["at"]
            elif change["op"] == "unschedule":
                self.agenda.pop((change["kind"], change["id"]), None)

    def _state(self, aggregate: Aggregate[Any], stream_id: UUID) -> Any:
        found, state = self._states.get(stream_id, (None, None))
        return state if found is aggregate else None

    def of(self, aggregate: Aggregate[Any]) -> dict[UUID, Any]:
        """Return every stream of an aggregate, with its state."""
        return {stream_id: state for stream_id, (found, state) in self._states.items() if found is aggregate}

    def user(self, user_id: UUID) -> User:
        return User("developer")

    def open_in(self, project_id: UUID) -> list[str]:
        return sorted({kind for (kind, _), (of, _) in self.agenda.items() if of == project_id and kind in OPEN_WORK})

    def project(self, project_id: UUID) -> Project | None:
        project: Project | None = self._state(PROJECT, project_id)
        return project

    def task(self, task_id: UUID) -> Task | None:
        task: Task | None = self._state(TASK, task_id)
        return task

    def project_of_task(self, task_id: UUID) -> UUID | None:
        task = self.task(task_id)
        return task.project_id if task else None

    def agent(self, agent_id: UUID) -> Agent | None:
        agent: Agent | None = self._state(AGENT, agent_id)
        return agent

    def dependency_graph(self, project_id: UUID) -> DependencyGraph | None:
        graph: DependencyGraph | None = self._state(DEPENDENCY_GRAPH, graph_id(project_id))
        return graph

    def will_read(self, *stream_ids: UUID) -> None:
        """It has them all at hand."""

    def next_ready(
        self, project_id: UUID, agent_type: str, capabilities: Sequence[str], priority: str | None
    ) -> UUID | None:
        ready = [
            (PRIORITY_RANK[event.priority], event.occurred_at, place, task_id)
            for place, (task_id, event) in enumerate(self.log)
            if isinstance(event, TaskAdded)
            and event.project_id == project_id
            and self.is_ready(task_id)
            and event.agent_type in (None, agent_type)
            and set(event.capabilities) <= set(capabilities)
            and priority in (None, event.priority)
        ]
        return min(ready)[-1] if ready else None

    def is_ready(self, task_id: UUID) -> bool:
        """Whether a task is pending, and all that it waits for is completed."""
        task = self.of(TASK)[task_id]
        graph = self.dependency_graph(task.project_id)
        needed = graph.dependencies.get(task_id, {}) if graph else {}
        return task.status == "pending" and all(
            self.of(TASK)[other].status == "completed" for other, kind in needed.items() if kind in BINDING
        )

    def due(self, kind: str, before: datetime, limit: int) -> list[UUID]:
        entries = sorted((at, id_) for (of, id_), (_, at) in self.agenda.items() if of == kind and at < before)
        return [id_ for _, id_ in entries[:limit]]
