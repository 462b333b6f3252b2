"""SQL by name: every statement stands in a .sql file, under a line `-- name: NAME`, with :parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def statements(file: str) -> dict[str, str]:
    """Return the named statements of infrastructure/`file`, with :name parameters."""
    text = files(__package__).joinpath(*file.split("/")).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def steps_of(named: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the statements NAME_1, NAME_2 ... of each NAME, in order."""
    steps: dict[str, list[str]] = {}
    for name, statement in named.items():
        steps.setdefault(name.rpartition("_")[0], []).append(statement)
    return steps


@cache
def for_psycopg(statement: str) -> str:
    """Return a statement with its :name parameters in psycopg's form; `::` casts and quoted text stay."""

    def parameter(match: re.Match[str]) -> str:
        return f"%({match['name']})s" if match["name"] else match[0].replace("%", "%%")

    return re.sub(r"'[^']*'|--[^\n]*|::|%|(?<![:\w]):(?P<name>[a-z_]\w*)", parameter, statement)
