"""What a run of retention did to the read tables, or would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from pydantic import TypeAdapter

from ..domain.errors import NotFound
from ..domain.messages import event_id
from ..domain.retention import RETENTION_ID, RunRetention, cutoffs, long_completed
from ..projections.retention import RULES, clean_up, log_id
from .decision import Decision, prepare
from .event_store import EventStore
from .mapper import decode
from .queries import SQL, CleanupRow, Queries
from .read_store import ReadStore
from .streams import Reading, StreamCache

CLEANUP_ROWS = TypeAdapter(list[CleanupRow])
ALL = 1_000_000  # rows of runs as of the same time


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many rows of a table a rule drops: those older than `cutoff`."""

    rule: str
    table_name: str
    rows: int
    cutoff: datetime


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """A run of retention as of a time: what it drops, in its order, and the projects that it archives, the longest
    completed first."""

    as_of: datetime
    dropped: list[Dropped]
    archived: list[UUID]


def rehearse(events: EventStore, reads: ReadStore, command: RunRetention) -> RetentionReport:
    """Return what a command would do now, to the read tables as they stand; nothing is stored, and nothing changes."""
    ran = cutoffs(cast(RunRetention, prepare(command).command))
    with events.exclusive() as store:
        projects = long_completed(ran.projects_before, Decision(store, Reading(store, StreamCache()), exclusive=True))
    at, id_ = ran.occurred_at, event_id(RETENTION_ID, 0)  # which no event has
    period = {"since": at, "until": at, "limit": ALL}
    rows = CLEANUP_ROWS.validate_python(reads.rehearse(list(clean_up(ran, id_)), SQL["cleanup_log"], period))
    return RetentionReport(at, _dropped(rows, id_), projects)


def report(events: EventStore, queries: Queries, command_id: UUID) -> RetentionReport:
    """Return what a command did, as the read tables tell it. Raises NotFound for what is no run of retention."""
    stored = events.trace([command_id])
    if not stored or stored[0].stream_id != RETENTION_ID:
        raise NotFound(f"no run of retention has the command_id {command_id}", id=command_id)
    first, *archived = stored
    at = decode(first.topic, first.state, first.stream_id, first.version).occurred_at
    rows = queries.cleanup_log(since=at, until=at, limit=ALL)
    dropped = _dropped(rows, event_id(RETENTION_ID, first.version))
    return RetentionReport(at, dropped, [one.stream_id for one in archived])


def _dropped(rows: Iterable[CleanupRow], ran: UUID) -> list[Dropped]:
    """Return what an event's rows of cleanup_log say, among those of other runs as of the same time."""
    by_id = {row.id: row for row in rows}
    found = []
    for rule, tables in RULES.items():
        for table in tables:
            row = by_id.get(log_id(ran, rule, table.name))
            if row is not None:
                found.append(Dropped(rule, row.table_name, row.rows_deleted, row.cutoff))
    return found
