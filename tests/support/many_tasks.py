"""100,000 tasks in the read tables, and what goes with them: written straight into the tables, without an event.

Projects differ in size as real ones do: the first has more than two thousand tasks, most have a few dozen. Rows lie in
the order of their times, so that those of one project are spread over the whole table.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from claude_tiu.domain.project_metrics import STANDARD_METRICS
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.infrastructure.sqlite.values import time_text
from tests.support.stores import Backend, SQLiteBackend

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USERS, PROJECTS, TASKS = 100, 2_000, 100_000
REPORTS, ISSUES, METRICS, FILES, RUNS, STEPS = 10_000, 40_000, 80_000, 10_000, 2_000, 5
AGENTS, ASSIGNMENTS = 50, 40_000
KINDS = (
    "user",
    "project",
    "task",
    "dependency",
    "report",
    "issue",
    "metric",
    "file",
    "workflow",
    "step",
    "run",
    "agent",
    "assignment",
)
WORDS = ("rate", "invoice", "ledger", "parser", "billing", "report", "import", "export", "ticket", "queue", "cache")
RARE_EVERY = 500
"""The word "zebra" stands in one project and one file of so many."""

INDEXES = """SELECT name, sql FROM sqlite_schema
    WHERE type = 'index' AND sql IS NOT NULL AND tbl_name <> 'task_dependencies'"""
"""SQLite's, which are made faster behind the rows; that of dependencies is what each new one is checked by."""


class Filling(NamedTuple):
    """Rows for a table; their values are text and numbers that both stores take."""

    table: str
    columns: str
    rows: Iterator[tuple[Any, ...]]


def id_of(kind: str, number: int) -> UUID:
    """Return the id of the row of a number: neighbours lie far apart, as random ids do."""
    return UUID(_id(kind, number))


def _id(kind: str, number: int) -> str:
    return f"{number * 2_654_435_761 % 2**32:08x}-{KINDS.index(kind):04x}-4000-8000-{number:012x}"


def _some(random_: random.Random, count: int) -> int:
    """Return a number below `count`; low ones come often."""
    return int(count * random_.random() ** 2)


def _times(count: int, days: int) -> list[str]:
    """Return `count` times in their order, evenly over so many days before NOW."""
    return [time_text(NOW - timedelta(days=days) * (count - number) / count) for number in range(count)]


def fillings() -> Iterator[Filling]:
    """Yield the rows of every table, parents before children: the same on each call."""
    random_ = random.Random(1)
    projects = [_some(random_, PROJECTS) for _ in range(TASKS)]
    made = _times(TASKS, 730)
    yield Filling(
        "users",
        "id, username, email, password_hash, created_at, updated_at",
        ((_id("user", n), f"user{n}", f"user{n}@example.org", "!", made[0], made[0]) for n in range(USERS)),
    )
    yield Filling(
        "projects",
        "id, user_id, name, description, status, real_progress, created_at, updated_at",
        (
            (
                _id("project", n),
                _id("user", _some(random_, USERS)),
                f"Project {n}",
                _text(random_, n),
                ("active", "active", "completed", "active", "failed")[n % 5],
                random_.random() * 100,
                made[0],
                random_.choice(made),
            )
            for n in range(PROJECTS)
        ),
    )
    yield Filling(
        "tasks",
        "id, project_id, name, status, priority, real_progress, created_at, updated_at, added_position",
        (
            (
                _id("task", n),
                _id("project", project),
                f"Task {n}",
                random_.choice(("completed", "completed", "completed", "pending", "pending", "in_progress", "blocked")),
                random_.choice(("low", "medium", "medium", "high", "critical")),
                random_.random() * 100,
                made[n],
                made[n],
                n,
            )
            for n, project in enumerate(projects)
        ),
    )
    yield Filling("task_dependencies", "id, task_id, depends_on_task_id, created_at", _dependencies(projects, made[-1]))
    yield from _validation(random_)
    yield from _numbers_and_files(random_)
    yield from _workflows(random_)
    yield from _agents(random_)


def _text(random_: random.Random, number: int, words: int = 8) -> str:
    rare = ["zebra"] if number % RARE_EVERY == 0 else []
    return " ".join(random_.choices(WORDS, k=words) + rare)


def _dependencies(projects: list[int], time: str) -> Iterator[tuple[Any, ...]]:
    """A task of every five depends on the one of its project that was added before it."""
    last: dict[int, int] = {}
    count = 0
    for task, project in enumerate(projects):
        if task % 5 == 0 and project in last:
            yield (_id("dependency", count), _id("task", task), _id("task", last[project]), time)
            count += 1
        last[project] = task


def _validation(random_: random.Random) -> Iterator[Filling]:
    """Reports of 90 days, as retention leaves them, and four issues each."""
    times = _times(REPORTS, 90)
    yield Filling(
        "validation_reports",
        "id, project_id, validation_type, overall_authenticity, real_progress, fake_progress, created_at",
        (
            (
                _id("report", n),
                _id("project", _some(random_, PROJECTS)),
                random_.choice(("quick", "deep", "scheduled")),
                random_.random() * 100,
                30.0,
                20.0,
                time,
            )
            for n, time in enumerate(times)
        ),
    )
    yield Filling(
        "validation_issues",
        "id, validation_report_id, issue_type, severity, description, status, created_at",
        (
            (
                _id("issue", n),
                _id("report", n * REPORTS // ISSUES),
                random_.choice(("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")),
                random_.choice(("low", "medium", "high", "critical")),
                "a constant where a rate belongs",
                random_.choice(("open", "open", "resolved", "ignored")),
                times[n * REPORTS // ISSUES],
            )
            for n in range(ISSUES)
        ),
    )


def _numbers_and_files(random_: random.Random) -> Iterator[Filling]:
    times = _times(METRICS, 30)
    yield Filling(
        "progress_metrics",
        "id, project_id, metric_name, value, metadata, recorded_at",
        (
            (
                _id("metric", n),
                _id("project", _some(random_, PROJECTS)),
                random_.choice(STANDARD_METRICS),
                random_.random() * 100,
                json.dumps({"seq": n}),
                time,
            )
            for n, time in enumerate(times)
        ),
    )
    yield Filling(
        "project_files",
        "id, project_id, file_path, content, content_hash, size_bytes, status, created_at, updated_at",
        (
            (
                _id("file", n),
                _id("project", _some(random_, PROJECTS)),
                f"src/{n}.py",
                _text(random_, n, words=40),
                "0" * 64,
                300,
                random_.choice(("created", "modified", "validated")),
                times[n],
                times[n],
            )
            for n in range(FILES)
        ),
    )


def _workflows(random_: random.Random) -> Iterator[Filling]:
    """One workflow of some steps, and many runs of it."""
    time = time_text(NOW)
    yield Filling("workflows", "id, name, created_at, updated_at", iter([(_id("workflow", 0), "Release", time, time)]))
    yield Filling(
        "workflow_steps",
        "id, workflow_id, name, type, dependencies, step_order, created_at",
        (
            (
                _id("step", n),
                _id("workflow", 0),
                f"Step {n}",
                "validation",
                json.dumps([_id("step", n - 1)] if n else []),
                n,
                time,
            )
            for n in range(STEPS)
        ),
    )
    yield Filling(
        "step_executions",
        "id, run_id, workflow_step_id, project_id, status",
        (
            (
                _id("run", n),
                _id("run", n // STEPS),
                _id("step", n % STEPS),
                _id("project", _some(random_, PROJECTS)),
                random_.choice(("pending", "running", "completed")),
            )
            for n in range(RUNS * STEPS)
        ),
    )


def _agents(random_: random.Random) -> Iterator[Filling]:
    """Some agents, and tasks that each of them was given."""
    times = _times(ASSIGNMENTS, 90)
    yield Filling(
        "agents",
        "id, agent_type, name, created_at",
        ((_id("agent", n), "tester", f"Agent {n}", times[0]) for n in range(AGENTS)),
    )
    yield Filling(
        "agent_assignments",
        "id, agent_id, task_id, status, assigned_at",
        (
            (_id("assignment", n), _id("agent", n % AGENTS), _id("task", random_.randrange(TASKS)), "completed", time)
            for n, time in enumerate(times)
        ),
    )


def fill(backend: Backend) -> None:
    """Write all rows into a migrated database."""
    if isinstance(backend, SQLiteBackend):
        with closing(sqlite3.connect(read_path(backend.path, 1))) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -200000")
            indexes = connection.execute(INDEXES).fetchall()
            for name, _ in indexes:
                connection.execute(f"DROP INDEX {name}")
            for table, columns, rows in fillings():
                marks = ", ".join("?" * len(columns.split(", ")))
                connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
            for _, statement in indexes:
                connection.execute(statement)
        return
    with psycopg.connect(backend.url) as session, session.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # the rows are right: no trigger looks at each
        for table, columns, rows in fillings():
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
