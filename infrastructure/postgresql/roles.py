"""Roles of least privilege on a PostgreSQL database: made, and taken back, by roles.sql."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ...projections.projection import Projection, Table
from ..errors import RolesRefused
from ..sql import statements
from .connections import connect, shown, translated

SQL = statements("postgresql/roles.sql")
ROLES = ("tiu_writer", "tiu_projector", "tiu_reader", "tiu_auditor")


def script(projections: Sequence[Projection] = (), *, drop: bool = False) -> str:
    """Return the SQL that makes the roles, or takes them back: as a script for psql."""
    if drop:
        return SQL["drop"] + ";\n"
    own = [
        SQL["own_table"].format(table=table.name, readers=_readers(projection, table))
        for projection in projections
        for table in projection.tables
    ]
    return "\n".join([SQL["make"] + ";", *own]) + "\n"


def _readers(projection: Projection, table: Table) -> str:
    parking = projection.parking
    if parking is not None and table in (parking.parked, parking.left_out):
        return "tiu_writer, tiu_reader, tiu_auditor"
    return "tiu_auditor" if table.private else "tiu_reader, tiu_auditor"


def apply_roles(url: str, projections: Sequence[Projection] = (), *, drop: bool = False) -> None:
    """Make the roles of a migrated database and grant them what they need, or take them back; in one transaction.

    Raises RolesRefused, with nothing done, where the server refuses it.
    """
    with translated(url), connect(url) as connection, connection.transaction():
        try:
            connection.execute(script(projections, drop=drop).encode())
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable) as error:
            raise RolesRefused(f"{shown(url)}: nothing was done: {error.diag.message_primary}") from None
