"""A session: of an active user, for a time; over when it is ended, expired, or its user forgotten."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as any_given
from hypothesis import strategies as st

from claude_tiu.domain.errors import AlreadyExists, Expired, InvalidCommand, NotFound, Refused, WrongStatus
from claude_tiu.domain.messages import Event
from claude_tiu.domain.session import SESSION, EndSession, Session, SessionEnded, SessionStarted, StartSession, decide
from claude_tiu.testing.strategies import messages
from tests.domain.given import (
    AT,
    COMMAND_ID,
    EARLIER,
    NEW_ID,
    NOBODY,
    SESSION_ID,
    USER_ID,
    DictReads,
    given,
    user,
)

TOKEN_HASH = "5f4dcc3b" * 8
METADATA = {"address": "192.0.2.7"}
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
END = EndSession(session_id=SESSION_ID)


def start(**fields: Any) -> StartSession:
    least: dict[str, Any] = {
        "session_id": SESSION_ID,
        "user_id": USER_ID,
        "token_hash": TOKEN_HASH,
        "expires_at": AT + HOUR,
    }
    return StartSession(**(least | fields))


def started(expires_at: datetime = AT + HOUR, metadata: dict[str, Any] | None = None) -> SessionStarted:
    return SessionStarted(
        occurred_at=AT, user_id=USER_ID, token_hash=TOKEN_HASH, expires_at=expires_at, metadata=metadata or {}
    )


ENDED = SessionEnded(occurred_at=AT, user_id=USER_ID)


def of(status: str) -> DictReads:
    return DictReads(users={USER_ID: user(status)})


class TestStarting:
    def test_it_is_open(self) -> None:
        state = given(SESSION).when(start(metadata=METADATA)).then([started(metadata=METADATA)])
        assert state == Session(USER_ID, AT + HOUR, "open")

    def test_a_new_id_may_be_left_out(self) -> None:
        assert start(session_id=None).stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID).session_id == NEW_ID

    def test_an_id_is_given_once(self) -> None:
        for history in ([started()], [started(), ENDED]):
            given(SESSION, history).when(start()).then_refused(AlreadyExists, id=SESSION_ID)

    def test_the_user_exists(self) -> None:
        given(SESSION).when(start(user_id=NOBODY)).then_refused(NotFound, id=NOBODY)

    @pytest.mark.parametrize("status", ["inactive", "forgotten"])
    def test_the_user_is_active(self, status: str) -> None:
        given(SESSION, reads=of(status)).when(start()).then_refused(WrongStatus, id=USER_ID, status=status)

    @pytest.mark.parametrize("expires_at", [AT, AT - TICK, EARLIER])
    def test_it_ends_behind_its_start(self, expires_at: datetime) -> None:
        when = given(SESSION).when(start(expires_at=expires_at))
        when.then_refused(Expired, id=SESSION_ID, expires_at=expires_at.isoformat(), occurred_at=AT.isoformat())

    def test_however_short(self) -> None:
        given(SESSION).when(start(expires_at=AT + TICK)).then([started(AT + TICK)])

    @pytest.mark.parametrize(
        "value",
        ["", "a" * 31, "a" * 256, "a b" * 20, "a" * 40 + "\n", "ä" * 40, "\x7f" * 40, None, 7, "!"],
        ids=lambda value: ascii(value)[:20],
    )
    def test_a_token_hash_is_32_to_255_visible_characters(self, value: Any) -> None:
        with pytest.raises(InvalidCommand) as caught:
            start(token_hash=value)
        assert [fault.field for fault in caught.value.faults] == ["token_hash"]
        for length in (32, 255):
            assert start(token_hash="~" * length).token_hash == "~" * length


class TestEnding:
    def test_an_open_one(self) -> None:
        assert given(SESSION, [started()]).when(END).then([ENDED]).status == "ended"

    def test_one_that_does_not_exist(self) -> None:
        given(SESSION).when(END).then_refused(NotFound, id=SESSION_ID)

    def test_once(self) -> None:
        given(SESSION, [started(), ENDED]).when(END).then_refused(WrongStatus, id=SESSION_ID, status="ended")

    @pytest.mark.parametrize("expires_at", [AT, AT - TICK])
    def test_one_that_has_expired(self, expires_at: datetime) -> None:
        when = given(SESSION, [started(expires_at)]).when(END)
        when.then_refused(Expired, id=SESSION_ID, expires_at=expires_at.isoformat(), occurred_at=AT.isoformat())

    def test_in_its_last_moment(self) -> None:
        given(SESSION, [started(AT + TICK)]).when(END).then([ENDED])

    def test_before_its_start_for_clocks_fall(self) -> None:
        command = END.model_copy(update={"occurred_at": EARLIER})
        given(SESSION, [started()]).when(command).then([SessionEnded(occurred_at=EARLIER, user_id=USER_ID)])

    def test_an_inactive_users(self) -> None:
        given(SESSION, [started()], reads=of("inactive")).when(END).then([ENDED])

    def test_not_a_forgotten_users_for_it_is_over(self) -> None:
        when = given(SESSION, [started()], reads=of("forgotten")).when(END)
        when.then_refused(WrongStatus, id=USER_ID, status="forgotten", command="EndSession")


class TestWhatIsPersonal:
    def test_it_belongs_to_the_user(self) -> None:
        assert StartSession.personal == SessionStarted.personal == {"token_hash", "metadata"}
        assert StartSession.person == SessionStarted.person == "user_id"
        assert SessionStarted.forgotten(USER_ID) == {"token_hash": "!", "metadata": {}}

    def test_no_state_holds_it(self) -> None:
        event = started(metadata=METADATA)
        state = SESSION.fold([event])
        assert TOKEN_HASH not in repr(state)
        assert "192.0.2.7" not in repr(state)
        assert SESSION.fold([event.model_copy(update=SessionStarted.forgotten(USER_ID))]) == state

    @pytest.mark.parametrize("reads", [of("inactive"), DictReads()], ids=["inactive", "nobody"])
    def test_no_repr_and_no_refusal_tells_it(self, reads: DictReads) -> None:
        command = start(metadata=METADATA).stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID)
        with pytest.raises(Refused) as caught:
            SESSION.decide(None, command, reads)
        told = repr(command) + repr(started(metadata=METADATA)) + json.dumps(caught.value.as_json())
        assert TOKEN_HASH not in told
        assert "192.0.2.7" not in told

    @pytest.mark.parametrize(
        ("field", "value"),
        [("token_hash", "s3cr3t"), ("metadata", {"s3cr3t": float("nan")}), ("metadata", "s3cr3t"), ("token", "s3cr3t")],
    )
    def test_nor_does_a_fault(self, field: str, value: Any) -> None:
        with pytest.raises(InvalidCommand) as caught:
            start(**{field: value})
        assert [fault.field for fault in caught.value.faults] == [field]
        assert "s3cr3t" not in caught.value.message + json.dumps(caught.value.as_json())


@any_given(begin=messages(StartSession), end=messages(EndSession), at=st.datetimes(datetime(1990, 1, 1)))  # noqa: DTZ001
def test_a_session_is_ended_within_its_time_alone(begin: StartSession, end: EndSession, at: datetime) -> None:
    now = at.replace(tzinfo=AT.tzinfo)
    begin = begin.stamped(at=now, command_id=COMMAND_ID, new_id=SESSION_ID)
    end = end.stamped(at=now, command_id=COMMAND_ID, new_id=SESSION_ID)
    reads = DictReads(users={begin.user_id: user()})
    try:
        history: list[Event] = decide(None, begin, reads)
    except Expired:
        assert begin.expires_at <= begin.at
        return
    assert begin.at < begin.expires_at
    try:
        history += decide(SESSION.fold(history), end, reads)
    except Expired:
        assert begin.expires_at <= end.at
    else:
        assert end.at < begin.expires_at
        assert SESSION.fold(history) == Session(begin.user_id, begin.expires_at, "ended")
