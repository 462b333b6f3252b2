"""Log messages have fields, each under a name that stays, and none has what is a person's own."""

from __future__ import annotations

import logging

import pytest

from claude_tiu import NotUnique, StoreUnavailable, connect
from claude_tiu.infrastructure.logs import FIELDS, PREFIX, error_type, fields
from tests.support.history import create_user, uid
from tests.support.log_calls import ROOT, log_calls, logging_modules
from tests.support.stores import Backend, append, event


def test_every_message_has_an_event_of_its_own() -> None:
    calls = log_calls()
    assert [call.place for call in calls if call.event is None] == []
    assert len({call.event for call in calls}) == len(calls)
    assert len(calls) >= 8


def test_what_is_logged_is_found() -> None:
    """Whatever has a logger calls it by the name that is looked for."""
    assert {*logging_modules()} == {ROOT / call.place.partition(":")[0] for call in log_calls()}
    texts = [path.read_text(encoding="utf-8") for path in logging_modules()]
    assert all("log = logging.getLogger(__name__)" in text for text in texts)


def test_every_field_is_a_known_one() -> None:
    used = {name for call in log_calls() for name in call.fields}
    assert used | {"event"} == set(FIELDS)


def test_none_takes_the_place_of_a_records_own() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "m", (), None)
    assert not {f"{PREFIX}{name}" for name in FIELDS} & {*vars(record), "message", "asctime"}


def test_of_an_error_there_is_its_code() -> None:
    found = fields("it.failed", error=NotUnique("email is taken", field="email"), position=7, unit_id=uid("x"))
    assert found == {
        "tiu_event": "it.failed",
        "tiu_error": "not_unique",
        "tiu_position": 7,
        "tiu_unit_id": str(uid("x")),
    }
    assert error_type(ZeroDivisionError()) == "ZeroDivisionError"
    assert error_type(StoreUnavailable("gone")) == "store_unavailable"


def test_a_parked_unit_is_logged_with_its_fields(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    stream = uid("poison")
    with connect(backend.url, project=False) as tiu, caplog.at_level(logging.DEBUG, "claude_tiu"):
        tiu.execute(create_user("grace.hopper"))
        append(tiu.events, event(stream, topic="nobody.knows.v1"))
        tiu.catch_up()
    (record,) = [record for record in caplog.records if vars(record).get("tiu_event") == "unit.parked"]
    told = {name: value for name, value in vars(record).items() if name.startswith(PREFIX)}
    assert told == {
        "tiu_event": "unit.parked",
        "tiu_projection": "read_model",
        "tiu_unit_id": str(stream),
        "tiu_position": 2,
        "tiu_topic": "nobody.knows.v1",
        "tiu_error": "undecodable_event",
    }
    assert "grace.hopper" not in caplog.text
