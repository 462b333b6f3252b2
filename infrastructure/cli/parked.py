"""`tiu projector parked`: what could not be projected and waits; trying it again, or leaving it out for good."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from ...projections.read_model import NAME
from ..errors import BadSettings
from ..parking import ParkedUnit
from ..read_side import ReadSide
from .output import DbOption, JsonOption, ProjectionOption, console, print_json, print_table
from .session import connected

parked = typer.Typer(help="See to what could not be projected and waits.", no_args_is_help=True)

UnitsArgument = Annotated[list[UUID] | None, typer.Argument(metavar="[UNIT]...", help="Ids of parked units.")]
UnitArgument = Annotated[UUID, typer.Argument(metavar="UNIT", help="The id of a parked unit.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that is parked.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is stored for ever.")]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who decides it.")]
FirstOption = Annotated[
    bool, typer.Option("--first", help="Leave out only the event that could not be projected; go on with the next.")
]


@parked.command("list")
def list_(projection: ProjectionOption = NAME, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show what is parked, since when, and why."""
    with connected(db) as tiu:
        side = tiu.projection(projection)
        found = [_told(side, unit) for unit in side.parked()]
    if as_json:
        print_json(found)
    else:
        _print(found)


@parked.command()
def retry(
    units: UnitsArgument = None,
    everything: AllOption = False,
    projection: ProjectionOption = NAME,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay parked units from their first event.

    All that waits for others is tried again with them. What can be projected by now is parked no more; what cannot
    stays parked, and the exit status is 1.
    """
    if bool(units) == everything:
        raise BadSettings("name the units to try again, or --all")
    with connected(db) as tiu:
        side = tiu.projection(projection)
        tried = {unit.unit_id for unit in side.parked()} if everything else {*(units or ())}
        still = [_told(side, unit) for unit in side.retry_parked(*(units or ()))]
    if as_json:
        print_json({"retried": sorted(map(str, tried)), "still_parked": still})
    elif still:
        _print(still)
    else:
        console.print(f"{len(tried)} unit(s) tried again, none of them is parked now")
    if still:
        raise typer.Exit(1)


@parked.command()
def discard(
    unit: UnitArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    first: FirstOption = False,
    projection: ProjectionOption = NAME,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave what waits of a unit out of the read tables.

    For good, and only what waits by now. The events stay in the log; that they are left out, and why, is an event
    itself. The unit goes on with what comes later, and so does what waited for it.
    """
    with connected(db) as tiu:
        side = tiu.projection(projection)
        answer = side.discard_parked(unit, reason, actor=actor, first=first)
        side.catch_up_to(answer.position)
        still = [_told(side, one) for one in side.parked() if one.unit_id == unit]
    if as_json:
        print_json({"discarded": str(unit), "position": answer.position, "still_parked": still})
        return
    console.print(f"discarded, by the event at position {answer.position}")
    if still:
        _print(still)


def _told(side: ReadSide, unit: ParkedUnit) -> dict[str, Any]:
    return {**unit._asdict(), "waiting": side.waiting(unit)}


def _print(found: list[dict[str, Any]]) -> None:
    if not found:
        console.print("nothing is parked")
        return
    columns = {"kind": "kind", "unit": "unit_id", "since": "since", "position": "position", "waiting": "waiting"}
    print_table("Parked units", [*columns], [[unit[name] for name in columns.values()] for unit in found])
    for unit in found:
        console.print(f"{unit['unit_id']} ({unit['topic']}): {unit['reason']}", soft_wrap=True, markup=False)
