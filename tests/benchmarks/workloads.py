"""The logs that are measured: workloads W and W2, as the domain would have stored them, in any number of events.

W: one project, and one stream a task: added, started, 8 claims, completed. W2: W's tasks spread over projects of their
own (some 1,000 events each), which begin one after another and overlap, and two validation runs a project that assess
every task and report 5 issues. Many streams are at work at once, as with many agents.

Everything follows from the numbers of projects and tasks: the same call gives the same events.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import accumulate, islice
from typing import NamedTuple
from uuid import UUID

from claude_tiu.infrastructure.event_store import NewEvent

START = datetime(2026, 1, 1, 0, 0, 0, 17, tzinfo=UTC)
STEP = timedelta(milliseconds=1_003)
AT_WORK = 32
"""How many streams grow at once."""
TASK_EVENTS = 11
PROJECT_EVENTS = 1_000
ISSUES = 5
ACTOR = "benchmark"
PRIORITIES = ("low", "medium", "high", "critical")
WEIGHTS = ("null", "30", "45", "240")
ISSUE_TYPES = ("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")
DESCRIPTION = "Read the invoices of the last quarter, and find which of them were paid twice.  "
PROMPT = (DESCRIPTION * 3)[:200]
_START_MS = int(START.timestamp() * 1_000)
_KINDS = ("project", "task", "run", "issue", "command", "user")


class Setting(NamedTuple):
    """Who owns the projects, and W's one project."""

    user_id: UUID
    project_id: UUID


class Body(NamedTuple):
    """An event without its time: its JSON, behind the member occurred_at."""

    topic: str
    members: str


class Stream(NamedTuple):
    """What happens to one thing, in order."""

    stream_id: UUID
    project_id: UUID
    bodies: Iterator[Body]


def id_of(kind: str, number: int) -> UUID:
    """Return an id ordered by its number, as UUIDv7 are, and otherwise without order."""
    noise = number * 0x9E3779B97F4A7C15 % 2**62
    value = (_START_MS + number) << 80 | 7 << 76 | _KINDS.index(kind) << 64 | 2 << 62 | noise
    return UUID(int=value)


def events_of(workload: str, count: int, setting: Setting) -> Iterator[NewEvent]:
    """Yield about `count` events of a workload, in the log's order; no project or task is broken off."""
    streams = _w(count, setting) if workload == "W" else _w2(count, setting)
    for number, (stream, version, body) in enumerate(_interleaved(streams)):
        moment = (START + STEP * number).isoformat().replace("+00:00", "Z")
        command_id = id_of("command", number)
        yield NewEvent(
            stream.stream_id,
            version,
            body.topic,
            f'{{"occurred_at":"{moment}"{body.members}}}'.encode(),
            command_id=command_id,
            command_digest=sha256(command_id.bytes).digest(),
            correlation_id=f"job-{number // 1_000}",
            actor=ACTOR,
            project_id=stream.project_id,
        )


def single_tasks(first: int, count: int, project_id: UUID) -> Iterator[NewEvent]:
    """Yield W's events of `count` tasks from a number on, one task after the other: for writers, each with its own."""
    for number in range(first, first + count):
        stream_id = id_of("task", number)
        for version, body in enumerate(_task(number, project_id), 1):
            at = START + STEP * (number * TASK_EVENTS + version)
            command_id = id_of("command", number * TASK_EVENTS + version)
            yield NewEvent(
                stream_id,
                version,
                body.topic,
                f'{{"occurred_at":"{at.isoformat().replace("+00:00", "Z")}"{body.members}}}'.encode(),
                command_id=command_id,
                command_digest=sha256(command_id.bytes).digest(),
                correlation_id=f"job-{number}",
                actor=ACTOR,
                project_id=project_id,
            )


def _interleaved(streams: Iterable[Stream]) -> Iterator[tuple[Stream, int, Body]]:
    """Let AT_WORK streams grow in turn; where one ends, the next begins."""
    waiting = ((stream, enumerate(stream.bodies, 1)) for stream in streams)
    at_work = deque(islice(waiting, AT_WORK))
    while at_work:
        stream, bodies = at_work.popleft()
        if (following := next(bodies, None)) is None:
            at_work.extend(islice(waiting, 1))
        else:
            yield (stream, *following)
            at_work.append((stream, bodies))


def _w(count: int, setting: Setting) -> Iterator[Stream]:
    for number in range(max(1, count // TASK_EVENTS)):
        yield Stream(id_of("task", number), setting.project_id, _task(number, setting.project_id))


def _w2(count: int, setting: Setting) -> Iterator[Stream]:
    """Each project's tasks lie evenly in a window of half the whole time, its runs behind them."""
    projects = max(1, count // PROJECT_EVENTS)
    tasks = max(projects, (count - 15 * projects) // 13)
    tasks_of = [tasks * (p + 1) // projects - tasks * p // projects for p in range(projects)]
    begun: list[tuple[float, int, int]] = []  # (when, project, which: -1 itself, else a task, behind them the runs)
    for project, tasks in enumerate(tasks_of):
        begin = project / projects
        begun += [(begin + which / tasks, project, which) for which in range(-1, tasks)]
        begun += [(begin + 1 + run / tasks, project, tasks + run) for run in (0, 1)]
    first_of = [0, *accumulate(tasks_of)]
    for _, project, which in sorted(begun):
        project_id, tasks, first = id_of("project", project), tasks_of[project], first_of[project]
        if which < 0:
            yield Stream(project_id, project_id, _project(project, setting.user_id))
        elif which < tasks:
            yield Stream(id_of("task", first + which), project_id, _task(first + which, project_id))
        else:
            run = project * 2 + which - tasks
            assessed = range(first, first + tasks)
            yield Stream(id_of("run", run), project_id, _run(run, project_id, assessed))


def _project(number: int, user_id: UUID) -> Iterator[Body]:
    members = (
        f',"user_id":"{user_id}","name":"Project {number}","description":"{DESCRIPTION}","configuration":{{}},'
        '"metadata":{},"template_id":null'
    )
    yield Body("project.created.v1", members)


def _task(number: int, project_id: UUID) -> Iterator[Body]:
    members = (
        f',"project_id":"{project_id}","name":"Task {number}","description":"{DESCRIPTION}",'
        f'"priority":"{PRIORITIES[number % 4]}","ai_prompt":"{PROMPT}","expected_outputs":["report.md","totals.csv"],'
        f'"validation_criteria":{{}},"estimated_duration":{WEIGHTS[number % 4]},"agent_type":null,"capabilities":[]'
    )
    yield Body("task.added.v1", members)
    yield Body("task.started.v1", "")
    for claim in range(1, 9):
        yield Body("task.progress_claimed.v1", f',"claimed":{claim * 11 + number % 10 / 10}')
    yield Body("task.completed.v1", "")


def _run(number: int, project_id: UUID, tasks: range) -> Iterator[Body]:
    chosen = random.Random(number)
    yield Body("validation_run.started.v1", f',"project_id":"{project_id}","validation_type":"deep"')
    assessments = {id_of("task", task): chosen.randrange(101) + chosen.randrange(10) / 10 - 0.9 for task in tasks}
    assessments = {task_id: round(max(0.0, value), 1) for task_id, value in assessments.items()}
    for task_id, value in assessments.items():
        yield Body("validation_run.task_assessed.v1", f',"task_id":"{task_id}","authenticity":{value}')
    for issue in range(ISSUES):
        members = (
            f',"issue_id":"{id_of("issue", number * ISSUES + issue)}",'
            f'"task_id":"{id_of("task", chosen.choice(tasks))}",'
            f'"issue_type":"{chosen.choice(ISSUE_TYPES)}","severity":"{chosen.choice(PRIORITIES)}",'
            f'"description":"A function that only says that it works","file_path":"src/invoices/part_{issue}.py",'
            f'"line_number":{chosen.randrange(1, 900)},"auto_fix_available":false,"suggested_fix":null'
        )
        yield Body("validation_run.issue_reported.v1", members)
    listed = ",".join(f'"{task_id}":{value}' for task_id, value in assessments.items())
    score = chosen.randrange(1_000) / 10
    members = (
        f',"quality_score":{score},"quality_metrics":{{"coverage":{chosen.randrange(100)}}},"assessments":{{{listed}}}'
    )
    yield Body("validation_run.completed.v1", members)
