"""`tiu subscriptions`: which there are, how far they are, and letting one go on elsewhere, or go."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..consumers import SubscriptionStatus
from .output import DbOption, JsonOption, console, print_json, print_table
from .session import connected

subscriptions = typer.Typer(help="See to durable subscriptions.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The subscription's name.")]
PositionArgument = Annotated[int, typer.Argument(metavar="POSITION", help="A position of the log.", min=0)]


@subscriptions.command("list")
def list_(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show every subscription, and where it stands. How many events it has not looked at, and who consumes it."""
    with connected(db) as tiu:
        found = tiu.subscriptions()
    if as_json:
        print_json([_told(one) for one in found])
        return
    if not found:
        console.print("no subscriptions")
        return
    rows = [
        (
            one.name,
            one.position,
            one.behind,
            f"{one.active.host}:{one.active.pid}" if one.active else None,
            one.moved_at,
        )
        for one in found
    ]
    print_table("Subscriptions", ["name", "position", "behind", "active", "moved at"], rows)
    for one in found:
        if one.refused:
            console.print(one.refused, soft_wrap=True)


@subscriptions.command()
def skip(name: NameArgument, position: PositionArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Let a subscription go on behind POSITION. What it has not consumed up to there, it never will."""
    with connected(db) as tiu:
        tiu.skip_subscription(name, position)
    _moved(name, position, as_json)


@subscriptions.command()
def rewind(name: NameArgument, position: PositionArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Let a subscription go back to POSITION. What follows comes again; 0: from the first event."""
    with connected(db) as tiu:
        tiu.rewind_subscription(name, position)
    _moved(name, position, as_json)


@subscriptions.command()
def remove(name: NameArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Forget a subscription. Who consumes it ends; whoever subscribes under its name later begins anew."""
    with connected(db) as tiu:
        tiu.remove_subscription(name)
    if as_json:
        print_json({"removed": name})
    else:
        console.print(f"{name} is removed")


def _moved(name: str, position: int, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "position": position})
    else:
        console.print(f"{name} goes on behind position {position}")


def _told(one: SubscriptionStatus) -> dict[str, Any]:
    active = one.active._asdict() if one.active else None
    return {**one._asdict(), "behind": one.behind, "active": active}
