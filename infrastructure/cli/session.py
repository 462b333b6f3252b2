"""A connection for the length of a verb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import migrations
from ..settings import database, load_settings
from ..tiu import Tiu


@contextmanager
def connected(db: str | None, *, project: bool = False) -> Iterator[Tiu]:
    """Give a connection to a database that is there and migrated: a verb that looks makes no files.

    Raises BadSettings, StoreUnavailable, NotMigrated, SchemaTooNew.
    """
    settings = load_settings()
    where = database(db, settings)
    migrations.require_reachable(where)
    migrations.require_migrated(where, settings.sqlite_timeout)
    with Tiu(where, settings, project=project) as tiu:
        yield tiu
