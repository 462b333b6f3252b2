"""The tables of one projection as a projector knows them: how far they have come, and what it remembers of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ..projections.fold import Step
from ..projections.projection import Projection
from ..projections.running_state import RunningState
from .checkpoints import require_fit
from .errors import LeaseLost
from .event_store import Log, LogEvent
from .parking import Sieve
from .read_store import Checkpoint, ReadStore


class Projected:
    """What is read and written under `checkpoint`, which is the tables' own as long as nobody else moves it.

    Not thread-safe, but that `moved` is notified of each new checkpoint.
    """

    def __init__(self, log: Log, reads: ReadStore, projection: Projection) -> None:
        self.log, self.reads, self.projection = log, reads, projection
        self.state = RunningState(projection.tables, reads.rows, reads.children)
        self.sieve = Sieve(log, reads, projection)
        self.checkpoint: Checkpoint | None = None
        self.loaded = False
        """False where the stored tables must be looked at again."""
        self.tenure: int | None = None
        """The fence under which alone is written; None: under whichever the tables have."""
        self._fence = 0
        self.moved = threading.Condition()

    @property
    def position(self) -> int:
        """The position up to which the tables are known to have come."""
        return self.checkpoint.position if self.checkpoint else 0

    def stored(self) -> Checkpoint | None:
        """Return the checkpoint as it is stored now."""
        return self.reads.checkpoint(self.projection.name)

    def load(self) -> None:
        """Go by what is stored. Raises CheckpointRefused, LeaseLost."""
        checkpoint = self.stored()
        self._fence = checkpoint.fence if checkpoint else self.reads.fence(self.projection.name)
        if self.tenure not in (None, self._fence):
            raise LeaseLost(
                f"another has taken over {self.projection.name} (tenure {self._fence}, this one's was {self.tenure})",
                name=self.projection.name,
            )
        require_fit(checkpoint, self.projection, self.log)
        self.state.clear()
        self.sieve.load(anew=checkpoint is None or checkpoint.position == 0)
        with self.moved:
            self.checkpoint, self.loaded = checkpoint, True
            self.moved.notify_all()

    def behind(self, event: LogEvent, before: Checkpoint | None, *, made_again: bool = False) -> Checkpoint:
        """Return the checkpoint behind an event; where rows are `made_again`, none that is remembered counts."""
        generation = (before.generation if before else 1) + made_again
        fence = before.fence if before else self._fence
        return Checkpoint(self.projection.version, self.log.epoch, event.position, event.hash, generation, fence)

    def write(self, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        """Write steps behind a checkpoint. Raises CheckpointMoved, ProjectionFailed."""
        self.reads.apply(self.projection.name, before, steps, after)

    def written(self, after: Checkpoint) -> None:
        """Go on from a checkpoint that was written."""
        self.state.trim()
        with self.moved:
            self.checkpoint = after
            self.moved.notify_all()
