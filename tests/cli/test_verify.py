"""`tiu audit verify`: what it prints, and its status."""

from __future__ import annotations

import pytest

from tests.cli.running import contents, done, tiu
from tests.cli.story import PROJECT
from tests.support.stores import Backend

EVENTS = 14
"""Of the story."""


def test_what_is_well_is_a_line(told: Backend) -> None:
    ran = done("audit", "verify", "--db", told.url)
    rows = done("audit", "verify", "--db", told.url, "--json").json["rows"]
    assert ran.out == f"{rows} rows are what the events make, at position {EVENTS}\n"
    assert rows > EVENTS


def test_json_says_all_that_it_came_to(told: Backend) -> None:
    report = done("audit", "verify", "--db", told.url, "--json").json
    assert report.pop("seconds") > 0
    assert report.pop("rows") > 0
    assert report == {"equal": True, "position": EVENTS, "differences": [], "left_out": [], "forgotten": []}


class TestDrift:
    @pytest.fixture
    def drifted(self, told: Backend) -> Backend:
        told.on_reads("UPDATE projects SET name = 'Tampered' WHERE id = ?", PROJECT)
        return told

    def test_is_shown_with_the_event_that_wrote_it(self, drifted: Backend) -> None:
        ran = tiu("audit", "verify", "--db", drifted.url)
        assert (ran.status, ran.err) == (1, "")
        (line,) = [line for line in ran.lines if str(PROJECT) in line]
        assert line.split()[:4] == ["projects", str(PROJECT), "name", "Tampered"]
        assert line.split()[-1] == "2"
        (event,) = [line for line in ran.lines if "project.created.v1" in line]
        assert event.split()[:2] == ["2", "project.created.v1"]
        assert ran.lines[-1] == "projects: 1 row(s) differ"

    def test_is_told_in_json(self, drifted: Backend) -> None:
        ran = tiu("audit", "verify", "--db", drifted.url, "--json")
        assert ran.status == 1
        ((found,),) = (table["first"] for table in ran.json["differences"])
        assert (ran.json["equal"], found["live"], found["written"]["stream_id"]) == (False, "Tampered", str(PROJECT))
        assert found["written"]["topic"] == "project.created.v1"

    def test_is_left_as_it_is(self, drifted: Backend) -> None:
        before = contents(drifted)
        tiu("audit", "verify", "--db", drifted.url)
        assert contents(drifted) == before
