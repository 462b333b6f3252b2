"""Discarding: which events are left out of the read tables for good, and why. The events themselves stay for ever.

What a projector cannot project it parks: that is known to the read tables alone, and no decision reads it. So a command
names the unit (a project, a user, else a stream) and positions, as `tiu projector parked` tells them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, Strict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate
from .messages import Command, Event
from .name_ids import uuid5
from .values import LongText

PARKING_ID = uuid5(UUID(int=0), "claude-tiu parking")
"""The one stream of all that is discarded."""

READ_MODEL = "read_model"
"""The projection whose tables are meant where none is named."""

ProjectionName = Annotated[str, Strict(), Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
Position = Annotated[int, Strict(), Field(ge=1, le=2**53)]


class DiscardParkedEvents(Command):
    """Leave the events of a unit that stand from first_position up to last_position out of the read tables.

    The unit is a project, a user with its sessions, or else a stream. Events that are stored later are never left out,
    whatever last_position says. The command takes it as it is told whether they are parked. The tables are those of one
    projection.
    """

    unit_id: UUID
    first_position: Position
    last_position: Position
    reason: LongText
    projection: ProjectionName = READ_MODEL

    @field_validator("last_position")
    @classmethod
    def _in_order(cls, last_position: int, info: ValidationInfo) -> int:
        first = info.data.get("first_position")
        if first is not None and last_position < first:
            raise PydanticCustomError("positions", "The last position should not stand before the first")
        return last_position


class ParkedEventsDiscarded(Event):
    topic: ClassVar = "parking.events_discarded.v1"

    unit_id: UUID
    first_position: int
    last_position: int
    reason: str
    projection: str = READ_MODEL


@dataclass(frozen=True, slots=True)
class Parking:
    unit_id: UUID
    """Of which unit events were discarded last."""


def decide(parking: Parking | None, command: DiscardParkedEvents, reads: Any) -> Sequence[Event]:
    return [
        ParkedEventsDiscarded(
            occurred_at=command.at,
            unit_id=command.unit_id,
            first_position=command.first_position,
            last_position=command.last_position,
            reason=command.reason,
            projection=command.projection,
        )
    ]


def evolve(parking: Parking | None, event: ParkedEventsDiscarded) -> Parking:
    return Parking(event.unit_id)


PARKING = Aggregate[Parking](
    name="parking",
    commands=(DiscardParkedEvents,),
    events=(ParkedEventsDiscarded,),
    decide=decide,
    evolve=evolve,
    project_of=lambda parking_id, parking: None,
    stream_of=lambda command, reads: PARKING_ID,
    of_last=True,
)
