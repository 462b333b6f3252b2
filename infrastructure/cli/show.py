"""`tiu show`: what the read tables answer."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from ...domain.errors import NotFound
from ...domain.project_metrics import STANDARD_METRICS
from ..queries import FIRST_TIME, LAST_TIME, DashboardRow, Queries
from ..tiu import Tiu
from .output import Columns, DbOption, JsonOption, print_json, print_rows, time_given
from .session import connected

show = typer.Typer(help="Show what the read tables hold, and how the database does.", no_args_is_help=True)

ProjectArgument = Annotated[UUID, typer.Argument(metavar="PROJECT", help="A project's id.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="How many rows at most.")]


def print_found(title: str, rows: list[Any], columns: Columns, as_json: bool) -> None:
    """Print rows in one of the two forms."""
    if as_json:
        print_json(rows)
    else:
        print_rows(title, rows, columns)


@show.command()
def dashboard(
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="A user's id or name.")] = None,
    limit: LimitOption = 20,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a user's active projects, or all projects without --user. What changed last comes first."""
    numbers = {"real": "real_progress", "fake": "fake_progress", "authentic": "authenticity_rate"}
    with connected(db) as tiu:
        if user is None:
            projects = tiu.read.projects(limit=limit)
            print_found(
                "Projects",
                projects,
                {"project": "name", "status": "status", "real": "real_progress", "fake": "fake_progress", "id": "id"},
                as_json,
            )
        else:
            rows = tiu.read.dashboard(_user_id(tiu, user), limit=limit)
            print_found("Dashboard", rows, {"project": "name", **numbers, "done": _done, "id": "id"}, as_json)


def _done(row: DashboardRow) -> str:
    return f"{row.completed_tasks}/{row.task_count}"


def _user_id(tiu: Tiu, user: str) -> UUID:
    try:
        found = UUID(user)
    except ValueError:
        named = tiu.read.user_id(user)
        if named is None:
            raise NotFound("no user has this name") from None
        return named
    tiu.get(found)  # refuses an id that nothing has
    return found


@show.command()
def issues(
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Reports up to this time; default: now.")
    ] = None,
    hours: Annotated[float, typer.Option("--hours", min=0, max=1_000_000, help="… and from so long before.")] = 24,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which issues are open in the newest reports.

    They are counted by type and severity, in each project's newest report of the last 24 hours (--hours, --until)."""
    with connected(db) as tiu:
        end = time_given("--until", until, None)
        rows = tiu.read.validation_issues(until=end, within=timedelta(hours=hours))
        columns = {"type": "issue_type", "severity": "severity", "open": "issue_count", "authentic": "avg_authenticity"}
        span = "the last" if end is None else "the"
        before = "" if end is None else f" before {end.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        hours_long = "hour" if hours == 1 else f"{hours:g} hours"
        print_found(f"Open issues in the newest reports of {span} {hours_long}{before}", rows, columns, as_json)


@show.command()
def ready(project: ProjectArgument, limit: LimitOption = 100, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show a project's tasks that can be started. They come in the order in which agents claim them."""
    with connected(db) as tiu:
        _require(tiu.read, project)
        columns = {"task": "name", "priority": "priority", "created": "created_at", "id": "id"}
        print_found("Ready tasks", tiu.read.ready_tasks(project, limit=limit), columns, as_json)


@show.command()
def metrics(
    project: ProjectArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A metric's name.")] = STANDARD_METRICS[0],
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From this time on, with an offset.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Up to this time, with an offset.")
    ] = None,
    limit: LimitOption = 10_000,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the series of a project's metric, the oldest value first."""
    with connected(db) as tiu:
        _require(tiu.read, project)
        start, end = time_given("--since", since, FIRST_TIME), time_given("--until", until, LAST_TIME)
        rows = tiu.read.metrics(project, name, since=start or FIRST_TIME, until=end or LAST_TIME, limit=limit)
        print_found(
            f"{name} of {project}", rows, {"at": "recorded_at", "value": "value", "metadata": "metadata"}, as_json
        )


@show.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The words to look for, all of them.")],
    project: Annotated[
        UUID | None, typer.Option("--project", metavar="PROJECT", help="Look in this project's files alone.")
    ] = None,
    limit: LimitOption = 20,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search projects and files for words. What changed last comes first.

    Searched are the names and descriptions of projects, and the content of files."""
    with connected(db) as tiu:
        if project is not None:
            _require(tiu.read, project)
        projects = tiu.read.search_projects(text, limit=limit) if project is None else []
        files = tiu.read.search_files(text, project_id=project, limit=limit)
    if as_json:
        print_json({"projects": projects, "files": files})
        return
    if project is None:
        print_rows("Projects", projects, {"project": "name", "status": "status", "id": "id"})
    columns = {"file": "file_path", "status": "status", "score": "validation_score", "project": "project_id"}
    print_rows("Files", files, columns)


def _require(read: Queries, project: UUID) -> None:
    if read.project(project) is None:
        raise NotFound(f"no project {project} in the read tables", id=project)
