"""What is parked, and what is left out for good: private to the projector, which writes them with the rows."""

from __future__ import annotations

from ..projection import Kind, Table

PARKED_UNITS = Table(
    "parked_units",
    "unit_id",
    {
        "unit_id": Kind.UUID,
        "kind": Kind.TEXT,
        "position": Kind.INTEGER,
        "topic": Kind.TEXT,
        "reason": Kind.TEXT,
        "behind": Kind.UUID,
        "since": Kind.TIME,
        "retry": Kind.FLAG,
    },
    private=True,
)
"""A row a parked unit: where it waits from, and why; `behind` which other unit, where it waits for that."""

LEFT_OUT_EVENTS = Table(
    "left_out_events",
    "id",
    {"id": Kind.UUID, "unit_id": Kind.UUID, "first_position": Kind.INTEGER, "last_position": Kind.INTEGER},
    private=True,
)
"""A row a discarding that the tables are made by; the id is that of its event."""
