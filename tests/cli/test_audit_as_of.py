"""`tiu audit as-of`: the read tables as they stood at a moment."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import contents, done, refused, tiu
from tests.cli.story import FIRST, NOBODY, PROJECT, STORY, at
from tests.support.stores import Backend

POSITIONS = len(STORY)
CLAIMED = 8
"""The position of the claim of 60."""
CLAIM = f"SELECT real_progress FROM tasks WHERE id = '{FIRST}'"


def as_of(backend: Backend, *arguments: object) -> tuple[object, ...]:
    return ("audit", "as-of", *arguments, "--db", backend.url)


def test_it_shows_the_projects_as_they_stood(shared: Backend) -> None:
    out = done(*as_of(shared, "--position", CLAIMED)).out
    assert PROJECT in out
    assert f"as of position {CLAIMED}: 8 event(s)" in out
    assert "Projects: none" in done(*as_of(shared, "--position", 1)).out


def test_json_says_where_it_stands_and_what_there_is(shared: Backend) -> None:
    found = done(*as_of(shared, "--position", CLAIMED, "--json")).json
    assert (found["position"], found["events"]) == (CLAIMED, CLAIMED)
    (project,) = found["projects"]
    assert (project["id"], project["real_progress"], project["fake_progress"]) == (PROJECT, pytest.approx(1.875), 0.0)


def test_sql_is_asked_of_the_tables_as_they_stood(shared: Backend) -> None:
    for position, real in ((CLAIMED - 1, 0.0), (CLAIMED, 60.0), (POSITIONS, 30.0)):
        found = done(*as_of(shared, "--position", position, "--sql", CLAIM, "--json")).json
        assert found == {"position": position, "events": position, "rows": [{"real_progress": real}]}
    assert "60.00" in done(*as_of(shared, "--position", CLAIMED, "--sql", CLAIM)).out
    assert done(*as_of(shared, "--position", 0, "--sql", CLAIM)).out == "no rows\n"


def test_what_was_known_and_what_is_known_are_two_questions(shared: Backend) -> None:
    """All of it was recorded long after it occurred."""
    then = at(4)
    known = done(*as_of(shared, "--recorded-at", then, "--sql", CLAIM, "--json")).json
    assert known == {"position": 0, "events": 0, "rows": []}
    about = done(*as_of(shared, "--occurred-at", then, "--sql", CLAIM, "--json")).json
    assert about["rows"] == [{"real_progress": 60.0}]
    assert "(occurred by then)" in done(*as_of(shared, "--occurred-at", then)).out
    assert "(recorded by then)" in done(*as_of(shared, "--recorded-at", then)).out


def test_one_project_alone(shared: Backend) -> None:
    found = done(*as_of(shared, "--position", POSITIONS, "--project", PROJECT, "--json")).json
    assert [project["id"] for project in found["projects"]] == [PROJECT]
    line = refused(*as_of(shared, "--position", POSITIONS, "--project", NOBODY))
    assert line == f"tiu: no project has the id {NOBODY}\n"


def test_out_writes_a_new_file_of_ones_own(shared: Backend, here: Path) -> None:
    ran = done(*as_of(shared, "--position", CLAIMED, "--out", "then.db"))
    assert ran.out == f"then.db: as of position {CLAIMED}: 8 event(s) of the 8 up to position 8\n"
    path = here / "then.db"
    assert [file.name for file in here.iterdir()] == ["then.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(CLAIM).fetchall() == [(60.0,)]
    line = refused(*as_of(shared, "--position", POSITIONS, "--out", "then.db"))
    assert line == "tiu: then.db is there already: nothing is overwritten\n"
    found = done(*as_of(shared, "--position", CLAIMED, "--out", "other.db", "--json")).json
    assert found == {"position": CLAIMED, "events": CLAIMED, "path": "other.db"}


def test_nothing_changes_and_no_file_is_left(told: Backend, here: Path) -> None:
    before = contents(told)
    done(*as_of(told, "--position", CLAIMED, "--sql", CLAIM))
    assert contents(told) == before
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "as of one moment: a position, recorded_at or occurred_at, not 0 of them"),
        (("--position", "1", "--recorded-at", at(1)), "not 2 of them"),
        (("--position", "99"), f"there is no position 99: the log ends at {POSITIONS}"),
        (("--recorded-at", "yesterday"), "--recorded-at: not a time in ISO 8601: 'yesterday'"),
        (("--occurred-at", "2026-03-01"), "--occurred-at: a time needs an offset"),
        (("--position", "1", "--sql", "SELECT 1", "--out", "x.db"), "--sql, --out: one of them"),
        (("--position", "1", "--sql", "SELECT x"), "cannot be asked: no such column: x"),
        (("--position", "1", "--sql", "DROP TABLE users"), "cannot be asked: not authorized"),
        (("--position", "1", "--sql", "ATTACH 'x.db' AS x"), "cannot be asked: not authorized"),
        (("--position", "1", "--sql", "VACUUM INTO 'x.db'"), "cannot be asked: "),
        (("--position", "1", "--sql", "SELECT 1; SELECT 2"), "cannot be asked: You can only execute one statement"),
        (("--position", "1", "--out", "nowhere/x.db"), "cannot make nowhere/x.db: No such file or directory"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    shared: Backend, here: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(*as_of(shared, *arguments))
    assert list(here.iterdir()) == []


def test_a_negative_position_is_called_wrongly(shared: Backend) -> None:
    ran = tiu(*as_of(shared, "--position", "-1"))
    assert (ran.status, ran.err.count("\n")) == (2, 1)


def test_values_that_json_lacks_are_texts(shared: Backend) -> None:
    sql = "SELECT x'c0ffee' AS hash, 9e999 AS much, NULL AS absent"
    (row,) = done(*as_of(shared, "--position", "1", "--sql", sql, "--json")).json["rows"]
    assert row == {"hash": "c0ffee", "much": "inf", "absent": None}
