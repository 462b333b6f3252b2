"""Ids by name, and the time at which everything in a test happens that says nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When commands and events of a test occur whose time is not given."""


def uid(name: str) -> UUID:
    """Return the same id for the same name, in every run."""
    return uuid5(UUID(int=0), name)
