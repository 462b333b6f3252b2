"""What every verb shares: its options, its two forms of output, its one form of error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="sqlite:///PATH or postgresql://…; without it DB_HOST and its like, else SQLITE_PATH.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: ids and times as text, rows as objects."""
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return plain(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")


def shown(value: Any) -> str:
    """Return a value as a table's cell shows it: numbers short, times to the second, control characters visible."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case dict() | list():
            return json.dumps(plain(value), ensure_ascii=False)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table, numbers to the right; ids are never cut."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        table.add_column(
            column.replace("_", " "),
            justify="right" if numeric and rows else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)


def print_rows(title: str, rows: Sequence[Any], columns: Sequence[str]) -> None:
    """Print dataclass rows by the named columns; where there are none, a line that says so."""
    if rows:
        print_table(title, columns, [[getattr(row, column) for column in columns] for row in rows])
    else:
        console.print(f"{title}: none")


def print_error(message: str) -> None:
    """Print an error as the one line that it is."""
    sys.stderr.write("tiu: " + " ".join(shown(message).split()) + "\n")
