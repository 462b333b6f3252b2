"""`tiu apply`: commands as JSON Lines in, an answer a line out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ...domain.errors import Fault, InvalidCommand, TiuError
from ...domain.registry import parse_command
from ..errors import BadSettings, StoreUnavailable
from ..tiu import Tiu
from .output import DbOption, JsonOption, print_json
from .session import connected

MAX_LINE_BYTES = 8 << 20
"""Longer lines are refused; they are read past, never held."""

PROJECTING_SECONDS = 3600.0


def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of JSON Lines, or - for standard input.")],
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Execute commands, one a line of JSON; print their answers.

    A line is an object {"command": NAME, …}, and is stored wholly or not at all. One that is refused is answered with
    its error, later ones go on, and the exit status is 1. Output is JSON with and without --json. The read tables are
    brought up to date with them.
    """
    with opened(file) as stream, connected(db, project=True) as tiu:
        refused = position = 0
        for number, line in enumerate(_lines(stream), 1):
            if line is not None and not line.strip():
                continue
            answer = _answer(tiu, number, line)
            refused += "error" in answer
            position = max(position, answer.get("position", 0))
            print_json(answer)
            sys.stdout.flush()
        tiu.wait_for(position, PROJECTING_SECONDS)
    if refused:
        raise typer.Exit(1)


@contextlib.contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Give a file, or standard input for -, to be read. Raises BadSettings."""
    if file == "-":
        if sys.stdin is None:  # it was closed
            raise BadSettings("cannot read standard input: it is closed")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below: an error of what uses it is not one of opening it
    except OSError as error:
        raise BadSettings(f"cannot read {file}: {error.strerror}") from None
    with stream:
        yield stream


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines without their ends; None for one that is too long."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        yield None


def _answer(tiu: Tiu, number: int, line: bytes | None) -> dict[str, Any]:
    """Return the answer to a line; a store that is away ends the run instead, for what follows would fail too."""
    try:
        if line is None:
            raise InvalidCommand("command", [Fault("", f"a line has at most {MAX_LINE_BYTES} bytes")])
        return {"line": number, **tiu.execute(parse_command(line))._asdict()}
    except StoreUnavailable as error:
        raise StoreUnavailable(f"line {number}: {error}") from error
    except TiuError as error:
        return {"line": number, "error": error.as_json()}
