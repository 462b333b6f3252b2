"""Read tables replayed into files, and databases that were stopped at a position to compare them with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from claude_tiu.infrastructure.audit.parts import Part
from claude_tiu.infrastructure.audit.replay import last_flushed
from claude_tiu.infrastructure.errors import ProjectionFailed
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.rebuild import LogUpTo
from claude_tiu.projections.projection import Projection, Row
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import READ_TABLES
from tests.support.history import START
from tests.support.stores import Backend

Tables = dict[str, list[tuple[Any, ...]]]


def log_up_to(events: EventStore, position: int | None = None) -> LogUpTo:
    """The events of a store up to a position, or all of them."""
    return LogUpTo(events, last_flushed(events) if position is None else position)


def tables_in(path: Path, projection: Projection = READ_MODEL) -> Tables:
    """Return every row of a file's tables, as it holds them."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: connection.execute(
                f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}"
            ).fetchall()
            for table in projection.tables
        }


def rows_in(reads: ReadStore, projection: Projection = READ_MODEL) -> dict[str, list[Row | None]]:
    """Return every row that a read store has, in Python's terms."""
    return {
        table.name: [
            reads.row(table, UUID(str(found[table.key])))
            for found in reads.query(f"SELECT {table.key} FROM {table.name} ORDER BY {table.key}", {})
        ]
        for table in projection.tables
    }


def stopped_at_each(backend: Backend, positions: Sequence[int]) -> Iterator[int]:
    """Make a database's tables anew from the first event, and stop at some positions; yield each while it stands so."""
    log = log_up_to(backend.events(), 0)
    projector = Projector(log, backend.reads(), READ_MODEL, batch_size=3)
    projector.reset()
    for log.end in positions:
        projector.catch_up()
        yield log.end


def known_about(events: EventStore, reads: ReadStore, at: datetime) -> list[int]:
    """Return which positions of a log tell what occurred by a time, found by trial: each event that occurred by then is
    projected onto what is there, in live tables, which hold every reference; a stream ends at its first that is late or
    finds no place. The tables then hold what is known."""
    taken: list[int] = []
    ended: set[UUID] = set()
    projector = Projector(Part(events, taken), reads, READ_MODEL)
    projector.reset()
    for stored in events.read(0, 1_000_000):
        if stored.stream_id in ended:
            continue
        taken.append(stored.position)
        try:
            if datetime.fromisoformat(json.loads(stored.state)["occurred_at"]) <= at:
                projector.step()
                continue
        except ProjectionFailed:
            pass
        taken.pop()
        ended.add(stored.stream_id)
    return taken


def concerning(tables: Tables, project_id: UUID) -> Tables:
    """Return the rows of whole read tables that concern one project, by what they refer to; no running state."""
    found: dict[str, list[dict[str, Any]]] = {
        table.name: [dict(zip(table.columns, row, strict=True)) for row in tables[table.name]] for table in READ_TABLES
    }
    ids: dict[str, set[Any]] = {"projects": {str(project_id)}}

    def keep(table: str, column: str, within: set[Any]) -> None:
        found[table] = [row for row in found[table] if row[column] in within]
        ids[table] = {row["id"] for row in found[table]}

    for archive in ("", "_archive"):
        keep(f"projects{archive}", "id", ids["projects"] | {str(project_id)})
        for table in ("tasks", "project_files", "validation_reports", "progress_metrics", "step_executions"):
            keep(table + archive, "project_id", {str(project_id)})
        keep(f"task_dependencies{archive}", "task_id", ids[f"tasks{archive}"])
        keep(f"validation_issues{archive}", "validation_report_id", ids[f"validation_reports{archive}"])
        keep(f"agent_assignments{archive}", "task_id", ids[f"tasks{archive}"])
    for table in ("user_sessions", "cleanup_log", "agent_metrics"):
        found[table] = []
    return {name: [tuple(row.values()) for row in rows] for name, rows in found.items()}


ROOTS = ("users", "templates", "workflows", "workflow_steps", "agents")
"""Tables of which one project needs a part."""


def assert_concerns(of_one: Tables, of_all: Tables, project_id: UUID) -> None:
    """The read tables of one project hold what those of all hold of it, and of what it needs, row by row."""
    wanted = concerning(of_all, project_id)
    for name, rows in wanted.items():
        if name not in ROOTS:
            assert of_one[name] == rows, name
        else:
            assert set(of_one[name]) <= set(rows), name
    for table, column, name in NEEDED:
        columns = list(next(one for one in READ_TABLES if one.name == table).columns)
        needed = {row[columns.index(column)] for row in of_one[table]} - {None}
        assert needed <= {row[0] for row in of_one[name]}, f"{table}.{column}"


NEEDED = (
    ("projects", "user_id", "users"),
    ("projects_archive", "user_id", "users"),
    ("projects", "template_id", "templates"),
    ("projects_archive", "template_id", "templates"),
    ("step_executions", "workflow_step_id", "workflow_steps"),
    ("step_executions_archive", "workflow_step_id", "workflow_steps"),
    ("agent_assignments", "agent_id", "agents"),
    ("agent_assignments_archive", "agent_id", "agents"),
    ("templates", "created_by", "users"),
    ("workflow_steps", "workflow_id", "workflows"),
)
"""A table, what it refers to, and where."""


def scramble(events_file: Path, seed: int, spread: timedelta = timedelta(days=10)) -> list[datetime]:
    """Give the events of a log other times, behind the store's back: they go on, and fall now and then. Return them."""
    dice, at, times = Random(seed), START, list[datetime]()
    rate = dice.choice((0.01, 0.1, 0.5))
    with closing(sqlite3.connect(events_file)) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS events_are_not_updated")
        for position, state in connection.execute("SELECT position, state FROM events ORDER BY position").fetchall():
            at += timedelta(hours=1)
            times.append(at + spread * dice.uniform(-1, 1) if dice.random() < rate else at)
            body = {**json.loads(state), "occurred_at": times[-1].isoformat()}
            values = (json.dumps(body).encode(), position)
            connection.execute("UPDATE events SET state = ? WHERE position = ?", values)
    return times
