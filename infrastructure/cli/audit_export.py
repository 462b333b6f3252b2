"""`tiu audit export`: what the log has of a project, with what proves it, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ..audit.bundle.check import check_bundle
from ..audit.bundle.export import ExportReport
from ..audit.bundle.page import write_page
from ..errors import BadSettings, ExportRefused, FileExists
from .output import DbOption, JsonOption, console, plain, print_json, shown
from .session import connected

ProjectOption = Annotated[UUID, typer.Option("--project", metavar="ID", help="The project that it tells of.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="A new file.")]
PositionOption = Annotated[
    int | None, typer.Option("--position", metavar="N", min=1, help="As of which position of the log; default: now.")
]


ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Where to write it as a page; default: beside FILE.zip."),
]
NoReportOption = Annotated[bool, typer.Option("--no-report", help="Write no page.")]


def export(
    project: ProjectOption,
    out: OutOption,
    position: PositionOption = None,
    report: ReportOption = None,
    no_report: NoReportOption = False,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an audit bundle of a project, in one file.

    It has the project's events as they are stored, the proofs that the log's seals cover them, and the read rows as of
    the position. It holds nothing personal. The same log gives the same bytes: keep the SHA-256 that is told, and no
    other file can pass for this one. It is checked at once, and told as a page beside it.
    """
    page = None if no_report else report or out.with_suffix(".html")
    _require_new(out, page)
    with connected(db) as tiu:
        exported = tiu.export(project, out, position=position)
    checked = check_bundle(out)
    if not checked.holds:
        raise ExportRefused(f"{out}: what was written does not hold: {checked.findings[0]}", file=str(out))
    if page is not None:
        write_page(checked, page)
    if as_json:
        print_json({**plain(exported), "report": None if page is None else str(page)})
    else:
        _print(exported, page)


def _require_new(out: Path, page: Path | None) -> None:
    """Raise before anything is done, where it would come to nothing."""
    if page == out:
        raise BadSettings("--report: the page needs a file of its own, beside that of --out")
    for path in (out, page):
        if path is not None and path.exists():
            raise FileExists(f"{path} is there already: nothing is overwritten", path=path)


def _print(report: ExportReport, page: Path | None) -> None:
    console.print(
        shown(f"{report.file}: {report.events:,} events and {report.rows:,} rows as of position {report.position}"),
        soft_wrap=True,
    )
    if report.seal is None:
        console.print("the log has no seal: only its own events show what was in it (`tiu audit seal`)", soft_wrap=True)
    else:
        console.print(f"{report.sealed:,} of the events are covered by seal {report.seal}")
    console.print(f"SHA-256 {report.digest}", soft_wrap=True)
    if page is not None:
        console.print(shown(f"as a page: {page}"), soft_wrap=True)
