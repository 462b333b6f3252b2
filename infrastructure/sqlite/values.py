"""Values in SQLite's terms: UUIDs and times as text (ISO 8601, UTC, microseconds, so that they sort), JSON as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


def time_text(time: datetime) -> str:
    """Return a time as 'YYYY-MM-DDTHH:MM:SS.ffffffZ'."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def time_of(text: str) -> datetime:
    """Return the time of such a text."""
    return datetime.fromisoformat(text)


def uuid_text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def uuid_of(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def json_text(value: Any) -> str:
    """Return JSON in one form: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
