"""`tiu` works with a service's own projections, which the setting PROJECTIONS names."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.cli.running import done, refused, started, tiu
from tests.support.history import uid
from tests.support.stores import Backend, append, event

STREAM, TOPIC = uid("stream"), "nobody.knows.v1"
ROOT = Path(__file__).resolve().parents[2]
NAMED = "tests.support.board:BOARD"


@pytest.fixture
def board(told: Backend, monkeypatch: pytest.MonkeyPatch) -> str:
    """The story, kept by ours and by one of a service's own, and the option that names the database."""
    monkeypatch.setenv("PROJECTIONS", NAMED)
    assert done("migrate", "up", "--db", told.url, "--json").json["applied"][-2:] == ["board/001", "board/parking"]
    assert tiu("projector", "run", "--once", "--db", told.url).status == 0
    return told.url


def test_every_verb_of_a_projector_takes_it(board: str) -> None:
    last = done("projector", "status", "--projection", "board", "--db", board, "--json").json["last_position"]
    both = done("projector", "status", "--db", board, "--json").answers
    assert [(one["projection"], one["position"]) for one in both] == [("read_model", last), ("board", last)]
    assert "board: no projector is active" in done("projector", "status", "--db", board).out
    assert done("projector", "rebuild", "--projection", "board", "--db", board, "--json").json["swapped"] is True
    assert done("projector", "rebuild", "--projection", "board", "--discard", "--db", board, "--json").json == {
        "discarded": False
    }
    verified = done("audit", "verify", "--projection", "board", "--db", board, "--json").json
    assert (verified["equal"], verified["position"]) == (True, last)
    assert verified["rows"] < done("audit", "verify", "--db", board, "--json").json["rows"]
    run = done("projector", "run", "--once", "--projection", "board", "--db", board, "--json").json
    assert run == {"projection": "board", "events": 0, "position": last}
    versions = [one["version"] for one in done("migrate", "status", "--db", board, "--json").json["migrations"]]
    assert versions[-2:] == ["board/001", "board/parking"]


def test_what_it_has_parked_is_told_and_discarded_by_itself(told: Backend, board: str) -> None:
    append(told.events(), event(STREAM, topic=TOPIC))
    tiu("projector", "run", "--once", "--db", board)
    option = ("--projection", "board", "--db", board)
    (unit,) = done("projector", "parked", "list", *option, "--json").json
    assert (unit["unit_id"], unit["waiting"]) == (str(STREAM), 1)
    assert tiu("projector", "parked", "retry", "--all", *option).status == 1
    assert (
        done("projector", "parked", "discard", STREAM, "--reason", "made up", *option, "--json").json["still_parked"]
        == []
    )
    assert len(done("projector", "parked", "list", "--db", board, "--json").json) == 1, "ours still waits"


def test_the_doctor_looks_at_it(told: Backend, board: str) -> None:
    (own,) = done("doctor", "--db", board, "--json").json["projections"]
    assert (own["ok"], own["projection"], own["behind"], own["refused"]) == (True, "board", 0, None)
    assert "lag of board" in done("doctor", "--db", board).out
    append(told.events(), event(STREAM, topic=TOPIC))
    tiu("projector", "run", "--once", "--db", board)
    report = tiu("doctor", "--db", board, "--json")
    assert report.status == 1
    assert "`tiu projector parked list --projection board` says why" in report.json["projections"][0]["problem"]


def test_one_process_keeps_all_until_it_is_told_to_stop(told: Backend, board: str) -> None:
    def active() -> list[int | None]:
        found = done("projector", "status", "--db", board, "--json").answers
        return [one["active"] and one["active"]["pid"] for one in found]

    with started(
        "projector", "run", "--db", board, "--json", more={"PROJECTIONS": NAMED, "PYTHONPATH": str(ROOT)}
    ) as process:
        deadline = time.monotonic() + 60
        while active() != [process.pid] * 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("nowhere:BOARD", "'nowhere:BOARD' cannot be imported: No module named 'nowhere'"),
        ("tests.support.board:NOTHING", "cannot be imported: module 'tests.support.board' has no attribute 'NOTHING'"),
        ("tests.support.board:CARDS", "'tests.support.board:CARDS' is no Projection"),
        (f"{NAMED}, {NAMED}", "two projections have the name board"),
    ],
)
def test_what_names_none_is_refused_in_one_line(
    db: Backend, monkeypatch: pytest.MonkeyPatch, named: str, told: str
) -> None:
    monkeypatch.setenv("PROJECTIONS", named)
    for verb in (("projector", "status"), ("migrate", "up"), ("audit", "verify")):
        assert told in refused(*verb, "--db", db.url)
    report = tiu("doctor", "--db", db.url, "--json")
    assert report.status == 1
    assert told in report.json["settings"]["problem"]


def test_one_that_is_not_named_is_refused(db: Backend) -> None:
    said = refused("audit", "verify", "--projection", "board", "--db", db.url)
    assert "there is no projection 'board' here" in said


def test_a_verb_that_looks_makes_no_tables(db: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTIONS", NAMED)
    assert "lacks migration board/" in refused("projector", "status", "--db", db.url)
