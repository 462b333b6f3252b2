"""Read tables replayed into files, and databases that were stopped at a position to compare them with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from claude_tiu.infrastructure.audit.replay import last_flushed
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.rebuild import LogUpTo
from claude_tiu.projections.projection import Projection, Row
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.stores import Backend

Tables = dict[str, list[tuple[Any, ...]]]


def log_up_to(events: EventStore, position: int | None = None) -> LogUpTo:
    """The events of a store up to a position, or all of them."""
    log = LogUpTo(events)
    log.end = last_flushed(events) if position is None else position
    return log


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
