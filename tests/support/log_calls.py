"""Every log call of the package, found in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


class LogCall(NamedTuple):
    """A call, its text, and its fields: `event` None where it has none."""

    place: str
    level: str
    text: str
    event: str | None
    fields: tuple[str, ...]


@cache
def logging_modules() -> list[Path]:
    """Return the modules that have a logger."""
    paths = [path for floor in ("domain", "projections", "infrastructure") for path in (ROOT / floor).rglob("*.py")]
    return [path for path in sorted(paths) if "getLogger" in path.read_text(encoding="utf-8")]


@cache
def log_calls() -> list[LogCall]:
    """Return the calls of module-level loggers, and of a bound method of one: `self.tell`."""
    return [call for path in logging_modules() for call in _calls_in(path)]


def _calls_in(path: Path) -> Iterator[LogCall]:
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            extras: dict[str, ast.expr] = {}
            for node in _in_order(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    extras[node.targets[0].id] = node.value
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log(node.func):
                    yield _call(path, node, node.func.attr, extras)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _in_order(child)


def _is_log(called: ast.Attribute) -> bool:
    of = called.value
    return isinstance(of, ast.Name) and (
        (of.id, called.attr) == ("self", "tell") or (of.id == "log" and called.attr in LEVELS)
    )


def _call(path: Path, call: ast.Call, level: str, extras: dict[str, ast.expr]) -> LogCall:
    text = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    extra = extras.get(given[0].id) if given and isinstance(given[0], ast.Name) else next(iter(given), None)
    event: str | None = None
    names: tuple[str, ...] = ()
    if isinstance(extra, ast.Call) and isinstance(extra.func, ast.Name) and extra.func.id == "fields":
        (first,) = extra.args
        event = str(first.value) if isinstance(first, ast.Constant) else None
        names = tuple(str(keyword.arg) for keyword in extra.keywords)
    place = f"{path.relative_to(ROOT)}:{call.lineno}"
    return LogCall(place, "error" if level == "tell" else level, str(text), event, names)
