"""`tiu demo`: a facts file becomes a project, through the public face alone; then, what the read tables say of it."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from ... import AlreadyExists, NotFound, NotUnique, Tiu, WaitTimeout, connect
from .. import migrations
from ..demo.chart import ASCII, Point, Symbols, chart
from ..demo.facts import Facts, packaged_facts, read_facts
from ..demo.story import USERNAME, create_user, project_id, units
from ..queries import DashboardRow, ProjectCounts, ReportRow, TaskRow
from ..settings import database, load_settings, sqlite_url
from .output import JsonOption, console, print_json, print_rows, shown
from .projector import progress_bar

PATIENCE_SECONDS = 1.0
"""How long nothing is shown: what takes no longer needs no progress bar."""
STEP_SECONDS = 0.1
STUCK_SECONDS = 30.0
"""How long the read tables may stand still before the demo gives up."""
ALL = 1_000_000_000

FactsOption = Annotated[
    Path | None,
    typer.Option("--facts", metavar="FILE.jsonl.gz", help="A history of your own; default: eleven years of pytest."),
]
NewDbOption = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="sqlite:///PATH or postgresql://…; default: a new SQLite file."),
]


@dataclass(frozen=True)
class Outcome:
    """What the database has of the demo: the same however often it runs, but for the seconds."""

    db: str
    project: DashboardRow
    dashboard: list[DashboardRow]
    tasks: list[TaskRow]
    counts: ProjectCounts
    last_report: ReportRow | None
    real: list[Point]
    fake: list[Point]
    events: int
    commands: int
    seconds: float


def demo(facts: FactsOption = None, db: NewDbOption = None, as_json: JsonOption = False) -> None:
    """Turn a code base's history into a project, and show it.

    The project gets tasks, claims and validation runs; what is shown comes from the read tables."""
    started = time.perf_counter()
    history = read_facts(facts) if facts else packaged_facts()
    with connect(prepared(db)) as tiu:
        user_id = tell(tiu, history)
        outcome = look(tiu, user_id, project_id(history), started)
    if as_json:
        print_json(as_object(outcome))
    else:
        show(outcome)


def prepared(db: str | None) -> str:
    """Return the URL to connect to: a new SQLite file's without one; an empty PostgreSQL database is migrated."""
    if db is None:
        return sqlite_url(Path(tempfile.mkdtemp(prefix="tiu-demo-")) / "demo.db")
    settings = load_settings()
    where = database(db, settings)
    if where.path is not None:
        return sqlite_url(where.path.absolute())
    migrations.create(where, settings.sqlite_timeout)
    return db


def tell(tiu: Tiu, history: Facts) -> UUID:
    """Execute the history's commands, wait until the read tables have them, and return the user's id."""
    user_id = find_or_create_user(tiu, history)
    with patient_progress("revisions", len(history.revisions)) as advance:
        for revision in units(history, user_id):
            for unit in revision:
                tiu.execute_all(unit)
            advance(1)
    wait(tiu)
    return user_id


def find_or_create_user(tiu: Tiu, history: Facts) -> UUID:
    """Return the id of the user `demo`, whoever made it: several histories can share a database."""
    wait(tiu)
    found = tiu.read.user_id(USERNAME)
    if found is not None:
        return found
    try:
        return tiu.execute(create_user(history)).id
    except (AlreadyExists, NotUnique):  # another demo was faster
        wait(tiu)
        found = tiu.read.user_id(USERNAME)
        if found is None:
            raise
        return found


def wait(tiu: Tiu) -> None:
    """Wait until the read tables have all events. Raises WaitTimeout when they stand still."""
    lag = tiu.lag()
    moved = time.monotonic()
    with patient_progress("projecting", lag.behind) as advance:
        while lag.behind:
            before, target = lag.position, lag.last_position
            try:
                tiu.wait_for(target, STEP_SECONDS)
                return
            except WaitTimeout:
                lag = tiu.lag()
                if lag.position > before:
                    moved = time.monotonic()
                elif time.monotonic() - moved > STUCK_SECONDS:
                    raise
                advance(lag.position - before)


@contextmanager
def patient_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress once it has taken a while; give what takes each step's size."""
    started, done = time.monotonic(), 0
    bar: Callable[[int], None] | None = None
    with ExitStack() as stack:

        def advance(step: int) -> None:
            nonlocal done, bar
            done += step
            if bar is not None:
                bar(step)
            elif time.monotonic() - started > PATIENCE_SECONDS:
                bar = stack.enter_context(progress_bar(what, total))
                bar(done)

        yield advance


def look(tiu: Tiu, user_id: UUID, project: UUID, started: float) -> Outcome:
    """Ask the read tables."""
    seconds = time.perf_counter() - started
    row = tiu.read.project(project)
    if row is None:
        raise NotFound(f"no project {project} in the read tables", id=project)
    tasks, reports = tiu.read.tasks(project), tiu.read.reports(project, limit=1)
    of_project, of_user = tiu.count(project), tiu.count(user_id)
    shown_row = DashboardRow(
        id=row.id,
        name=row.name,
        status=row.status,
        real_progress=row.real_progress,
        fake_progress=row.fake_progress,
        authenticity_rate=row.authenticity_rate,
        quality_score=row.quality_score,
        task_count=len(tasks),
        completed_tasks=sum(task.status == "completed" for task in tasks),
        last_validation=reports[0].created_at if reports else None,
    )  # as the dashboard has it, which leaves out what is not active any more
    return Outcome(
        db=tiu.database,
        project=shown_row,
        dashboard=tiu.read.dashboard(user_id),
        tasks=tasks,
        counts=tiu.read.counts(project),
        last_report=reports[0] if reports else None,
        real=series(tiu, project, "real_progress"),
        fake=series(tiu, project, "fake_progress"),
        events=of_project[0] + of_user[0],
        commands=of_project[1] + of_user[1],
        seconds=seconds,
    )


def series(tiu: Tiu, project: UUID, name: str) -> list[Point]:
    return [Point(row.recorded_at, row.value) for row in tiu.read.metrics(project, name, limit=ALL)]


def as_object(outcome: Outcome) -> dict[str, Any]:
    """Return what --json prints; times in ISO 8601."""
    report = outcome.last_report
    columns = ("created_at", "overall_authenticity", "real_progress", "fake_progress")
    return {
        "project": asdict(outcome.project),
        "tasks": [{name: getattr(task, name) for name in ("name", "status", *TASK_NUMBERS)} for task in outcome.tasks],
        "reports": outcome.counts.reports,
        "issues": outcome.counts.issues,
        "events": outcome.events,
        "commands": outcome.commands,
        "metrics": outcome.counts.metrics,
        "last_report": report
        and {
            **{name: getattr(report, name) for name in columns},
            "issues": report.issue_count,
            "quality_metrics": dict(sorted(report.quality_metrics.items())),
        },
        "seconds": round(outcome.seconds, 3),
        "db": outcome.db,
    }


TASK_NUMBERS = ("real_progress", "fake_progress", "authenticity_score")


def show(outcome: Outcome) -> None:
    """Print the dashboard, the newest report, the chart, the tasks, the rates and the place of it all."""
    show_dashboard(outcome)
    show_report(outcome.last_report)
    show_chart(outcome)
    show_tasks(outcome)
    show_figures(outcome)


def show_dashboard(outcome: Outcome) -> None:
    others = [row for row in outcome.dashboard if row.id != outcome.project.id]
    print_rows(
        f"Dashboard of user {USERNAME}, in percent",
        [outcome.project, *others],
        {
            "project": "name",
            "status": "status",
            "real": "real_progress",
            "fake": "fake_progress",
            "authenticity": "authenticity_rate",
            "quality": "quality_score",
            "tasks done": lambda row: f"{row.completed_tasks}/{row.task_count}",
            "validated": lambda row: f"{row.last_validation:%Y-%m-%d}" if row.last_validation else None,
        },
    )


def show_report(report: ReportRow | None) -> None:
    if report is None:
        return
    severities, types = (report.issues_summary[kind] for kind in ("by_severity", "by_type"))
    quality = [f"{name.replace('_', ' ')} {shown(value)}" for name, value in sorted(report.quality_metrics.items())]
    console.print(
        f"Newest validation report, {report.validation_type}: {report.created_at:%Y-%m-%d %H:%M:%S} UTC", style="bold"
    )
    console.print(
        f"  numbers   real {report.real_progress:.2f} %, fake {report.fake_progress:.2f} %, "
        f"authenticity {report.overall_authenticity:.2f} %"
    )
    console.print(f"  issues    {report.issue_count:,}")
    console.print(f"  severity  {counted(severities)}")
    console.print(f"  type      {counted(types)}")
    console.print(f"  quality   {', '.join(quality)}")


def counted(numbers: dict[str, int]) -> str:
    """Return how many there are of what, the most first."""
    found = sorted(((number, name) for name, number in numbers.items() if number), reverse=True)
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for number, name in found) or "none"


def show_chart(outcome: Outcome) -> None:
    times = [point.at for point in (*outcome.real, *outcome.fake)]
    if not times:
        return
    until = max([*times, *([outcome.last_report.created_at] if outcome.last_report else [])])
    symbols = ASCII if console.options.ascii_only else Symbols()
    console.print()
    console.print("Progress claimed over time, and how much of it is real", style="bold")
    console.print(
        chart(outcome.real, outcome.fake, min(times), until, width=min(console.width, 120), symbols=symbols),
        soft_wrap=True,
    )


def show_tasks(outcome: Outcome) -> None:
    console.print()
    print_rows(
        "Tasks: what they claim, in percent",
        outcome.tasks,
        {
            "task": "name",
            "status": "status",
            "real": "real_progress",
            "fake": "fake_progress",
            "authenticity": "authenticity_score",
        },
    )


def show_figures(outcome: Outcome) -> None:
    seconds = max(outcome.seconds, 1e-9)
    console.print()
    console.print(
        f"{outcome.commands:,} commands and {outcome.events:,} events: {outcome.counts.reports:,} reports, "
        f"{outcome.counts.issues:,} issues, {outcome.counts.metrics:,} metric rows",
    )
    rates = (f"{n / seconds:,.0f} {what}" for n, what in ((outcome.commands, "commands"), (outcome.events, "events")))
    console.print(f"in {seconds:.2f} s: {' and '.join(rates)} a second")
    console.print(f"database: {outcome.db}", soft_wrap=True)
    console.print(f"look on:  tiu show dashboard --db {shlex.quote(outcome.db)}", soft_wrap=True)
