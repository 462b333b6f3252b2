"""Where a projection's tables stand against its log, and whether a checkpoint fits it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..projections.projection import Projection
from .errors import CheckpointRefused
from .event_store import Log
from .read_store import Checkpoint


@dataclass(frozen=True)
class Lag:
    """How far a projection is behind its log."""

    projection: str
    position: int
    last_position: int
    parked: int = 0
    """How many units are parked: their events wait, however far the others are."""
    parked_since: datetime | None = None
    """Since when the first of them is."""

    @property
    def behind(self) -> int:
        """How many events are yet to be projected."""
        return self.last_position - self.position


@dataclass(frozen=True)
class Standing:
    """Where a projection's stored checkpoint stands, fit or not."""

    lag: Lag
    refused: CheckpointRefused | None
    """Why no projector goes on from it."""

    @property
    def behind(self) -> int:
        """How many events are yet to be projected: all of them, where the tables must be rebuilt."""
        return self.lag.last_position if self.refused else self.lag.behind


def of_another_history(checkpoint: Checkpoint, log: Log) -> bool:
    """Whether a checkpoint is of another store, or of events that this one does not hold."""
    return checkpoint.epoch != log.epoch or (
        checkpoint.position > 0 and log.hash_at(checkpoint.position) != checkpoint.event_hash
    )


def require_fit(checkpoint: Checkpoint | None, projection: Projection, log: Log) -> None:
    """Raise CheckpointRefused where a checkpoint does not fit the event store or the projection."""
    if checkpoint is None:
        return
    name = projection.name
    if checkpoint.version != projection.version:
        raise CheckpointRefused(
            f"the tables of {name} were made by version {checkpoint.version} of the projection, this is version "
            f"{projection.version}: run `tiu projector rebuild`",
            projection=name,
        )
    if checkpoint.epoch != log.epoch:
        raise CheckpointRefused(
            f"the tables of {name} were made from another event store: run `tiu projector rebuild`", projection=name
        )
    if of_another_history(checkpoint, log):
        raise another_history(name, checkpoint.position)


def another_history(projection: str, position: int) -> CheckpointRefused:
    """Return what says that the tables were made from events that the store does not hold."""
    return CheckpointRefused(
        f"the tables of {projection} were made from a longer or another history than the event store now holds "
        f"(up to position {position}): run `tiu projector rebuild`",
        projection=projection,
    )
