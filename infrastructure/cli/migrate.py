"""`tiu migrate`: bring a database's schema up to this code's or back, and say where it stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from .. import migrations
from ..errors import RolesRefused
from ..own import own_projections
from ..postgresql.roles import ROLES, apply_roles, script
from ..settings import database, load_settings
from .output import DbOption, JsonOption, console, print_json, print_rows

migrate = typer.Typer(help="Migrate a database, or show what it lacks.", no_args_is_help=True)

UpArgument = Annotated[str | None, typer.Argument(metavar="N", help="The last version to apply.")]
DownArgument = Annotated[str | None, typer.Argument(metavar="N", help="The version to go back to; it stays.")]


@migrate.command()
def up(version: UpArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Apply the migrations that the database lacks, up to N if given.

    Those of the projections that PROJECTIONS names go with ours; their versions begin with the projection's name.
    """
    settings = load_settings()
    where = database(db, settings)
    migrations.make_folder(where)
    applied = migrations.up(where, settings.sqlite_timeout, through=version, projections=own_projections(settings))
    if as_json:
        print_json({"db": str(where), "applied": applied})
    else:
        console.print(
            f"{where}: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"), soft_wrap=True
        )


@migrate.command()
def down(version: DownArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Undo the last migration, or every one above N. N itself stays.

    Of an own projection, N begins with its name: board/001, or board/000 for all.

    Undoing one empties the read tables: after `migrate up`, the projector fills them again from the events. Events and
    keys are never dropped.
    """
    settings = load_settings()
    where = database(db, settings)
    migrations.require_reachable(where)
    undone = migrations.down(where, settings.sqlite_timeout, to=version, projections=own_projections(settings))
    if as_json:
        print_json({"db": str(where), "undone": undone})
    else:
        console.print(f"{where}: " + (f"undid {', '.join(undone)}" if undone else "nothing to undo"), soft_wrap=True)


@migrate.command()
def status(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show every migration, and whether the database has it."""
    settings = load_settings()
    where = database(db, settings)
    migrations.is_empty(where)  # refuses a folder that is not there
    steps = migrations.status(where, settings.sqlite_timeout, own_projections(settings))
    if as_json:
        print_json({"db": str(where), "migrations": steps})
    else:
        print_rows(
            f"Migrations of {where}",
            steps,
            {"version": "version", "description": "description", "applied": _applied, "known": "known"},
        )


@migrate.command()
def roles(
    print_sql: Annotated[bool, typer.Option("--print", help="Print the SQL, and do nothing.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Take the roles back.")] = False,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make roles of least privilege on PostgreSQL.

    They are tiu_writer, tiu_projector, tiu_reader and tiu_auditor. The writer can neither change nor remove an event.
    Grant them to the roles that log in. Run it again after each migration: a new table has no grants. With --print, the
    SQL for psql; no database is asked.
    """
    settings = load_settings()
    own = own_projections(settings)
    if print_sql:
        print(script(own, drop=drop), end="", flush=True)  # noqa: T201 - SQL as it stands
        return
    where = database(db, settings)
    if where.path is not None:
        raise RolesRefused(f"{where}: SQLite has no roles: who may write the file may do everything with it")
    if not drop:
        migrations.require_migrated(where, settings.sqlite_timeout, own)
    apply_roles(where.url, own, drop=drop)
    if as_json:
        print_json({"db": str(where), "dropped" if drop else "made": ROLES})
    else:
        console.print(f"{where}: {'dropped' if drop else 'made'} {', '.join(ROLES)}", soft_wrap=True)


def _applied(step: migrations.Applied) -> datetime | None:
    return datetime.fromisoformat(step.applied_at) if step.applied_at else None
