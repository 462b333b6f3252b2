"""`tiu audit as-of`: the read tables as they stood at a moment."""

from __future__ import annotations

import math
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from ..audit.as_of import AsOf, Moment
from ..audit.as_of import as_of as as_of_moment
from ..errors import BadSettings
from .output import DbOption, JsonOption, console, print_json, print_rows, print_table, shown, time_given
from .rebuild import ended_by_sigterm, told_progress
from .session import connected

Given = dict[str, Any]


def as_of(
    position: Annotated[
        int | None, typer.Option("--position", min=0, metavar="P", help="As of the event at this position.")
    ] = None,
    recorded_at: Annotated[
        str | None,
        typer.Option("--recorded-at", metavar="TIME", help="What was known then: all that was recorded by this time."),
    ] = None,
    occurred_at: Annotated[
        str | None,
        typer.Option(
            "--occurred-at", metavar="TIME", help="What is now known about then: all that occurred by this time."
        ),
    ] = None,
    project: Annotated[
        UUID | None, typer.Option("--project", metavar="PROJECT", help="Of this project and what it needs alone.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option("--sql", metavar="SELECT", help="Ask this, in SQLite's dialect; it is only read.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the tables to this new SQLite file.")
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the read tables as they stood at a moment.

    Shown are the projects, or what --sql asks. The tables are replayed from the events, of SQLite and of PostgreSQL
    alike, into a SQLite file: a temporary one, or FILE.
    """
    if sql is not None and out is not None:
        raise BadSettings("--sql, --out: one of them; what is asked of FILE needs no more than sqlite3")
    times = {"recorded_at": recorded_at, "occurred_at": occurred_at}
    given = {name: time_given(f"--{name.replace('_', '-')}", text, None) for name, text in times.items()}
    moment = Moment(position, **given)
    with connected(db) as tiu, ended_by_sigterm():
        with told_progress() as tell:
            then = as_of_moment(tiu.events, moment, project_id=project, path=out, tell=tell)
        with then:
            if sql is not None:
                _answer(then, sql, as_json)
            else:
                _show(then, moment, out, as_json)


def _standing(then: AsOf) -> Given:
    return {"position": then.position, "events": then.events}


def _show(then: AsOf, moment: Moment, out: Path | None, as_json: bool) -> None:
    if out is not None:
        if as_json:
            print_json({**_standing(then), "path": str(out)})
        else:
            console.print(f"{shown(str(out))}: {_told(then, moment)}", soft_wrap=True)
        return
    projects = then.read.projects(limit=1_000)
    if as_json:
        print_json({**_standing(then), "projects": projects})
        return
    columns = {"project": "name", "status": "status", "real": "real_progress", "fake": "fake_progress", "id": "id"}
    print_rows("Projects", projects, columns)
    console.print(_told(then, moment), soft_wrap=True)


def _told(then: AsOf, moment: Moment) -> str:
    made = f"{then.events} event(s) of the {then.position} up to position {then.position}"
    for what, time in (("recorded", moment.recorded_at), ("occurred", moment.occurred_at)):
        if time is not None:
            return f"as of {time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({what} by then): {made}"
    return f"as of position {then.position}: {made}"


def _answer(then: AsOf, sql: str, as_json: bool) -> None:
    rows = [{name: _plain(value) for name, value in row.items()} for row in then.query(sql)]
    if as_json:
        print_json({**_standing(then), "rows": rows})
    elif rows:
        print_table(f"As of position {then.position}", list(rows[0]), [list(row.values()) for row in rows])
    else:
        console.print("no rows")


def _plain(value: Any) -> Any:
    """A value of SQLite's as JSON can hold it."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
