"""`tiu retention`: let go of what the read tables have kept long enough."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ...domain.retention import RunRetention
from ..errors import BadSettings
from ..ids import new_id
from ..retention import RetentionReport, report
from ..tiu import Tiu
from .output import DbOption, JsonOption, console, plain, print_json, print_rows, print_table, time_given
from .session import connected

PROJECTING_SECONDS = 3600.0

retention = typer.Typer(help="Let go of what the read tables have kept long enough.", no_args_is_help=True)

AsOfOption = Annotated[
    str | None, typer.Option("--as-of", metavar="TIME", help="The time to count from, with an offset; default: now.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what a run would do, and do nothing.")]


@retention.command()
def run(
    as_of: AsOfOption = None, dry_run: DryRunOption = False, db: DbOption = None, as_json: JsonOption = False
) -> None:
    """Drop old rows from the read tables, and archive old projects.

    Reports are kept 90 days, and for as long as an issue of theirs is open; metrics 30 days, and one value a day for a
    year; sessions until they expire. Projects are archived a year after their completion. Events are never dropped: a
    run is an event itself.
    """
    at = time_given("--as-of", as_of, None)
    if at is not None and at > now() and not dry_run:
        raise BadSettings("--as-of: a time to come: what is not old yet would go (--dry-run may look ahead)")
    with connected(db, project=True) as tiu:
        tiu.wait_for(tiu.lag().last_position, PROJECTING_SECONDS)
        command = RunRetention(occurred_at=at)
        found = tiu.rehearse(command) if dry_run else _executed(tiu, command)
    if as_json:
        print_json(plain(found) | {"dry_run": dry_run})
    else:
        _print(found, dry_run)


def now() -> datetime:
    return datetime.now(UTC)


def _executed(tiu: Tiu, command: RunRetention) -> RetentionReport:
    command_id = new_id()
    answer = tiu.execute(command.model_copy(update={"command_id": command_id}))
    tiu.wait_for(answer, PROJECTING_SECONDS)
    return report(tiu.events, tiu.read, command_id)


def _print(found: RetentionReport, dry_run: bool) -> None:
    title = f"{'Would be dropped' if dry_run else 'Dropped'} as of {found.as_of:%Y-%m-%d %H:%M:%S} UTC"
    columns = {"table": "table_name", "rule": "rule", "older than": "cutoff", "rows": "rows"}
    print_rows(title, found.dropped, columns)
    title = "Would be archived" if dry_run else "Archived"
    if found.archived:
        print_table(title, ["project"], [[project_id] for project_id in found.archived])
    else:
        console.print(f"{title}: none")
