"""What every verb shares: its options, its two forms of output, its one form of error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import BadSettings
from ..queries import FIRST_TIME, LAST_TIME
from ..visible import one_line, visible

DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="sqlite:///PATH or postgresql://…; without it DB_HOST and its like, else SQLITE_PATH.",
    ),
]
ProjectionOption = Annotated[
    str,
    typer.Option("--projection", metavar="NAME", help="Whose tables: ours, or those of one that PROJECTIONS names."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Columns = Mapping[str, str | Callable[[Any], Any]]


class Terminal(Console):
    """A console on which no text can move the cursor or turn the writing round, wherever the text comes from."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it is shown: every string that is printed, or stands in a table, comes by here."""
        return super().render_str(visible(text), **options)


console = Terminal(highlight=False, markup=False, emoji=False)
errors = Terminal(stderr=True, highlight=False, markup=False, emoji=False)


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


def time_given(option: str, text: str | None, default: datetime | None) -> datetime | None:
    """Return the time that an option was given. Raises BadSettings."""
    if text is None:
        return default
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings(f"{option}: not a time in ISO 8601: {text!a}") from None
    if time.tzinfo is None or not FIRST_TIME <= time <= LAST_TIME:
        raise BadSettings(f"{option}: a time needs an offset (2026-11-22T12:00:00Z), in the years 1900 to 2999")
    return time


def json_line(value: Any) -> str:
    """Return a value as JSON in which what a terminal would obey, and half a surrogate, is escaped."""
    return visible(json.dumps(plain(value), ensure_ascii=False), lambda character: json.dumps(character)[1:-1])


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json_line(value) + "\n")
    sys.stdout.flush()


def shown(value: Any) -> str:
    """Return a value as a table's cell shows it: numbers short, times to the second, control characters visible."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case dict() | list():
            value = json.dumps(plain(value), ensure_ascii=False)
    return one_line(str(value))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table: numbers to the right, ids and numbers never broken, texts folded where it is narrow."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, column in enumerate(columns):
        values = [row[index] for row in rows]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        whole = numeric or any(isinstance(value, UUID | datetime) for value in values)
        width = max([len(column), *(len(shown(value)) for value in values)])
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(
            column, justify=justify, no_wrap=whole, overflow="fold", min_width=width if whole else min(10, width)
        )
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(shown(title), style="bold", soft_wrap=True)
    console.print(table, crop=False)  # where ids do not fit, lines are longer than the terminal is wide


def print_rows(title: str, rows: Sequence[Any], columns: Columns) -> None:
    """Print dataclass rows, or a line that says that there are none.

    `columns` are heading -> attribute, or what makes the value of a row.
    """
    if rows:
        print_table(title, list(columns), [[_value(row, column) for column in columns.values()] for row in rows])
    else:
        console.print(f"{shown(title)}: none", soft_wrap=True)


def _value(row: Any, column: str | Callable[[Any], Any]) -> Any:
    return getattr(row, column) if isinstance(column, str) else column(row)


def print_error(message: str) -> None:
    """Print an error as the one line that it is."""
    sys.stderr.write("tiu: " + " ".join(shown(message).split()) + "\n")
