"""What a database says of itself: the specification's monitoring queries, typed, and corrected as its README says.

Where the specification names a column that exists, it stands here under that name. Sizes are bytes, times milliseconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes, and on PostgreSQL whatever of it is stored apart (TOAST)."""

    schemaname: str
    """On SQLite the file: `events` or `read`."""
    tablename: str
    size: str
    size_bytes: int
    index_bytes: int
    """How much of `size_bytes` the indexes are."""
    row_estimate: int | None
    """As of the last ANALYZE; None where there was none, and on SQLite."""


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A statement of this database, of whichever role, since its statistics were last reset."""

    query: str | None
    calls: int
    total_exec_time: float
    mean_exec_time: float
    stddev_exec_time: float


@dataclass(frozen=True, slots=True)
class IndexUse:
    """An index, its size, and how often it was used since statistics were last reset; SQLite does not count that."""

    schemaname: str
    """On SQLite the file: `events` or `read`."""
    relname: str
    """The index's table."""
    indexrelname: str
    idx_scan: int | None
    idx_tup_read: int | None
    idx_tup_fetch: int | None
    size_bytes: int | None
    """None where SQLite was built without dbstat."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """The connections of this process's pool."""

    size: int
    available: int
    requests_waiting: int


class Monitor(ABC):
    """The port. Every method but `pool` may raise StoreUnavailable."""

    @abstractmethod
    def sizes(self, *, limit: int = 1_000) -> list[TableSize]:
        """Return the tables, the largest first. Raises StatisticsUnavailable where SQLite was built without dbstat."""

    @abstractmethod
    def slow(self, *, limit: int = 10) -> list[SlowStatement]:
        """Return the statements that took the most time together, the first first.

        Raises StatisticsUnavailable on SQLite, and where pg_stat_statements is not installed or cannot be read.
        """

    @abstractmethod
    def indexes(self, *, limit: int = 1_000) -> list[IndexUse]:
        """Return the indexes, the most used first; on SQLite by table and name."""

    @abstractmethod
    def pool(self) -> PoolUse | None:
        """Return how the connections of this process are used; None on SQLite, which has no pool."""
