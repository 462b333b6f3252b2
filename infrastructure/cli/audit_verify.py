"""`tiu audit verify`: whether the read tables are what the events make."""

from __future__ import annotations

from typing import Annotated

import typer

from ...projections.read_model import NAME
from ..audit.verify import Drift, VerifyReport
from ..comparison import MAX_ROWS
from .output import DbOption, JsonOption, ProjectionOption, console, print_json, print_table, shown
from .rebuild import as_id, ended_by_sigterm, told_progress
from .session import connected

LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=1_000, help="How many rows of each table to show, of those that differ.")
]


def verify(
    limit: LimitOption = MAX_ROWS,
    projection: ProjectionOption = NAME,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that every row of every read table is what the events make. The exit status is 1 where one is not.

    The events are replayed into a file of its own, up to where the read tables stand, and all rows are compared. Those
    that differ are shown, with the event that last wrote them. Writers, readers and projectors go on meanwhile; nothing
    of the database is changed. It takes about as long as a rebuild, and room for the tables in the folder that TMPDIR
    names.
    """
    with connected(db) as tiu, ended_by_sigterm(), told_progress() as tell:
        report = tiu.projection(projection).verify(limit=limit, progress=tell)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.equal:
        raise typer.Exit(1)


def _print(report: VerifyReport) -> None:
    if report.differences:
        _print_differences(report)
    else:
        console.print(f"{report.rows} rows are what the events make, at position {report.position}")
    if report.left_out:
        console.print(f"left out, because they are parked: {', '.join(map(shown, report.left_out))}", soft_wrap=True)
    if report.forgotten:
        users = len(report.forgotten)
        console.print(
            f"left out, because it cannot be known any more: what is personal of {users} user(s), forgotten since",
            soft_wrap=True,
        )


def _print_differences(report: VerifyReport) -> None:
    found = [(table.table, drift) for table in report.differences for drift in table.first]
    columns = ["table", "key", "column", "live", "replayed", "written at"]
    rows = [[table, *_told(one)] for table, one in found]
    print_table(f"Differences at position {report.position}, the first of each table", columns, rows)
    console.print()
    events = {one.written.position: one.written for _, one in found if one.written is not None}
    if events:
        told = [[at, one.topic, one.occurred_at, one.recorded_at, one.actor] for at, one in sorted(events.items())]
        print_table("The events that last wrote them", ["position", "event", "occurred", "recorded", "actor"], told)
        console.print()
    for table in report.differences:
        console.print(f"{table.table}: {table.rows} row(s) differ")


def _told(one: Drift) -> list[object]:
    at = None if one.written is None else one.written.position
    return [as_id(one.key), one.column or "(row)", one.live, one.replayed, at]
