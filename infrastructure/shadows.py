"""Which shadow goes with which database."""

from __future__ import annotations

from ..projections.projection import Projection
from .postgresql.shadow import PostgreSQLShadow
from .rebuild import Shadow
from .settings import Database, Settings
from .sqlite.shadow import SQLiteShadow


def shadow_of(where: Database, projection: Projection, settings: Settings) -> Shadow:
    """Return the tables of a projection beside the live ones of a migrated database."""
    if where.path is None:
        return PostgreSQLShadow(where.url, projection, timeout=settings.pool_timeout)
    return SQLiteShadow(where.path, projection, timeout=settings.sqlite_timeout)
