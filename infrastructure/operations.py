"""Set operations: what an event means for rows that no key tells (all of a project's; all older than a time).

Each is a statement of operations.sql, or several in order; they are the same on every store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..projections.fold import Fold, Step
from ..projections.projection import Operation
from .errors import ProjectionFailed
from .sql import sequences

STATEMENTS = sequences("operations.sql")


class Writing(Protocol):
    """A transaction of a read store. Both raise ProjectionFailed where the database refuses a row."""

    def write(self, fold: Fold) -> None:
        """Write a fold."""

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """Run a statement with :name parameters."""


def take(step: Step, writing: Writing) -> None:
    """Take a step of a batch. Raises ProjectionFailed."""
    if isinstance(step, Operation):
        _perform(step, writing)
    else:
        writing.write(step)


def _perform(operation: Operation, writing: Writing) -> None:
    if operation.name not in STATEMENTS:
        raise ProjectionFailed(f"no read store has the operation {operation.name!r}", operation=operation.name)
    for statement in STATEMENTS[operation.name]:
        writing.run(statement, operation.parameters)
