"""`tiu doctor`: whether all is well, and if not, what."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from ..doctor import Check, LagCheck, Report, examine
from .output import DbOption, JsonOption, console, print_json, print_rows, print_table, shown


def doctor(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what is configured, reachable, migrated and lagging. The exit status is 1 where anything is wrong.

    What fails keeps nothing else from being checked. It makes no files and changes nothing; of secrets it says whether
    they are set.
    """
    report = examine(db)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    print_rows("Settings", report.settings.values, {"setting": "name", "value": "value", "from": "source"})
    console.print()
    checks: list[tuple[str, Check, Iterator[str]]] = [
        ("settings", report.settings, _of_settings(report)),
        ("database", report.database, _of_database(report)),
        ("migrations", report.migrations, _of_migrations(report)),
        ("lag", report.lag, _of_lag(report.lag)),
        ("rebuild", report.rebuild, iter(())),
        *((f"lag of {own.projection}", own, _of_lag(own)) for own in report.projections),
        ("subscriptions", report.subscriptions, _of_subscriptions(report)),
    ]
    rows = [(name, shown(check.ok), "; ".join(filter(None, [check.problem, *told]))) for name, check, told in checks]
    print_table("Checks", ["check", "well", "found"], rows)


def _of_settings(report: Report) -> Iterator[str]:
    if report.db is not None:
        yield f"{report.settings.named_by} names {report.db}"


def _of_database(report: Report) -> Iterator[str]:
    if report.database.version is not None:
        yield f"{report.database.kind} {report.database.version}"
    for name, value in report.database.facts.items():
        found = ", ".join(map(str, value.values())) if isinstance(value, dict) else value
        yield f"{name}: {'not installed' if found is None else found}"


def _of_migrations(report: Report) -> Iterator[str]:
    if report.migrations.applied:
        yield f"{len(report.migrations.applied)} applied"


def _of_lag(lag: LagCheck) -> Iterator[str]:
    if lag.position is not None:
        yield f"{lag.projection} at position {lag.position} of {lag.last_position}, {lag.behind} behind"
        yield f"active: {lag.active}" if lag.active else "no projector is active"


def _of_subscriptions(report: Report) -> Iterator[str]:
    if report.subscriptions.found:
        yield ", ".join(f"{one.name} at position {one.position}" for one in report.subscriptions.found)
