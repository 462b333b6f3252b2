"""`tiu migrate`: bring a database's schema up to this code's, and say where it stands."""

from __future__ import annotations

import typer

from .. import migrations
from ..settings import database, load_settings
from .output import DbOption, JsonOption, console, print_json, print_rows

migrate = typer.Typer(help="Migrate a database, or show what it lacks.", no_args_is_help=True)


@migrate.command()
def up(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Apply every migration that the database lacks."""
    settings = load_settings()
    where = database(db, settings)
    migrations.make_folder(where)
    applied = migrations.up(where, settings.sqlite_timeout)
    if as_json:
        print_json({"db": str(where), "applied": applied})
    else:
        console.print(
            f"{where}: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"), soft_wrap=True
        )


@migrate.command()
def status(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show every migration, and whether the database has it."""
    settings = load_settings()
    where = database(db, settings)
    migrations.require_reachable(where)
    steps = migrations.status(where, settings.sqlite_timeout)
    if as_json:
        print_json({"db": str(where), "migrations": steps})
    else:
        print_rows(
            "Migrations",
            steps,
            {"version": "version", "description": "description", "applied": "applied_at", "known": "known"},
        )
