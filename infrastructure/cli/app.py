"""The verbs of `tiu`, and what happens when one fails: one line on stderr, and a status that is not 0."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence

import typer

from ...domain.errors import TiuError
from . import apply, audit, demo, doctor, migrate, monitor, privacy, projector, retention, schema, show, subscriptions
from .output import print_error

app = typer.Typer(
    name="tiu",
    help="The event-sourced core of claude-tiu.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(apply.apply)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(schema.schema)
app.add_typer(audit.audit, name="audit")
app.add_typer(migrate.migrate, name="migrate")
app.add_typer(privacy.privacy, name="privacy")
app.add_typer(projector.projector, name="projector")
app.add_typer(retention.retention, name="retention")
app.add_typer(show.show, name="show")
app.add_typer(subscriptions.subscriptions, name="subscriptions")
for verb in (monitor.sizes, monitor.slow, monitor.indexes):
    show.show.command()(verb)

get_command = functools.cache(typer.main.get_command)
"""What all verbs are called by: to make it takes most of a short call."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit: 0 where it did what it says, 1 where it could not, 2 where it was called wrongly.

    A service's projections may stand in the folder in which it is called.
    """
    sys.path.append("")
    sys.exit(_status(arguments))


def _called_wrongly(error: typer.TyperException) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # called with nothing at all: that is how help is asked for
        sys.stderr.write(message + "\n")
    else:
        print_error(f"{message.removesuffix('.')}; see --help")
    return 2


def _status(arguments: Sequence[str] | None) -> int:
    try:
        status = get_command(app).main(arguments, prog_name="tiu", standalone_mode=False)
        sys.stdout.flush()
        if status == 130:  # Typer has caught the interrupt
            print_error("interrupted")
        return status if isinstance(status, int) else 0
    except TiuError as error:
        print_error(str(error))
        return 1
    except typer.TyperException as error:
        return _called_wrongly(error)
    except UnicodeEncodeError as error:  # an argument's bytes that are no UTF-8, or an output that is not in UTF-8
        print_error(f"no text in {error.encoding}: {error.object[error.start : error.end][:60]!a}")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        print_error("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return 1
