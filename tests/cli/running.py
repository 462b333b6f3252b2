"""`tiu`, run in this process or as the installed script, on a database whose contents can be compared."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from claude_tiu.infrastructure.cli import main
from tests.support.patience import PATIENCE
from tests.support.stores import Backend, SQLiteBackend

EIGHTY_COLUMNS = {"COLUMNS": "80", "LINES": "25"}
BUT_WHO = {"checkpoints": "projection, version, epoch, position, event_hash, generation"}
HOW_FAR = re.compile(r"^\w+: \d+ of \d+( events, .* s left)?\n", re.MULTILINE)


class Ran(NamedTuple):
    """How a call of `tiu` ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which must be one line of JSON."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What it printed, as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def rows(self) -> list[str]:
        """The lines of the table that it printed, below its headings."""
        return [line for line in self.lines[self._rule + 1 :] if line.strip()]

    def column(self, heading: str) -> int:
        """Where a column of the table begins."""
        return f" {self.lines[self._rule - 1]} ".index(f" {heading} ")

    @property
    def _rule(self) -> int:
        (number,) = (number for number, line in enumerate(self.lines) if line.strip() and set(line) <= {" ", "─"})
        return number


def tiu(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run `tiu` in this process, 80 columns wide."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, EIGHTY_COLUMNS),
        io.TextIOWrapper(io.BytesIO(stdin)) as given,
        patch("sys.stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main([str(argument) for argument in arguments])
    status = ended.value.code
    assert isinstance(status, int)
    return Ran(status, out.getvalue(), err.getvalue())


def done(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run `tiu`, which must do what it says, and complain of nothing; a slow machine's rebuild tells how far it is."""
    ran = tiu(*arguments, stdin=stdin)
    assert (ran.status, HOW_FAR.sub("", ran.err)) == (0, ""), ran
    return ran


def refused(*arguments: object, stdin: bytes = b"", status: int = 1) -> str:
    """Run `tiu`, which must fail with one line and print nothing else; return the line."""
    ran = tiu(*arguments, stdin=stdin)
    assert (ran.status, ran.out) == (status, ""), ran
    assert ran.err.startswith("tiu: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1, ran.err
    return ran.err


def script() -> str:
    """Return the installed script."""
    found = shutil.which("tiu", path=sysconfig.get_path("scripts"))
    assert found, "the package is not installed: no tiu"
    return found


def environment() -> dict[str, str]:
    """Return the environment for the script: nothing names a database, output is as buffered as it is by default."""
    unset = ("DB_", "SQLITE_", "POOL_", "PROJECTOR_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(unset)} | EIGHTY_COLUMNS


@contextmanager
def started(*arguments: object, more: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start the installed script, all its streams piped as text, with `more` in its environment; it is gone
    afterwards, whatever happens."""
    command = [script(), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment() | dict(more or {}), encoding="utf-8", stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints, which must come soon. No more is read than that: of what a buffer
    holds, the next call would not know."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([process.stdout], [], [], PATIENCE)[0], f"it prints nothing behind {line!r}"
        if not (read := os.read(process.stdout.fileno(), 1)):
            break
        line += read
    return line.decode()


def json_lines(commands: Iterable[dict[str, Any] | str | bytes]) -> bytes:
    """Return what `tiu apply` reads: objects as JSON, text and bytes as they are."""

    def line(command: dict[str, Any] | str | bytes) -> bytes:
        if isinstance(command, bytes):
            return command
        return (command if isinstance(command, str) else json.dumps(command)).encode()

    return b"".join(line(command) + b"\n" for command in commands)


def contents(backend: Backend) -> dict[str, Any]:
    """Return all that a database holds: the bytes of SQLite's files, every row of PostgreSQL's tables."""
    if isinstance(backend, SQLiteBackend):
        return folder(backend.path.parent)
    names = backend.on_events("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return {name: sorted(backend.on_events(f"SELECT t::text FROM {name} t")) for (name,) in names}


def stored(backend: Backend) -> dict[str, list[Any]]:
    """Return every row that a database holds, but for who keeps its read tables up to date: that changes by asking."""
    rows: dict[str, list[Any]] = {}
    if isinstance(backend, SQLiteBackend):
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        places = [("events", backend.on_events), ("reads", backend.on_reads)]
    else:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        places = [("all", backend.on_events)]
    for place, ask in places:
        for (name,) in ask(tables):
            if name != "leases":
                rows[f"{place}: {name}"] = sorted(map(repr, ask(f"SELECT {BUT_WHO.get(name, '*')} FROM {name}")))
    return rows


def folder(path: Path) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    return {file.name: file.read_bytes() for file in path.iterdir()}
