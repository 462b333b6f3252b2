"""`tiu audit check`: whether a bundle holds, and what that shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..audit.bundle.check import CheckReport, check_bundle
from ..audit.bundle.page import write_page
from .audit_chain import key_of, seals_in
from .output import JsonOption, console, plain, print_json, shown

FileArgument = Annotated[Path, typer.Argument(metavar="FILE.zip", help="What `tiu audit export` has written.")]
SealOption = Annotated[
    list[str] | None,
    typer.Option("--seal", metavar="FILE", help="Seals that were kept elsewhere, one a line; - for standard input."),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--public-key", metavar="HEX", help="Whose seals count: a public key that was kept elsewhere."),
]


ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Write what it tells as a page: a new file.")
]


def check(
    file: FileArgument,
    seal: SealOption = None,
    public_key: KeyOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an audit bundle, and say what that shows.

    Every bit of the file is covered. Each event's hash is made anew, each proof and signature is checked, and the read
    rows are made anew of the events. No database and no setting is used. The exit status is 1 where it does not hold.
    """
    kept = [one for name in seal or () for one in seals_in(name)]
    checked = check_bundle(file, keys=[key_of(text) for text in public_key or ()], seals=kept)
    if report is not None and checked.holds:
        write_page(checked, report)
    if as_json:
        print_json({"holds": checked.holds, **plain(checked)})
    else:
        _print(checked)
    if not checked.holds:
        raise typer.Exit(1)


def _print(report: CheckReport) -> None:
    console.print(
        shown(f"{report.file}: project {report.project_id}, as of position {report.position} of log {report.epoch}"),
        style="bold",
        soft_wrap=True,
    )
    if report.holds:
        _print_sentences("It holds. It shows:", report.proves)
        _print_sentences("It does not show:", report.leaves_open)
        return
    _print_sentences(f"It does not hold. Wrong in {report.found:,} place{'s' * (report.found > 1)}:", report.findings)
    if more := report.found - len(report.findings):
        console.print(f"and {more:,} more")


def _print_sentences(title: str, sentences: Sequence[str]) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(overflow="fold")
    for sentence in sentences:
        table.add_row("-", shown(sentence))
    console.print()
    console.print(title)
    console.print(table)
