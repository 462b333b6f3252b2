"""An embedding service's own projections: whether they can be kept, and finding them by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module

from ..domain.registry import EVENTS
from ..projections.projection import Kind, Projection, Table
from ..projections.read_model import READ_MODEL
from .errors import BadProjection, BadSettings
from .settings import Settings

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Of a projection: names of files and of tables are made of it."""
IN_SQL = re.compile(r"[a-z_][a-z0-9_]{0,55}")
"""Of a table or a column: it stands in SQL as it is."""
RESERVED = frozenset({READ_MODEL.name, "read", "rebuild"})
"""Names that files have beside a SQLite database."""
TABLES = frozenset(
    {
        *(table.name for table in READ_MODEL.tables),
        "agenda",
        "checkpoints",
        "events",
        "leases",
        "migration_rollbacks",
        "personal_keys",
        "project_files_search_ids",
        "projects_search_ids",
        "read_files",
        "reservations",
        "schema_migrations",
        "seals",
        "store",
        "subscription_leases",
        "subscriptions",
        "task_queue",
        "task_queue_dependencies",
    }
)
"""Those that our own migrations make."""


def require_good(projections: Sequence[Projection]) -> None:
    """Raise BadProjection, naming every fault, where projections cannot be kept as they are defined."""
    faults = [fault for projection in projections for fault in _faults(projection)]
    faults += _taken(projections)
    if faults:
        raise BadProjection("; ".join(faults), faults=faults)


def _faults(projection: Projection) -> Iterator[str]:
    name = projection.name
    if not NAME.fullmatch(name):
        yield f"{name!a} is no name of a projection: lower-case letters, digits and _, at most 40"
    elif name in RESERVED:
        yield f"{name} is no name of an own projection: it is ours"
    if type(projection.version) is not int or projection.version < 1:
        yield f"{name}: the version is a number from 1 on"
    for event in projection.handlers:
        if event not in EVENTS.values():
            yield f"{name}: {getattr(event, '__name__', event)!s} has a handler, and is no event"
    if not projection.tables:
        yield f"{name} has no tables"
    for table in projection.tables:
        yield from (f"{name}: {fault}" for fault in _faults_of(table))


def _faults_of(table: Table) -> Iterator[str]:
    for name in (table.name, *table.columns):
        if not IN_SQL.fullmatch(name):
            yield f"{name!a} is no name of a table or column: lower-case letters, digits and _, at most 56"
    if table.columns.get(table.key) is not Kind.UUID:
        yield f"the key of {table.name}, {table.key}, is no column of the kind UUID"
    named = [column for columns in table.unique for column in columns] + ([table.parent] if table.parent else [])
    for column in named:
        if column not in table.columns:
            yield f"{table.name} has no column {column}"
    if table.parent and not table.private:
        yield f"{table.name} has a parent, and is not private: only a private table's rows are read back"


def _taken(projections: Sequence[Projection]) -> Iterator[str]:
    """Yield what two have the same name of."""
    names, owners = set[str](), dict.fromkeys(TABLES, "claude-tiu")
    for projection in projections:
        if projection.name in names:
            yield f"two projections have the name {projection.name}"
        names.add(projection.name)
        for table in projection.tables:
            if table.name in owners:
                yield f"{projection.name}: the table {table.name} is one of {owners[table.name]} already"
            owners[table.name] = projection.name


def own_projections(settings: Settings, given: Sequence[Projection] | None = None) -> Sequence[Projection]:
    """Return the projections that are given; without, those that the setting PROJECTIONS names (package.module:NAME,
    with commas between). Raises BadProjection, BadSettings."""
    if given is None:
        names = (settings.projections or "").split(",")
        given = [_loaded(name.strip()) for name in names if name.strip()]
    require_good(given)
    return given


def _loaded(name: str) -> Projection:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadSettings(f"PROJECTIONS: {name!a} cannot be imported: {error}", settings=["projections"]) from None
    if not isinstance(found, Projection):
        raise BadSettings(f"PROJECTIONS: {name!a} is no Projection", settings=["projections"])
    return found
