"""`tiu doctor`: what is configured, reachable, migrated and lagging. It looks, makes no files, and never raises."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from ..domain.errors import TiuError
from ..projections.projection import Projection
from ..projections.read_model import READ_MODEL
from . import migrations
from .checkpoints import Lag, Standing
from .consumers import Consumers, SubscriptionStatus, subscriptions_of
from .errors import BadSettings, NotMigrated
from .leases import Holder
from .own import own_projections
from .postgresql import monitor as postgresql
from .projector import POLL_SECONDS, Projector
from .read_side import leases_of, reads_of
from .settings import Database, Settings, database, load_settings
from .shadows import shadow_of
from .sqlite import monitor as sqlite
from .sqlite.generations import read_path
from .sqlite.schema import SQLiteFile
from .tiu import open_events, open_stores

MOVING_SECONDS = 2 * POLL_SECONDS
"""How long tables that are behind may stand still before that is wrong: a projector looks once in POLL_SECONDS."""
LOOK_SECONDS = 0.1
Found = TypeVar("Found")
NAMES_A_DATABASE = {name for name in Settings.model_fields if name.startswith("db_")} | {"sqlite_path"}


@dataclass(frozen=True)
class Check:
    """`problem` says what is wrong where `ok` is False, and why it could not be checked where `ok` is None."""

    ok: bool | None
    problem: str | None


@dataclass(frozen=True)
class SettingFound:
    """`value` is None where there is none, or a bad one; of a secret it is `set` or `not set`."""

    name: str
    value: str | int | float | None
    source: str
    """`environment` or `default`."""


@dataclass(frozen=True)
class SettingsCheck(Check):
    named_by: str
    """What names the database: `--db`, `DB_HOST` or `SQLITE_PATH`."""
    values: Sequence[SettingFound]


@dataclass(frozen=True)
class DatabaseCheck(Check):
    kind: str | None = None
    version: str | None = None
    """The server's, or SQLite's; None where it was not reached."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MigrationsCheck(Check):
    """Versions, in order: what the database has, lacks, has and this code does not know, has with other contents."""

    applied: Sequence[str] = ()
    missing: Sequence[str] = ()
    newer: Sequence[str] = ()
    edited: Sequence[str] = ()


@dataclass(frozen=True)
class LagCheck(Check):
    projection: str = READ_MODEL.name
    position: int | None = None
    last_position: int | None = None
    behind: int | None = None
    refused: str | None = None
    parked: int | None = None
    """How many units are parked: their events wait."""
    parked_since: datetime | None = None
    active: str | None = None
    """Which process keeps the tables up to date."""


@dataclass(frozen=True)
class RebuildCheck(Check):
    """Whether a rebuild has left tables beside the live ones: they hold personal data, and nobody keeps them."""


@dataclass(frozen=True)
class SubscriptionFound:
    name: str
    position: int
    behind: int
    """How many events it has not looked at."""
    active: str | None
    """Which process consumes it."""
    refused: str | None


@dataclass(frozen=True)
class SubscriptionsCheck(Check):
    """Whether each subscription has all, or somebody consumes it."""

    found: Sequence[SubscriptionFound] = ()


@dataclass(frozen=True)
class Report:
    ok: bool
    """Whether everything was checked, and is well."""
    db: str | None
    settings: SettingsCheck
    database: DatabaseCheck
    migrations: MigrationsCheck
    lag: LagCheck
    rebuild: RebuildCheck
    subscriptions: SubscriptionsCheck
    projections: Sequence[LagCheck] = ()
    """Of the service's own projections: how far they are, and whether a rebuild of one has stopped."""


def examine(url: str | None = None) -> Report:
    """Return what is found of the database at a URL, or of the settings. What fails keeps nothing else from being
    checked, but what stands on it."""
    settings, bad, faults = _settings()
    where, fault = None, None
    if url is not None or not NAMES_A_DATABASE & bad:
        where, fault = _attempt(lambda: database(url, settings))
    own, bad_projections = _attempt(lambda: own_projections(settings))
    problem = _joined([faults, fault, bad_projections])
    configured = SettingsCheck(problem is None, problem, _named_by(url, settings), _values(settings, bad))
    reached = DatabaseCheck(None, "not checked: it is not known which database is meant")
    migrated = MigrationsCheck(None, "not checked: the database was not reached")
    lag = LagCheck(None, "not checked: the database was not reached")
    rebuild = RebuildCheck(None, "not checked: the database was not reached")
    subscriptions = SubscriptionsCheck(None, "not checked: the database was not reached")
    if where is not None:
        reached = _reached(where, settings)
    projections: list[LagCheck] = []
    if where is not None and reached.version is not None:
        migrated = _migrated(where, settings, own or ())
        lag = _lag(where, settings, migrated, READ_MODEL)
        rebuild = _rebuild(where, settings, READ_MODEL)
        subscriptions = _subscriptions(where, settings, migrated)
        projections = [_own(where, settings, migrated, projection) for projection in own or ()]
    checks = (configured, reached, migrated, lag, rebuild, subscriptions)
    ok = all(check.ok for check in (*checks, *projections))
    return Report(ok, None if where is None else str(where), *checks, projections)


def _attempt(check: Callable[[], Found]) -> tuple[Found | None, str | None]:
    """Return what a check finds, or in one line why it finds nothing."""
    try:
        return check(), None
    except TiuError as error:
        return None, error.message
    except Exception as error:  # noqa: BLE001 - a doctor says what is wrong, whatever it is
        return None, " ".join(f"{type(error).__name__}: {error}".split())


def _settings() -> tuple[Settings, set[str], str | None]:
    """Return the settings, with the default for each that is bad; which are, and what is wrong with them."""
    try:
        return load_settings(), set(), None
    except BadSettings as error:
        bad = set(error.details["settings"])
        good: Any = {name: Settings.model_fields[name].get_default() for name in bad}
        return Settings(**good), bad, error.message


def _named_by(url: str | None, settings: Settings) -> str:
    if url is not None:
        return "--db"
    return "SQLITE_PATH" if settings.db_host is None else "DB_HOST"


def _values(settings: Settings, bad: set[str]) -> list[SettingFound]:
    found = []
    for name, field_info in Settings.model_fields.items():
        value = getattr(settings, name)
        if name in bad:
            value = None
        elif field_info.annotation == SecretStr | None:
            value = "not set" if value is None else "set"
        elif not isinstance(value, int | float | None):
            value = str(value)
        source = "environment" if name in settings.model_fields_set else "default"
        found.append(SettingFound(name.upper(), value, source))
    return found


def _reached(where: Database, settings: Settings) -> DatabaseCheck:
    return _postgresql(where) if where.path is None else _sqlite(where, where.path, settings.sqlite_timeout)


def _postgresql(where: Database) -> DatabaseCheck:
    found, problem = _attempt(lambda: postgresql.facts(where.url))
    if found is None:
        return DatabaseCheck(False, problem, "postgresql")
    version = found.pop("version")
    if found["encoding"] != "UTF8":
        problem = f"the database's encoding is {found['encoding']}: it must be UTF8"
    return DatabaseCheck(problem is None, problem, "postgresql", version, found)


def _sqlite(where: Database, path: Path, timeout: float) -> DatabaseCheck:
    reads, problem = _attempt(lambda: _read_file(where, path, timeout))
    if reads is None:
        return DatabaseCheck(False, problem, "sqlite")
    version, files = None, {}
    problems: list[str | None] = []
    for name, file in (("events", path), ("read", reads)):
        found, problem = _attempt(partial(_file_facts, file, timeout))
        if found is None:
            problems.append(problem)
            continue
        version = found.pop("version")
        files[name] = {"path": str(file), **found}
        if found["journal_mode"] != "wal":
            problems.append(f"{file}: its journal mode is {found['journal_mode']}: it must be wal")
        problems.append(sqlite.open_to_others(file))
    return DatabaseCheck(not any(problems), _joined(problems), "sqlite", version, files)


def _read_file(where: Database, path: Path, timeout: float) -> Path:
    """Return the file of the read tables, which the file of events names."""
    migrations.require_reachable(where)
    if not path.exists():
        raise NotMigrated(f"there is no database {where}: `tiu migrate up --db {where}` makes one")
    return read_path(path, SQLiteFile(path, [], timeout).read_generation())


def _file_facts(path: Path, timeout: float) -> dict[str, Any]:
    if not path.exists():
        raise NotMigrated(f"there is no file {path}: `tiu migrate up` makes it, and a projector fills it")
    return sqlite.facts(path, timeout)


def _migrated(where: Database, settings: Settings, own: Sequence[Projection]) -> MigrationsCheck:
    found, problem = _attempt(lambda: _versions(where, settings.sqlite_timeout, own))
    if found is None:
        return MigrationsCheck(False, problem)
    applied, missing, newer, edited = found
    problems = []
    if missing:
        problems.append(f"it lacks migration {', '.join(missing)}: run `tiu migrate up --db {where}`")
    if newer:
        problems.append(f"it was migrated by newer code than this (migration {', '.join(newer)}): upgrade claude-tiu")
    if edited:
        problems.append(f"migration {', '.join(edited)} was applied with other contents than this code has")
    return MigrationsCheck(not problems, _joined(problems), applied, missing, newer, edited)


def _versions(
    where: Database, timeout: float, own: Sequence[Projection]
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the versions of a MigrationsCheck; migrations.status would stop at the first that was edited."""
    checksums, known = {}, {}
    for target in migrations.targets(where, timeout, own):
        checksums.update({version: checksum for version, (_, _, checksum) in target.recorded().items()})
        known.update({migration.version: migration.checksum for migration in target.migrations})
    missing, newer = sorted(known.keys() - checksums.keys()), sorted(checksums.keys() - known.keys())
    edited = sorted(version for version in known.keys() & checksums.keys() if known[version] != checksums[version])
    return sorted(checksums), missing, newer, edited


def _own(where: Database, settings: Settings, migrated: MigrationsCheck, projection: Projection) -> LagCheck:
    lag, rebuild = _lag(where, settings, migrated, projection), _rebuild(where, settings, projection)
    return replace(lag, ok=lag.ok and rebuild.ok, problem=_joined([lag.problem, rebuild.problem]))


def _lag(where: Database, settings: Settings, migrated: MigrationsCheck, projection: Projection) -> LagCheck:
    found, problem = _attempt(lambda: _standings(where, settings, projection))
    if found is None:
        if migrated.missing:
            return LagCheck(None, "not checked: the database lacks migrations", projection.name)
        return LagCheck(False, problem, projection.name)
    before, now, holder = found
    refused = now.refused.message if now.refused else None
    if refused is None and now.behind and now.lag.position == before.lag.position:
        problem = f"the tables of {projection.name} have not moved for {MOVING_SECONDS:g} s: is a projector running?"
    problem = _joined([refused or problem, _parked(now.lag)])
    return LagCheck(
        problem is None,
        problem,
        projection.name,
        position=now.lag.position,
        last_position=now.lag.last_position,
        behind=now.behind,
        refused=refused,
        parked=now.lag.parked,
        parked_since=now.lag.parked_since,
        active=_active(holder),
    )


def _active(holder: Holder | None) -> str | None:
    return f"process {holder.pid} on {holder.host}" if holder and holder.active else None


def _parked(lag: Lag) -> str | None:
    if lag.parked_since is None:
        return None
    since = f"{lag.parked_since.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    option = "" if lag.projection == READ_MODEL.name else f" --projection {lag.projection}"
    return f"{lag.parked} unit(s) parked, the first since {since} UTC: `tiu projector parked list{option}` says why"


def _standings(where: Database, settings: Settings, projection: Projection) -> tuple[Standing, Standing, Holder | None]:
    """Return where the read tables stand; where they are behind, what a projector has made of that since; and who it
    is."""
    events, ours = open_stores(where, settings)
    with closing(events), closing(ours), closing(reads_of(events, settings, projection)) as reads:
        projector = Projector(events, reads, projection)
        before = now = projector.standing()
        deadline = time.monotonic() + MOVING_SECONDS
        while now.behind and not now.refused and now.lag.position == before.lag.position:
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_SECONDS)
            now = projector.standing()
        return before, now, leases_of(events, reads, settings).holder(projection.name)


def _subscriptions(where: Database, settings: Settings, migrated: MigrationsCheck) -> SubscriptionsCheck:
    statuses, problem = _attempt(lambda: _statuses(where, settings))
    if statuses is None:
        if migrated.missing:
            return SubscriptionsCheck(None, "not checked: the database lacks migrations")
        return SubscriptionsCheck(False, problem)
    found = [
        SubscriptionFound(one.name, one.position, one.behind, _active(one.active), one.refused) for one in statuses
    ]
    problem = _joined([one.refused or _forsaken(one) for one in found])
    return SubscriptionsCheck(problem is None, problem, found)


def _forsaken(one: SubscriptionFound) -> str | None:
    if one.behind <= 0 or one.active:
        return None
    return (
        f"{one.name} is {one.behind} events behind, and nobody consumes it: is its service running? "
        f"`tiu subscriptions remove {one.name}` forgets it"
    )


def _statuses(where: Database, settings: Settings) -> list[SubscriptionStatus]:
    with closing(open_events(where, settings)) as events:
        return Consumers(events, subscriptions_of(events, settings)).statuses()


def _rebuild(where: Database, settings: Settings, projection: Projection) -> RebuildCheck:
    abandoned, problem = _attempt(lambda: _is_abandoned(where, settings, projection))
    if abandoned:
        option = "" if projection.name == READ_MODEL.name else f" --projection {projection.name}"
        problem = (
            f"a rebuild has stopped: `tiu projector rebuild{option}` goes on from there, --discard drops what it left"
        )
    return RebuildCheck(problem is None, problem)


def _is_abandoned(where: Database, settings: Settings, projection: Projection) -> bool:
    with closing(shadow_of(where, projection, settings)) as shadow:
        return shadow.abandoned()


def _joined(problems: Sequence[str | None]) -> str | None:
    return "; ".join(filter(None, problems)) or None
