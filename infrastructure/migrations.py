"""Migrations: numbered SQL files of a store, each applied in one transaction and recorded in schema_migrations.

A file NNN_name.up.sql goes with NNN_name.down.sql, which is recorded in migration_rollbacks: what was recorded is what
undoes it, in one transaction too, so that older code can undo what newer code applied. A rollback without a statement
says that there is no way back. Undoing any migration of the read tables empties the rest of them, with the checkpoint.
Of a recorded migration, the checksum is kept: a file that reads differently from what was applied is refused.

An embedding service's projections have migrations of their own, which are applied behind ours and recorded beside them,
under names that begin with the projection's: board/001.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..projections.projection import Projection
from .errors import MigrationChanged, NotMigrated, SchemaTooNew, StoreUnavailable, UnknownMigration
from .migration import Migration, Target, migrations_in, way_back
from .own import own_projections
from .postgresql.schema import PostgreSQLDatabase
from .schemas import AS_DESCRIBED, migrations_of
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


def targets(where: Database, timeout: float, projections: Sequence[Projection] = ()) -> list[Target]:
    """Return what has to be migrated of a database, in the order in which it is; behind ours, that of `projections`."""
    if where.path is None:
        ours: list[Target] = [PostgreSQLDatabase(where.url, migrations_in("postgresql/migrations"))]
        return ours + [_of_projection(where, timeout, one) for one in projections]
    events = SQLiteFile(where.path, migrations_in("sqlite/migrations/events"), timeout)
    generation = events.read_generation()
    reads = SQLiteFile(read_path(where.path, generation), migrations_in("sqlite/migrations/read"), timeout)
    return [events, reads, *(_of_projection(where, timeout, one) for one in projections)]


def _of_projection(where: Database, timeout: float, projection: Projection) -> Target:
    """Return what has to be migrated of an embedding service's projection."""
    name = projection.name
    if where.path is None:
        return PostgreSQLDatabase(
            where.url, migrations_of(projection, "postgresql"), owner=name, tables=projection.tables
        )
    generation = SQLiteFile(where.path, [], timeout).read_generation(name)
    file = read_path(where.path, generation, name)
    return SQLiteFile(file, migrations_of(projection, "sqlite"), timeout, owner=name, tables=projection.tables)


def status(where: Database, timeout: float = 20.0, projections: Sequence[Projection] = ()) -> list[Applied]:
    """Return every migration in order, and whether the database has it. Raises StoreUnavailable or MigrationChanged."""
    found = []
    for target in targets(where, timeout, projections):
        recorded = target.recorded()
        known = {migration.version: migration for migration in target.migrations}
        for version in sorted({*recorded, *known}):
            applied, description, checksum = recorded.get(version, (None, "", ""))
            migration = known.get(version)
            if migration and applied and checksum != migration.checksum:
                raise _changed(version, migration)
            description = migration.description if migration else description
            found.append(Applied(version, description, applied, known=bool(migration)))
    return sorted(found, key=lambda one: _in_order(one.version))


def _changed(version: str, migration: Migration) -> MigrationChanged:
    what = f"migration {version} was applied with other contents than this code has"
    if migration.description == AS_DESCRIBED:
        what += ": its tables are described otherwise by now, so it needs migrations of its own"
    return MigrationChanged(what, version=version)


def _in_order(version: str) -> tuple[str, str]:
    """Ours come before those of projections."""
    owner, _, number = version.rpartition("/")
    return owner, number


def up(
    where: Database, timeout: float = 20.0, *, through: str | None = None, projections: Sequence[Projection] = ()
) -> list[str]:
    """Apply what the database lacks, and return the versions applied, in order: all, or those of the same owner up to
    and with version `through`.

    Two at once do no harm: the second waits for the first. Raises SchemaTooNew, UnknownMigration, MigrationFailed, and
    what `status` raises.
    """
    with exclusive(where, timeout):
        return _up(where, timeout, through, projections)


def _up(
    where: Database, timeout: float, through: str | None = None, projections: Sequence[Projection] = ()
) -> list[str]:
    steps = status(where, timeout, projections)
    _refuse_newer(where, steps)
    last = None if through is None else _version(through, [step.version for step in steps])
    wanted = [
        (migration, target)
        for target in targets(where, timeout, projections)
        for recorded in [target.recorded()]
        for migration in target.migrations
        if migration.version not in recorded and (last is None or _is_up_to(migration.version, last))
    ]
    in_order = sorted(wanted, key=lambda one: _in_order(one[0].version))  # whichever file they are of
    return [migration.version for migration, target in in_order if target.up(migration)]


def _is_up_to(version: str, last: str) -> bool:
    """Whether a version is of the same owner as another, and not above it."""
    return owner_of(version) == owner_of(last) and version <= last


def owner_of(version: str) -> str:
    """Return the projection that a migration is of; empty of ours."""
    return version.rpartition("/")[0]


def down(
    where: Database, timeout: float = 20.0, *, to: str | None = None, projections: Sequence[Projection] = ()
) -> list[str]:
    """Undo every migration above version `to` ("000" is below all, board/000 below all of board), or the last one of
    ours; return those undone, in order.

    The last comes first, each by what was recorded with it, whatever this code's files say. One that has no way back
    is refused before anything is undone. Two at once do no harm: the second waits for the first. Raises NoWayBack,
    UnknownMigration, MigrationFailed.
    """
    with exclusive(where, timeout):
        owner = owner_of(to or "")
        found = [target for target in targets(where, timeout, projections) if target.owner == owner]
        recorded = {version: target for target in found for version in target.recorded()}
        rollbacks = {version: sql for target in found for version, sql in target.rollbacks().items()}
        lowest = f"{owner}/000" if owner else "000"
        known = [lowest, *sorted(recorded), *(m.version for target in found for m in target.migrations)]
        last = [lowest, *sorted(recorded)][-2:][0] if to is None else _version(to, known)
        steps = sorted((version for version in recorded if version > last), reverse=True)
        for version in steps:
            way_back(version, rollbacks.get(version))
        for version in steps:
            recorded[version].down(version)
        return steps


def _version(given: str, known: Sequence[str]) -> str:
    """Return a version as it is recorded: 4 is 004. Raises UnknownMigration."""
    owner, slash, number = given.rpartition("/")
    version = owner + slash + (number.zfill(3) if number.isdigit() else number)
    if version not in known:
        ours = [one for one in known if owner_of(one) == owner_of(given)]
        last = f"the last is {max(ours)}" if ours else f"no projection {owner_of(given)} is registered"
        raise UnknownMigration(f"there is no migration {given!r}: {last}", version=given)
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


def require_migrated(where: Database, timeout: float = 20.0, projections: Sequence[Projection] = ()) -> None:
    """Raise NotMigrated or SchemaTooNew unless the database has exactly this code's migrations and the projections'."""
    steps = status(where, timeout, projections)
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


def create(where: Database, timeout: float = 20.0, projections: Sequence[Projection] = ()) -> None:
    """Migrate a database that is empty; others stay as they are, but that on SQLite projections which have no file yet
    get one. One that another process is making is waited for."""
    if not is_empty(where) and all(step.applied_at for step in status(where, timeout, projections)):
        return
    make_folder(where)
    with exclusive(where, timeout):
        if is_empty(where):
            _up(where, timeout, projections=projections)
        elif where.path is not None and all(step.applied_at for step in status(where, timeout)):
            for target in targets(where, timeout, projections):
                if isinstance(target, SQLiteFile) and target.owner and not target.path.exists():
                    for migration in target.migrations:
                        target.up(migration)


def make_folder(where: Database) -> None:
    """Make the folder of the default SQLite file, its owner's alone (0700), if it is not there; that of a file named by
    hand must be."""
    if where.path is None or not where.by_default:
        return
    try:
        where.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"cannot make {where.path.parent}: {error.strerror}", path=where.path) from None


def migrate_up(url: str | None = None, *, projections: Sequence[Projection] | None = None) -> list[str]:
    """Apply what the database at a URL (or of the settings) lacks, and return the versions applied: `tiu migrate up`.

    With them go those of the service's own `projections`, or of the setting PROJECTIONS. Two at once do no harm: the
    second waits for the first. Raises BadSettings, BadProjection, StoreUnavailable, SchemaTooNew, MigrationChanged,
    MigrationFailed.
    """
    settings = load_settings()
    where = database(url, settings)
    return up(where, settings.sqlite_timeout, projections=own_projections(settings, projections))
