"""Set operations: what an event means for rows that no key tells (all of a project's; all older than a time).

Each is a statement of operations.sql, or several in order; they are the same on every store. Rolling up is done here:
its numbers are exact, as no SQL makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..projections.fold import Fold, Step, Writes
from ..projections.projection import Kind, Operation, Row
from ..projections.rollup import roll_up
from ..projections.tables import PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE
from .errors import ProjectionFailed
from .sql import sequences, statements

STATEMENTS = sequences("operations.sql")
ROLLUP = statements("rollup.sql")


class Writing(Protocol):
    """A transaction of a read store. `write` and `run` raise ProjectionFailed where the database refuses a row."""

    def write(self, writes: Sequence[Writes]) -> None:
        """Write what a fold has come to."""

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """Run a statement with :name parameters."""

    def rows(self, columns: Mapping[str, Kind], statement: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        """Yield what a SELECT of these columns, in this order, finds; all of it is to be read before anything else."""


def take(step: Step, writing: Writing) -> None:
    """Take a step of a batch. Raises ProjectionFailed."""
    if isinstance(step, Operation):
        _perform(step, writing)
    else:
        writing.write(step)


def _perform(operation: Operation, writing: Writing) -> None:
    if operation.name in IN_PYTHON and not operation.statements:
        IN_PYTHON[operation.name](writing, operation.parameters)
        return
    in_order = operation.statements or STATEMENTS.get(operation.name)
    if in_order is None:
        raise ProjectionFailed(f"no read store has the operation {operation.name!r}", operation=operation.name)
    for statement in in_order:
        writing.run(statement, operation.parameters)


def roll_up_metrics(writing: Writing, parameters: Mapping[str, Any]) -> None:
    """Make daily rows of the detail rows recorded before `before`, in both tables; project by project, for memory."""
    for table in (PROGRESS_METRICS, PROGRESS_METRICS_ARCHIVE):
        projects = writing.rows({"project_id": Kind.UUID}, ROLLUP[f"projects_of_{table.name}"], parameters)
        for project in list(projects):
            values, fold = {**parameters, **project}, Fold((table,))
            dailies = list(writing.rows(table.columns, ROLLUP[f"dailies_of_{table.name}"], values))
            details = writing.rows(table.columns, ROLLUP[f"details_of_{table.name}"], values)
            for change in roll_up(table, project["project_id"], details, dailies):
                fold.add(change)
            writing.write(fold.writes())


IN_PYTHON: Mapping[str, Callable[[Writing, Mapping[str, Any]], None]] = {"roll_up_metrics": roll_up_metrics}
