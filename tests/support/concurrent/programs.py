"""Programs of concurrent clients, as Hypothesis draws them: few ids, so that clients meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import claude_tiu
from claude_tiu import Command
from claude_tiu.testing.ledger import Ledger, refusal_of
from tests.support.history import PASSWORD_HASH, START, uid

Unit = tuple[Command, ...]


class Program(NamedTuple):
    """What stands before, given by one client alone; and the clients that then run at once."""

    before: list[Unit]
    clients: list[list[Unit]]


def ids_of(kind: str, count: int) -> list[UUID]:
    return [uid(f"concurrent {kind} {number}") for number in range(count)]


USERS, PROJECTS, TASKS = ids_of("user", 3), ids_of("project", 3), ids_of("task", 6)
RUNS, ISSUES = ids_of("run", 2), ids_of("issue", 3)
AGENTS, ASSIGNMENTS, COMMAND_IDS = ids_of("agent", 3), ids_of("assignment", 12), ids_of("command", 60)
NAMES = ("ada", "eve", "bob")

CHOICES: Mapping[str, Sequence[Any]] = {
    "user_id": [USERS[0], *USERS],
    "project_id": [*[PROJECTS[0]] * 6, *[PROJECTS[1]] * 2, PROJECTS[2]],
    "task_id": [*TASKS[:4] * 2, *TASKS],
    "depends_on_task_id": TASKS[:4],
    "run_id": RUNS,
    "issue_id": ISSUES,
    "agent_id": AGENTS,
    "assignment_id": ASSIGNMENTS,
    "username": NAMES,
    "email": [f"{name}@example.org" for name in NAMES],
    "password_hash": [PASSWORD_HASH],
    "name": ["Concurrent"],
    "priority": ["high", "medium"],
    "claimed": [0, 12.5, 100],
    "authenticity": [0, 50],
    "quality_score": [70],
    "validation_type": ["quick"],
    "issue_type": ["mock_data"],
    "severity": ["low"],
    "description": ["D"],
    "dependency_type": ["blocks", "requires", "suggests"],
    "metric_name": ["velocity"],
    "value": [1.5],
    "agent_type": ["tester"],
    "lease_seconds": [60, 600],
    "attempts_limit": [1, 2],
}
"""What a field of a command may be, the likely several times; a field that is not here is left out."""
LEFT_OUT: Mapping[str, Sequence[str]] = {"AddTask": ["agent_type", "description"], "CreateProject": ["description"]}

OF_TASKS = [
    *["AddTask", "StartTask", "CompleteTask", "ReopenTask", "ClaimProgress"] * 3,
    *["PutBackTask", "BlockTask", "ResumeTask", "UnblockTask", "FailTask", "RetryTask"],
]
OF_DEPENDENCIES = [*["AddDependency"] * 3, "RemoveDependency", "StartTask", "CompleteTask", "ReopenTask"]
OF_PROJECTS = [
    *["CreateProject", "CompleteProject", "ReactivateProject", "ArchiveProject", "RestoreProject"],
    *["FailProject", "RecordMetric", "AddTask", "StartRun", "ClaimNextTask"],
]
OF_AGENTS = [
    *["ClaimNextTask"] * 5,
    *["RegisterAgent", "FinishTask", "ReleaseTask", "RecordHeartbeat", "GoOffline", "ExpireClaims", "ExpireClaims"],
]
OF_RUNS = ["StartRun", "AssessTask", "ReportIssue", "CompleteRun", "FailRun"]
OF_USERS = ["CreateUser", "CreateUser", "RenameUser", "ChangeEmail", "ForgetUser", "CreateProject"]
THEMES = [OF_TASKS, OF_DEPENDENCIES, OF_PROJECTS, OF_AGENTS, OF_RUNS, OF_USERS]


def make(name: str, /, **values: Any) -> Command:
    """A command at a time of its own where none is given."""
    command: Command = getattr(claude_tiu, name)(**{"occurred_at": START, **values})
    return command


def given_before() -> list[Unit]:
    """A user, two projects, four tasks of which two wait for another, two agents and a run."""
    user, project = USERS[0], PROJECTS[0]
    tasks = [make("AddTask", task_id=task, project_id=project, name="T") for task in TASKS[:4]]
    waits = [(TASKS[1], TASKS[0]), (TASKS[2], TASKS[1])]
    return [
        (
            make("CreateUser", user_id=user, username="ada", email="ada@example.org", password_hash=PASSWORD_HASH),
            *[make("CreateProject", project_id=one, user_id=user, name="P") for one in PROJECTS[:2]],
            *tasks,
            *[make("AddDependency", task_id=task, depends_on_task_id=other) for task, other in waits],
            *[make("RegisterAgent", agent_id=agent, agent_type="tester") for agent in AGENTS[:2]],
            make("StartRun", run_id=RUNS[0], project_id=PROJECTS[1], validation_type="quick"),
        )
    ]


class _Author:
    """Writes programs, by a source of chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        themes = chance.sample(THEMES, chance.choice([1, 2, 3]))
        self._names = [name for theme in themes for name in theme]
        self._ids = iter(COMMAND_IDS)
        self._sent: list[Unit] = []
        """Those with command_ids."""
        self._ledger = Ledger()
        """What stood if each unit written so far were executed before the next is."""

    def program(self) -> Program:
        """Two to four clients, of one to five calls each."""
        before = given_before()
        self._execute(before[0])
        before += [self._unit("new") for _ in range(self._chance.randrange(6))]
        clients: list[list[Unit]] = [[] for _ in range(self._chance.choice([2, 3, 4]))]
        for _ in range(self._chance.choice([1, 2, 3, 5])):
            for client in clients:
                client.append(self._unit(self._chance.choice(["new"] * 4 + ["named"] * 3 + ["again", "other"])))
        return Program(before, clients)

    def _unit(self, kind: str) -> Unit:
        """A unit that is new, or new with command_ids, or one that was sent before, or another with its command_id."""
        if kind == "again" and self._sent:
            return self._chance.choice(self._sent)
        unit = self._fitting(self._chance.choice([1, 1, 1, 1, 2, 3]))
        if kind == "other" and self._sent:
            stolen = self._chance.choice(self._sent)[0].command_id
            return (unit[0].model_copy(update={"command_id": stolen}),)
        if kind != "new":
            unit = tuple(command.model_copy(update={"command_id": next(self._ids)}) for command in unit)
            self._sent.append(unit)
        self._execute(unit)
        return unit

    def _fitting(self, length: int) -> Unit:
        """A unit, mostly one that the rules take where things stand so, for else most would be refused."""
        for _ in range(self._chance.choice([1, 15, 15])):
            unit = tuple(self._command() for _ in range(length))
            if refusal_of(self._ledger, unit)[0]:
                break
        return unit

    def _command(self) -> Command:
        name = self._chance.choice(self._names)
        kind, left_out = getattr(claude_tiu, name), LEFT_OUT.get(name, ())
        values = {
            field: self._chance.choice(CHOICES[field])
            for field in kind.model_fields
            if field in CHOICES and field not in left_out
        }
        values["occurred_at"] = START + timedelta(minutes=self._chance.randrange(30))
        if self._chance.random() < 0.1:
            values["expected_version"] = self._chance.randrange(5)
        return make(name, **values)

    def _execute(self, unit: Unit) -> None:
        step, _ = refusal_of(self._ledger, unit)
        self._ledger = step.after if step else self._ledger


programs: st.SearchStrategy[Program] = st.randoms(use_true_random=True).map(lambda chance: _Author(chance).program())
"""Any program: its clients use the same few ids, and some send what another has sent, or its command_id."""


def drawn(count: int) -> list[Program]:
    """Draw programs, all before any runs.

    So no shrinking or repeating, which a race does not survive; and no thread of a pool of connections is there to take
    from `random`, which Hypothesis forbids while it draws.
    """
    found: list[Program] = []

    @settings(
        max_examples=count, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )
    @given(programs)
    def collect(program: Program) -> None:
        found.append(program)

    collect()
    return found


def renamed(program: Program, name: str) -> Program:
    """The program about ids and names of its own, so that many run in one database and know nothing of each other."""
    space = uid(name)

    def new(field: str, value: Any) -> Any:
        if isinstance(value, UUID):
            return uuid5(space, str(value))
        return f"{name}-{value}" if field in ("username", "email") else value

    def of(command: Command) -> Command:
        values = {field: new(field, getattr(command, field)) for field in command.model_fields_set}
        return command.model_copy(update=values)

    def units(of_one: Sequence[Unit]) -> list[Unit]:
        return [tuple(of(command) for command in unit) for unit in of_one]

    return Program(units(program.before), [units(client) for client in program.clients])
