"""`tiu projector rebuild`: what it prints, and how it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from claude_tiu.infrastructure.cli import rebuild as verb
from claude_tiu.infrastructure.cli.output import errors
from claude_tiu.infrastructure.rebuild import RebuildProgress
from tests.cli.running import contents, done, environment, refused, tiu
from tests.cli.story import PROJECT
from tests.support.patience import PATIENCE
from tests.support.rebuilding import Stopped, is_left, rebuild, stops_at
from tests.support.stores import Backend

EVENTS = 14
"""Of the story."""
INTERRUPTED = """
import os, sys
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.rebuild import Rebuild
load = Rebuild._load
def interrupted_behind_it(self, position):
    load(self, position)
    os.kill(os.getpid(), int(sys.argv[1]))
Rebuild._load = interrupted_behind_it
main(["projector", "rebuild", "--db", sys.argv[2]])
"""


def test_json_says_all_that_it_came_to(told: Backend) -> None:
    report = done("projector", "rebuild", "--db", told.url, "--json").json

    assert report.pop("seconds") > 0
    assert report == {
        "events": EVENTS,
        "position": EVENTS,
        "resumed_at": None,
        "swapped": True,
        "compared_at": EVENTS,
        "not_compared": None,
        "differences": [],
        "parked": [],
    }


def test_text_is_a_line(told: Backend) -> None:
    out = done("projector", "rebuild", "--db", told.url).out
    assert out == f"read tables rebuilt from {EVENTS} events, up to position {EVENTS}\n"


def test_tables_that_nothing_was_projected_into_are_not_compared(db: Backend) -> None:
    ran = done("projector", "rebuild", "--db", db.url)
    assert ran.lines[-1] == "not compared with the live tables: nothing was projected into the live tables yet"


class TestDifferences:
    @pytest.fixture(autouse=True)
    def _tampered(self, told: Backend) -> None:
        told.on_reads("UPDATE projects SET name = 'Spoilt'")
        told.on_reads("UPDATE users SET email = 'spoilt@example.org'")

    def test_are_shown_and_nothing_is_replaced(self, told: Backend) -> None:
        live = told.on_reads("SELECT * FROM projects")
        ran = tiu("projector", "rebuild", "--db", told.url)

        assert ran.status == 1
        assert ran.err.startswith(
            "tiu: the rebuilt tables are not as the live ones: 1 row(s) of users, 1 row(s) of pro"
        )
        assert ran.err.count("\n") == 1
        assert "Spoilt" in ran.out
        assert PROJECT in ran.out.replace("\n", "")
        assert "projects: 1 row(s) differ" in ran.lines
        assert "spoilt@example.org" not in ran.out + ran.err, "what is personal is not told"
        assert told.on_reads("SELECT * FROM projects") == live

    def test_as_json(self, told: Backend) -> None:
        ran = tiu("projector", "rebuild", "--db", told.url, "--json")

        assert ran.status == 1
        users, projects = ran.json["differences"]
        assert (users["table"], users["rows"]) == ("users", 1)
        personal = "(personal)"
        assert [(one["column"], one["live"], one["rebuilt"]) for one in users["first"]] == [
            ("email", personal, personal)
        ]
        assert [(one["column"], one["live"]) for one in projects["first"]] == [("name", "Spoilt")]
        assert ran.json["swapped"] is False

    def test_accepted_they_are_shown_and_the_tables_replaced(self, told: Backend) -> None:
        assert tiu("projector", "rebuild", "--db", told.url).status == 1
        ran = done("projector", "rebuild", "--accept", "--db", told.url)

        assert "Spoilt" in ran.out
        assert f"read tables rebuilt from {EVENTS} events, up to position {EVENTS}" in ran.lines
        assert f"an earlier rebuild had come to position {EVENTS}: it went on from there" in ran.lines
        assert told.on_reads("SELECT count(*) FROM projects WHERE name = 'Spoilt'") == [(0,)]

    def test_discarded_nothing_is_left(self, told: Backend) -> None:
        assert tiu("projector", "rebuild", "--db", told.url).status == 1
        assert is_left(told)
        assert done("projector", "rebuild", "--discard", "--db", told.url).out == "dropped what a rebuild had left\n"
        assert not is_left(told)
        assert done("projector", "rebuild", "--discard", "--db", told.url).out == "no rebuild has left anything\n"
        assert done("projector", "rebuild", "--discard", "--db", told.url, "--json").json == {"discarded": False}


def test_discard_goes_with_nothing_else(told: Backend) -> None:
    before = contents(told)
    assert "--discard" in refused("projector", "rebuild", "--discard", "--accept", "--db", told.url)
    assert contents(told) == before


def test_a_second_one_is_refused_in_a_line(told: Backend) -> None:
    lines: list[str] = []

    def tell(_: RebuildProgress) -> None:
        if not lines:
            lines.append(refused("projector", "rebuild", "--db", told.url))

    rebuild(told, tell=tell)
    assert "another rebuild is at work" in lines[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_the_next_one_goes_on(told: Backend, number: signal.Signals) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(int(number)), told.url]
    ran = subprocess.run(command, check=False, env=environment(), capture_output=True, text=True, timeout=PATIENCE)

    assert (ran.returncode, ran.stdout) == (130, "")
    assert ran.stderr.splitlines() == [
        "tiu: stopped: `tiu projector rebuild` goes on from here, with --discard it drops what is loaded",
        "tiu: interrupted",
    ]
    assert done("projector", "rebuild", "--db", told.url, "--json").json["resumed_at"] == EVENTS


class TestProgress:
    def test_without_a_terminal_a_line_now_and_then(self, told: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verb, "LINE_SECONDS", 0.0)
        err = tiu("projector", "rebuild", "--db", told.url).err

        assert f"loading: {EVENTS} of {EVENTS}" in err
        assert "swapping: 0 of 1" in err

    def test_lines_tell_the_rate_and_the_time_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("claude_tiu.infrastructure.cli.rebuild.time.monotonic", lambda: now[0])
        printed: list[Any] = []
        monkeypatch.setattr(errors, "print", lambda text, **_: printed.append(text))
        tell = verb._Lines()
        for seconds, loaded in ((0, 1_000), (5, 50_000), (10, 101_000), (12, 120_000), (20, 201_000)):
            now[0] = seconds
            tell(RebuildProgress("loading", loaded, 301_000))

        assert printed == [
            "loading: 101000 of 301000 events, 10,000 a second, 20 s left",
            "loading: 201000 of 301000 events, 10,000 a second, 10 s left",
        ]

    def test_on_a_terminal_a_bar(self, told: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Console(stderr=True, force_terminal=True, width=80)
        monkeypatch.setattr(verb, "errors", terminal)
        with terminal.capture() as captured, verb.told_progress() as tell:
            rebuild(told, tell=tell)

        assert "swapping" in captured.get()


def test_what_a_rebuild_has_loaded_is_told_first(told: Backend) -> None:
    with pytest.raises(Stopped):
        rebuild(told, tell=stops_at(2), batch_size=3)
    steps: list[RebuildProgress] = []
    rebuild(told, tell=steps.append)
    assert steps[0] == RebuildProgress("loading", 6, EVENTS)
