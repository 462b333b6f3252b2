"""`tiu privacy`: the list of forgotten users, to be kept elsewhere, and forgetting them again after a restore."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic_core import from_json

from ...domain.errors import Fault, InvalidCommand
from ..privacy import forget_again, forgotten_users
from .apply import PROJECTING_SECONDS, opened
from .output import DbOption, JsonOption, console, print_json
from .session import connected

privacy = typer.Typer(help="List forgotten users; forget them again after a restore.", no_args_is_help=True)


@privacy.command()
def forgotten(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Print the ids of forgotten users, one a line. With --json, as the JSON Lines that forget-again reads."""
    with connected(db) as tiu:
        for user_id in forgotten_users(tiu.events):
            if as_json:
                print_json({"user_id": user_id})
            else:
                console.print(str(user_id))


@privacy.command(name="forget-again")
def again(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `privacy forgotten --json` printed, or - for standard input.")
    ],
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget again whom a list names, in a restored database. Do it before anybody uses that.

    A user who is not forgotten in it is forgotten; of one who is, the key is destroyed if it is there again. With
    --json, one line for each user says which. Nothing is done where a line is no id.
    """
    with opened(file) as stream:
        user_ids = _user_ids(stream.read())
    done: Counter[str] = Counter()
    with connected(db, project=True) as tiu:
        position = 0
        for user_id in user_ids:
            outcome = forget_again(tiu.events, tiu.execute, user_id)
            done[outcome.done] += 1
            position = max(position, outcome.position)
            if as_json:
                print_json({"user_id": user_id, "done": outcome.done})
        tiu.wait_for(position, PROJECTING_SECONDS)
    if not as_json:
        console.print(
            f"{len(user_ids)} listed: {done['forgotten']} forgotten, {done['key_destroyed']} were already, "
            f"{done['unknown']} not known here",
            soft_wrap=True,
        )


def _user_ids(text: bytes) -> list[UUID]:
    """Return the ids of JSON Lines {"user_id": ID}, each once. Raises InvalidCommand, with every line that is none."""
    found: dict[UUID, None] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            data: Any = from_json(line)
            found[UUID(data["user_id"])] = None
        except (ValueError, LookupError, TypeError, AttributeError):
            faults.append(Fault(f"line {number}", 'should be {"user_id": ID}'))
    if faults:
        raise InvalidCommand(None, faults)
    return list(found)
