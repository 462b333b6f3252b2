"""Any commands to agents and the tasks they claim, alone and in units: taken and refused as the rules say, shown so.

Written from the domain rules alone: what is ready is looked up among all tasks each time, and an agent's status follows
from whether it is away and whether a task is in its hands.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

import claude_tiu
from claude_tiu import Command, Refused
from claude_tiu.testing.model.machine import batch_sizes
from tests.model.stores import PostgreSQL, SQLite, Store, exactly
from tests.support.history import START, USER, create_user, uid

PROJECTS = [uid("project 0"), uid("project 1")]
TASKS, AGENTS, ASSIGNMENTS = ([uid(f"{kind} {n}") for n in range(40)] for kind in ("job", "worker", "deal"))
PRIORITIES = ("critical", "high", "medium", "low")
ABILITIES = ("python", "rust")
MOVES = {
    "StartTask": (("pending",), "in_progress", None),
    "CompleteTask": (("in_progress",), "completed", "completed"),
    "FailTask": (("pending", "in_progress", "blocked"), "failed", "failed"),
    "BlockTask": (("pending", "in_progress"), "blocked", "released"),
    "PutBackTask": (("in_progress",), "pending", "released"),
    "UnblockTask": (("blocked",), "pending", None),
    "ResumeTask": (("blocked",), "in_progress", None),
    "RetryTask": (("failed",), "pending", None),
    "ReopenTask": (("completed",), "in_progress", None),
}
"""command -> from, to, and how the assignment closes."""
PROJECT_MOVES = {"CompleteProject": ("active", "completed"), "ReactivateProject": ("completed", "active")}
COMMANDS = (
    *("AddTask", "RegisterAgent", "RecordHeartbeat", "FinishTask") * 3,
    *("ClaimNextTask",) * 7,
    *("ExpireClaims", "ReleaseTask", "AddDependency", "ReactivateProject") * 2,
    *("GoOffline", "ReportAgentError", "RecordAgentMetric", "CompleteProject", *MOVES),
)
Choose = Callable[[Sequence[Any]], Any]


def drawn(choose: Choose, few: int) -> Command:
    """Any command, about `few` agents and tasks, whether or not the rules take it; times may fall."""
    name: str = choose(COMMANDS)
    choices: dict[str, Callable[[], Any]] = {
        "project_id": lambda: choose([PROJECTS[0], *PROJECTS]),
        "task_id": lambda: choose(TASKS[:few]),
        "depends_on_task_id": lambda: choose(TASKS[:few]),
        "agent_id": lambda: choose(AGENTS[: min(few, 6)]),
        "assignment_id": lambda: choose(ASSIGNMENTS),
        "agent_type": lambda: choose(("tester", "architect", *([None] * 4 if name == "AddTask" else []))),
        "capabilities": lambda: choose(([], [], ["python"], ["rust", "python", "rust"])),
        "priority": lambda: choose((*PRIORITIES, *([None] * 9 if name == "ClaimNextTask" else []))),
        "lease_seconds": lambda: choose((1, 90, 600)),
        "attempts_limit": lambda: choose((1, 2, 3)),
        "metric_type": lambda: choose(("tokens", "é")),
        "value": lambda: choose((0.1, -3.0)),
        "metadata": lambda: choose(({}, {"n": 0.1})),
        "name": lambda: "Ünï",
    }
    kind = getattr(claude_tiu, name)
    values = {field: choices[field]() for field in kind.model_fields if field in choices}
    command: Command = kind(occurred_at=START + timedelta(minutes=choose(range(20))), **values)
    return command


@st.composite
def units(draw: st.DrawFn) -> list[Command]:
    """Commands that are stored together or not at all."""
    return [drawn(lambda among: draw(st.sampled_from(among)), 3) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]


class No(Exception):
    """A rule forbids it."""


def require(allowed: bool, code: str = "") -> None:
    if not allowed:
        raise No(code)


def text_of(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class World:
    """The rows by the rules alone, and what is no row."""

    projects: dict[UUID, str] = field(default_factory=lambda: dict.fromkeys(PROJECTS, "active"))
    tasks: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    waits: set[tuple[UUID, UUID]] = field(default_factory=set)
    agents: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    away: dict[UUID, str] = field(default_factory=dict)
    held: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    """agent -> what it has in its hands: the id of the assignment, the task, the deadline, the lease."""
    assignments: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)

    def take(self, command: Any) -> None:
        """Change by a command. Raises No where a rule forbids it."""
        name, at = type(command).__name__, command.occurred_at
        if name in MOVES:
            self._move(name, command.task_id, at)
        elif name in PROJECT_MOVES:
            before, after = PROJECT_MOVES[name]
            require(self.projects[command.project_id] == before)
            self.projects[command.project_id] = after
        elif name == "ExpireClaims":
            self._expire(command, at)
        elif name == "AddTask":
            self._add(command, at)
        elif name == "AddDependency":
            self._depend(command.task_id, command.depends_on_task_id)
        elif name == "RegisterAgent":
            self._register(command, at)
        else:
            require(command.agent_id in self.agents)
            self._of_an_agent(name, command, at)

    def _add(self, command: Any, at: datetime) -> None:
        require(command.task_id not in self.tasks and self.projects[command.project_id] == "active")
        names = ("project_id", "priority", "agent_type", "capabilities")
        said = {name: getattr(command, name) for name in names}
        place = (PRIORITIES.index(command.priority), at, len(self.tasks))
        self.tasks[command.task_id] = {**said, "place": place, "status": "pending", "updated_at": at, "attempts": 0}

    def _depend(self, task_id: UUID, other: UUID) -> None:
        require({task_id, other} <= self.tasks.keys())
        project_id = self.tasks[task_id]["project_id"]
        require(self.tasks[other]["project_id"] == project_id and self.projects[project_id] == "active")
        needed = {other}
        while more := {there for here, there in self.waits if here in needed} - needed:
            needed |= more
        require(task_id not in needed and (task_id, other) not in self.waits)
        self.waits.add((task_id, other))

    def _met(self, task_id: UUID) -> bool:
        return all(self.tasks[other]["status"] == "completed" for task, other in self.waits if task == task_id)

    def _move(self, name: str, task_id: UUID, at: datetime) -> None:
        require(task_id in self.tasks)
        before, after, ending = MOVES[name]
        require(self.tasks[task_id]["status"] in before)
        require(after != "in_progress" or self._met(task_id))
        self._set(task_id, after, at)
        if name == "RetryTask":
            self.tasks[task_id]["attempts"] = 0
        for agent_id in [agent_id for agent_id, held in self.held.items() if held["task_id"] == task_id]:
            assert ending
            self._close(agent_id, ending, at)

    def _set(self, task_id: UUID, status: str, at: datetime) -> None:
        self.tasks[task_id] |= {"status": status, "updated_at": at}

    def _close(self, agent_id: UUID, status: str, at: datetime) -> None:
        held = self.held.pop(agent_id)
        self.assignments[held["id"]] |= {"status": status, "completed_at": at}
        self.agents[agent_id]["updated_at"] = at

    def _register(self, command: Any, at: datetime) -> None:
        require(command.agent_id not in self.agents)
        times = {"created_at": at, "updated_at": at, "last_active": at}
        free: dict[str, Any] = {"configuration": {}, "coordination_hooks": {}}
        said = {"agent_type": command.agent_type, "name": command.name}
        self.agents[command.agent_id] = {
            "id": command.agent_id,
            **said,
            "capabilities": sorted(set(command.capabilities)),
            **free,
            **times,
        }

    def _of_an_agent(self, name: str, command: Any, at: datetime) -> None:
        agent_id = command.agent_id
        match name:
            case "RecordAgentMetric":
                self._measure(command, at)
                return
            case "RecordHeartbeat":
                self.away.pop(agent_id, None)
                if held := self.held.get(agent_id):
                    held["deadline"] = max(held["deadline"], at + held["lease"])
                    metadata = self.assignments[held["id"]]["assignment_metadata"]
                    metadata["deadline"] = text_of(held["deadline"])
            case "GoOffline":
                self.away[agent_id] = "offline"
            case "ReportAgentError":
                self.away[agent_id] = "error"
            case "ClaimNextTask":
                self._claim(command, at)
            case _:
                require(agent_id in self.held and self.held[agent_id]["task_id"] == command.task_id, "not_assigned")
                finished = name == "FinishTask"
                self._set(command.task_id, "completed" if finished else "pending", at)
                self._close(agent_id, "completed" if finished else "released", at)
                return
        self.agents[agent_id] |= {"updated_at": at, "last_active": at}

    def _measure(self, command: Any, at: datetime) -> None:
        seq = 1 + len([row for row in self.metrics if row["agent_id"] == command.agent_id])
        event_id = uuid5(uuid5(command.agent_id, "metrics"), str(seq))
        said = {name: getattr(command, name) for name in ("agent_id", "metric_type", "value")}
        metadata = {**command.metadata, "event_id": str(event_id), "seq": seq}
        self.metrics.append({"id": event_id, **said, "metadata": metadata, "recorded_at": at})

    def _claim(self, command: Any, at: datetime) -> None:
        agent = self.agents[command.agent_id]
        require(self.status(command.agent_id) == "idle" and self.projects[command.project_id] == "active")
        ready = [
            (task["place"], task_id)
            for task_id, task in self.tasks.items()
            if task["project_id"] == command.project_id
            and task["status"] == "pending"
            and self._met(task_id)
            and task["agent_type"] in (None, agent["agent_type"])
            and all(asked in agent["capabilities"] for asked in task["capabilities"])
            and command.priority in (None, task["priority"])
        ]
        require(bool(ready), "nothing_ready")
        require(command.assignment_id not in self.assignments)
        task_id, lease = min(ready)[1], timedelta(seconds=command.lease_seconds)
        self._set(task_id, "in_progress", at)
        known = {"id": command.assignment_id, "task_id": task_id}
        self.held[command.agent_id] = {**known, "deadline": at + lease, "lease": lease}
        told = {"deadline": text_of(at + lease), "lease_seconds": command.lease_seconds}
        self.assignments[command.assignment_id] = {
            **known,
            "agent_id": command.agent_id,
            "status": "assigned",
            "assignment_metadata": {**command.metadata, **told},
            "assigned_at": at,
            "completed_at": None,
        }

    def _expire(self, command: Any, at: datetime) -> None:
        overdue = [agent_id for agent_id, held in self.held.items() if held["deadline"] < at]
        require(bool(overdue), "nothing_overdue")
        for agent_id in overdue:
            task_id = self.held[agent_id]["task_id"]
            attempts = self.tasks[task_id]["attempts"] + 1
            fails = attempts >= command.attempts_limit
            if not fails:
                self.tasks[task_id]["attempts"] = attempts
            self._set(task_id, "failed" if fails else "pending", at)
            self._close(agent_id, "failed" if fails else "released", at)

    def status(self, agent_id: UUID) -> str:
        return self.away.get(agent_id) or ("busy" if agent_id in self.held else "idle")

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        agents = [{**row, "status": self.status(id_)} for id_, row in self.agents.items()]
        tables = {"agents": agents, "agent_assignments": list(self.assignments.values()), "agent_metrics": self.metrics}
        return {name: sorted(rows, key=lambda row: str(row["id"])) for name, rows in tables.items()}


def fitted(world: World, command: Any) -> Command:
    """The command with ids that its rules may take, of every second minute; so histories get somewhere."""
    name, turn = type(command).__name__, command.occurred_at.minute
    fit: list[dict[str, UUID]] = []
    if name in ("FinishTask", "ReleaseTask"):
        fit = [{"agent_id": agent_id, "task_id": held["task_id"]} for agent_id, held in world.held.items()]
    elif name == "ClaimNextTask":
        fit = [{"agent_id": agent_id} for agent_id in world.agents if world.status(agent_id) == "idle"]
    elif name in MOVES:
        fit = [{"task_id": task_id} for task_id, task in world.tasks.items() if task["status"] in MOVES[name][0]]
    changed: Command = command.model_copy(update=fit[turn % len(fit)]) if fit and turn % 2 else command
    return changed


def after(world: World, unit: Sequence[Command]) -> World | str:
    """The world after a unit; or the code of the rule that forbids one of its commands, where it is told."""
    world = pickle.loads(pickle.dumps(world))  # noqa: S301 - our own; deepcopy takes ten times as long
    try:
        for command in unit:
            world.take(command)
    except No as refused:
        return str(refused)
    return world


def tell(store: Store, told: Sequence[Sequence[Command]]) -> tuple[World, int]:
    """Give units to a store and to the rules, which must agree on each; return the world, and how many were taken."""
    store.tiu.execute(create_user(user_id=USER))
    for project_id in PROJECTS:
        store.tiu.execute(claude_tiu.CreateProject(project_id=project_id, user_id=USER, name="P", occurred_at=START))
    world, taken = World(), 0
    for drawn_unit in told:
        unit = [fitted(world, command) for command in drawn_unit]
        expected = after(world, unit)
        try:
            store.tiu.execute_all(unit)
            code = None
        except Refused as refusal:
            code = refusal.code
        if isinstance(expected, World):
            assert code is None, unit
            world, taken = expected, taken + 1
        else:
            assert code == (expected or code) is not None, unit
    return world, taken


def assert_tables(store: Store, world: World) -> None:
    for table, rows in world.tables().items():
        assert list(map(exactly, store.rows(table))) == list(map(exactly, rows)), table
    tasks = {row["id"]: (row["status"], row["updated_at"]) for row in store.rows("tasks")}
    assert tasks == {task_id: (task["status"], task["updated_at"]) for task_id, task in world.tasks.items()}


BEGUN: list[list[Command]] = [
    [claude_tiu.RegisterAgent(agent_id=agent_id, agent_type="tester", occurred_at=START) for agent_id in AGENTS[:2]],
    [
        claude_tiu.AddTask(task_id=task_id, project_id=PROJECTS[0], name="Ünï", occurred_at=START)
        for task_id in TASKS[:2]
    ],
]


@given(told=st.lists(units(), max_size=25).map(lambda more: [*BEGUN, *more]), live=batch_sizes, rebuilt=batch_sizes)
def test_any_history_is_taken_shown_and_rebuilt_as_the_rules_say(
    told: list[list[Command]], live: int, rebuilt: int
) -> None:
    with closing(SQLite()) as store:
        world, _ = tell(store, told)
        store.projector(live).catch_up()
        assert_tables(store, world)
        store.tiu.projector.reset()
        store.projector(rebuilt).catch_up()
        assert_tables(store, world)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_is_the_same_on_both_stores(seed: int, pg_server: str, pg_template: str) -> None:
    random = Random(seed)
    told = [[drawn(random.choice, 30) for _ in range(random.choice([1, 1, 1, 2]))] for _ in range(1_000)]
    with closing(SQLite()) as sqlite, closing(PostgreSQL(pg_server, pg_template)) as postgresql:
        for store in (sqlite, postgresql):
            world, taken = tell(store, told)
            assert taken > 200
            assert {row["status"] for row in world.assignments.values()} >= {"completed", "released", "failed"}
            store.projector(7).catch_up()
            assert_tables(store, world)
            store.tiu.projector.reset()
            store.projector(3).catch_up()
            assert_tables(store, world)
