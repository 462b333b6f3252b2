"""Any history of concurrent clients is linearisable, and readers that follow the log see it whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.concurrent.arena import arena
from tests.support.concurrent.clients import KINDS, WAYS, Worker
from tests.support.concurrent.programs import drawn
from tests.support.faults import LONG
from tests.support.stores import Backend


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [20, pytest.param(500, marks=LONG)])
def test_of_clients_at_once_each_finds_things_as_one_order_of_all_has_them(
    backend: Backend, twin: Backend, workers: Sequence[Worker], way: str, count: int
) -> None:
    programs = drawn(count)
    with arena(backend, twin, way, workers) as made:
        runs = [made.run(program) for program in programs]
        made.record(KINDS[way], backend.name)
        bad = [run.text for run in runs if run.verdict.faults]
        assert not bad, f"{len(bad)} of {count} histories; the first:\n{bad[0]}"
