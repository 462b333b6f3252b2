"""Discarding: one event that names the unit, the positions and the reason."""

from __future__ import annotations

from uuid import UUID

import pytest

from claude_tiu.domain.errors import InvalidCommand
from claude_tiu.domain.parking import PARKING, PARKING_ID, DiscardParkedEvents, ParkedEventsDiscarded, Parking
from tests.domain.given import AT, given, uid

UNIT = uid("unit")


def test_what_is_discarded_is_an_event_with_its_reason() -> None:
    command = DiscardParkedEvents(unit_id=UNIT, first_position=7, last_position=9, reason="made up")
    discarded = ParkedEventsDiscarded(occurred_at=AT, unit_id=UNIT, first_position=7, last_position=9, reason="made up")
    assert given(PARKING).when(command).then([discarded]) == Parking(UNIT)
    assert PARKING.stream_of
    assert PARKING.stream_of(command, None) == PARKING_ID
    assert isinstance(PARKING_ID, UUID)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (2, 1), (1, 2**53 + 1), (-1, 1)])
def test_positions_that_no_events_have_are_refused(first: int, last: int) -> None:
    with pytest.raises(InvalidCommand, match="position"):
        DiscardParkedEvents(unit_id=UNIT, first_position=first, last_position=last, reason="made up")
