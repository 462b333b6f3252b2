"""What is personal stands in clear in two read tables alone, and nowhere once its person is forgotten."""

from __future__ import annotations

import hmac
import json
import logging
import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import ValidationError

from claude_tiu import (
    ChangeEmail,
    ChangePassword,
    Command,
    CreateProject,
    CreateUser,
    EndSession,
    ForgetUser,
    InvalidCommand,
    KeyMissing,
    NotUnique,
    ProjectionFailed,
    RenameUser,
    RunRetention,
    StartSession,
    StoreUnavailable,
    TablesDiffer,
    TiuError,
    WrongStatus,
    connect,
)
from claude_tiu.domain.messages import Event
from claude_tiu.domain.user import UserCreated
from claude_tiu.infrastructure.decision import Answer, prepare
from claude_tiu.infrastructure.event_store import EventStore, Outcome, Unit
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import START, history, uid
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

ADA, EVE = uid("ada"), uid("eve")
PROJECT = uid("ada's project")
HASHES = ["$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + name * 6 for name in ("adaFirst", "adaSecnd", "eveFirst")]
TOKENS = [name * 6 for name in ("AdaTokn1", "AdaTokn2", "EveTokn1")]


def later(hours: int) -> Any:
    return START + timedelta(hours=hours)


def begin(user_id: UUID, number: int, **metadata: Any) -> StartSession:
    return StartSession(
        session_id=uid(f"session {number}"),
        user_id=user_id,
        token_hash=TOKENS[number],
        expires_at=later(100),
        metadata=metadata,
    )


STORY: list[Command] = [
    CreateUser(user_id=ADA, username="Ada Lövelåce", email="ada@first.example", password_hash=HASHES[0]),
    CreateUser(user_id=EVE, username="Eve Éverhart", email="eve@only.example", password_hash=HASHES[2]),
    CreateProject(project_id=PROJECT, user_id=ADA, name="Billing"),
    begin(ADA, 0, address="192.0.2.71", agent="Ada's Browser"),
    begin(ADA, 1, address="192.0.2.72"),
    begin(EVE, 2, address="198.51.100.9"),
    RenameUser(user_id=ADA, username="Augusta Kïng"),
    ChangeEmail(user_id=ADA, email="augusta@second.example"),
    ChangePassword(user_id=ADA, password_hash=HASHES[1]),
    EndSession(session_id=uid("session 1")),
]
ADAS = [
    *("Ada Lövelåce", "Augusta Kïng", "ada@first.example", "augusta@second.example", *HASHES[:2], *TOKENS[:2]),
    *("192.0.2.71", "192.0.2.72", "Ada's Browser"),
]
EVES = ["Eve Éverhart", "eve@only.example", HASHES[2], TOKENS[2], "198.51.100.9"]


def told(commands: Sequence[Command] = STORY, after: int = 0) -> list[Command]:
    """Commands with ids and times, an hour apart."""
    return [
        command.model_copy(update={"command_id": uid(f"told {after + n}"), "occurred_at": later(after + n)})
        for n, command in enumerate(commands)
    ]


FORGET = told([ForgetUser(user_id=ADA)], len(STORY))


def forms(secret: str) -> list[bytes]:
    """The bytes by which a text may stand somewhere: as it is, in JSON with escapes, and in hexadecimal digits."""
    plain = secret.encode()
    return [plain, json.dumps(secret)[1:-1].encode(), plain.hex().encode()]


def found(secrets: Sequence[str], places: dict[str, bytes]) -> dict[str, list[str]]:
    """secret -> the places where it stands in clear."""
    hits = {
        secret: [place for place, contents in places.items() if any(form in contents for form in forms(secret))]
        for secret in secrets
    }
    return {secret: places for secret, places in hits.items() if places}


def places(backend: Backend) -> dict[str, bytes]:
    """All that a database holds that nobody is connected to: SQLite's files, the rows of PostgreSQL's tables."""
    if isinstance(backend, SQLiteBackend):
        return {path.name: path.read_bytes() for path in backend.path.parent.iterdir() if path.is_file()}
    tables = backend.on_events("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return {
        table: "\n".join(row for (row,) in backend.on_events(f'SELECT t::text FROM "{table}" t')).encode()
        for (table,) in tables
    }


READ_PLACES = ("tiu.read-1.db", "users", "user_sessions")


@pytest.fixture
def story(backend: Backend) -> Backend:
    """A database in which the story was told and projected."""
    with connect(backend.url) as tiu:
        tiu.wait_for(tiu.execute_all(told())[-1].position)
    return backend


def forget(backend: Backend) -> None:
    with connect(backend.url) as tiu:
        tiu.wait_for(tiu.execute_all(FORGET)[-1].position)


def tables(backend: Backend) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(map(repr, row)) for row in rows] for name, rows in backend.tables(READ_MODEL).items()}


class TestWhatIsStored:
    def test_it_is_in_clear_in_two_read_tables_and_nowhere_else(self, story: Backend) -> None:
        stood = found([*ADAS, *EVES], places(story))
        assert {place for hits in stood.values() for place in hits} <= set(READ_PLACES)
        assert {"Augusta Kïng", "augusta@second.example", HASHES[1], TOKENS[0], "192.0.2.71", *EVES} <= stood.keys()

    def test_once_forgotten_it_is_nowhere(self, story: Backend) -> None:
        forget(story)
        everything = places(story)
        assert found(ADAS, everything) == {}
        assert found(EVES, everything).keys() == set(EVES)

    def test_nor_in_the_write_ahead_log_behind_the_next_checkpoint(self, sqlite: SQLiteBackend) -> None:
        """Though somebody stays connected, so that SQLite does not take the log away."""
        with closing(sqlite.events()), closing(sqlite.reads()):
            with connect(sqlite.url) as tiu:
                tiu.wait_for(tiu.execute_all([*told(), *FORGET])[-1].position)
                read_file = next(sqlite.path.parent.glob("*read*.db"))
            for path in (sqlite.path, read_file):
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert found(ADAS, places(sqlite)) == {}

    def test_nor_in_the_write_ahead_log_where_it_is_a_unit_with_an_exclusive_command(
        self, sqlite: SQLiteBackend
    ) -> None:
        """SQLite empties the log in no transaction."""
        with closing(sqlite.events()), connect(sqlite.url, project=False) as tiu:
            tiu.execute_all(told())
            (key,) = tiu.events.keys([ADA]).values()
            tiu.execute_all([*FORGET, RunRetention(occurred_at=later(50))])
            assert tiu.get(ADA).status == "forgotten"
            assert [path.name for path in sqlite.path.parent.glob("tiu.db*") if key in path.read_bytes()] == []

    def test_its_events_stay_as_they_were(self, story: Backend) -> None:
        before = story.events().read_rows(0, 1_000)
        forget(story)
        after = story.events().read_rows(0, 1_000)
        assert after[:-1] == before
        assert (after[-1].topic, after[-1].key_id) == ("user.forgotten.v1", None)
        assert {row.key_id for row in before} == {ADA, EVE, None}

    def test_what_tells_a_retry_cannot_be_tried(self, backend: Backend) -> None:
        """Not even with the store's own secret, of a command about a person: by the person's key alone."""
        events = backend.events()
        Executor(events).execute(told())
        rows = {row.command_id: row for row in events.read_rows(0, 1_000)}
        for command in told():
            content = type(command).__name__.encode() + b"\0" + command.asked()
            digest = rows[command.command_id].command_digest
            secret = hmac.digest(events.reservation_key, content, "sha256")
            if command.personal:
                assert digest != sha256(content).digest()
                assert (digest == secret) == isinstance(command, CreateUser)
            if command.person:
                key = events.keys([getattr(command, command.person)]).popitem()[1]
                assert digest == hmac.digest(key, content, "sha256")


class TestTheRowsOfAForgottenUser:
    def test_hold_the_stand_ins_and_keep_the_rest(self, story: Backend) -> None:
        (before,) = story.on_reads("SELECT role, created_at, last_login FROM users WHERE id = ?", ADA)
        forget(story)
        (after,) = story.on_reads("SELECT role, created_at, last_login FROM users WHERE id = ?", ADA)
        assert after == before
        nobody = f"forgotten:{ADA}"
        (row,) = story.on_reads("SELECT username, email, password_hash FROM users WHERE id = ?", ADA)
        assert row == (nobody, nobody, "!")
        assert story.on_reads("SELECT count(*) FROM user_sessions WHERE user_id = ?", ADA) == [(0,)]
        assert story.on_reads("SELECT count(*) FROM user_sessions WHERE user_id = ?", EVE) == [(1,)]
        assert [str(owner) for (owner,) in story.on_reads("SELECT user_id FROM projects")] == [str(ADA)]

    def test_are_the_same_after_a_rebuild_and_so_is_all_else(self, story: Backend) -> None:
        with connect(story.url) as tiu:
            tiu.wait_for(tiu.execute_all(told(history(), 200))[-1].position)
        forget(story)
        live = tables(story)
        with connect(story.url) as tiu:
            tiu.rebuild()
            tiu.wait_for(tiu.events.max_notification_id() or 0)
        assert tables(story) == live

    def test_are_the_same_where_the_projector_comes_only_then(self, backend: Backend, story: Backend) -> None:
        forget(story)
        live = tables(story)
        projector = Projector(story.events(), story.reads(), READ_MODEL, batch_size=1)
        projector.reset()
        projector.catch_up()
        assert tables(story) == live


class TestAfterwards:
    def test_the_name_and_the_email_can_be_taken_again(self, story: Backend) -> None:
        with connect(story.url) as tiu:
            other = CreateUser(username="Augusta Kïng", email="augusta@second.example", password_hash=HASHES[0])
            with pytest.raises(NotUnique):
                tiu.execute(other)
            tiu.execute_all(FORGET)
            taken = tiu.execute(other)
            tiu.wait_for(taken.position)
            assert tiu.read.user_id("Augusta Kïng") == taken.id

    def test_names_given_up_before_were_free_already(self, story: Backend) -> None:
        with connect(story.url) as tiu:
            answer = tiu.execute(
                CreateUser(username="Ada Lövelåce", email="ada@first.example", password_hash=HASHES[0])
            )
            tiu.wait_for(answer.position)
            assert tiu.read.user_id("Ada Lövelåce") == answer.id

    def test_a_retry_gets_the_first_answer(self, story: Backend) -> None:
        with connect(story.url) as tiu:
            assert tiu.execute_all(FORGET) == tiu.execute_all(FORGET)

    def test_another_process_that_knew_the_user_refuses_as_well(self, events: EventStore, backend: Backend) -> None:
        """Its cache says that the user is active; the key is gone."""
        stale = Executor(events)
        stale.execute(told())
        Executor(backend.events()).execute(FORGET)
        for command in (RenameUser(user_id=ADA, username="Nobody"), begin(ADA, 2)):
            with pytest.raises(WrongStatus, match="is forgotten"):
                stale.execute([command.model_copy(update={"session_id": uid("new")})])

    def test_where_the_key_is_gone_in_a_restored_database_names_are_gone_too(self, story: Backend) -> None:
        """A restore brings events of before the forgetting; the kept list destroys the keys again."""
        story.events().destroy_keys([ADA])
        with connect(story.url) as tiu:
            with pytest.raises(TablesDiffer) as caught:
                tiu.rebuild()
            differences = [one for table in caught.value.report.differences for one in table.first]
            assert (str(ADA), "username") in {(one.key, one.column) for one in differences}
            assert found([*ADAS, "forgotten:"], {"report": repr([caught.value, caught.value.report]).encode()}) == {}
            tiu.rebuild(accept=True)
            assert tiu.read.user_id(f"forgotten:{ADA}") == ADA
        story.close()
        assert found(ADAS, places(story)) == {}


class TestRetriesOfAUnitThatMakesThePerson:
    """The person's key is not there when the unit comes first, and is when it comes again."""

    UNIT = (STORY[0], STORY[3], STORY[6], STORY[7])

    def test_get_the_first_answer(self, events: EventStore) -> None:
        unit = told(self.UNIT)
        first = Executor(events).execute(unit)
        assert Executor(events).execute(unit) == first

    def test_find_it_again_where_the_answer_was_lost(self, events: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        append, answered = events.append, list[bool]()

        def losing(units: Sequence[Unit]) -> list[Outcome]:
            outcomes = append(units)
            answered.append(bool(answered))
            if not answered[-1]:
                raise StoreUnavailable("the connection was lost")
            return outcomes

        monkeypatch.setattr(events, "append", losing)
        answers = Executor(events).execute(told(self.UNIT))
        assert [answer.position for answer in answers] == [1, 2, 3, 4]
        assert events.max_notification_id() == 4

    def test_find_it_where_another_was_faster(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unit, append, first = told(self.UNIT), events.append, list[Answer]()

        def overtaken(units: Sequence[Unit]) -> list[Outcome]:
            first[:] = first or Executor(backend.events()).execute(unit)
            return append(units)

        monkeypatch.setattr(events, "append", overtaken)
        assert Executor(events).execute(unit) == first

    def test_of_other_content_are_refused(self, events: EventStore) -> None:
        unit = told(self.UNIT)
        Executor(events).execute(unit)
        other = [*unit[:-1], unit[-1].model_copy(update={"email": "other@example.org"})]
        with pytest.raises(TiuError, match="used before, with other content"):
            Executor(events).execute(other)


class TestKeysOfAnotherDayThanTheEvents:
    def test_a_key_of_nobody_makes_way_for_that_of_the_user_who_comes(self, backend: Backend) -> None:
        """The keys were dumped behind the events, and the commands that the restored log lacks are handed in again."""
        wrapped = 0 if isinstance(backend, SQLiteBackend) else False
        backend.on_events("INSERT INTO personal_keys VALUES (?, ?, ?)", ADA, bytes(32), wrapped)
        with connect(backend.url) as tiu:
            tiu.wait_for(tiu.execute_all(told())[-1].position)
            assert tiu.events.keys([ADA])[ADA] != bytes(32)
            assert tiu.read.user_id("Augusta Kïng") == ADA

    def test_without_it_a_user_takes_nothing_personal_and_can_be_forgotten(self, story: Backend) -> None:
        story.on_events("DELETE FROM personal_keys WHERE person_id = ?", ADA)
        with connect(story.url) as tiu:
            for command in (RenameUser(user_id=ADA, username="Ada again"), begin(ADA, 2)):
                with pytest.raises(KeyMissing, match="were the keys restored"):
                    tiu.execute(command.model_copy(update={"session_id": uid("new"), "occurred_at": later(40)}))
            tiu.execute(FORGET[0])
            assert tiu.get(ADA).status == "forgotten"


class TestWhatIsTold:
    """No log, no error, no traceback, no repr."""

    @pytest.fixture(autouse=True)
    def _silent(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        caplog.set_level(logging.DEBUG)
        yield
        assert found([*ADAS, *EVES], {"log": caplog.text.encode()}) == {}

    def assert_silent(self, error: BaseException) -> None:
        said = "".join(traceback.format_exception(error)) + repr(error)
        if isinstance(error, TiuError):
            said += json.dumps(error.as_json())
        assert found([*ADAS, *EVES], {"error": said.encode()}) == {}

    @pytest.mark.parametrize(
        "command",
        [
            STORY[0].model_copy(update={"user_id": uid("another")}),
            STORY[0],
            RenameUser(user_id=EVE, username="Augusta Kïng"),
            ChangeEmail(user_id=EVE, email="augusta@second.example"),
            RenameUser(user_id=uid("nobody"), username="Augusta Kïng"),
            begin(uid("nobody"), 0, address="192.0.2.71"),
            begin(ADA, 0, address="192.0.2.71"),
            STORY[3].model_copy(update={"session_id": uid("new"), "expires_at": START - timedelta(days=1)}),
            STORY[6].model_copy(update={"expected_version": 77}),
            STORY[6].model_copy(update={"command_id": uid("told 7")}),
        ],
        ids=lambda command: type(command).__name__,
    )
    def test_by_a_refusal(self, story: Backend, command: Command) -> None:
        if isinstance(command, CreateUser) and command.user_id != ADA:
            command = command.model_copy(update={"username": "Augusta Kïng"})
        with connect(story.url) as tiu, pytest.raises(TiuError) as caught:
            tiu.execute(command)
        self.assert_silent(caught.value)
        assert found([*ADAS, *EVES], {"repr": repr(command).encode()}) == {}

    def test_by_what_is_no_command(self, story: Backend) -> None:
        with connect(story.url) as tiu, pytest.raises(TypeError, match="not a dict") as caught:
            tiu.execute({"command": "CreateUser", "username": ADAS[0]})  # type: ignore[arg-type]
        self.assert_silent(caught.value)

    @pytest.mark.parametrize("model", [CreateUser, UserCreated])
    def test_by_pydantic_itself(self, model: type[Command] | type[Event]) -> None:
        with pytest.raises(ValidationError) as caught:
            model.model_validate([ADAS[0], ADAS[2]])
        self.assert_silent(caught.value)

    def test_by_what_stands_behind_a_fault(self) -> None:
        """Tools that report errors follow the context, though a traceback does not show it."""
        with pytest.raises(InvalidCommand) as caught:
            RenameUser(user_id=ADA, username=[ADAS[0]])  # type: ignore[arg-type]
        assert isinstance(caught.value.__context__, ValidationError)
        self.assert_silent(caught.value.__context__)

    @pytest.mark.parametrize("command", STORY[:1] + STORY[3:4] + STORY[6:7], ids=lambda command: type(command).__name__)
    def test_by_the_local_values_of_a_frame(self, command: Command) -> None:
        assert found([*ADAS, *EVES], {"repr": repr(prepare(command)).encode()}) == {}

    def test_by_a_server_that_tells_parameters(self, postgresql: PostgreSQLBackend) -> None:
        """With log_parameter_max_length_on_error the context of an error repeats a statement's values."""
        Executor(postgresql.events()).execute(told())
        name = postgresql.on_events("SELECT current_database()")[0][0]
        for setting in ("log_parameter_max_length_on_error = -1", "lock_timeout = '50ms'"):
            postgresql.on_events(f'ALTER DATABASE "{name}" SET {setting}')
        projector = Projector(postgresql.events(), postgresql.reads(), READ_MODEL)
        with psycopg.connect(postgresql.url) as other:
            other.execute("INSERT INTO users (id, username, email, password_hash) VALUES (%s, 'x', 'x', '!')", [ADA])
            with pytest.raises(StoreUnavailable, match="lock timeout") as caught:
                projector.step()
        self.assert_silent(caught.value)

    def test_by_a_fault(self) -> None:
        metadata = {f"{ADAS[-2]}\0": TOKENS[0]}
        with pytest.raises(InvalidCommand) as caught:
            begin(ADA, 0, **metadata)
        self.assert_silent(caught.value)

    def test_by_a_projector_that_a_read_table_stops(self, backend: Backend) -> None:
        """The database's own message repeats the value that is there twice."""
        Executor(backend.events()).execute(told())
        backend.on_reads(
            "INSERT INTO users (id, username, email, password_hash) VALUES (?, 'Augusta Kïng', 'x', '!')",
            uid("stranger"),
        )
        with pytest.raises(ProjectionFailed) as caught:
            Projector(backend.events(), backend.reads(), READ_MODEL).catch_up()
        assert "users" in str(caught.value)
        self.assert_silent(caught.value)

    def test_while_all_of_it_happens(self, story: Backend, caplog: pytest.LogCaptureFixture) -> None:
        forget(story)
        with connect(story.url) as tiu:
            tiu.rebuild()
            tiu.wait_for(tiu.events.max_notification_id() or 0)
            states, events = [tiu.get(ADA), tiu.get(uid("session 0"))], tiu.events.read_rows(0, 100)
            shown = repr([states, events, tiu.events.read(0, 100)])
        assert found([*ADAS, *EVES], {"shown": shown.encode(), "log": caplog.text.encode()}) == {}
