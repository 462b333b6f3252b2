"""The set operations: every one that a handler names is there, and no other."""

from __future__ import annotations

import re
from importlib.resources import files

from claude_tiu.infrastructure.operations import IN_PYTHON, STATEMENTS
from claude_tiu.infrastructure.sql import statements
from claude_tiu.projections.tables import PRIVATE_TABLES


def named() -> set[str]:
    """The names of the operations that the projections' handlers make."""
    sources = [file for file in files("claude_tiu.projections").iterdir() if file.name.endswith(".py")]
    return {name for source in sources for name in re.findall(r'Operation\(\s*"(\w+)"', source.read_text())}


def test_every_operation_that_a_handler_names_is_there_and_no_other() -> None:
    assert STATEMENTS.keys() | IN_PYTHON.keys() == named()
    assert STATEMENTS.keys().isdisjoint(IN_PYTHON)


def test_statements_of_an_operation_are_numbered_in_their_order() -> None:
    expected = []
    for name, in_order in STATEMENTS.items():
        numbered = [f"{name}_{number}" for number in range(1, len(in_order) + 1)]
        expected += numbered if len(in_order) > 1 else [name]
    assert list(statements("operations.sql")) == expected


def test_they_leave_running_state_alone() -> None:
    """The projector holds it in memory, and would not know."""
    words = {word for statements_ in STATEMENTS.values() for one in statements_ for word in re.findall(r"\w+", one)}
    assert words.isdisjoint(table.name for table in PRIVATE_TABLES)
