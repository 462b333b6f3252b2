"""Values in SQLite's terms: UUIDs and times as text (ISO 8601, UTC, microseconds, so that they sort), JSON as text."""

from __future__ import annotations

import json.encoder
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from ...domain.name_ids import id_of

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def time_text(time: datetime) -> str:
    """Return a time as 'YYYY-MM-DDTHH:MM:SS.ffffffZ'. isoformat takes half as long again, for each row."""
    since = time - EPOCH
    return f"{_minute(since.days, since.seconds // 60)}:{since.seconds % 60:02}.{since.microseconds:06}Z"


@lru_cache(maxsize=4_096)
def _minute(days: int, minutes: int) -> str:
    return (EPOCH + timedelta(days, minutes=minutes)).isoformat()[:16]


def time_of(text: str) -> datetime:
    """Return the time of such a text."""
    return datetime.fromisoformat(text)


def uuid_text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def uuid_of(text: str | None) -> UUID | None:
    return None if text is None else stored_id(text)


@lru_cache(maxsize=4_096)
def stored_id(text: str) -> UUID:
    """Return the UUID of a text that was stored, unchecked, and at once for one that was read not long ago: a log has
    few streams and projects at a time."""
    return id_of(int(text.replace("-", ""), 16))


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)
_make = getattr(json.encoder, "c_make_encoder", None)  # CPython has it
_parts = _make and _make(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", True, False, True)
"""What JSONEncoder.encode makes anew for each value, which takes as long as the encoding."""


def json_text(value: Any) -> str:
    """Return JSON in one form: keys sorted, no spaces."""
    return "".join(_parts(value, 0)) if _parts else _ENCODER.encode(value)
