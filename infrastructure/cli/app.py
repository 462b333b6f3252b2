"""The verbs of `tiu`, and what happens when one fails: one line on stderr, and a status that is not 0."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
import typer

from ...domain.errors import TiuError
from .output import print_error

app = typer.Typer(
    name="tiu",
    help="The event-sourced core of claude-tiu.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit: 0 where it did what it says, 1 where it could not, 2 where it was called wrongly."""
    sys.exit(_status(arguments))


def _status(arguments: Sequence[str] | None) -> int:
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="tiu", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except TiuError as error:
        print_error(str(error))
        return 1
    except click.ClickException as error:
        print_error(error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_error("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return 1
