"""Any sequence of commands: the product does what the model does, and its tables say what the model's say."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import machine_on
from tests.model.stores import SQLite


@pytest.mark.timeout(7_200)  # the long profile's; the default takes half a minute
def test_the_machine_on_sqlite() -> None:
    run_state_machine_as_test(machine_on(SQLite))
