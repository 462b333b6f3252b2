"""Migrations: numbered SQL files of a store, each applied in one transaction and recorded in schema_migrations.

A file NNN_name.up.sql goes with NNN_name.down.sql, which is recorded in migration_rollbacks: what was recorded is what
undoes it, in one transaction too, so that older code can undo what newer code applied. A rollback without a statement
says that there is no way back. Undoing any migration of the read tables empties the rest of them, with the checkpoint.
Of a recorded migration, the checksum is kept: a file that reads differently from what was applied is refused.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import psycopg

from .errors import (
    MigrationChanged,
    MigrationFailed,
    NotMigrated,
    NoWayBack,
    SchemaTooNew,
    StoreUnavailable,
    UnknownMigration,
)
from .postgresql import connections as postgresql
from .settings import Database, database, load_settings
from .sql import statements
from .sqlite.connections import make_database, open_database, transaction, translated
from .sqlite.read_store import read_path


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema."""

    version: str
    description: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return sha256(self.up.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration and whether a database has it: `applied_at` is None where not; `known` is False for newer code's."""

    version: str
    description: str
    applied_at: str | None
    known: bool = True


def migrations_in(folder: str) -> list[Migration]:
    """Return the migrations of infrastructure/`folder`, in order."""
    found = []
    for up in sorted(files(__package__).joinpath(*folder.split("/")).iterdir(), key=lambda file: file.name):
        if up.name.endswith(".up.sql"):
            stem = up.name.removesuffix(".up.sql")
            version, _, name = stem.partition("_")
            down = files(__package__).joinpath(*folder.split("/"), f"{stem}.down.sql")
            sql = (up.read_text(encoding="utf-8"), down.read_text(encoding="utf-8"))
            found.append(Migration(version, name.replace("_", " "), *sql))
    return found


class Target(Protocol):
    """A database, or one file of it, with migrations of its own."""

    migrations: Sequence[Migration]

    def recorded(self) -> Mapping[str, tuple[str, str, str]]:
        """Return version -> (when it was applied, its description, its checksum); empty where nothing was yet."""

    def rollbacks(self) -> Mapping[str, str]:
        """Return version -> the recorded SQL that undoes it; empty where nothing was yet."""

    def up(self, migration: Migration) -> bool:
        """Apply and record a migration in one transaction; False where it is recorded already.

        Raises MigrationFailed, with nothing changed.
        """

    def down(self, version: str) -> None:
        """Undo a recorded migration and forget it, in one transaction.

        Raises NoWayBack or MigrationFailed, with nothing changed.
        """


SQLITE = statements("sqlite/migrations.sql")
POSTGRESQL = statements("postgresql/migrations.sql")


class SQLiteFile:
    """One file of a SQLite database."""

    def __init__(self, path: Path, migrations: Sequence[Migration], timeout: float) -> None:
        self.path = path
        self.migrations = migrations
        self._timeout = timeout

    def recorded(self) -> dict[str, tuple[str, str, str]]:
        rows = self._select("recorded")
        return {version: (applied, description, checksum) for version, applied, description, checksum in rows}

    def rollbacks(self) -> dict[str, str]:
        return dict(self._select("rollbacks"))

    def _select(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            if not self.path.exists():
                return []
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise StoreUnavailable(f"cannot open {self.path}: {error.strerror}", path=self.path) from None
        with self._open() as connection:
            if not connection.execute(SQLITE["exists"]).fetchone():
                return []
            return connection.execute(SQLITE[statement]).fetchall()

    def up(self, migration: Migration) -> bool:
        make_database(self.path, timeout=self._timeout)
        with self._open() as connection, transaction(connection):
            connection.execute(SQLITE["create_schema_migrations"])
            connection.execute(SQLITE["create_migration_rollbacks"])
            if connection.execute(SQLITE["is_recorded"], (migration.version,)).fetchone():
                return False
            self._run(connection, migration.version, "applied", migration.up)
            values = {"version": migration.version, "description": migration.description}
            connection.execute(SQLITE["record"], {**values, "checksum": migration.checksum})
            connection.execute(SQLITE["record_rollback"], {**values, "rollback_sql": migration.down})
        return True

    def down(self, version: str) -> None:
        with self._open() as connection, transaction(connection):
            rollback = connection.execute(SQLITE["rollback"], (version,)).fetchone()
            self._run(connection, version, "undone", _way_back(version, rollback and rollback[0]))
            connection.execute(SQLITE["forget_rollback"], (version,))
            connection.execute(SQLITE["forget"], (version,))

    def _run(self, connection: sqlite3.Connection, version: str, what: str, script: str) -> None:
        try:
            for statement in _split(script):
                connection.execute(statement)
        except sqlite3.Error as error:
            raise _failed(self.path, version, what, error) from error

    def read_generation(self) -> int:
        """Return which sibling of an events file holds the read tables: the first, where it does not say."""
        if "001" not in self.recorded():
            return 1
        with self._open() as connection:
            return int(connection.execute(SQLITE["read_generation"]).fetchone()[0])

    def is_empty(self) -> bool:
        """Whether the file has no table, ours or others'."""
        with self._open() as connection:
            return connection.execute(SQLITE["any_table"]).fetchone() is None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = open_database(self.path, timeout=self._timeout)
        try:
            with translated(self.path):
                yield connection
        finally:
            connection.close()


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script: executescript would commit the transaction that they belong to."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if _says_something(statement):
        yield statement


def _says_something(script: str) -> bool:
    """Whether there is more in a script than comments."""
    return any(line.strip() and not line.strip().startswith("--") for line in script.splitlines())


def _way_back(version: str, rollback: str | None) -> str:
    """Return the recorded rollback of a migration. Raises NoWayBack where it holds nothing."""
    if rollback is None or not _says_something(rollback):
        raise NoWayBack(
            f"migration {version} has no way back: it holds what is never dropped (events, keys)", version=version
        )
    return rollback


def _failed(where: object, version: str, what: str, error: Exception) -> MigrationFailed:
    reason = " ".join(str(error).split())
    return MigrationFailed(
        f"{where}: migration {version} could not be {what}, nothing of it was: {reason}", version=version
    )


class PostgreSQLDatabase:
    """A PostgreSQL database: the schema that comes first in its search path."""

    def __init__(self, url: str, migrations: Sequence[Migration]) -> None:
        self.url = url
        self.migrations = migrations

    def recorded(self) -> dict[str, tuple[str, str, str]]:
        rows = self._select("recorded")
        return {version: (applied, description, checksum) for version, applied, description, checksum in rows}

    def rollbacks(self) -> dict[str, str]:
        return dict(self._select("rollbacks"))

    def _select(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connect() as connection:
            if not connection.execute(POSTGRESQL["exists"]).fetchone():
                return []
            return connection.execute(POSTGRESQL[statement]).fetchall()

    def up(self, migration: Migration) -> bool:
        with self._connect() as connection, connection.transaction():
            connection.execute(POSTGRESQL["create_schema_migrations"])
            connection.execute(POSTGRESQL["create_migration_rollbacks"])
            if connection.execute(POSTGRESQL["is_recorded"], (migration.version,)).fetchone():
                return False
            self._run(connection, migration.version, "applied", migration.up)
            connection.execute(POSTGRESQL["record"], (migration.version, migration.description, migration.checksum))
            connection.execute(POSTGRESQL["record_rollback"], (migration.version, migration.down))
        return True

    def down(self, version: str) -> None:
        with self._connect() as connection, connection.transaction():
            rollback = connection.execute(POSTGRESQL["rollback"], (version,)).fetchone()
            self._run(connection, version, "undone", _way_back(version, rollback and rollback[0]))
            connection.execute(POSTGRESQL["forget_rollback"], (version,))
            connection.execute(POSTGRESQL["forget"], (version,))

    def _run(self, connection: postgresql.Connection, version: str, what: str, script: str) -> None:
        try:
            connection.execute(script.encode())  # as bytes: several statements, and no placeholder in them
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            raise _failed(postgresql.shown(self.url), version, what, error) from error

    def is_empty(self) -> bool:
        """Whether the schema has no table or view, ours or others' (those of extensions apart)."""
        with self._connect() as connection:
            return connection.execute(POSTGRESQL["any_table"]).fetchone() is None

    @contextmanager
    def _connect(self) -> Iterator[postgresql.Connection]:
        with postgresql.translated(self.url), postgresql.connect(self.url) as connection:
            yield connection


def targets(where: Database, timeout: float) -> list[Target]:
    """Return what has to be migrated of a database, in the order in which it is."""
    if where.path is None:
        return [PostgreSQLDatabase(where.url, migrations_in("postgresql/migrations"))]
    events = SQLiteFile(where.path, migrations_in("sqlite/migrations/events"), timeout)
    generation = events.read_generation()
    reads = SQLiteFile(read_path(where.path, generation), migrations_in("sqlite/migrations/read"), timeout)
    return [events, reads]


def status(where: Database, timeout: float = 20.0) -> list[Applied]:
    """Return every migration in order, and whether the database has it. Raises StoreUnavailable or MigrationChanged."""
    found = []
    for target in targets(where, timeout):
        recorded = target.recorded()
        known = {migration.version: migration for migration in target.migrations}
        for version in sorted({*recorded, *known}):
            applied, description, checksum = recorded.get(version, (None, "", ""))
            migration = known.get(version)
            if migration and applied and checksum != migration.checksum:
                raise MigrationChanged(
                    f"migration {version} was applied with other contents than this code has", version=version
                )
            description = migration.description if migration else description
            found.append(Applied(version, description, applied, known=bool(migration)))
    return sorted(found, key=lambda one: one.version)


def up(where: Database, timeout: float = 20.0, *, through: str | None = None) -> list[str]:
    """Apply what the database lacks, up to and with version `through`, and return the versions applied, in order.

    Two at once do no harm: the second waits for the first. Raises SchemaTooNew, UnknownMigration, MigrationFailed, and
    what `status` raises.
    """
    with exclusive(where, timeout):
        return _up(where, timeout, through)


def _up(where: Database, timeout: float, through: str | None = None) -> list[str]:
    steps = status(where, timeout)
    _refuse_newer(where, steps)
    known = [step.version for step in steps]
    last = max(known) if through is None else _version(through, known)
    done = []
    for target in targets(where, timeout):
        recorded = target.recorded()
        wanted = [m for m in target.migrations if m.version <= last and m.version not in recorded]
        done += [m.version for m in wanted if target.up(m)]
    return sorted(done)


def down(where: Database, timeout: float = 20.0, *, to: str | None = None) -> list[str]:
    """Undo every migration above version `to` ("000" is below all), or the last one; return those undone, in order.

    The last comes first, each by what was recorded with it, whatever this code's files say. One that has no way back
    is refused before anything is undone. Two at once do no harm: the second waits for the first. Raises NoWayBack,
    UnknownMigration, MigrationFailed.
    """
    with exclusive(where, timeout):
        found = targets(where, timeout)
        recorded = {version: target for target in found for version in target.recorded()}
        rollbacks = {version: sql for target in found for version, sql in target.rollbacks().items()}
        known = ["000", *sorted(recorded), *(m.version for target in found for m in target.migrations)]
        last = ["000", *sorted(recorded)][-2:][0] if to is None else _version(to, known)
        steps = sorted((version for version in recorded if version > last), reverse=True)
        for version in steps:
            _way_back(version, rollbacks.get(version))
        for version in steps:
            recorded[version].down(version)
        return steps


def _version(given: str, known: Sequence[str]) -> str:
    """Return a version as it is recorded: 4 is 004. Raises UnknownMigration."""
    version = given.zfill(3) if given.isdigit() else given
    if version not in known:
        raise UnknownMigration(f"there is no migration {given!r}: the last is {max(known)}", version=given)
    return version


@contextmanager
def exclusive(where: Database, timeout: float) -> Iterator[None]:
    """Let one process at a time migrate a database: by a lock on its server, or on the folder of its file.

    (On the file itself it would be in the way of SQLite's own locks.) Raises StoreUnavailable.
    """
    if where.path is not None:
        with _folder_lock(where.path, timeout):
            yield
        return
    with postgresql.translated(where.url), postgresql.connect(where.url) as connection:
        connection.execute(POSTGRESQL["lock"])
        yield


@contextmanager
def _folder_lock(path: Path, timeout: float) -> Iterator[None]:
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path.parent}: {error.strerror}", path=path) from None
    try:
        deadline = time.monotonic() + timeout
        while not _locked(folder):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{path}: another process is migrating", path=path)
            time.sleep(0.01)
        yield
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def require_migrated(where: Database, timeout: float = 20.0) -> None:
    """Raise NotMigrated or SchemaTooNew unless the database has exactly this code's migrations."""
    steps = status(where, timeout)
    _refuse_newer(where, steps)
    missing = [step.version for step in steps if step.applied_at is None]
    if where.path is not None and not where.path.exists():
        raise NotMigrated(f"there is no database {where}: `tiu migrate up --db {where}` makes one", missing=missing)
    if missing:
        what = "is not migrated" if len(missing) == len(steps) else f"lacks migration {', '.join(missing)}"
        raise NotMigrated(f"{where} {what}: run `tiu migrate up --db {where}`", database=str(where), missing=missing)


def _refuse_newer(where: Database, steps: Sequence[Applied]) -> None:
    newer = [step.version for step in steps if not step.known]
    if newer:
        raise SchemaTooNew(
            f"{where} was migrated by newer code than this (migration {', '.join(newer)}): upgrade claude-tiu",
            database=str(where),
            newer=newer,
        )


def is_empty(where: Database) -> bool:
    """Whether the database is absent, or holds nothing at all. Raises StoreUnavailable where it leads nowhere."""
    if where.path is None:
        return PostgreSQLDatabase(where.url, []).is_empty()
    try:
        if where.path.exists():
            return SQLiteFile(where.path, [], timeout=5.0).is_empty()
        if not where.path.parent.is_dir() and not where.by_default:
            raise StoreUnavailable(f"cannot open {where.path}: its folder does not exist", path=where.path)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {where.path}: {error.strerror}", path=where.path) from None
    return True


def require_reachable(where: Database) -> None:
    """Raise StoreUnavailable where a database leads nowhere."""
    is_empty(where)


def create(where: Database, timeout: float = 20.0) -> None:
    """Migrate a database that is empty; others stay as they are. One that another process is making is waited for."""
    if not is_empty(where) and all(step.applied_at for step in status(where, timeout)):
        return
    make_folder(where)
    with exclusive(where, timeout):
        if is_empty(where):
            _up(where, timeout)


def make_folder(where: Database) -> None:
    """Make the folder of the default SQLite file, if it is not there; that of a file named by hand must be."""
    if where.path is None or not where.by_default:
        return
    try:
        where.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"cannot make {where.path.parent}: {error.strerror}", path=where.path) from None


def migrate_up(url: str | None = None) -> list[str]:
    """Apply what the database at a URL (or of the settings) lacks, and return the versions applied."""
    settings = load_settings()
    where = database(url, settings)
    return up(where, settings.sqlite_timeout)
