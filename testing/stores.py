"""Databases that a check is run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..infrastructure.read_store import ReadStore
from ..infrastructure.tiu import connect
from ..projections.projection import Projection
from ..projections.read_model import READ_MODEL


@contextmanager
def tables_on(url: str, projection: Projection) -> Iterator[ReadStore]:
    """Give the tables of a projection in a database that is migrated with it. Raises NotMigrated."""
    own = [] if projection.name == READ_MODEL.name else [projection]
    with connect(url, project=False, projections=own) as tiu:
        yield tiu.projection(projection.name)._reads if own else tiu._reads
