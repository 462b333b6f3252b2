"""The schema of a projection's tables on each store: its migrations, ours as well as an embedding service's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path

from ..projections.migration import Migration, Store
from ..projections.projection import Kind, Projection, Table
from ..projections.read_model import READ_MODEL
from .errors import BadProjection
from .migration import migrations_in, read_folder

AS_DESCRIBED = "as described"
"""What a migration is called that is made of the descriptions of tables."""
STORES: tuple[Store, ...] = ("postgresql", "sqlite")
TYPES: Mapping[Store, Mapping[Kind, str]] = {
    "postgresql": {
        Kind.UUID: "UUID",
        Kind.TEXT: "TEXT",
        Kind.INTEGER: "BIGINT",
        Kind.EXACT: "NUMERIC",
        Kind.DOUBLE: "DOUBLE PRECISION",
        Kind.FLAG: "BOOLEAN",
        Kind.JSON: "JSONB",
        Kind.TIME: "TIMESTAMP WITH TIME ZONE",
    },
    "sqlite": {
        Kind.UUID: "TEXT",
        Kind.TEXT: "TEXT",
        Kind.INTEGER: "INTEGER",
        Kind.EXACT: "TEXT",
        Kind.DOUBLE: "REAL",
        Kind.FLAG: "INTEGER",
        Kind.JSON: "TEXT",
        Kind.TIME: "TEXT",
    },
}
"""How each store keeps what a column holds."""


def read_migrations(folder: Path | Traversable) -> dict[Store, list[Migration]]:
    """Return the migrations of a projection: files NNN_name.up.sql, and NNN_name.down.sql where there is a way back, in
    the folders `postgresql` and `sqlite` of a folder. Raises BadProjection."""
    found: dict[Store, list[Migration]] = {
        store: read_folder(folder / store) for store in STORES if (folder / store).is_dir()
    }
    if not any(found.values()):
        raise BadProjection(
            f"{folder} has no migrations: they are postgresql/NNN_name.up.sql and sqlite/NNN_name.up.sql"
        )
    return {store: migrations for store, migrations in found.items() if migrations}


def migrations_of(projection: Projection, store: Store) -> Sequence[Migration]:
    """Return what makes a projection's tables where they stand: on PostgreSQL beside ours, on SQLite in their file.

    Versions of an embedding service's begin with the projection's name: board/001.
    """
    if projection.name == READ_MODEL.name:
        return migrations_in("postgresql/migrations" if store == "postgresql" else "sqlite/migrations/read")
    found = list(migrations_in("sqlite/migrations/own")) if store == "sqlite" else []
    found += projection.migrations.get(store) or [_as_described(projection, store)]
    if parking := projection.parking:
        tables = (parking.parked, parking.left_out)
        found.append(Migration("parking", "what is parked", *_made_and_dropped(tables, store)))
    return [replace(one, version=f"{projection.name}/{one.version}") for one in found]


def _as_described(projection: Projection, store: Store) -> Migration:
    parking = projection.parking
    tables = [table for table in projection.tables if not parking or table not in (parking.parked, parking.left_out)]
    return Migration("001", AS_DESCRIBED, *_made_and_dropped(tables, store))


def _made_and_dropped(tables: Sequence[Table], store: Store) -> tuple[str, str]:
    made = "\n".join(create_statements(table, store) for table in tables)
    return made, "\n".join(f"DROP TABLE {table.name};" for table in reversed(tables))


def create_statements(table: Table, store: Store) -> str:
    """Return the SQL that makes a table as it is described. Every column but the key may be NULL."""
    key = "NOT NULL PRIMARY KEY" if store == "sqlite" else "PRIMARY KEY"
    lines = [
        f"    {column} {TYPES[store][kind]}" + (f" {key}" if column == table.key else "")
        for column, kind in table.columns.items()
    ]
    lines += [f"    UNIQUE ({', '.join(columns)})" for columns in table.unique]
    made = f"CREATE TABLE {table.name} (\n" + ",\n".join(lines) + f"\n){' STRICT' if store == 'sqlite' else ''};\n"
    if table.parent:
        made += f"CREATE INDEX {table.name}_{table.parent} ON {table.name} ({table.parent});\n"
    return made
