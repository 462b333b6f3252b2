"""Migrations: numbered SQL files of a store, each applied in one transaction and recorded in schema_migrations.

A file NNN_name.up.sql goes with NNN_name.down.sql, which is recorded in migration_rollbacks: what was recorded is what
undoes it, in one transaction too, so that older code can undo what newer code applied. A rollback without a statement
says that there is no way back. Undoing any migration of the read tables empties the rest of them, with the checkpoint.
Of a recorded migration, the checksum is kept: a file that reads differently from what was applied is refused.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import MigrationChanged, NotMigrated, SchemaTooNew, StoreUnavailable, UnknownMigration
from .migration import Target, migrations_in, way_back
from .postgresql.schema import PostgreSQLDatabase
from .settings import Database, database, load_settings
from .sqlite.generations import read_path
from .sqlite.schema import SQLiteFile


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration and whether a database has it: `applied_at` is None where not; `known` is False for newer code's."""

    version: str
    description: str
    applied_at: str | None
    known: bool = True


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
    wanted = [
        (migration, target)
        for target in targets(where, timeout)
        for recorded in [target.recorded()]
        for migration in target.migrations
        if migration.version <= last and migration.version not in recorded
    ]
    in_order = sorted(wanted, key=lambda one: one[0].version)  # whichever file they are of
    return [migration.version for migration, target in in_order if target.up(migration)]


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
            way_back(version, rollbacks.get(version))
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
    with PostgreSQLDatabase(where.url, []).locked():
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
    """Make the folder of the default SQLite file, its owner's alone (0700), if it is not there; that of a file named by
    hand must be."""
    if where.path is None or not where.by_default:
        return
    try:
        where.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"cannot make {where.path.parent}: {error.strerror}", path=where.path) from None


def migrate_up(url: str | None = None) -> list[str]:
    """Apply what the database at a URL (or of the settings) lacks, and return the versions applied: `tiu migrate up`.

    Two at once do no harm: the second waits for the first. Raises BadSettings, StoreUnavailable, SchemaTooNew,
    MigrationChanged, MigrationFailed.
    """
    settings = load_settings()
    where = database(url, settings)
    return up(where, settings.sqlite_timeout)
