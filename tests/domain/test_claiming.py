"""Agents, tasks and projects together: whatever commands come, agents and tasks agree on who works on what."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import event, given
from hypothesis import strategies as st

from claude_tiu.domain.agenda import ASSIGNMENT
from claude_tiu.domain.agent import (
    AGENT,
    ClaimNextTask,
    FinishTask,
    GoOffline,
    RecordHeartbeat,
    RegisterAgent,
    ReleaseTask,
    ReportAgentError,
)
from claude_tiu.domain.assignment import Assigned, AssignmentClosed, AssignmentOpened
from claude_tiu.domain.claim_expiry import ExpireClaims
from claude_tiu.domain.dependency_graph import AddDependency, RemoveDependency
from claude_tiu.domain.errors import Refused
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project import (
    PROJECT,
    ArchiveProject,
    CompleteProject,
    CreateProject,
    FailProject,
    ReactivateProject,
    RestoreProject,
)
from claude_tiu.domain.task import (
    TASK,
    AddTask,
    BlockTask,
    ClaimProgress,
    CompleteTask,
    FailTask,
    PutBackTask,
    ReopenTask,
    ResumeTask,
    RetryTask,
    StartTask,
    TaskAdded,
    TaskClaimExpired,
    TaskFailed,
    UnblockTask,
)
from tests.domain.claiming import Memory
from tests.domain.given import AT, uid

PROJECTS, TASKS, AGENTS = ([uid(f"{kind} {n}") for n in range(count)] for kind, count in (("P", 2), ("T", 6), ("A", 3)))
LIMIT = 2
turns = st.integers(0, 11)
projects, tasks = st.sampled_from(PROJECTS), st.sampled_from(TASKS)
types = st.sampled_from(["tester", "architect"])
capabilities = st.lists(st.sampled_from(["python", "rust"]), unique=True)
priorities = st.sampled_from(["low", "medium", "critical"])
minutes = st.integers(1, 20)


def one_of(*commands: type[Command]) -> st.SearchStrategy[type[Command]]:
    return st.sampled_from(commands)


class Walk:
    """Steps, each of which gives commands and says what must come of them."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.minute = 0
        self.count = 0

    def give(self, command: Command) -> list[tuple[UUID, Event]]:
        """Execute a command at the present minute; what it made, nothing where it was refused."""
        self.count += 1
        new_id = uid(f"command {self.count}")
        stamped = command.stamped(at=AT + timedelta(minutes=self.minute), command_id=new_id, new_id=new_id)
        with suppress(Refused):
            made = self.memory.execute(stamped)
            event(type(command).__name__)
            return made
        return []

    def one_that(self, turn: int, *, holds: bool) -> UUID | None:
        """Return an agent that holds a task, or one that is idle."""
        agents = self.memory.of(AGENT).items()
        found = [id_ for id_, agent in agents if (agent.assignment if holds else agent.status == "idle")]
        return found[turn % len(found)] if found else None

    def held_by(self, agent_id: UUID) -> UUID:
        task_id: UUID = self.memory.of(AGENT)[agent_id].assignment.task_id
        return task_id

    def time_passes(self, by: int) -> None:
        """Clocks may fall, too."""
        self.minute += by

    def add_task(self, **fields: Any) -> None:
        self.give(AddTask(name="T", **fields))

    def claim(self, turn: int, lease: int, priority: Any) -> None:
        """What is ready for an idle agent is what it gets; nothing else is a reason to refuse it."""
        agent_id = self.one_that(turn, holds=False) or AGENTS[turn % len(AGENTS)]
        agent, project_id = self.memory.of(AGENT)[agent_id], PROJECTS[turn % 2]
        ready = self.memory.next_ready(project_id, agent.agent_type, agent.capabilities, priority)
        may = agent.status == "idle" and self.memory.of(PROJECT)[project_id].status == "active"
        fields = {"project_id": project_id, "priority": priority, "lease_seconds": 60 * lease}
        made = self.give(ClaimNextTask(agent_id=agent_id, **fields))
        assert bool(made) == (may and ready is not None)
        if made:
            assert self.held_by(agent_id) == ready

    def of_an_agent(self, turn: int, command: Any) -> None:
        assert self.give(command(agent_id=AGENTS[turn % len(AGENTS)]))

    def end(self, turn: int, command: Any, task: UUID | None) -> None:
        """Finishing and releasing are accepted of the task that the agent holds, and of no other."""
        agent_id = self.one_that(turn, holds=True)
        if agent_id is None:
            assert not self.give(command(agent_id=AGENTS[turn % len(AGENTS)], task_id=task or TASKS[0]))
        else:
            held = self.held_by(agent_id)
            assert bool(self.give(command(agent_id=agent_id, task_id=task or held))) == (task in (None, held))

    def expire(self, silent: int) -> None:
        """So many minutes later, those whose deadline has passed by then lose their tasks, and nobody else does."""
        self.minute += silent
        now = AT + timedelta(minutes=self.minute)
        held = {id_: agent.assignment for id_, agent in self.memory.of(AGENT).items() if agent.assignment}
        overdue = {agent_id for agent_id, assignment in held.items() if assignment.deadline < now}
        made = self.give(ExpireClaims(attempts_limit=LIMIT))
        assert {stream for stream, one in made if isinstance(one, AssignmentClosed)} == overdue
        moved = {stream for stream, one in made if isinstance(one, TaskClaimExpired | TaskFailed)}
        assert moved == {held[agent_id].task_id for agent_id in overdue}

    def move_what_is_held(self, turn: int, command: Any) -> None:
        agent_id = self.one_that(turn, holds=True)
        if agent_id is not None:
            claimed = {"claimed": 50} if command is ClaimProgress else {}
            made = self.give(command(task_id=self.held_by(agent_id), **claimed))
            assert len(made) == (1 if command is ClaimProgress else 2)

    def move(self, task_id: UUID, command: Any) -> None:
        self.give(command(task_id=task_id))

    def depend(self, task_id: UUID, other: UUID, kind: Any) -> None:
        pair: dict[str, Any] = {"task_id": task_id, "depends_on_task_id": other}
        self.give(AddDependency(**pair, dependency_type=kind) if kind else RemoveDependency(**pair))

    def end_a_project(self, project_id: UUID, command: Any) -> None:
        self.give(command(project_id=project_id))

    def check(self) -> None:
        """What must hold after every step."""
        agents, all_tasks = self.memory.of(AGENT), self.memory.of(TASK)
        held = {id_: agent.assignment for id_, agent in agents.items() if agent.assignment}
        away = ("offline", "error")
        assert all(agent.status in (*away, "busy" if id_ in held else "idle") for id_, agent in agents.items())

        by_agents = {one.task_id: Assigned(agent_id, one.assignment_id) for agent_id, one in held.items()}
        by_tasks = {task_id: task.assignment for task_id, task in all_tasks.items() if task.assignment}
        assert by_agents == by_tasks
        assert len(by_agents) == len(held)
        assert all(all_tasks[task_id].status == "in_progress" for task_id in by_tasks)
        assert all(task.attempts < LIMIT for task in all_tasks.values())
        projects_of_held = {self.memory.of(PROJECT)[one.project_id].status for one in held.values()}
        assert "archived" not in projects_of_held

        opened = Counter(one.assignment_id for _, one in self.memory.log if isinstance(one, AssignmentOpened))
        closed = Counter(one.assignment_id for _, one in self.memory.log if isinstance(one, AssignmentClosed))
        assert opened - closed == Counter(one.assignment_id for one in held.values())
        assert not closed - opened

        due = {agent_id: entry for (kind, agent_id), entry in self.memory.agenda.items() if kind == ASSIGNMENT}
        assert due == {agent_id: (one.project_id, one.deadline) for agent_id, one in held.items()}

        added = {stream: one for stream, one in self.memory.log if isinstance(one, TaskAdded)}
        for agent_id, one in held.items():
            assert added[one.task_id].agent_type in (None, agents[agent_id].agent_type)
            assert set(added[one.task_id].capabilities) <= set(agents[agent_id].capabilities)


TASK_FIELDS = {
    "task_id": tasks,
    "project_id": projects,
    "priority": priorities,
    "agent_type": st.none() | types,
    "capabilities": capabilities,
}
STEPS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "time_passes": {"by": st.integers(-5, 20)},
    "add_task": TASK_FIELDS,
    "claim": {"turn": turns, "lease": minutes, "priority": st.none() | priorities},
    "of_an_agent": {"turn": turns, "command": one_of(RecordHeartbeat, RecordHeartbeat, GoOffline, ReportAgentError)},
    "end": {"turn": turns, "command": one_of(FinishTask, ReleaseTask), "task": st.none() | tasks},
    "expire": {"silent": st.integers(0, 20)},
    "move_what_is_held": {
        "turn": turns,
        "command": one_of(CompleteTask, FailTask, BlockTask, PutBackTask, ClaimProgress),
    },
    "move": {
        "task_id": tasks,
        "command": one_of(StartTask, CompleteTask, UnblockTask, ResumeTask, RetryTask, ReopenTask, RetryTask),
    },
    "depend": {"task_id": tasks, "other": tasks, "kind": st.sampled_from(["blocks", "requires", "suggests", None])},
    "end_a_project": {
        "project_id": projects,
        "command": one_of(
            CompleteProject, FailProject, ReactivateProject, ArchiveProject, RestoreProject, RestoreProject
        ),
    },
}
OFTEN = ("claim", "claim", "claim", "expire", "move")
steps = st.one_of(*(st.tuples(st.just(name), st.fixed_dictionaries(STEPS[name])) for name in (*STEPS, *OFTEN)))


@given(
    agents=st.lists(st.tuples(types, capabilities), min_size=len(AGENTS), max_size=len(AGENTS)),
    added=st.lists(st.tuples(projects, priorities), min_size=2, max_size=len(TASKS)),
    walked=st.lists(steps, min_size=20, max_size=60),
)
def test_agents_and_tasks_agree(agents: list[Any], added: list[Any], walked: list[Any]) -> None:
    walk = Walk()
    for project_id in PROJECTS:
        assert walk.give(CreateProject(project_id=project_id, user_id=uid("user"), name="P"))
    for agent_id, (agent_type, able) in zip(AGENTS, agents, strict=True):
        assert walk.give(RegisterAgent(agent_id=agent_id, agent_type=agent_type, capabilities=able))
    for task_id, (project_id, priority) in zip(TASKS, added, strict=False):
        walk.add_task(task_id=task_id, project_id=project_id, priority=priority)
    for name, arguments in walked:
        getattr(walk, name)(**arguments)
        walk.check()
