"""SQL by name: every statement stands in a .sql file, under a line `-- name: NAME`, with :parameters."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_PARAMETER = r"'[^']*'|--[^\n]*|::|%|(?<![:\w]):(?P<name>[a-z_]\w*)"


@cache
def statements(file: str) -> dict[str, str]:
    """Return the named statements of infrastructure/`file`, with :name parameters."""
    text = files(__package__).joinpath(*file.split("/")).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def sequences(file: str) -> dict[str, tuple[str, ...]]:
    """Return the statements of infrastructure/`file` by what they do together: NAME alone, or NAME_1, NAME_2 … ."""
    found: dict[str, list[str]] = {}
    for name, statement in statements(file).items():
        found.setdefault(re.sub(r"_\d+$", "", name), []).append(statement)
    return {name: tuple(in_order) for name, in_order in found.items()}


@cache
def for_psycopg(statement: str) -> str:
    """Return a statement with its :name parameters in psycopg's form; `::` casts and quoted text stay."""

    def parameter(match: re.Match[str]) -> str:
        return f"%({match['name']})s" if match["name"] else match[0].replace("%", "%%")

    return re.sub(_PARAMETER, parameter, statement)


class Numbered(NamedTuple):
    """A statement with $1 parameters, and their names in order."""

    text: str
    names: tuple[str, ...]


@cache
def numbered(statement: str) -> Numbered:
    """Return a statement with its :name parameters as PostgreSQL itself has them."""
    names: dict[str, int] = {}

    def parameter(match: re.Match[str]) -> str:
        return f"${names.setdefault(match['name'], len(names) + 1)}" if match["name"] else match[0]

    return Numbered(re.sub(_PARAMETER, parameter, statement), tuple(names))
