"""`tiu retention run`: what it would drop and archive, what it did, and when it refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from claude_tiu.infrastructure.cli import retention
from tests.cli.running import done, json_lines, refused, stored
from tests.cli.story import ISSUE, OTHER_ISSUE, PROJECT, of_run
from tests.support.stores import Backend

LATER = "2026-09-01T00:00:00Z"
MUCH_LATER = "2028-03-01T00:00:00+01:00"


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 2027, whatever this machine's clock says."""
    monkeypatch.setattr(retention, "now", lambda: datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
def settled(told: Backend) -> Backend:
    """The story, and the end of its two issues and of its project."""
    commands = [
        of_run(name, 10, issue_id=issue) for issue in (ISSUE, OTHER_ISSUE) for name in ("BeginIssue", "ResolveIssue")
    ]
    ended = {"command": "CompleteProject", "project_id": PROJECT, "occurred_at": "2026-03-02T00:00:00Z"}
    done("apply", "-", "--db", told.url, stdin=json_lines([*commands, ended]))
    return told


def counted(told: Backend, *arguments: str) -> dict[str, int]:
    """The rows by table and rule that a run drops."""
    found = done("retention", "run", *arguments, "--db", told.url, "--json").json
    return {f"{one['table_name']} {one['rule']}": one["rows"] for one in found["dropped"] if one["rows"]}


DROPPED = {"progress_metrics details": 6, "validation_issues reports": 2, "validation_reports reports": 1}


def test_json_has_what_was_dropped_and_archived(settled: Backend) -> None:
    found = done("retention", "run", "--as-of", LATER, "--db", settled.url, "--json").json

    assert found.keys() == {"as_of", "dropped", "archived", "dry_run"}
    assert (found["as_of"], found["archived"], found["dry_run"]) == (LATER, [], False)
    assert found["dropped"][0] == {
        "rule": "details",
        "table_name": "progress_metrics",
        "rows": 6,
        "cutoff": "2026-08-02T00:00:00Z",
    }
    rows = settled.on_reads("SELECT table_name, rows_deleted FROM cleanup_log")
    assert sorted(map(tuple, rows)) == sorted((one["table_name"], one["rows"]) for one in found["dropped"])
    assert settled.on_reads("SELECT count(*) FROM progress_metrics") == [(5,)]  # one of each metric's only day


def test_a_dry_run_says_the_same_and_changes_nothing(settled: Backend) -> None:
    done("retention", "run", "--dry-run", "--db", settled.url)  # opens and closes it once
    before = stored(settled)

    assert counted(settled, "--dry-run", "--as-of", LATER) == DROPPED
    assert stored(settled) == before
    assert counted(settled, "--as-of", LATER) == DROPPED
    assert counted(settled, "--as-of", LATER) == {}


def test_a_dry_run_may_look_ahead_and_a_run_may_not(settled: Backend) -> None:
    ahead = done("retention", "run", "--dry-run", "--as-of", MUCH_LATER, "--db", settled.url)

    assert "Would be dropped as of 2028-02-29 23:00:00 UTC" in ahead.out
    assert ahead.lines[-1] == PROJECT
    assert "--as-of" in refused("retention", "run", "--as-of", MUCH_LATER, "--db", settled.url)
    assert settled.on_reads("SELECT count(*) FROM cleanup_log") == [(0,)]


def test_the_table_fits_and_says_that_nothing_was_archived(settled: Backend) -> None:
    ran = done("retention", "run", "--as-of", LATER, "--db", settled.url)

    assert ran.lines[0].rstrip() == "Dropped as of 2026-09-01 00:00:00 UTC"
    assert all(len(line.rstrip()) <= 80 for line in ran.lines)
    assert len([line for line in ran.lines if " 00:00:00" in line]) == 1 + 9
    assert ran.lines[-1] == "Archived: none"


@pytest.mark.parametrize("time", ["yesterday", "2026-09-01", "2026-09-01T00:00:00", "1066-10-14T09:00:00Z"])
def test_a_time_that_is_none_is_one_line(told: Backend, time: str) -> None:
    assert "--as-of" in refused("retention", "run", "--as-of", time, "--db", told.url)
