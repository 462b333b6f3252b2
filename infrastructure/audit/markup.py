"""HTML and SVG made of elements: a text that goes into one is escaped, whatever it holds."""

from __future__ import annotations

from html import escape
from typing import Final

from ..visible import visible

LONGEST: Final = 1_000
"""So many characters of a text are shown."""


class Markup(str):
    """Text that is HTML already. It comes from `element` and `document` alone."""

    __slots__ = ()


def shortened(text: str) -> str:
    """Return a text that is not longer than is shown."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def foreign(text: str) -> Markup:
    """Return a text of somebody else's: shortened, and so that its direction of writing ends with it."""
    return element("bdi", shortened(text))


def element(tag: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """Return an element. What is no Markup among its children is text; an attribute that is None is left out.

    Underscores in names of attributes stand for hyphens, one at the end for nothing: class_, aria_label.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(child if isinstance(child, Markup) else escape(visible(child)) for child in children if child)
    return Markup(f"<{tag}{given}>") if tag in VOID else Markup(f"<{tag}{given}>{inner}</{tag}>")


VOID = frozenset({"meta", "br"})
"""Elements that have no contents and no end."""


def style(css: str) -> Markup:
    """Return a style sheet of our own. Raises ValueError where it would end its element."""
    if "</" in css:
        raise ValueError("a style sheet holds no markup")
    return Markup(f"<style>{css}</style>")


def document(head: Markup, body: Markup) -> str:
    """Return a whole page."""
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'
