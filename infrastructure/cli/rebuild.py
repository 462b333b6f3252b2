"""`tiu projector rebuild`: make the read tables anew, beside the live ones."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ...projections.read_model import NAME
from ..errors import BadSettings, TablesDiffer
from ..read_side import ReadSide
from ..rebuild import RebuildProgress, RebuildReport, Tell
from ..write_side import rebuild_write_side
from .output import (
    DbOption,
    JsonOption,
    ProjectionOption,
    console,
    errors,
    plain,
    print_error,
    print_json,
    print_table,
    shown,
)
from .session import connected

LINE_SECONDS = 10.0
"""How often a line tells how far it is, where there is no terminal."""
IN_EVENTS = frozenset({"loading", "replaying", "tracing"})
"""The steps that go through the events."""

AcceptOption = Annotated[
    bool, typer.Option("--accept", help="Put the new tables in place where they differ from the live ones, too.")
]
DiscardOption = Annotated[bool, typer.Option("--discard", help="Drop what an earlier rebuild left, and do no more.")]
WriteSideOption = Annotated[
    bool, typer.Option("--write-side", help="Make the task queue and the agenda again, too; nobody writes meanwhile.")
]


def rebuild(
    db: DbOption = None,
    accept: AcceptOption = False,
    discard: DiscardOption = False,
    write_side: WriteSideOption = False,
    projection: ProjectionOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Make the read tables anew, beside the live ones.

    From the first event; then they are put in place of the live ones. Readers and projectors go on meanwhile. Both are
    compared first: where they differ, that is shown, and nothing is replaced without --accept. Stopped at any time, it
    goes on from there when it is called again.
    """
    if discard and (accept or write_side):
        raise BadSettings("--discard: it does no more than that, so it goes with --projection, --db and --json alone")
    with connected(db) as tiu:
        side = tiu.projection(projection)
        if discard:
            _discard(side, as_json)
            return
        if write_side:
            rebuild_write_side(tiu.events)
        try:
            with ended_by_sigterm(), told_progress() as tell:
                report = side.rebuild(accept=accept, progress=tell)
        except TablesDiffer as error:
            _print(error.report, as_json)
            raise
        except KeyboardInterrupt:
            print_error("stopped: `tiu projector rebuild` goes on from here, with --discard it drops what is loaded")
            raise
        _print(report, as_json)


def _discard(side: ReadSide, as_json: bool) -> None:
    discarded = side.discard_rebuild()
    if as_json:
        print_json({"discarded": discarded})
    else:
        console.print("dropped what a rebuild had left" if discarded else "no rebuild has left anything")


def _print(report: RebuildReport, as_json: bool) -> None:
    if as_json:
        print_json(plain(report) | {"parked": [plain(unit._asdict()) for unit in report.parked]})
        return
    if report.differences:
        _print_differences(report)
    if report.swapped:
        console.print(f"read tables rebuilt from {report.events} events, up to position {report.position}")
    if report.resumed_at is not None:
        console.print(f"an earlier rebuild had come to position {report.resumed_at}: it went on from there")
    if report.parked:
        console.print(f"{len(report.parked)} unit(s) stay parked: `tiu projector parked list` says why", soft_wrap=True)
    if report.not_compared is not None:
        console.print(f"not compared with the live tables: {report.not_compared}", soft_wrap=True)


def _print_differences(report: RebuildReport) -> None:
    rows: list[list[Any]] = []
    for table in report.differences:
        for found in table.first:
            rows.append([table.table, as_id(found.key), found.column or "(row)", found.live, found.rebuilt])
    title = f"Differences at position {report.compared_at}, the first of each table"
    print_table(title, ["table", "key", "column", "live", "rebuilt"], rows)
    console.print()
    for table in report.differences:
        console.print(f"{table.table}: {table.rows} row(s) differ")


def as_id(key: str) -> UUID | str:
    """Return a key as what is never broken in a table's cell, if it is one."""
    try:
        return UUID(key)
    except ValueError:
        return key


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end it as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Rate(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed and task.fields["rated"] else "")


@contextmanager
def told_progress() -> Iterator[Tell]:
    """Show on standard error how far a rebuild is, or what replays events as one does: as a bar where that is a
    terminal, else in a line now and then."""
    if not errors.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        current: dict[str, Any] = {}

        def tell(step: RebuildProgress) -> None:
            if step.step not in current:
                for task in current.values():
                    bars.remove_task(task)
                current.clear()
                rated = step.step in IN_EVENTS
                current[step.step] = bars.add_task(step.step, total=step.total, completed=step.done, rated=rated)
            bars.update(current[step.step], completed=step.done, total=step.total)

        yield tell


class _Lines:
    """Tells in lines: short rebuilds are told of by what they end with."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()
        self._began: tuple[str, float, int] = ("", 0.0, 0)

    def __call__(self, step: RebuildProgress) -> None:
        now = time.monotonic()
        if step.step != self._began[0]:
            self._began = (step.step, now, step.done)
        if now - self._told_at < LINE_SECONDS:
            return
        self._told_at = now
        _, since, first = self._began
        text = f"{step.step}: {step.done} of {step.total}"
        if step.step in IN_EVENTS and step.done > first:
            rate = (step.done - first) / (now - since)
            text += f" events, {rate:,.0f} a second, {(step.total - step.done) / rate:.0f} s left"
        errors.print(shown(text), soft_wrap=True)
