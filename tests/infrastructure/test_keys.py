"""Keys of persons: what is personal is stored sealed, and opens nowhere else and never again without its key."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from uuid import UUID

import pytest

from claude_tiu import BadSettings, CommandIdReused, UndecodableEvent, connect
from claude_tiu.domain.user import UserCreated
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.keys import KeyRing
from claude_tiu.infrastructure.mapper import EventMapper, StreamedEvent, decode, encode
from claude_tiu.infrastructure.settings import Settings, load_settings
from tests.support.history import PASSWORD_HASH, PROJECT, START, USER, create_user, store_history, uid
from tests.support.stores import Backend

RING = KeyRing()
KEY = RING.new_key()
CREATED = UserCreated(
    occurred_at=START,
    username="ada",
    email="ada@example.org",
    password_hash=PASSWORD_HASH,
    role="admin",
    preferences={"theme": "dark"},
)
FORGOTTEN = CREATED.model_copy(
    update={"username": f"forgotten:{USER}", "email": f"forgotten:{USER}", "password_hash": "!"}
)
TOPIC = CREATED.topic
MASTER = base64.b64encode(bytes(range(32))).decode()


class TestAnEvent:
    def test_comes_back_as_it_was_under_its_key(self) -> None:
        state = encode(CREATED, USER, 1, KEY)
        assert decode(TOPIC, state, USER, 1, KEY) == CREATED

    def test_shows_nothing_personal(self) -> None:
        body = json.loads(encode(CREATED, USER, 1, KEY))
        assert body.keys() == {"occurred_at", "role", "preferences", "sealed"}
        opened = base64.b64decode(body["sealed"])
        assert all(personal.encode() not in opened for personal in ("ada", PASSWORD_HASH, "example"))

    def test_is_read_as_forgotten_without_its_key(self) -> None:
        assert decode(TOPIC, encode(CREATED, USER, 1, KEY), USER, 1) == FORGOTTEN

    def test_is_sealed_differently_each_time(self) -> None:
        assert encode(CREATED, USER, 1, KEY) != encode(CREATED, USER, 1, KEY)

    @pytest.mark.parametrize(
        ("stream_id", "version", "key"),
        [(PROJECT, 1, KEY), (USER, 2, KEY), (USER, 1, bytes(32))],
        ids=["another stream", "another version", "another key"],
    )
    def test_opens_at_no_other_place_and_under_no_other_key(self, stream_id: UUID, version: int, key: bytes) -> None:
        with pytest.raises(UndecodableEvent):
            decode(TOPIC, encode(CREATED, USER, 1, KEY), stream_id, version, key)

    def test_that_was_changed_does_not_open(self) -> None:
        body = json.loads(encode(CREATED, USER, 1, KEY))
        for sealed in ("", "AAAA", "not base64", body["sealed"][:-4] + "AAA=", 7):
            with pytest.raises(UndecodableEvent):
                decode(TOPIC, json.dumps({**body, "sealed": sealed}).encode(), USER, 1, KEY)

    def test_is_never_stored_without_a_key(self) -> None:
        with pytest.raises(ValueError, match="not stored without a key"):
            encode(CREATED, USER, 1, None)

    def test_the_librarys_mapper_reads_it_as_forgotten_and_does_not_write_it(self, events: EventStore) -> None:
        Executor(events).execute([create_user(user_id=USER)])
        (stored,) = events.select_events(USER)
        read = EventMapper().to_domain_event(stored).event
        assert (read.username, read.password_hash) == (f"forgotten:{USER}", "!")  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="not stored without a key"):
            EventMapper().to_stored_event(StreamedEvent(USER, 2, CREATED))


class TestAStore:
    def test_keeps_a_key_for_each_person_from_their_first_event(self, events: EventStore) -> None:
        others = [uid("eve"), uid("nobody")]
        Executor(events).execute([create_user(user_id=USER), create_user("eve", user_id=others[0])])
        keys = events.keys([USER, *others])
        assert keys.keys() == {USER, others[0]}
        assert len(set(keys.values())) == 2
        row = events.read(0, 1)[0]
        assert row.key_id == USER
        event = decode(row.topic, row.state, row.stream_id, row.version, keys[USER])
        assert (event.username, event.email) == ("ada", "ada@example.org")  # type: ignore[attr-defined]

    def test_of_a_refused_command_no_key_stays(self, events: EventStore) -> None:
        executor = Executor(events)
        executor.execute([create_user(user_id=USER)])
        with pytest.raises(Exception, match="username is taken"):
            executor.execute([create_user(user_id=uid("second"), email="other@example.org")])
        assert events.keys([uid("second")]) == {}

    def test_destroys_keys_and_frees_the_names(self, events: EventStore) -> None:
        executor = Executor(events)
        executor.execute([create_user(user_id=USER)])
        events.destroy_keys([USER, uid("nobody")])
        assert events.keys([USER]) == {}
        executor.execute([create_user(user_id=uid("another ada"))])
        events.destroy_keys([USER])
        assert events.keys([uid("another ada")])

    def test_a_retry_is_compared_by_a_digest_that_nobody_can_try(self, events: EventStore) -> None:
        executor, command_id = Executor(events), uid("command")
        first = executor.execute([create_user(user_id=USER, command_id=command_id)])
        assert executor.execute([create_user(user_id=USER, command_id=command_id)]) == first
        with pytest.raises(CommandIdReused):
            executor.execute([create_user("eve", user_id=USER, command_id=command_id)])
        (row,) = events.read_rows(0, 10)
        command = create_user(user_id=USER)
        assert row.command_digest != sha256(b"CreateUser\0" + command.asked()).digest()


class TestAMasterKey:
    """Keys are wrapped under the master key of the settings, where there is one."""

    @pytest.fixture
    def wrapped(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Backend:
        monkeypatch.setenv("MASTER_KEY", MASTER)
        with connect(backend.url) as tiu:
            answer = tiu.execute(create_user(user_id=USER))
            tiu.wait_for(answer)
            assert tiu.read.user_id("ada") == USER
        return backend

    def test_wraps_what_is_stored(self, wrapped: Backend) -> None:
        ((key, is_wrapped),) = wrapped.on_events("SELECT key, wrapped FROM personal_keys")
        assert is_wrapped
        assert len(key) == 12 + 32 + 16

    def test_opens_it_again(self, wrapped: Backend) -> None:
        with connect(wrapped.url) as tiu:
            tiu.rebuild()
            tiu.wait_for(tiu.events.max_notification_id() or 0)
            assert tiu.read.user_id("ada") == USER

    @pytest.mark.parametrize("other", [None, base64.b64encode(bytes(32)).decode()])
    def test_that_is_missing_or_another_is_told_at_once(
        self, wrapped: Backend, monkeypatch: pytest.MonkeyPatch, other: str | None
    ) -> None:
        monkeypatch.delenv("MASTER_KEY") if other is None else monkeypatch.setenv("MASTER_KEY", other)
        with pytest.raises(BadSettings, match="MASTER_KEY") as caught:
            connect(wrapped.url)
        assert MASTER not in str(caught.value)

    def test_may_come_later_than_the_first_keys(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect(backend.url) as tiu:
            tiu.execute(create_user(user_id=USER))
        monkeypatch.setenv("MASTER_KEY", MASTER)
        with connect(backend.url) as tiu:
            tiu.wait_for(tiu.execute(create_user("eve")))
            assert tiu.read.user_id("ada") == USER

    @pytest.mark.parametrize("bad", ["", "short", "AAAA", "not base64 at all, but quite long enough to be a key"])
    def test_of_another_form_is_refused_and_not_repeated(self, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MASTER_KEY", bad)
        with pytest.raises(BadSettings, match=r"MASTER_KEY.*openssl rand -base64 32") as caught:
            load_settings()
        assert not bad or bad not in str(caught.value)

    def test_is_never_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MASTER_KEY", MASTER)
        settings = load_settings()
        assert isinstance(settings, Settings)
        assert MASTER not in repr(settings)
        assert MASTER not in repr(settings.key_ring())


def test_a_key_that_was_not_restored_is_missed(backend: Backend) -> None:
    events = backend.events()
    store_history(events)
    backend.on_events("DELETE FROM personal_keys")
    with connect(backend.url) as tiu:
        tiu.wait_for(tiu.events.max_notification_id() or 0)
        assert tiu.read.user_id(f"forgotten:{USER}") == USER
