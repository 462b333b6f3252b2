"""A connection for the length of a verb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from ...projections.projection import Projection
from .. import migrations
from ..event_store import EventStore
from ..own import own_projections
from ..settings import Database, Settings, database, load_settings
from ..tiu import Tiu, open_events


@contextmanager
def connected(db: str | None, *, project: bool = False) -> Iterator[Tiu]:
    """Give a connection to a database that is there and migrated: a verb that looks makes no files.

    Raises BadSettings, StoreUnavailable, NotMigrated, SchemaTooNew.
    """
    where, settings, own = _migrated(db)
    with Tiu(where, settings, project=project, projections=own) as tiu:
        yield tiu


@contextmanager
def events_of(db: str | None) -> Iterator[EventStore]:
    """Give the event store alone of such a database, whose role may read no keys. Raises what `connected` does."""
    where, settings, _ = _migrated(db)
    with closing(open_events(where, settings)) as events:
        yield events


def _migrated(db: str | None) -> tuple[Database, Settings, Sequence[Projection]]:
    settings = load_settings()
    own = own_projections(settings)
    where = database(db, settings)
    migrations.require_reachable(where)
    migrations.require_migrated(where, settings.sqlite_timeout, own)
    return where, settings, own
