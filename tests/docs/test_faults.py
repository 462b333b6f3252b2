"""The page of faults has all that is tried, as it came out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.faults import HEADING, NOT_RUN, PAGE, STORES, TABLE, cells_of, rows
from tests.docs.markdown import table
from tests.support.faults import FAULTS, FILE, record

KEPT = cells_of(PAGE.read_text(encoding="utf-8"))


def test_the_page_has_a_row_for_every_kind_of_fault_on_every_store() -> None:
    told = [(fault.name, fault.made, STORES[store]) for fault in FAULTS.values() for store in fault.stores]
    assert [tuple(row[:3]) for row in KEPT] == told, "run `python -m tests.docs.faults`"


def test_nothing_was_lost_or_doubled_in_the_run_that_the_page_shows() -> None:
    counts = [row[HEADING.index(what)] for row in KEPT for what in ("lost", "doubled")]
    assert set(counts) <= {"0", NOT_RUN}


def test_what_is_recorded_comes_into_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "faults.jsonl"))
    kind = next(iter(FAULTS))
    record(kind, "sqlite", tried=1_200, lost=1, doubled=0, seconds=[0.5, 2.0])
    record(kind, "sqlite", tried=1, lost=0, doubled=2, seconds=[1.0])
    monkeypatch.delenv(FILE)
    record(kind, "sqlite", tried=1, lost=1, doubled=1)
    lines = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    made = rows(lines, KEPT, "today")
    assert made[0][2:] == ["SQLite", "1,201", "1", "2", "1.00", "2.00", "today"]
    assert made[1:] == KEPT[1:], "what was not run stays"


def test_a_kind_that_is_not_listed_is_not_recorded() -> None:
    with pytest.raises(KeyError):
        record("earthquake", "sqlite", tried=1, lost=0, doubled=0)


def test_a_table_is_read_as_it_is_written() -> None:
    assert cells_of("<!-- table -->\n\n" + table(HEADING, KEPT) + "\n\n<!-- end of the table -->") == KEPT
    assert TABLE.search(PAGE.read_text(encoding="utf-8"))
