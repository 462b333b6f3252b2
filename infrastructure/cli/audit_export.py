"""`tiu audit export`: what the log has of a project, with what proves it, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ..audit.bundle.export import ExportReport
from .output import DbOption, JsonOption, console, print_json, shown
from .session import connected

ProjectOption = Annotated[UUID, typer.Option("--project", metavar="ID", help="The project that it tells of.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="A new file.")]
PositionOption = Annotated[
    int | None, typer.Option("--position", metavar="N", min=1, help="As of which position of the log; default: now.")
]


def export(
    project: ProjectOption,
    out: OutOption,
    position: PositionOption = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an audit bundle of a project: one file that anybody checks, without a database.

    It has the project's events as they are stored, the proofs that the log's seals cover them, and the read rows as of
    the position. It holds nothing personal. The same log gives the same bytes: keep the SHA-256 that is told, and no
    other file can pass for this one.
    """
    with connected(db) as tiu:
        report = tiu.export(project, out, position=position)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: ExportReport) -> None:
    console.print(
        shown(f"{report.file}: {report.events:,} events and {report.rows:,} rows as of position {report.position}"),
        soft_wrap=True,
    )
    if report.seal is None:
        console.print("the log has no seal: only its own events show what was in it (`tiu audit seal`)", soft_wrap=True)
    else:
        console.print(f"{report.sealed:,} of the events are covered by seal {report.seal}")
    console.print(f"SHA-256 {report.digest}", soft_wrap=True)
