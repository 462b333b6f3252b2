"""Runs the code blocks of a page as its reader would, and compares what they print with what the page shows.

A `sh` block runs in a shell, a `python` block in the page's one Python session. A `text` block right behind one of them
is what it prints, line by line; blanks at the ends of lines do not count. A `console` block is what a terminal shows:
each line behind `$ ` runs in a shell, and prints the lines below it, but for times, processes and hosts. Other blocks
are not run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.warm import warm_scripts

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUN = ("sh", "python", "console")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^\$ (.*)\n", re.MULTILINE)
EACH_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|(?<=process )\d+|(?<= on )\S+(?=, tenure)|(?<=, tenure )\d+")
"""What a terminal shows otherwise each time: times, and who is active."""
SETTINGS = re.compile(r"^(DB_\w+|SQLITE_\w+|POOL_\w+|DB|COLUMNS|PROJECTIONS)$")


class Block(NamedTuple):
    """A fenced block: its language, its text, the line on which it begins."""

    language: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Return a page's fenced blocks, in order."""
    source = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], source.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(source)]


def section_of(page: Path, heading: str) -> list[Block]:
    """Return the fenced blocks under a heading of a page's second level, in order."""
    source = page.read_text(encoding="utf-8")
    first = source.index(f"\n## {heading}\n") + 1
    last = source.find("\n## ", first)
    lines = source.count("\n", 0, first) + 1, source.count("\n", 0, last if last > 0 else None) + 1
    return [block for block in blocks_of(page) if lines[0] < block.line <= lines[1]]


def environment(*, cold: bool = False, **more: str) -> dict[str, str]:
    """Return an environment with this Python's scripts first, none of the settings, and a terminal of 80 columns; its
    `tiu` is one that starts at once, or (`cold`) the installed one."""
    kept = {name: value for name, value in os.environ.items() if not SETTINGS.match(name)}
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([*([] if cold else [warm_scripts()]), scripts, kept.get("PATH", "")])
    return {**kept, "PATH": path, "COLUMNS": "80", "PYTHONUTF8": "1", **more}


class Terminal(NamedTuple):
    """What there is to know of a page's `console` blocks. A line is named by what it begins with."""

    amid: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {}
    """What is so while the block runs that begins with this line."""
    ends: Mapping[str, int] = {}
    """With which status a line ends, if not with 0."""
    skipped: Collection[str] = ()
    """Lines that do not run here."""


PLAIN = Terminal()


def run_page(page: Path, folder: Path, terminal: Terminal = PLAIN, *, cold: bool = False, **more: str) -> int:
    """Run a page's blocks in an empty folder; return how many there were. See `environment`."""
    session: dict[str, Any] = {"__name__": "__page__"}
    count = 0
    with contextlib.chdir(folder), _environ(environment(cold=cold, **more)):
        for block, expected in _pairs(blocks_of(page)):
            count += 1
            place = f"{page.name}, line {block.line}"
            if block.language == "console":
                _play(block, terminal, place)
                continue
            printed = _run(block, session, place)
            if expected is not None:
                assert _lines(printed) == _lines(expected.text), f"{place} printed:\n{printed}"
    return count


def _pairs(blocks: list[Block]) -> Iterator[tuple[Block, Block | None]]:
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.language in RUN:
            yield block, following if following and following.language == "text" else None


def _run(block: Block, session: dict[str, Any], place: str) -> str:
    if block.language == "sh":
        done = subprocess.run(["sh", "-eu", "-c", block.text], capture_output=True, text=True, timeout=120)  # noqa: S607
        assert done.returncode == 0, f"{place}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block.text, place, "exec"), session)  # noqa: S102 - the page's own code is what is tested
    return printed.getvalue()


def _play(block: Block, terminal: Terminal, place: str) -> None:
    """Run what is typed in a block, line by line, and compare what is printed with what the block shows, if it does."""
    nothing, *told = TYPED.split(block.text)
    assert nothing == "", f"{place}: it begins with what nobody typed"
    given = [amid for start, amid in terminal.amid.items() if told[0].startswith(start)]
    with contextlib.ExitStack() as meanwhile:
        for amid in given:
            meanwhile.enter_context(amid())
        for typed, shown in zip(told[::2], told[1::2], strict=True):
            if not typed.startswith(tuple(terminal.skipped)):
                _type(typed, shown, terminal.ends, place)


def _type(typed: str, shown: str, ends: Mapping[str, int], place: str) -> None:
    expected = next((status for start, status in ends.items() if typed.startswith(start)), 0)
    if (name := re.fullmatch(r"export (\w+=\S+(?: \w+=\S+)*)", typed)) is not None:
        os.environ.update(re.findall(r"(\w+)=(\S+)", name[1]))
        return
    wide = os.environ | {"COLUMNS": "120"}
    process = subprocess.Popen(
        ["sh", "-eu", "-c", f"exec {typed}"],  # noqa: S607 - the reader's shell, too, is found by its name
        env=wide,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    first = ""
    if typed.startswith("tiu projector run") and "--once" not in typed:  # until somebody ends it
        assert process.stdout
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
    printed = first + process.communicate(timeout=120)[0]
    assert process.returncode == expected, f"{place}: {typed}: exit status {process.returncode}\n{printed}"
    if shown:
        was, now = EACH_TIME.sub("…", shown), EACH_TIME.sub("…", printed)
        assert _lines(now) == _lines(was), f"{place}: {typed} printed:\n{printed}"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@contextlib.contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
