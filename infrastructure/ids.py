"""New ids where the caller gives none: UUIDv7 (RFC 9562), ordered by time, so that indexes grow at one end."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

from ..domain.name_ids import id_of

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """Return a UUIDv7 that is greater than every one this process made before: 48 bits of milliseconds, 26 that
    count on within one (RFC 9562, 6.2, method 2), 48 random."""
    global _last
    with _lock:
        _last = max(time.time_ns() // 1_000_000 << 26, _last + 1)
        ticks = _last
    milliseconds, counter = ticks >> 26, ticks & 0x3FFFFFF
    random = int.from_bytes(os.urandom(6))
    value = milliseconds << 80 | 0x7 << 76 | counter >> 14 << 64 | 0b10 << 62 | (counter & 0x3FFF) << 48 | random
    return id_of(value)
