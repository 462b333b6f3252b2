"""The kit as a package: what it wants, and what is in it. tests/domain/test_registry.py draws every message."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from claude_tiu import Command, Event
from claude_tiu.domain.registry import AGGREGATE_OF
from claude_tiu.infrastructure import operations
from claude_tiu.projections.parking import LEAVE_OUT
from claude_tiu.testing import commands, events
from claude_tiu.testing.operations import OPERATIONS


def test_without_hypothesis_it_says_which_extra_it_wants() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nimport claude_tiu\nimport claude_tiu.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingExtra" in last
    assert "pip install 'claude-tiu[test-kit]'" in last
    assert "During handling" not in done.stderr


def test_the_rest_of_the_package_goes_without() -> None:
    code = "import sys, claude_tiu; assert not {'hypothesis', 'pytest', 'claude_tiu.testing'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(("any_of", "base"), [(commands(), Command), (events(), Event)])
def test_any_is_of_every_class(any_of: st.SearchStrategy[Any], base: type) -> None:
    @settings(database=None, max_examples=20)
    @drawn(any_of)
    def check(message: Any) -> None:
        assert isinstance(message, base)
        assert type(message) in AGGREGATE_OF

    check()


def test_every_operation_of_ours_is_known_in_memory() -> None:
    assert OPERATIONS.keys() == {*operations.STATEMENTS, *operations.IN_PYTHON, LEAVE_OUT}
