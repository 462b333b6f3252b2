"""Rows of the log as their hashes cover them, from SQLite's values: fast, since an audit encodes every row there is.

SQLite keeps ids and times as texts. One that does not read as an append writes it is encoded as the text that it is,
which no hash covers: written otherwise, it would be another row of the same meaning.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from ..event_hash import LINK, NO_EVENT

_NULL = b"\xff\xff\xff\xff"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z")
_8, _16, _32 = (length.to_bytes(4) for length in (8, 16, 32))
_NO_ID = bytes(16)
_NEVER = 2**63 - 1


def encoded_row(
    position: int,
    stream_id: bytes,
    version: int,
    topic: bytes,
    state: bytes,
    recorded_at: bytes,
    command_id: bytes | None,
    command_digest: bytes | None,
    correlation_id: bytes | None,
    causation_id: bytes | None,
    actor: bytes | None,
    project_id: bytes | None,
    key_id: bytes | None,
    previous_hash: bytes,
    hash_: bytes,
) -> bytes:
    """Return a row encoded, with its LINK behind it. Texts are given as their bytes."""
    try:
        stream, recorded = _id_seen(stream_id), _time(recorded_at)
        return b"".join(
            (
                _32 if len(previous_hash) == 32 else len(previous_hash).to_bytes(4),
                previous_hash,
                _8,
                position.to_bytes(8, signed=True),
                stream,
                _8,
                version.to_bytes(8, signed=True),
                _seen(topic),
                len(state).to_bytes(4),
                state,
                recorded,
                _id(command_id),
                _bytes(command_digest),
                _seen(correlation_id),
                _bytes(causation_id),
                _seen(actor),
                _id_seen(project_id),
                _id_seen(key_id),
                LINK.pack(
                    hash_ if len(hash_) == 32 else NO_EVENT,
                    previous_hash if len(previous_hash) == 32 else NO_EVENT,
                    position,
                    version,
                    stream[4:],
                    int.from_bytes(recorded[4:], signed=True) if len(recorded) == 12 else _NEVER,
                ),
            )
        )
    except (TypeError, AttributeError, ValueError):  # a NULL, or a value of another type, in a table that was altered
        return LINK.pack(NO_EVENT, NO_EVENT, position, 0, _NO_ID, _NEVER)


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else len(value).to_bytes(4) + value


def _id(text: bytes | None) -> bytes:
    if text is not None and _UUID.fullmatch(text):
        return _16 + bytes.fromhex(text.replace(b"-", b"").decode())
    return _bytes(text)


_seen = lru_cache(4_096)(_bytes)
_id_seen = lru_cache(16_384)(_id)


@lru_cache(4_096)
def _time(text: bytes) -> bytes:
    found = _TIME.fullmatch(text)
    return _bytes(text) if found is None else _8 + (_second(found[1]) + int(found[2])).to_bytes(8, signed=True)


@lru_cache(1_024)
def _second(text: bytes) -> int:
    """Return the microseconds from 1970 to a second. Raises ValueError where there is none of that name."""
    time = datetime.fromisoformat(text.decode()).replace(tzinfo=UTC)
    return int(time.timestamp()) * 1_000_000
