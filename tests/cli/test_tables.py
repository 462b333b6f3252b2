"""`tiu migrate` and `tiu projector`: what they do to a database, and what they say of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from claude_tiu import connect
from tests.cli.running import contents, done, folder, json_lines
from tests.cli.story import PROJECT, STORY
from tests.support.stores import VERSIONS, Backend, new_backend

EVENTS = 14


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, here: Path) -> str:
    """The URL of a database that is not migrated; of SQLite, a long one."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("pg_empty"))
    (here / ("folder" * 20)).mkdir()
    return f"sqlite:///{'folder' * 20}/tiu.db"


def positions(db: Backend) -> dict[str, Any]:
    status: dict[str, Any] = done("projector", "status", "--db", db.url, "--json").json
    return {name: status[name] for name in ("position", "last_position", "behind")}


class TestMigrate:
    def test_up_applies_what_lacks_and_then_nothing(self, url: str) -> None:
        first = done("migrate", "up", "--db", url, "--json").json
        second = done("migrate", "up", "--db", url, "--json").json

        assert first["applied"] == VERSIONS
        assert second == {**first, "applied": []}

    def test_without_json_it_says_so_in_a_line(self, url: str) -> None:
        first, second = (done("migrate", "up", "--db", url) for _ in range(2))

        assert first.out.endswith(f": applied {', '.join(VERSIONS)}\n")
        assert second.out.endswith(": nothing to apply\n")
        assert (len(first.lines), len(second.lines)) == (1, 1), "a path is not broken, however long it is"

    def test_status_shows_each_before_and_after(self, url: str) -> None:
        before = done("migrate", "status", "--db", url, "--json").json["migrations"]
        done("migrate", "up", "--db", url)
        after = done("migrate", "status", "--db", url, "--json").json["migrations"]

        assert [step["version"] for step in before] == [step["version"] for step in after] == VERSIONS
        assert {step["applied_at"] for step in before} == {None}
        assert all(step["applied_at"].endswith("Z") and step["known"] and step["description"] for step in after)

    def test_the_table_shows_each(self, db: Backend) -> None:
        ran = done("migrate", "status", "--db", db.url)

        assert [row.split()[0] for row in ran.rows] == VERSIONS
        assert all(len(line.rstrip()) <= 80 for line in ran.lines[1:])
        assert all(re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +yes$", row.rstrip()) for row in ran.rows)

    def test_the_title_is_one_line_however_long_the_url_is(self, url: str) -> None:
        done("migrate", "up", "--db", url)
        title = done("migrate", "status", "--db", url).lines[0]

        assert title.startswith("Migrations of ")
        assert title.endswith(done("migrate", "status", "--db", url, "--json").json["db"])

    def test_an_url_without_secrets_is_shown(self, url: str) -> None:
        shown = done("migrate", "up", "--db", url, "--json").json["db"]

        assert shown.startswith(("sqlite:///", "postgresql://"))
        assert done("migrate", "up", "--db", shown, "--json").json["applied"] == [], "and can be used"


class TestProjector:
    def test_run_once_comes_to_the_end(self, told: Backend) -> None:
        again = done("projector", "run", "--once", "--db", told.url, "--json").json

        assert {name: again[name] for name in ("events", "position")} == {"events": 0, "position": EVENTS}
        assert done("projector", "run", "--once", "--db", told.url).out.startswith("0 events projected")

    def test_status_shows_how_far_it_is(self, told: Backend, tmp_path: Path) -> None:
        assert positions(told) == {"position": EVENTS, "last_position": EVENTS, "behind": 0}

        *_, row, nobody = done("projector", "status", "--db", told.url).rows
        assert row.split() == ["read_model", str(EVENTS), str(EVENTS), "0", "0"]
        assert nobody == "no projector is active"

    def test_status_shows_who_is_active(self, told: Backend) -> None:
        with connect(told.url) as tiu:
            tiu.wait_for(EVENTS)
            active = done("projector", "status", "--db", told.url, "--json").json["active"]
            assert (active["pid"], active["active"]) == (os.getpid(), True)
            last = done("projector", "status", "--db", told.url).rows[-1]
            assert last.startswith("active since ")
            assert f"process {os.getpid()} on {active['host']}, tenure {active['fence']}" in last
        assert done("projector", "status", "--db", told.url, "--json").json["active"] is None

    def test_status_of_nothing(self, empty: Backend) -> None:
        assert positions(empty) == {"position": 0, "last_position": 0, "behind": 0}

    def test_a_rebuild_makes_the_same_again(self, told: Backend) -> None:
        def shown() -> list[str]:
            verbs = (("dashboard",), ("ready", PROJECT), ("metrics", PROJECT), ("metrics", PROJECT, "quality_score"))
            return [done("show", *verb, "--db", told.url, "--json").out for verb in verbs]

        before = shown()
        told.on_reads("UPDATE projects SET name = 'spoilt'")
        assert shown() != before

        rebuilt = done("projector", "rebuild", "--accept", "--db", told.url, "--json").json
        assert {name: rebuilt[name] for name in ("events", "position")} == {"events": EVENTS, "position": EVENTS}

        assert shown() == before
        assert f"{EVENTS} events" in done("projector", "rebuild", "--db", told.url).out
        assert shown() == before

    def test_a_rebuild_of_nothing(self, db: Backend) -> None:
        rebuilt = done("projector", "rebuild", "--db", db.url, "--json").json
        assert {name: rebuilt[name] for name in ("events", "position")} == {"events": 0, "position": 0}

    def test_a_rebuild_makes_the_task_queue_again_where_it_is_asked_to(self, told: Backend) -> None:
        queue = "SELECT task_id, position FROM task_queue ORDER BY task_id"
        before = told.on_events(queue)
        told.on_events("DELETE FROM task_queue")
        done("projector", "rebuild", "--db", told.url)
        assert told.on_events(queue) == []
        done("projector", "rebuild", "--write-side", "--db", told.url)
        assert told.on_events(queue) == before != []

    def test_a_rebuild_leaves_the_events_alone(self, told: Backend) -> None:
        before = told.on_events("SELECT * FROM events ORDER BY position")

        done("projector", "rebuild", "--db", told.url)

        assert told.on_events("SELECT * FROM events ORDER BY position") == before


def test_apply_reads_a_file_too(db: Backend, here: Path) -> None:
    (here / "story.jsonl").write_bytes(json_lines(STORY))

    ran = done("apply", "story.jsonl", "--db", db.url)

    assert [answer["line"] for answer in ran.answers] == list(range(1, len(STORY) + 1))
    assert ran.answers[-1]["position"] == EVENTS
    assert folder(here) == {"story.jsonl": json_lines(STORY)}


def test_what_apply_stored_is_in_the_read_tables(db: Backend) -> None:
    """Whatever else projects, or does not."""
    done("apply", "-", "--db", db.url, stdin=json_lines(STORY))

    assert positions(db)["behind"] == 0
    before = contents(db)
    done("projector", "run", "--once", "--db", db.url)
    assert contents(db) == before


def test_both_stores_print_the_same(tmp_path: Path, pg_url: str) -> None:
    printed = []
    for name, place in (("sqlite", tmp_path / "tiu.db"), ("postgresql", pg_url)):
        with new_backend(name, place) as backend:
            done(
                "apply",
                "-",
                "--db",
                backend.url,
                stdin=json_lines([{**c, "occurred_at": c.get("occurred_at", "2026-03-01T12:02:00Z")} for c in STORY]),
            )
            done("projector", "run", "--once", "--db", backend.url)
            verbs = (("dashboard",), ("dashboard", "--user", "ada"), ("ready", PROJECT), ("metrics", PROJECT))
            printed.append(
                [done("show", *verb, "--db", backend.url, *json).out for verb in verbs for json in ((), ("--json",))]
            )

    assert printed[0] == printed[1]
