"""The hash chain of the events: each event's hash covers every other column of its row and the hash before it.

A column is encoded as the length of its bytes (4 bytes, big-endian; ffffffff for NULL) and the bytes themselves, in the
order of `event_hash`'s arguments, so that no two rows encode alike. Integers are 8 bytes big-endian, UUIDs their 16
bytes, times microseconds since 1970 as an integer, texts UTF-8. PostgreSQL's event_hash() does the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from uuid import UUID

NO_EVENT = bytes(32)
"""The hash before the first event."""
LINK = Struct("!4x32s4x32s4xq4xq4x16s4xq")
"""What stands behind an encoded row where the whole log is read (EventStore.encoded_rows), as columns of PostgreSQL's
binary form are: hash, previous hash (zeros where it is not of 32 bytes), position, version, stream, and a time that
orders as recorded_at does."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = b"\xff\xff\xff\xff"


def _integer(value: int) -> bytes:
    return value.to_bytes(8, signed=True)


def _uuid(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def event_hash(
    previous_hash: bytes,
    position: int,
    stream_id: UUID,
    version: int,
    topic: str,
    state: bytes,
    recorded_at: datetime,
    command_id: UUID | None,
    command_digest: bytes | None,
    correlation_id: str | None,
    causation_id: str | None,
    actor: str | None,
    project_id: UUID | None,
    key_id: UUID | None,
) -> bytes:
    """Return the SHA-256 of an event's row."""
    fields = (
        previous_hash,
        _integer(position),
        stream_id.bytes,
        _integer(version),
        topic.encode(),
        state,
        _integer((recorded_at - _EPOCH) // _MICROSECOND),
        _uuid(command_id),
        command_digest,
        _text(correlation_id),
        _text(causation_id),
        _text(actor),
        _uuid(project_id),
        _uuid(key_id),
    )
    return sha256(b"".join([_NULL if field is None else len(field).to_bytes(4) + field for field in fields])).digest()
