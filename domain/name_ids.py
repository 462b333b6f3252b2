"""Ids made of names: uuid5 (RFC 9562, 5.5) and its text, as the standard library makes them, in half of its time.

A projection makes several for each event, so this is where a rebuild is warm.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1
from uuid import UUID, SafeUUID

_KEPT = ~(0xF000 << 64 | 0xC000 << 48) & (1 << 128) - 1
_VERSION_AND_VARIANT = 5 << 76 | 0x8000 << 48
_UNKNOWN = SafeUUID.unknown
_new, _set = object.__new__, object.__setattr__


def text_of_value(value: int) -> str:
    """Return the text of an id that is given by its integer."""
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def text_of(id_: UUID) -> str:
    """Return str(id_): at once, for an id that was asked for not long ago."""
    return _remembered(id_.int)


_remembered = lru_cache(maxsize=4_096)(text_of_value)


def name_value(namespace: int, name: str) -> int:
    """Return the integer of a name's id in a namespace, itself given by its integer."""
    digest = sha1(namespace.to_bytes(16, "big") + name.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:16], "big") & _KEPT | _VERSION_AND_VARIANT


def id_of(value: int) -> UUID:
    """Return the id of an integer below 2**128."""
    made = _new(UUID)  # the constructor would check what cannot be wrong
    _set(made, "int", value)
    _set(made, "is_safe", _UNKNOWN)
    return made


def uuid5(namespace: UUID, name: str) -> UUID:
    """Return the id of a name in a namespace."""
    return id_of(name_value(namespace.int, name))
