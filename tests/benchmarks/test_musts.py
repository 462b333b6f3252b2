"""`pytest -m benchmark`: the musts, in the quick sizes, on a server with an ordinary one's durability.

Some musts are of sizes that take long: `python -m tests.benchmarks --size full`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.measuring import Place
from tests.benchmarks.runs import BENCHMARKS, FOLDER, measure, place_at

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with place_at(None, Path(os.environ.get("BENCHMARK_FOLDER", FOLDER))) as made:
        yield made


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_must_show(name: str, place: Place) -> None:
    report = measure(name, place, "quick")
    missed = [f"{one.goal.what}: {one.measured:.3g}, not {one.goal.must}" for one in report.verdicts if not one.met]
    assert missed == []
