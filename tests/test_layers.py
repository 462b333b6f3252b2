"""What import-linter cannot see: calls to clocks, random and I/O from the pure floors; and files grown too long."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = ("domain", "projections")
CHECKED = (*PURE, "infrastructure", "testing", "tests", "examples")
MAX_LINES = 500

# Named anywhere, called or not: `default_factory=uuid4` is a call too, later.
BUILTINS = frozenset({"__import__", "breakpoint", "eval", "exec", "input", "open", "print"})
CLOCKS_AND_IDS = frozenset(
    {"getnode", "now", "random", "today", "urandom", "utcnow", "uuid1", "uuid4", "uuid6", "uuid7", "uuid8"}
)


def forbidden_modules() -> frozenset[str]:
    """Import-linter's list, so that there is one."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return frozenset(name for contract in config["contracts"] for name in contract.get("forbidden_modules", ()))


def impurities(source: str, forbidden: Iterable[str]) -> Iterator[str]:
    """Yield "line: name" of everything in a module's source that reads the world."""
    modules = frozenset(forbidden)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names if alias.name.partition(".")[0] in modules]
            case ast.ImportFrom(module=str(module), level=0, names=names) if module.partition(".")[0] in modules:
                found = [module]
            case ast.ImportFrom(level=0, names=names):
                found = [alias.name for alias in names if alias.name in CLOCKS_AND_IDS]
            case ast.Attribute(attr=name) if name in CLOCKS_AND_IDS:
                found = [name]
            case ast.Name(id=name, ctx=ast.Load()) if name in BUILTINS:
                found = [name]
            case _:
                continue
        yield from (f"{node.lineno}: {name}" for name in found)


def too_long(paths: Iterable[Path]) -> dict[str, int]:
    counted = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return {path: lines for path, lines in counted.items() if lines > MAX_LINES}


def modules_of(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no modules in {folders}: has a folder moved?"
    return found


@pytest.mark.parametrize("floor", PURE)
def test_the_pure_floors_read_no_clock_make_no_id_and_touch_nothing(floor: str) -> None:
    forbidden = forbidden_modules()
    found = {
        str(path.relative_to(ROOT)): bad
        for path in modules_of(floor)
        if (bad := list(impurities(path.read_text(encoding="utf-8"), forbidden)))
    }
    assert found == {}


def test_no_module_is_over_500_lines() -> None:
    assert too_long([ROOT / "__init__.py", *modules_of(*CHECKED)]) == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["1: time"]),
        ("import json, os.path", ["1: os.path"]),
        ("from random import choice", ["1: random"]),
        ("from os import path", ["1: os"]),
        ("def f():\n    import sqlite3", ["2: sqlite3"]),
        ("from uuid import UUID, uuid4 as make", ["1: uuid4"]),
        ("import uuid\nid_ = uuid.uuid7()", ["2: uuid7"]),
        ("Field(default_factory=datetime.now)", ["1: now"]),
        ("import datetime as d\nd.datetime.utcnow()", ["2: utcnow"]),
        ("date.today()", ["1: today"]),
        ("print(open('x'))", ["1: print", "1: open"]),
    ],
)
def test_the_checker_finds_what_reads_the_world(source: str, found: list[str]) -> None:
    assert list(impurities(source, forbidden_modules())) == found


@pytest.mark.parametrize(
    "source",
    [
        "from uuid import UUID, uuid5",
        "from datetime import UTC, datetime",
        "from .time import Moment",
        "from . import random",
        "import timeline",
        "def evolve(state, now): return now",
        "status.open()",
        "'datetime.now()'  # time.time()",
    ],
)
def test_the_checker_leaves_pure_code_alone(source: str) -> None:
    assert list(impurities(source, forbidden_modules())) == []


def test_the_checker_finds_a_module_of_501_lines(tmp_path: Path) -> None:
    long, fits = tmp_path / "long.py", tmp_path / "fits.py"
    long.write_text("x = 1\n" * 501, encoding="utf-8")
    fits.write_text("x = 1\n" * 500, encoding="utf-8")
    assert too_long([long, fits]) == {str(long): 501}
