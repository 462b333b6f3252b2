"""Every benchmark still runs, and what it checks beside its figures holds; the figures of so few events say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks import report as reports
from tests.benchmarks.measuring import Goal, Place, Report, apart
from tests.benchmarks.runs import BENCHMARKS, measure
from tests.support.postgres_server import find_bindir


@pytest.fixture
def place(pg_server: str, tmp_path: Path) -> Place:
    return Place(pg_server, tmp_path, find_bindir(), hurry=True)


ANOTHER_WORKLOAD = ("rebuild-w2", "rebuild-demo", "verify-w2", "verify-demo", "growth-rebuild-w2")
"""What runs the code of another one, on other events."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in ANOTHER_WORKLOAD else ()) for name in BENCHMARKS]
)
def test_a_benchmark_runs(name: str, place: Place) -> None:
    report = measure(name, place, "smoke")
    assert report.figures
    assert all(len(figure.rounds) == 1 and figure.rounds[0] > 0 for figure in report.figures.values())
    exact = [verdict for verdict in report.verdicts if verdict.goal.must == 0]
    assert [verdict.goal.what for verdict in exact if not verdict.met] == []


def test_work_apart_has_a_memory_of_its_own() -> None:
    large = bytes(300 << 20)
    found = apart(len, large[:100])
    assert found.result == 100
    assert 5 < found.peak_mib < 200
    assert len(large) >> 20 == 300


def test_ratios_are_taken_round_by_round() -> None:
    report = Report("example", {})
    report.add({"ours": [10.0, 30.0, 20.0], "theirs": [5.0, 10.0, 20.0]}, "events/s")
    report.compare(Goal("× theirs", 2.0), "ours", "theirs")
    report.compare(Goal("not above theirs", 1.0, above=False), "theirs", "ours")
    ratio, inverse = report.verdicts
    assert (ratio.measured, ratio.low, ratio.high, ratio.met) == (2.0, 1.0, 3.0, True)
    assert (inverse.measured, inverse.met) == (0.5, True)
    report.hold(Goal("too much", 6, above=False), [7.0])
    assert not report.verdicts[-1].met


def test_a_run_is_kept_as_json_and_shown_as_a_table_and_as_markdown(place: Place, tmp_path: Path) -> None:
    report = Report("example", {"rounds": 2})
    report.add({"ours": [1_234.5, 1_300.0]}, "events/s")
    report.hold(Goal("as fast as that", 1_000, 2_000), [1_234.5])
    file, console = tmp_path / "results.jsonl", Console(record=True, width=120)
    for _ in range(2):
        reports.append_line(file, reports.record(report, "smoke", reports.machine(place)))
    first, second = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert first["verdicts"] == second["verdicts"]
    assert first["machine"]["postgresql"]["fsync"] in ("on", "off")
    assert first["figures"]["ours"] == {"unit": "events/s", "median": 1_267.25, "rounds": [1_234.5, 1_300.0]}
    reports.show_machine(console, first["machine"])
    reports.show_figures(console, report)
    reports.show_verdicts(console, report.verdicts)
    shown = console.export_text()
    assert "1,267" in shown
    assert "≥ 1,000" in shown
    markdown = reports.markdown(file)
    assert "| ours | 1,267 | 1,234 | 1,300 | events/s |" in markdown
    assert "| as fast as that | ≥ 1,000 | 2,000 | 1,234 | 1,234 | 1,234 | yes |" in markdown
