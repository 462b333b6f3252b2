"""What a run shows: tables in the terminal, a line of JSON for each benchmark, and Markdown for the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from tests.benchmarks.measuring import Place, Report, Verdict

SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "wal_level",
)
LIBRARIES = ("eventsourcing", "psycopg", "pydantic", "orjson")


def machine(place: Place) -> dict[str, Any]:
    """Return what the figures depend on: the machine's size, its disk, the versions and the server's settings."""
    with psycopg.connect(place.server) as connection:
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)", [list(SETTINGS)]
        )
        settings: dict[str, str] = dict(rows.fetchall())
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "file_system": file_system(place.folder),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "postgresql": settings,
    }


def file_system(path: Path) -> str:
    """Return the kind of file system that a path is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    fits = [(len(place), kind) for place, kind in mounts if path.resolve().is_relative_to(place)]
    return max(fits)[1]


def record(report: Report, size: str, on: dict[str, Any]) -> dict[str, Any]:
    """Return a report as JSON has it."""
    return {
        "benchmark": report.benchmark,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size,
        "sizes": report.size,
        "machine": on,
        "figures": {
            name: {"unit": figure.unit, "median": figure.median, "rounds": figure.rounds}
            for name, figure in report.figures.items()
        },
        "verdicts": [asdict_of(verdict) for verdict in report.verdicts],
        "notes": report.notes,
    }


def asdict_of(verdict: Verdict) -> dict[str, Any]:
    goal, measured, low, high = verdict
    return {**goal._asdict(), "measured": measured, "low": low, "high": high, "met": verdict.met}


def append_line(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def show_machine(console: Console, on: dict[str, Any]) -> None:
    settings = ", ".join(f"{name} {value}" for name, value in on["postgresql"].items() if name != "server_version")
    console.print(
        f"{on['cores']} cores, {on['memory_gib']} GiB, {on['file_system']}; Python {on['python']}; "
        f"PostgreSQL {on['postgresql']['server_version']} ({settings}); "
        + ", ".join(f"{name} {found}" for name, found in on["libraries"].items())
    )


def show_figures(console: Console, report: Report) -> None:
    table = Table(title=report.benchmark, title_justify="left")
    table.add_column("what")
    for column in ("median", "lowest", "highest"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for name, figure in report.figures.items():
        table.add_row(name, *map(number, (figure.median, min(figure.rounds), max(figure.rounds))), figure.unit)
    console.print(table)
    for note in report.notes:
        console.print(note)


def show_verdicts(console: Console, verdicts: Iterable[Verdict]) -> None:
    table = Table(title="what must show", title_justify="left")
    table.add_column("what")
    for column in ("must", "aim", "measured", "lowest", "highest"):
        table.add_column(column, justify="right")
    table.add_column("met")
    for verdict in verdicts:
        goal, *values = verdict
        cells = [f"{'≥' if goal.above else '≤'} {number(goal.must)}", "" if goal.aim is None else number(goal.aim)]
        table.add_row(goal.what, *cells, *map(number, values), "yes" if verdict.met else "[bold]NO[/bold]")
    console.print(table)


def number(value: float) -> str:
    """Return a number as a reader wants it: three digits or more, none behind the point from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def markdown(path: Path) -> str:
    """Return the last record of each benchmark in a file as the documentation shows them."""
    last = {line["benchmark"]: line for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    lines: list[str] = []
    for name, found in last.items():
        lines += [f"**{name}** ({found['size']}, {found['at'][:10]})", ""]
        lines += ["| what | median | lowest | highest | unit |", "| --- | ---: | ---: | ---: | --- |"]
        for what, figure in found["figures"].items():
            values = (figure["median"], min(figure["rounds"]), max(figure["rounds"]))
            lines.append(f"| {what} | {' | '.join(map(number, values))} | {figure['unit']} |")
        lines.append("")
    lines += ["| what must show | must | aim | measured | lowest | highest | met |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for found in last.values():
        for one in found["verdicts"]:
            must = f"{'≥' if one['above'] else '≤'} {number(one['must'])}"
            aim = "" if one["aim"] is None else number(one["aim"])
            measured = " | ".join(number(one[key]) for key in ("measured", "low", "high"))
            lines.append(f"| {one['what']} | {must} | {aim} | {measured} | {'yes' if one['met'] else 'no'} |")
    return "\n".join(lines) + "\n"
