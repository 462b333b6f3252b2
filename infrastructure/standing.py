"""Tables as they stand at one moment, wherever they are: what is compared row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from ..projections.projection import Table
from .comparable import ComparableRow
from .read_store import Checkpoint

PIECE = 500
"""How many rows are read at once: each is of bounded size."""


class StandingTables(ABC):
    """The tables of a projection at one moment, while others may go on writing. Every method may raise
    StoreUnavailable."""

    checkpoint: Checkpoint | None
    """That of the projection, at the same moment."""
    keeps_json_text: bool
    """Whether JSON is kept as the text that was written; if not, whoever compares brings the other side's to the form
    that these rows have."""

    @abstractmethod
    def pieces(self, table: Table) -> Iterator[list[ComparableRow]]:
        """Yield the rows of a table in the order of their keys, PIECE at once, in the form of comparable.py."""
