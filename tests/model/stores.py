"""Stores for the model's tests: a database of its own for each history, and its tables as plain values."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast
from uuid import UUID

import psycopg
from psycopg import sql

from claude_tiu import Tiu, connect
from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.model.door import JSON_FIELDS
from tests.support.postgres_server import database_url

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

    name: ClassVar[str]
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


def exactly(value: Any) -> str:
    """A text that differs where two values differ in anything: 0.0 and −0.0, 1 and 1.0, True and 1."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key!r}: {exactly(value[key])}" for key in sorted(value)) + "}"
        case list():
            return "[" + ", ".join(map(exactly, value)) + "]"
    return repr(value)


def ram() -> Path | None:
    """A folder in RAM, where there is one."""
    found = Path("/dev/shm")  # noqa: S108 - mkdtemp makes private folders in it
    return found if found.is_dir() and os.access(found, os.W_OK) else None


@cache
def _sqlite_template() -> Path:
    """A folder with a migrated and empty database, made once: a copy of it costs a tenth of the migrations."""
    folder = Path(tempfile.mkdtemp(prefix="tiu-template-", dir=ram()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    connect(f"sqlite:///{folder / 'tiu.db'}", project=False).close()
    return folder


class SQLite(Store):
    name = "sqlite"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tiu-model-", dir=ram()))
        shutil.copytree(_sqlite_template(), self._folder, dirs_exist_ok=True)
        self.tiu = connect(f"sqlite:///{self._folder / 'tiu.db'}", project=False)

    def close(self) -> None:
        self.tiu.close()
        shutil.rmtree(self._folder)


class PostgreSQL(Store):
    """A copy of a migrated template on a server."""

    name = "postgresql"

    def __init__(self, server: str, template: str) -> None:
        self._server, self._database = server, f"tiu_model_{uuid.uuid4().hex[:12]}"
        self._administer("create database {} template {} strategy file_copy", self._database, template)
        self.tiu = connect(database_url(server, self._database), project=False)

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def close(self) -> None:
        self.tiu.close()
        self._administer("drop database {} with (force)", self._database)
