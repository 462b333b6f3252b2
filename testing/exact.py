"""Values as texts that differ where the values differ in anything."""

from __future__ import annotations

from typing import Any


def exactly(value: Any) -> str:
    """Return a text that differs where two values differ in anything: 0.0 and −0.0, 1 and 1.0, True and 1."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key!r}: {exactly(value[key])}" for key in sorted(value)) + "}"
        case list():
            return "[" + ", ".join(map(exactly, value)) + "]"
        case tuple():
            return type(value).__name__ + "(" + ", ".join(map(exactly, value)) + ")"
    return repr(value)
