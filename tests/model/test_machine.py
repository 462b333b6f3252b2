"""Any sequence of commands: the product does what the model does, and its tables say what the model's say."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from claude_tiu import Tiu, connect
from claude_tiu.testing import machine_for
from claude_tiu.testing.model.machine import machine_on
from tests.model.stores import SQLite


@pytest.mark.timeout(7_200)  # the long profile's; the default takes some seconds
def test_the_machine_on_sqlite() -> None:
    half = settings(max_examples=max(25, settings().max_examples // 2))
    run_state_machine_as_test(machine_on(SQLite), settings=half)


def test_the_machine_on_a_store_of_ones_own(tmp_path: Path) -> None:
    opened = count(1)

    def new() -> Tiu:
        return connect(f"sqlite:///{tmp_path / f'{next(opened)}.db'}", project=False)

    once = settings(max_examples=1, stateful_step_count=5)
    run_state_machine_as_test(machine_for(new), settings=once)
    assert next(opened) > 1
    run_state_machine_as_test(machine_for(), settings=once)


def test_it_finds_a_store_that_does_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here every command that nobody knows under an id is answered with another position."""
    told = Tiu.execute_all

    def wrong(self: Tiu, commands: Any) -> Any:
        return [answer._replace(position=answer.position + 1) for answer in told(self, commands)]

    monkeypatch.setattr(Tiu, "execute_all", wrong)
    once = settings(max_examples=1, stateful_step_count=3, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine_for(), settings=once)
