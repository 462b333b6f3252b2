"""Which shadow goes with which database, and which tables stand in it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..projections.projection import Projection
from .postgresql import standing as postgresql
from .postgresql.shadow import PostgreSQLShadow
from .rebuild import Shadow
from .settings import Database, Settings
from .sqlite import standing as sqlite
from .sqlite.shadow import SQLiteShadow
from .standing import StandingTables


def shadow_of(where: Database, projection: Projection, settings: Settings) -> Shadow:
    """Return the tables of a projection beside the live ones of a migrated database."""
    if where.path is None:
        return PostgreSQLShadow(where.url, projection, timeout=settings.pool_timeout)
    return SQLiteShadow(where.path, projection, timeout=settings.sqlite_timeout)


def live_tables(where: Database, projection: Projection, settings: Settings) -> AbstractContextManager[StandingTables]:
    """Give the live tables of a migrated database, as they stand at one moment."""
    if where.path is None:
        return postgresql.live_tables(where.url, projection)
    return sqlite.live_tables(where.path, projection, timeout=settings.sqlite_timeout)
