"""Races, each of a few clients with one call each, and how they may end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any, NamedTuple

from claude_tiu import Answer, Command
from claude_tiu.domain.messages import Recorded
from claude_tiu.testing.ledger import Ledger, refusal_of
from tests.support.concurrent.arena import Run
from tests.support.concurrent.linearisable import Call, Refusal
from tests.support.concurrent.programs import AGENTS, PROJECTS, RUNS, TASKS, USERS, Unit, given_before, make
from tests.support.history import PASSWORD_HASH, START, uid

PROJECT = PROJECTS[0]
FIRST, SECOND, THIRD, FREE, NEW, NEWER = TASKS
"""The third waits for the second, and that for the first; the free one for none; the new ones are not there yet."""
ADA = AGENTS[0]


class Race(NamedTuple):
    """What stands before, each client's unit, how many of them may be answered, and how the others are refused."""

    before: Sequence[Command]
    units: Sequence[Unit]
    answered: tuple[int, ...]
    codes: tuple[str, ...] = ()


def race(*commands: Command | Unit, before: Sequence[Command] = (), answered: Any, codes: str = "") -> Race:
    units = [(one,) if isinstance(one, Command) else one for one in commands]
    return Race(before, units, answered if isinstance(answered, tuple) else (answered,), tuple(codes.split()))


def task(name: str, task_id: Any = FIRST, **values: Any) -> Command:
    return make(name, task_id=task_id, **values)


def add(task_id: Any, **values: Any) -> Command:
    return make("AddTask", task_id=task_id, project_id=PROJECT, name="T", **values)


def depend(task_id: Any, other: Any, **values: Any) -> Command:
    return make("AddDependency", task_id=task_id, depends_on_task_id=other, **values)


def user(number: int, username: str, email: str) -> Command:
    values = {"username": username, "email": f"{email}@example.org", "password_hash": PASSWORD_HASH}
    return make("CreateUser", user_id=USERS[number], **values)


def claim(agent_id: Any = ADA, **values: Any) -> Command:
    return make("ClaimNextTask", agent_id=agent_id, project_id=PROJECT, assignment_id=uid(f"by {agent_id}"), **values)


MANY = [uid(f"concurrent agent of many {number}") for number in range(5)]
ARCHIVE = make("ArchiveProject", project_id=PROJECT)
COMPLETED = [task("StartTask"), task("CompleteTask")]
CLAIMED = [claim(lease_seconds=60)]
EXPIRE = make("ExpireClaims", occurred_at=START + timedelta(seconds=61))
BEFORE_THAT = START + timedelta(seconds=59)
ONE_ID = {"command_id": uid("one id")}
A_UNIT = (add(NEW, **ONE_ID), depend(NEW, FREE, command_id=uid("another id")))
RACES: dict[str, Race] = {
    "a start and the reopening of what it waits for": race(
        task("StartTask", SECOND),
        task("ReopenTask"),
        before=COMPLETED,
        answered=(1, 2),
        codes="unmet_dependencies",
    ),
    "a start and the completion of what it waits for": race(
        task("StartTask", SECOND),
        task("CompleteTask"),
        before=[task("StartTask")],
        answered=(1, 2),
        codes="unmet_dependencies",
    ),
    "a start and a dependency": race(
        task("StartTask", FREE), depend(FREE, FIRST), answered=(1, 2), codes="unmet_dependencies"
    ),
    "a task added to a project that is archived": race(add(NEW), ARCHIVE, answered=(1, 2), codes="wrong_status"),
    "a run started in a project that is archived": race(
        make("StartRun", run_id=RUNS[1], project_id=PROJECT, validation_type="quick"),
        ARCHIVE,
        answered=1,
        codes="wrong_status open_work",
    ),
    "a claim in a project that is archived": race(claim(), ARCHIVE, answered=1, codes="wrong_status open_work"),
    "a dependency in a project that is completed": race(
        depend(FREE, FIRST), make("CompleteProject", project_id=PROJECT), answered=(1, 2), codes="wrong_status"
    ),
    "one name": race(
        user(1, "eve", "eve"),
        user(2, "eve", "bob"),
        user(0, "eve", "ann"),
        answered=1,
        codes="not_unique already_exists",
    ),
    "one email": race(user(1, "eve", "eve"), user(2, "bob", "eve"), answered=1, codes="not_unique"),
    "one user's name and another's email": race(
        user(1, "eve", "ada"), user(2, "eve", "eve"), answered=1, codes="not_unique"
    ),
    "a name that another user takes": race(
        user(2, "bob", "bob"),
        make("RenameUser", user_id=USERS[1], username="bob"),
        before=[user(1, "eve", "eve")],
        answered=1,
        codes="not_unique",
    ),
    "a name that is let go": race(
        make("ForgetUser", user_id=USERS[0]), user(1, "ada", "eve"), answered=(1, 2), codes="not_unique"
    ),
    "one command_id and one content": race(*[add(NEW, **ONE_ID)] * 3, answered=3),
    "one command_id and other contents": race(
        add(NEW, **ONE_ID), add(NEWER, **ONE_ID), answered=1, codes="command_id_reused"
    ),
    "one unit": race(A_UNIT, A_UNIT, A_UNIT, answered=3),
    "a unit and a part of it": race(A_UNIT, A_UNIT[:1], answered=(1, 2), codes="command_id_reused"),
    "a cycle of two": race(depend(FREE, FIRST), depend(FIRST, FREE), answered=1, codes="dependency_cycle"),
    "a cycle of three": race(
        depend(FREE, NEW),
        depend(NEW, NEWER),
        depend(NEWER, FREE),
        before=[add(NEW), add(NEWER)],
        answered=2,
        codes="dependency_cycle",
    ),
    "a cycle over what is there": race(depend(FREE, THIRD), depend(FIRST, FREE), answered=1, codes="dependency_cycle"),
    "claims of more agents than there are tasks": race(
        *map(claim, MANY[:4]),
        before=[make("RegisterAgent", agent_id=agent_id, agent_type="tester") for agent_id in MANY],
        answered=2,
        codes="nothing_ready",
    ),
    "a claim and a task that comes before the others": race(claim(), add(NEW, priority="critical"), answered=2),
    "claims by one agent": race(
        claim(), claim().model_copy(update={"assignment_id": uid("again")}), answered=1, codes="wrong_status"
    ),
    "an expiry and a heartbeat": race(
        EXPIRE,
        make("RecordHeartbeat", agent_id=ADA, occurred_at=BEFORE_THAT),
        before=CLAIMED,
        answered=(1, 2),
        codes="nothing_overdue",
    ),
    "an expiry and a completion by the agent": race(
        EXPIRE,
        make("FinishTask", agent_id=ADA, task_id=FIRST, occurred_at=BEFORE_THAT),
        before=CLAIMED,
        answered=1,
        codes="nothing_overdue not_assigned",
    ),
    "an expiry and a completion by another": race(
        EXPIRE,
        task("CompleteTask", occurred_at=BEFORE_THAT),
        before=CLAIMED,
        answered=1,
        codes="nothing_overdue wrong_status",
    ),
    "an expiry and another": race(EXPIRE, EXPIRE, before=CLAIMED, answered=1, codes="nothing_overdue"),
    "an expiry and a claim by another": race(
        EXPIRE,
        claim(MANY[0]),
        before=[*CLAIMED, make("RegisterAgent", agent_id=MANY[0], agent_type="tester")],
        answered=2,
    ),
    "one expected version": race(
        *[task("ClaimProgress", claimed=claimed, expected_version=2) for claimed in (10, 20)],
        before=[task("StartTask")],
        answered=1,
        codes="stale_version",
    ),
}

Ending = tuple[list[Any], list[Recorded]]
"""What each client was told, and the events that all have stored: from these follows all that stands then."""


def before_race(chosen: Race) -> list[Unit]:
    return [*given_before(), *[(command,) for command in chosen.before]]


def ending_of(run: Run) -> Ending:
    """Return how a race, of clients with one call each, has ended."""
    calls = sorted(run.calls, key=lambda call: call.client)
    first, last = (_last_position(calls, run.start) for calls in (run.before, calls))
    stored = [entry for entry in run.log if first < entry.position <= last]
    return [call.outcome for call in calls], [entry.recorded for entry in stored]


def _last_position(calls: Sequence[Call], start: int) -> int:
    answered: list[list[Answer]] = [call.outcome for call in calls if isinstance(call.outcome, list)]
    return max([start, *[answer.position for answers in answered for answer in answers]])


def endings(run: Run) -> list[Ending]:
    """Return how each order of its calls would have ended, one after the other."""
    ledger = Ledger(run.start)
    for call in run.before:
        ledger = ledger.execute(call.unit).after
    return [_ending(ledger, order) for order in permutations(sorted(run.calls, key=lambda call: call.client))]


def _ending(ledger: Ledger, order: Sequence[Call]) -> Ending:
    told: dict[int, Any] = {}
    events: list[Recorded] = []
    for call in order:
        step, refusal = refusal_of(ledger, call.unit)
        if step is not None:
            ledger, told[call.client] = step.after, step.answers
            events += step.events
        elif refusal is not None:
            told[call.client] = Refusal(refusal.code, refusal.details)
    return [told[client] for client in sorted(told)], events
