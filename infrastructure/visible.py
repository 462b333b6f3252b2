"""Texts of others as they are shown: nothing in one moves a cursor, hides, or turns the writing round."""

from __future__ import annotations

from collections.abc import Callable


def _as_in_python(character: str) -> str:
    return ascii(character)[1:-1]


def visible(text: str, escape: Callable[[str], str] = _as_in_python) -> str:
    """Return a text with what is not printable as escapes (control and bidirectional characters, spaces but the plain
    one, halves of surrogates, what Unicode has not assigned); ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else escape(c) for c in text)


def one_line(text: str) -> str:
    """Return a text as `visible` does, the ends of its lines among what is escaped."""
    return visible(text).replace("\n", "\\n")
