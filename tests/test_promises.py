"""What was promised is kept (docs/explanation/compatibility.md)."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import claude_tiu
from claude_tiu.domain.registry import COMMANDS, EVENTS
from tests.promises import broken, present, read, with_what_is_new

ROOT = Path(__file__).parent.parent


def test_what_was_promised_is_there() -> None:
    assert broken(read(), present()) == [], "see docs/explanation/compatibility.md"


def test_what_is_new_is_promised() -> None:
    promised = read()
    assert with_what_is_new(promised, present()) == promised, "run `python -m tests.promises`"


def test_every_command_and_every_event_is_a_public_name() -> None:
    wanted = [*COMMANDS.values(), *EVENTS.values()]
    assert [kind.__name__ for kind in wanted if getattr(claude_tiu, kind.__name__, None) is not kind] == []


@pytest.mark.parametrize(
    ("promised", "there", "told"),
    [
        ({"a": "(x)"}, {}, ["a: gone"]),
        ({"a": "(x)"}, {"a": "(x, y)"}, ["a: '(x)' is now '(x, y)'"]),
        ({"T": {"a": "int", "b": "str"}}, {"T": {"b": "int"}}, ["T: a: gone", "T: b: 'str' is now 'int'"]),
        ({"verb": ["--json", "--db"]}, {"verb": ["--db", "--more"]}, ["verb: --json: gone"]),
        ({"a": {"x": "required"}}, {"a": {"x": "required", "y": "optional"}, "b": {}}, []),
    ],
)
def test_a_broken_promise_is_found(promised: Any, there: Any, told: list[str]) -> None:
    assert broken(promised, there) == told
    assert broken(with_what_is_new(promised, there), there) == told, "what is new takes no promise back"


def test_the_version_is_one_and_the_changelog_has_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == version("claude-tiu")
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert headings[0] == "## [Unreleased]"


def test_type_checkers_are_told() -> None:
    assert (ROOT / "py.typed").read_bytes() == b""
