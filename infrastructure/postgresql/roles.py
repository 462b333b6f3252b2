"""Roles of least privilege on a PostgreSQL database: made, and taken back, by roles.sql."""

from __future__ import annotations

import psycopg

from ..errors import RolesRefused
from ..sql import statements
from .connections import connect, shown, translated

SQL = statements("postgresql/roles.sql")
ROLES = ("tiu_writer", "tiu_projector", "tiu_reader", "tiu_auditor")


def script(*, drop: bool = False) -> str:
    """Return the SQL that makes the roles, or takes them back: as a script for psql."""
    return SQL["drop" if drop else "make"] + ";\n"


def apply_roles(url: str, *, drop: bool = False) -> None:
    """Make the roles of a migrated database and grant them what they need, or take them back; in one transaction.

    Raises RolesRefused, with nothing done, where the server refuses it.
    """
    with translated(url), connect(url) as connection, connection.transaction():
        try:
            connection.execute(script(drop=drop).encode())
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable) as error:
            raise RolesRefused(f"{shown(url)}: nothing was done: {error.diag.message_primary}") from None
