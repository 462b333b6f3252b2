"""Values in SQLite's terms: UUIDs and times as text (ISO 8601, UTC, microseconds, so that they sort), JSON as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ...domain.name_ids import id_of

NONE = timedelta(0)


def time_text(time: datetime) -> str:
    """Return a time as 'YYYY-MM-DDTHH:MM:SS.ffffffZ'."""
    if time.utcoffset() != NONE:
        time = time.astimezone(UTC)
    parts = (time.year, time.month, time.day, time.hour, time.minute, time.second, time.microsecond)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ" % parts  # noqa: UP031 - isoformat takes twice as long, for each row


def time_of(text: str) -> datetime:
    """Return the time of such a text."""
    return datetime.fromisoformat(text)


def uuid_text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def uuid_of(text: str | None) -> UUID | None:
    return None if text is None else stored_id(text)


def stored_id(text: str) -> UUID:
    """Return the UUID of a text that was stored, unchecked: so it takes half of the time, for every event."""
    return id_of(int(text.replace("-", ""), 16))


json_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
"""JSON in one form: keys sorted, no spaces."""
