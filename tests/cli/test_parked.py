"""`tiu projector parked`: what waits, trying it again, leaving it out; and who else tells of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.retention import RETENTION_ID
from claude_tiu.infrastructure import doctor
from claude_tiu.projections.read_model import READ_MODEL
from tests.cli.running import contents, done, json_lines, refused, tiu
from tests.cli.story import PROJECT
from tests.support.history import uid
from tests.support.stores import Backend, append, event

STREAM, TOPIC = uid("stream"), "nobody.knows.v1"


@pytest.fixture
def waiting(told: Backend) -> Backend:
    """The story, and behind it a stream of two events of a topic that nobody knows."""
    append(told.events(), event(STREAM, topic=TOPIC), event(STREAM, 2, topic=TOPIC))
    assert tiu("projector", "run", "--once", "--db", told.url).status == 0
    return told


def listed(db: Backend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done("projector", "parked", "list", "--db", db.url, "--json").json
    return found


def last(db: Backend) -> int:
    return db.events().max_notification_id() or 0


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and the topic is known: its events mean nothing to the tables."""
    from claude_tiu.domain import registry
    from claude_tiu.domain.task import TaskStarted

    def mend() -> None:
        class Known(TaskStarted):
            topic = TOPIC

        monkeypatch.setattr("claude_tiu.infrastructure.batches.PLAIN", _Known(Known), raising=True)

    class _Known(dict[str, Any]):
        def __init__(self, kind: Any) -> None:
            from claude_tiu.infrastructure.mapper import PLAIN

            super().__init__(PLAIN)
            self[TOPIC] = lambda state: kind(occurred_at="2026-03-01T12:00:00Z")

    assert TOPIC not in registry.EVENTS
    return mend


def test_the_list_says_what_waits_since_when_and_why(waiting: Backend) -> None:
    (unit,) = listed(waiting)
    since = unit.pop("since")
    assert since.endswith("Z")
    assert unit == {
        "unit_id": str(STREAM),
        "kind": "stream",
        "position": last(waiting) - 1,
        "topic": TOPIC,
        "reason": f"no event has the topic '{TOPIC}'",
        "behind": None,
        "retry": False,
        "waiting": 2,
    }
    ran = done("projector", "parked", "list", "--db", waiting.url)
    assert f"{STREAM} ({TOPIC}): no event has the topic" in ran.out
    assert " 2" in ran.rows[0]


def test_of_nothing_the_list_is_empty(told: Backend) -> None:
    assert listed(told) == []
    assert done("projector", "parked", "list", "--db", told.url).out == "nothing is parked\n"


def test_status_doctor_and_rebuild_tell_of_it(waiting: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MOVING_SECONDS", 0.2)
    (unit,) = listed(waiting)
    status = done("projector", "status", "--db", waiting.url, "--json").json
    assert (status["behind"], status["parked"], status["parked_since"]) == (0, 1, unit["since"])
    assert "tiu projector parked list" in done("projector", "status", "--db", waiting.url).out
    ran = tiu("doctor", "--db", waiting.url, "--json")
    assert (ran.status, ran.json["lag"]["ok"], ran.json["lag"]["parked"]) == (1, False, 1)
    assert "tiu projector parked list" in ran.json["lag"]["problem"]
    assert done("projector", "rebuild", "--db", waiting.url, "--json").json["parked"][0]["unit_id"] == str(STREAM)
    assert "1 unit(s) stay parked" in done("projector", "rebuild", "--db", waiting.url).out


def test_trying_again_what_is_not_mended_fails(waiting: Backend) -> None:
    before = waiting.tables(READ_MODEL)
    ran = tiu("projector", "parked", "retry", str(STREAM), "--db", waiting.url, "--json")
    assert (ran.status, ran.err) == (1, "")
    assert ran.json["retried"] == [str(STREAM)]
    assert [unit["unit_id"] for unit in ran.json["still_parked"]] == [str(STREAM)]
    ran = tiu("projector", "parked", "retry", "--all", "--db", waiting.url)
    assert (ran.status, TOPIC in ran.out) == (1, True)
    assert waiting.tables(READ_MODEL) == before


def test_trying_again_what_is_mended(waiting: Backend, mended: Callable[[], None]) -> None:
    mended()
    ran = done("projector", "parked", "retry", "--all", "--db", waiting.url)
    assert ran.out == "1 unit(s) tried again, none of them is parked now\n"
    assert listed(waiting) == []
    assert done("projector", "parked", "retry", "--all", "--db", waiting.url, "--json").json == {
        "retried": [],
        "still_parked": [],
    }


def test_discarding_leaves_it_out_with_a_reason(waiting: Backend) -> None:
    call = ("projector", "parked", "discard", STREAM, "--reason", "of a test", "--actor", "ada")
    found = done(*call, "--first", "--db", waiting.url, "--json").json
    assert (found["discarded"], found["position"]) == (str(STREAM), last(waiting))
    (unit,) = found["still_parked"]
    assert (unit["position"], unit["waiting"]) == (last(waiting) - 1, 1)
    ran = done(*call, "--db", waiting.url)
    assert ran.out == f"discarded, by the event at position {last(waiting)}\n"
    assert listed(waiting) == []
    (row,) = waiting.events().read_rows(last(waiting) - 1, 1)
    assert (row.topic, row.actor) == ("parking.events_discarded.v1", "ada")
    assert b"of a test" in row.state


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], "--all"),
        (["retry", str(STREAM), "--all"], "--all"),
        (["retry", PROJECT], PROJECT),
        (["discard", PROJECT, "--reason", "none"], PROJECT),
    ],
)
def test_what_is_refused_in_one_line(waiting: Backend, arguments: list[str], said: str) -> None:
    before = contents(waiting)
    assert said in refused("projector", "parked", *arguments, "--db", waiting.url)
    assert contents(waiting) == before


def test_retention_is_tried_again_by_a_rebuild(told: Backend) -> None:
    append(told.events(), event(RETENTION_ID, topic="retention.ran.v99"))
    tiu("projector", "run", "--once", "--db", told.url)
    line = refused("projector", "parked", "retry", str(RETENTION_ID), "--db", told.url)
    assert "tiu projector rebuild" in line


def test_it_stops_where_the_setting_says_so(told: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTOR_ON_POISON", "stop")
    append(told.events(), event(STREAM, topic=TOPIC))
    assert f"position {last(told)} ({TOPIC})" in refused("projector", "run", "--once", "--db", told.url)
    assert listed(told) == []
    monkeypatch.setenv("PROJECTOR_ON_POISON", "skip")
    assert "PROJECTOR_ON_POISON" in refused("projector", "status", "--db", told.url)


def test_commands_go_on(waiting: Backend) -> None:
    line = {"command": "AddTask", "project_id": PROJECT, "name": "After it"}
    done("apply", "-", "--db", waiting.url, stdin=json_lines([line]))
    assert waiting.on_reads("SELECT count(*) FROM tasks WHERE name = 'After it'") == [(1,)]
    assert UUID(listed(waiting)[0]["unit_id"]) == STREAM
