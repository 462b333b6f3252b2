"""A store that the machine is run on, and its tables as plain values."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from ...infrastructure.event_hash import NO_EVENT, event_hash
from ...infrastructure.projector import Projector
from ...infrastructure.tiu import Tiu
from ...projections.read_model import READ_MODEL
from ..exact import exactly
from .door import JSON_FIELDS

Rows = list[dict[str, Any]]

READ_TABLES = (
    "users",
    "projects",
    "tasks",
    "task_dependencies",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
)
JSON_COLUMNS = ("issues_summary", "capabilities", "coordination_hooks", "assignment_metadata")
"""Those that hold JSON, beside those named like fields of commands."""
TIMES = ("in_progress_since", "last_login", "last_active")
"""Those that hold a time, beside those that say when something was done."""
ALL_TABLES = tuple(table.name for table in READ_MODEL.tables)


class Store(ABC):
    """A migrated database of its own, and a connection that projects only when told to."""

    name: str
    tiu: Tiu

    @abstractmethod
    def close(self) -> None:
        """Let the database go, and leave nothing."""

    def projector(self, batch_size: int) -> Projector:
        """Another projector of the same tables: it knows nothing but what is stored."""
        return Projector(self.tiu.events, self.tiu._reads, READ_MODEL, batch_size=batch_size)

    def raw(self, table: str) -> Rows:
        """A table's rows in the database's own types, in an order that its contents alone decide."""
        rows = self.tiu._reads.query(f"SELECT * FROM {table}", {})
        return sorted(({key: row[key] for key in sorted(row)} for row in rows), key=repr)

    def dump(self) -> dict[str, Rows]:
        """Every table of the projection, running state included, to the byte."""
        return {table: self.raw(table) for table in ALL_TABLES}

    def tables(self) -> dict[str, Rows]:
        """The seven read tables in Python's terms, in the order of their ids."""
        return {table: self.rows(table) for table in READ_TABLES}

    def rows(self, table: str) -> Rows:
        rows = [{name: plain(name, value) for name, value in row.items()} for row in self.raw(table)]
        return sorted(rows, key=lambda row: str(row.get("id")))

    def state_rows(self, table: str) -> Rows:
        """A table of running state in Python's terms."""
        return sorted(self.rows(table), key=exactly)

    def check_hash_chain(self) -> None:
        """Every event's hash covers its row and the hash before it; positions have no gap, times never fall."""
        before, last_time = NO_EVENT, datetime.min.replace(tzinfo=UTC)
        for position, row in enumerate(self.tiu.events.read_rows(0, 1_000_000), 1):
            *columns, previous_hash, found = cast(tuple[Any, ...], row)
            assert row.position == position
            assert previous_hash == before
            assert found == event_hash(previous_hash, *columns)
            assert row.recorded_at >= last_time
            before, last_time = found, row.recorded_at


def plain(column: str, value: Any) -> Any:
    """A stored value in Python's terms, from either database's."""
    if value is None:
        return None
    if column in JSON_FIELDS or column in JSON_COLUMNS:
        return json.loads(value) if isinstance(value, str) else value
    if isinstance(value, str) and (
        column.endswith("_at") or column in ("in_progress_since", "last_login", "last_active")
    ):
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, str) and (column == "id" or column.endswith("_id")) and column != "template_id":
        return UUID(value)
    if column in ("is_active", "auto_fix_available"):
        return bool(value)
    return int(value) if column in ("real_sum", "claimed_sum", "weight_sum") else value


class OpenStore(Store):
    """A store of somebody's own, for as long as one run of the machine."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Tiu]]) -> None:
        self._stack = ExitStack()
        self.tiu = self._stack.enter_context(opened())
        self.name = type(self.tiu.events).__name__

    def close(self) -> None:
        self._stack.close()
