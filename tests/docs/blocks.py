"""Runs the code blocks of a page as its reader would, and compares what they print with what the page shows.

A `sh` block runs in a shell, a `python` block in the page's one Python session. A `text` block right behind one of them
is what it prints, line by line; blanks at the ends of lines do not count. Other blocks are not run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.warm import warm_scripts

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def run_page(page: Path, folder: Path, *, cold: bool = False, **more: str) -> int:
    """Run a page's blocks in an empty folder; return how many there were. See `environment`."""
    session: dict[str, Any] = {"__name__": "__page__"}
    count = 0
    with contextlib.chdir(folder), _environ(environment(cold=cold, **more)):
        for block, expected in _pairs(blocks_of(page)):
            count += 1
            printed = _run(block, session, f"{page.name}, line {block.line}")
            if expected is not None:
                assert _lines(printed) == _lines(expected.text), f"{page.name}, line {block.line} printed:\n{printed}"
    return count


def _pairs(blocks: list[Block]) -> Iterator[tuple[Block, Block | None]]:
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.language in ("sh", "python"):
            yield block, following if following and following.language == "text" else None


def _run(block: Block, session: dict[str, Any], place: str) -> str:
    if block.language == "sh":
        done = subprocess.run(["sh", "-eu", "-c", block.text], capture_output=True, text=True, timeout=120)  # noqa: S607
        assert done.returncode == 0, f"{place}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block.text, place, "exec"), session)  # noqa: S102 - the page's own code is what is tested
    return printed.getvalue()


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
