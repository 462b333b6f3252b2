"""Stores for the model's tests: a database of its own for each history."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from claude_tiu import connect
from claude_tiu.testing.exact import exactly
from claude_tiu.testing.model.store import ALL_TABLES, Rows, Store
from tests.support.postgres_server import database_url

__all__ = ["ALL_TABLES", "PostgreSQL", "Rows", "SQLite", "Store", "exactly"]  # beside what is here, of the kit


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
