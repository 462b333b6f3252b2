"""Any commands to users and sessions, alone and in units: refused as the rules say, rows as they say, rebuilt alike."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import claude_tiu
from claude_tiu import Command, CreateProject, Refused
from claude_tiu.testing.model.machine import batch_sizes
from tests.model.stores import PostgreSQL, SQLite, Store, exactly
from tests.support.history import PASSWORD_HASH, START, uid

USERS = [uid(f"person {number}") for number in range(30)]
SESSIONS = [uid(f"session {number}") for number in range(30)]
NAMES = ("ada", "bob", "eve", *map("user{}".format, range(27)))
HASHES = (PASSWORD_HASH, PASSWORD_HASH[:-1] + "Q")
ROLES = ("admin", "viewer")
COMMANDS = (
    *("CreateUser", "RenameUser", "StartSession") * 3,
    *("ChangeEmail", "EndSession", "ForgetUser", "CreateProject") * 2,
    *("ChangePassword", "ChangeRole", "ChangePreferences", "DeactivateUser", "ReactivateUser"),
)
Choose = Callable[[Sequence[Any]], Any]


def minutes(count: int) -> datetime:
    return START + timedelta(minutes=count)


def drawn(choose: Choose, few: int) -> Command:
    """Any command, about `few` people, whether or not the rules take it; its time may lie before that of the last."""
    name: str = choose(COMMANDS)
    choices: dict[str, Callable[[], Any]] = {
        "user_id": lambda: choose(USERS[:few]),
        "session_id": lambda: choose(SESSIONS[:few]),
        "username": lambda: choose(NAMES[:few]),
        "email": lambda: f"{choose(NAMES[:few])}@example.org",
        "password_hash": lambda: choose(HASHES),
        "role": lambda: choose(ROLES),
        "preferences": lambda: {"theme": choose(("dark", "light"))},
        "token_hash": lambda: choose(("a", "b")) * 32,
        "metadata": lambda: {"n": choose((1, 2))},
        "expires_at": lambda: minutes(choose(range(4, 13))),
        "name": lambda: "Billing",
    }
    kind = getattr(claude_tiu, name)
    values = {field: choices[field]() for field in kind.model_fields if field in choices}
    command: Command = kind(occurred_at=minutes(choose(range(10))), **values)
    return command


@st.composite
def units(draw: st.DrawFn) -> list[Command]:
    """Commands that are stored together or not at all."""
    return [drawn(lambda among: draw(st.sampled_from(among)), 3) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]


class No(Exception):
    """A rule forbids it."""


def require(allowed: bool) -> None:
    if not allowed:
        raise No


@dataclass
class World:
    """The tables by the rules alone, and what became of users and sessions that is no row."""

    users: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    forgotten: set[UUID] = field(default_factory=set)
    sessions: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    begun: dict[UUID, tuple[UUID, datetime]] = field(default_factory=dict)
    ended: set[UUID] = field(default_factory=set)

    def take(self, command: Any) -> None:
        """Change by a command. Raises No where a rule forbids it."""
        at = command.occurred_at
        match type(command).__name__:
            case "CreateUser":
                self._create(command, at)
            case "CreateProject":
                require(command.user_id in self.users and command.user_id not in self.forgotten)
            case "StartSession":
                self._start(command, at)
            case "EndSession":
                self._end(command, at)
            case name:
                self._change(name, command, at)

    def _free(self, name: str, value: str, but: UUID | None = None) -> bool:
        return all(row[name] != value for id_, row in self.users.items() if id_ != but)

    def _create(self, command: Any, at: datetime) -> None:
        said = {name: getattr(command, name) for name in ("username", "email", "password_hash", "role", "preferences")}
        require(command.user_id not in self.users)
        require(self._free("username", command.username) and self._free("email", command.email))
        times = {"created_at": at, "updated_at": at, "last_login": None}
        self.users[command.user_id] = {"id": command.user_id, **said, **times, "is_active": True}

    def _change(self, name: str, command: Any, at: datetime) -> None:
        id_ = command.user_id
        require(id_ in self.users and id_ not in self.forgotten)
        row = self.users[id_]
        match name:
            case "DeactivateUser" | "ReactivateUser":
                require(row["is_active"] == (name == "DeactivateUser"))
                row["is_active"] = name == "ReactivateUser"
            case "ForgetUser":
                self.forgotten.add(id_)
                nobody = f"forgotten:{id_}"
                row |= {"username": nobody, "email": nobody, "password_hash": "!", "is_active": False}
                self.sessions = {key: session for key, session in self.sessions.items() if session["user_id"] != id_}
            case _:
                (changed,) = type(command).model_fields.keys() & row.keys() - {"id"}
                value = getattr(command, changed)
                require(changed not in ("username", "email") or self._free(changed, value, id_))
                row[changed] = value
        row["updated_at"] = at

    def _start(self, command: Any, at: datetime) -> None:
        user = self.users.get(command.user_id)
        require(command.session_id not in self.begun and user is not None and user["is_active"])
        require(at < command.expires_at)
        said = {name: getattr(command, name) for name in ("user_id", "token_hash", "expires_at", "metadata")}
        self.sessions[command.session_id] = {"id": command.session_id, **said, "created_at": at}
        self.begun[command.session_id] = (command.user_id, command.expires_at)
        self.users[command.user_id] |= {"last_login": at, "updated_at": at}

    def _end(self, command: Any, at: datetime) -> None:
        id_ = command.session_id
        require(id_ in self.begun and id_ not in self.ended)
        user_id, expires_at = self.begun[id_]
        require(at < expires_at and user_id not in self.forgotten)
        self.ended.add(id_)
        del self.sessions[id_]


def after(world: World, unit: Sequence[Command]) -> World | None:
    """The world after a unit; None where a rule forbids one of its commands, as things stand by then."""
    world = pickle.loads(pickle.dumps(world))  # noqa: S301 - our own; deepcopy takes ten times as long
    try:
        for command in unit:
            world.take(command)
    except No:
        return None
    return world


def tell(store: Store, told: Sequence[Sequence[Command]]) -> tuple[World, int]:
    """Give units to a store and to the rules, which must agree on each; return the world, and how many were taken."""
    world, taken = World(), 0
    for unit in told:
        expected = after(world, unit)
        try:
            store.tiu.execute_all(unit)
        except Refused:
            assert expected is None, unit
            continue
        assert expected is not None, unit
        world, taken = expected, taken + 1
    return world, taken


def assert_tables(store: Store, world: World) -> None:
    for table, rows in (("users", world.users), ("user_sessions", world.sessions)):
        assert [exactly(row) for row in store.rows(table)] == [
            exactly(row) for row in sorted(rows.values(), key=lambda row: str(row["id"]))
        ]


@given(told=st.lists(units(), max_size=12), live=batch_sizes, rebuilt=batch_sizes)
def test_any_history_is_taken_shown_and_rebuilt_as_the_rules_say(
    told: list[list[Command]], live: int, rebuilt: int
) -> None:
    with closing(SQLite()) as store:
        world, _ = tell(store, told)
        store.projector(live).catch_up()
        assert_tables(store, world)
        store.tiu.projector.reset()
        store.projector(rebuilt).catch_up()
        assert_tables(store, world)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_is_the_same_on_both_stores(seed: int, pg_server: str, pg_template: str) -> None:
    random = Random(seed)
    told = [[drawn(random.choice, 30) for _ in range(random.choice([1, 1, 2, 3]))] for _ in range(400)]
    with closing(SQLite()) as sqlite, closing(PostgreSQL(pg_server, pg_template)) as postgresql:
        for store in (sqlite, postgresql):
            world, taken = tell(store, told)
            assert taken > 30
            assert world.forgotten
            store.projector(7).catch_up()
            assert_tables(store, world)
            store.tiu.projector.reset()
            store.projector(3).catch_up()
            assert_tables(store, world)


ADA, BOB = USERS[:2]


def people() -> list[Command]:
    of = zip(USERS, NAMES[:2], strict=False)
    return [
        claude_tiu.CreateUser(user_id=id_, username=name, email=f"{name}@example.org", password_hash=PASSWORD_HASH)
        for id_, name in of
    ]


@pytest.mark.parametrize("size", [1, 2, 1_000])
class TestNamesInAUnit:
    """What was given up may be taken by a later command of the unit, and by no earlier one."""

    @staticmethod
    def told(unit: Sequence[Command], size: int) -> dict[UUID, str]:
        with closing(SQLite()) as store:
            store.tiu.execute_all(people())
            store.tiu.execute_all(unit)
            store.projector(size).catch_up()
            return {row["id"]: row["username"] for row in store.rows("users")}

    def test_behind_the_one_who_gave_it_up(self, size: int) -> None:
        unit = [
            claude_tiu.RenameUser(user_id=ADA, username="eve"),
            claude_tiu.RenameUser(user_id=BOB, username="ada"),
            claude_tiu.RenameUser(user_id=ADA, username="bob"),
        ]
        assert self.told(unit, size) == {ADA: "bob", BOB: "ada"}

    def test_back_again(self, size: int) -> None:
        unit = [claude_tiu.RenameUser(user_id=ADA, username=name) for name in ("eve", "ada", "eve")]
        assert self.told(unit, size) == {ADA: "eve", BOB: "bob"}

    def test_not_before(self, size: int) -> None:
        """At no time have two users one name: the read tables show every moment."""
        swap = [claude_tiu.RenameUser(user_id=ADA, username="bob"), claude_tiu.RenameUser(user_id=BOB, username="ada")]
        with pytest.raises(claude_tiu.NotUnique, match="username"):
            self.told(swap, size)

    def test_of_one_who_is_forgotten(self, size: int) -> None:
        taken = people()[0].model_copy(update={"user_id": USERS[2]})
        assert self.told([claude_tiu.ForgetUser(user_id=ADA), taken], size) == {
            ADA: f"forgotten:{ADA}",
            BOB: "bob",
            USERS[2]: "ada",
        }


def test_a_project_of_a_forgotten_user_stays() -> None:
    with closing(SQLite()) as store:
        store.tiu.execute_all(people())
        project = store.tiu.execute(CreateProject(user_id=ADA, name="Billing")).id
        store.tiu.execute(claude_tiu.ForgetUser(user_id=ADA))
        store.tiu.execute(claude_tiu.AddTask(project_id=project, name="Parser"))
        store.projector(1_000).catch_up()
        (row,) = store.rows("projects")
        assert (row["id"], row["user_id"]) == (project, ADA)
        assert [row["username"] for row in store.rows("users")] == [f"forgotten:{ADA}", "bob"]


def test_a_session_that_retention_has_taken_can_still_be_ended_by_what_is_told_late() -> None:
    """It ended within its time; the news of that came behind the retention that removed its row."""
    session = claude_tiu.StartSession(
        session_id=SESSIONS[0], user_id=ADA, token_hash="t" * 32, expires_at=minutes(60), occurred_at=START
    )
    with closing(SQLite()) as store:
        store.tiu.execute_all([*people(), session])
        store.projector(1).catch_up()
        assert len(store.rows("user_sessions")) == 1
        store.tiu.execute(claude_tiu.RunRetention(occurred_at=minutes(120)))
        late = claude_tiu.EndSession(session_id=SESSIONS[0], occurred_at=minutes(30))
        store.tiu.execute(late)
        for size in (1, 1_000):
            store.projector(size).catch_up()
            assert store.rows("user_sessions") == []
            store.tiu.projector.reset()
        with pytest.raises(claude_tiu.WrongStatus, match="is ended"):
            store.tiu.execute(late)
