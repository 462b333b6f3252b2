"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Generated from the code: `python -m tests.docs.generate_reference`. Do not edit. -->"


def page(title: str, *parts: str) -> str:
    """Return a generated page."""
    return "\n\n".join([f"# {title}", GENERATED, *(part.strip("\n") for part in parts if part.strip())]) + "\n"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped."""
    lines = [heading, ["---"] * len(heading), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def prose(docstring: str | None) -> str:
    """Return a docstring's paragraphs, each on one line, its indentation taken away."""
    paragraphs = (docstring or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
