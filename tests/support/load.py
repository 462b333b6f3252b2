"""What a service does in a process of its own: it executes commands from several threads, and tells of each unit before
and after. It never gives up: what fails because of its database is tried again, under the same command_ids.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import Connection
from random import Random
from uuid import UUID

from claude_tiu import (
    AddTask,
    Answer,
    AssessTask,
    ClaimNextTask,
    ClaimProgress,
    Command,
    CompleteRun,
    Contended,
    CreateProject,
    FinishTask,
    RecordMetric,
    Refused,
    RegisterAgent,
    ReportIssue,
    StartRun,
    StartTask,
    StoreUnavailable,
    Tiu,
    TiuError,
    connect,
)
from claude_tiu.infrastructure.settings import Settings
from tests.support.history import USER, create_user, uid
from tests.support.patience import AGAIN_SECONDS

POOL_SECONDS = 2.0
"""How long a caller waits for a connection before it is told that there is none."""
SHARED = uid("shared project")
SHARED_TASKS = [uid(f"shared task {number}") for number in range(4)]
EVENTS: dict[type[Command], int] = {ClaimNextTask: 3, FinishTask: 2}
"""How many events a command makes, where it is not one."""

Commands = Sequence[Command]
Answers = Sequence[Answer] | None
"""None where they were refused."""


def begun() -> Iterator[Commands]:
    """What clients share: a user, and a project with tasks on which all of them claim progress."""
    yield [create_user(user_id=USER), CreateProject(project_id=SHARED, user_id=USER, name="Shared")]
    yield [AddTask(task_id=task, project_id=SHARED, name="Shared") for task in SHARED_TASKS]
    yield [StartTask(task_id=task) for task in SHARED_TASKS]


def stories(dice: Random) -> Generator[Commands, Answers, None]:
    """Yield units without end: small and large ones, on streams of their own and on shared ones, some exclusive.

    Is sent the answers to each.
    """
    project, agent = new_id(dice), new_id(dice)
    yield [
        CreateProject(project_id=project, user_id=USER, name=f"Project {project}"),
        RegisterAgent(agent_id=agent, agent_type="tester"),
        *(AddTask(task_id=new_id(dice), project_id=project, name="To be claimed") for _ in range(3)),
    ]
    while True:
        match dice.choice(("add", "work", "share", "share", "claim", "validate")):
            case "add":
                count = dice.choice((1, 1, 2, 20))
                yield [AddTask(task_id=new_id(dice), project_id=project, name="To be claimed") for _ in range(count)]
            case "work":
                task = new_id(dice)
                yield [AddTask(task_id=task, project_id=project, name="Work"), StartTask(task_id=task)]
                yield [ClaimProgress(task_id=task, claimed=dice.randrange(101)), metric(project, dice)]
            case "share":
                yield [ClaimProgress(task_id=dice.choice(SHARED_TASKS), claimed=dice.randrange(101))]
            case "claim":
                claimed = yield [ClaimNextTask(agent_id=agent, assignment_id=new_id(dice), project_id=project)]
                if claimed:
                    yield [FinishTask(agent_id=agent, task_id=claimed[0].id)]
            case _:
                run, task = new_id(dice), new_id(dice)
                issue = ReportIssue(
                    run_id=run, issue_id=new_id(dice), issue_type="mock_data", severity="low", description="Mock"
                )
                yield [
                    AddTask(task_id=task, project_id=project, name="Assessed"),
                    StartRun(run_id=run, project_id=project, validation_type="quick"),
                    AssessTask(run_id=run, task_id=task, authenticity=dice.randrange(101)),
                    issue,
                ]
                yield [CompleteRun(run_id=run, quality_score=dice.randrange(101))]


def metric(project: UUID, dice: Random) -> Command:
    return RecordMetric(project_id=project, metric_name="velocity", value=dice.random())


def new_id(dice: Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)


class Service:
    """The client's side; the parent's is tests.support.processes."""

    def __init__(self, url: str, channel: Connection, seed: int, *, threads: int, project: bool, pace: float) -> None:
        self._pace = pace
        self._url, self._seed, self._threads, self._project = url, seed, threads, project
        self._channel = channel
        self._telling = threading.Lock()
        self._going = threading.Event()
        self._going.set()

    def run(self) -> None:
        """Go on until the parent goes away; False from it pauses, True lets go on."""
        tiu = self._connect()
        self._tell("ready")
        for number in range(self._threads):
            threading.Thread(target=self._work, args=(tiu, Random(f"{self._seed} {number}")), daemon=True).start()
        while True:
            if self._channel.recv():
                self._going.set()
            else:
                self._going.clear()

    def _connect(self) -> Tiu:
        while True:
            try:
                return connect(self._url, project=self._project, settings=Settings(pool_timeout=POOL_SECONDS))
            except StoreUnavailable as error:
                self._tell("failed", None, error.code, str(error))
                time.sleep(AGAIN_SECONDS)

    def _tell(self, *message: object) -> None:
        with self._telling:
            self._channel.send(message)

    def _work(self, tiu: Tiu, dice: Random) -> None:
        try:
            units = stories(dice)
            commands = next(units)
            while True:
                time.sleep(self._pace * dice.uniform(0.5, 1.5))
                self._going.wait()
                commands = [command.model_copy(update={"command_id": new_id(dice)}) for command in commands]
                commands = units.send(self._execute(tiu, commands))
        except BaseException:  # noqa: BLE001 - whatever it is, it is no error that a caller is told of
            self._tell("leaked", traceback.format_exc())

    def _execute(self, tiu: Tiu, commands: Commands) -> Answers:
        unit_id = commands[0].command_id
        self._tell("sent", unit_id, commands)
        while True:
            try:
                answers = tiu.execute_all(commands)
            except Refused as refusal:
                self._tell("refused", unit_id, refusal.code)
                return None
            except (StoreUnavailable, Contended) as error:
                self._tell("failed", unit_id, error.code, str(error))
                time.sleep(AGAIN_SECONDS)
            else:
                self._tell("answered", unit_id, answers)
                return answers


def serve(url: str, channel: Connection, seed: int, threads: int, project: bool, pace: float) -> None:
    """Be a client process."""
    logging.disable()
    try:
        Service(url, channel, seed, threads=threads, project=project, pace=pace).run()
    except (EOFError, OSError):  # the parent is gone
        os._exit(0)
    except TiuError as error:
        channel.send(("leaked", repr(error)))
        os._exit(1)
