"""`tiu schema`: the commands, as JSON Schema."""

from __future__ import annotations

from typing import Annotated

import typer

from ...domain.registry import COMMANDS, command_schema
from .output import JsonOption, console, print_json, print_table


def schema(
    command: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="A command's name; without it, all of them.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the JSON Schema of a command, or list the commands. The list with --json has all their schemas."""
    if command is not None:
        console.print_json(data=command_schema(command)) if not as_json else print_json(command_schema(command))
    elif as_json:
        print_json({name: command_schema(name) for name in COMMANDS})
    else:
        described = [(name, (cls.__doc__ or "").split("\n\n")[0]) for name, cls in COMMANDS.items()]
        print_table("Commands", ["command", "what it does"], described)
