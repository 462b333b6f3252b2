"""All that is made of the events is the same, to the byte, whoever makes it, wherever and whenever."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.elsewhere import YEARS
from tests.support.every_table import tell_all
from tests.support.replaying import tables_in
from tests.support.stores import Backend, place_of

ROOT = Path(__file__).parents[2]
ELSEWHERE: tuple[tuple[int, dict[str, str]], ...] = (
    (1, {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "0", "PYTHONUTF8": "0"}),
    (
        7,
        {
            "TZ": "America/St_Johns",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "4294967295",
            "PGOPTIONS": "-c timezone=Asia/Kolkata -c datestyle=German",
        },
    ),
    (5_000, {"TZ": "UTC", "LC_ALL": "POSIX", "PYTHONHASHSEED": "random", "PGOPTIONS": "-c extra_float_digits=0"}),
)
"""Of how many events a batch is at most, and what the process is told."""


def digest(tables: dict[str, list[Any]]) -> str:
    """Return a hash over every value of every row of every table."""
    return sha256(repr([(name, [tuple(row) for row in rows]) for name, rows in tables.items()]).encode()).hexdigest()


@pytest.mark.parametrize(("batch_size", "told"), ELSEWHERE, ids=[str(size) for size, _ in ELSEWHERE])
def test_clock_zone_locale_hash_seed_and_batches_make_no_difference(
    backend: Backend, tmp_path: Path, batch_size: int, told: dict[str, str]
) -> None:
    tell_all(backend)
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    live = digest(backend.tables(READ_MODEL))
    _replay(backend, here, 1_000, {})
    assert digest(backend.tables(READ_MODEL)) == live
    _replay(backend, there, batch_size, told)
    assert digest(backend.tables(READ_MODEL)) == live
    assert digest(tables_in(there)) == digest(tables_in(here))


def _replay(backend: Backend, path: Path, batch_size: int, told: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.support.same_bytes", backend.name, place_of(backend)]
    done = subprocess.run(
        [*command, str(path), str(batch_size)],
        check=True,
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) == datetime.now(UTC).year + YEARS
