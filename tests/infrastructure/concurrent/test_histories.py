"""Any history of concurrent clients is linearisable, and readers that follow the log see it whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.concurrent.arena import arena
from tests.support.concurrent.clients import KINDS, WAYS, Worker
from tests.support.concurrent.programs import drawn
from tests.support.stores import Backend


@pytest.mark.parametrize("way", WAYS)
def test_of_clients_at_once_each_finds_things_as_one_order_of_all_has_them(
    backend: Backend, twin: Backend, workers: Sequence[Worker], way: str
) -> None:
    run_programs(backend, twin, workers, way, count=20)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("way", WAYS)
def test_of_many_histories_each_is_so(backend: Backend, twin: Backend, workers: Sequence[Worker], way: str) -> None:
    run_programs(backend, twin, workers, way, count=500)


def run_programs(backend: Backend, twin: Backend, workers: Sequence[Worker], way: str, *, count: int) -> None:
    programs = drawn(count)
    with arena(backend, twin, way, workers) as made:
        runs = [made.run(program) for program in programs]
        made.record(KINDS[way], backend.name)
        bad = [run.text for run in runs if run.verdict.faults]
        assert not bad, f"{len(bad)} of {count} histories; the first:\n{bad[0]}"
