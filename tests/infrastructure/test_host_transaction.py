"""Commands in a transaction of the host's (PostgreSQL): with its own rows they are stored, or they are not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    NotUnique,
    RegisterAgent,
    StoreUnavailable,
    Tiu,
    TransactionRefused,
    aconnect,
    connect,
)
from tests.support.history import PROJECT, create_user, plan, uid
from tests.support.patience import PATIENCE
from tests.support.places import assert_chained
from tests.support.stores import PostgreSQLBackend, SQLiteBackend, until_waiting

TASK = AddTask(task_id=uid("new"), project_id=PROJECT, name="T")


@pytest.fixture
def tiu(postgresql: PostgreSQLBackend) -> Iterator[Tiu]:
    with connect(postgresql.url) as tiu:
        tiu.execute_all(list(plan()))
        yield tiu


@pytest.fixture
def host(postgresql: PostgreSQLBackend, tiu: Tiu) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgresql.url) as host:
        host.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY)")
        host.commit()
        yield host
        if not host.closed:
            host.rollback()


def order(host: psycopg.Connection[Any], number: int) -> None:
    host.execute("INSERT INTO orders VALUES (%s)", [number])


def orders(host: psycopg.Connection[Any]) -> list[int]:
    return [number for (number,) in host.execute("SELECT number FROM orders ORDER BY number")]


def last(tiu: Tiu) -> int:
    return tiu.events.max_notification_id() or 0


def test_they_are_committed_with_the_hosts_rows(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    before = last(tiu)
    with host.transaction():
        order(host, 1)
        (answer,) = tiu.execute_within(host, [TASK])
        assert last(tiu) == before, "seen before the commit"
        order(host, 2)
    assert (answer.id, answer.position, last(tiu)) == (uid("new"), before + 1, before + 1)
    assert orders(host) == [1, 2]
    tiu.wait_for(answer, PATIENCE)  # its projector was told at the commit
    assert_chained(tiu.events.read_rows(0, 1_000))


def test_they_are_rolled_back_with_them(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    before = last(tiu)
    order(host, 1)
    tiu.execute_within(host, [TASK])
    host.rollback()
    assert (orders(host), last(tiu)) == ([], before)
    assert tiu.execute(TASK).position == before + 1  # nothing of it is remembered


def test_what_was_rolled_back_to_a_savepoint_is_not_there(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    before = last(tiu)
    with host.transaction():
        with host.transaction(force_rollback=True):
            tiu.execute_within(host, [TASK])
        tiu.execute_within(host, [TASK.model_copy(update={"name": "another"})])
    assert (last(tiu), tiu.get(uid("new")).name) == (before + 1, "another")


def test_several_see_what_those_before_them_did(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    agent, other = uid("agent"), uid("other")
    with host.transaction():
        for number, id_ in enumerate((agent, other)):
            register = RegisterAgent(agent_id=id_, name=f"a{number}", agent_type="tester")
            tiu.execute_within(host, [register, AddTask(task_id=uid(f"t{number}"), project_id=PROJECT, name="T")])
        claimed = [
            tiu.execute_within(host, [ClaimNextTask(agent_id=id_, project_id=PROJECT, lease_seconds=60)])[0].id
            for id_ in (agent, other)
        ]
    assert len(set(claimed)) == 2


def test_one_that_is_refused_leaves_the_transaction_as_it_was(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    before = last(tiu)
    with host.transaction():
        order(host, 1)
        with pytest.raises(NotUnique):
            tiu.execute_within(host, [TASK, create_user()])  # the name is taken: all of the unit is refused
        order(host, 2)
    assert (orders(host), last(tiu)) == ([1, 2], before)


def test_a_retry_gets_the_first_answer(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    command = TASK.model_copy(update={"command_id": uuid4()})
    first = tiu.execute(command)
    with host.transaction():
        assert tiu.execute_within(host, [command]) == [first]
    with host.transaction():
        second = command.model_copy(update={"command_id": uuid4(), "task_id": uid("second")})
        answers = [tiu.execute_within(host, [second]) for _ in range(2)]
    assert answers[0] == answers[1]
    assert last(tiu) == answers[0][0].position


def test_others_wait_for_its_end(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    done = threading.Event()

    def other() -> None:
        tiu.execute(AddTask(project_id=PROJECT, name="other"))
        done.set()

    thread = threading.Thread(target=other)
    with host.transaction():
        (answer,) = tiu.execute_within(host, [TASK])
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    thread.join()
    assert last(tiu) == answer.position + 1


def test_they_do_not_wait_once_it_was_refused(tiu: Tiu, host: psycopg.Connection[Any]) -> None:
    with host.transaction():
        with pytest.raises(NotUnique):
            tiu.execute_within(host, [create_user()])
        tiu.execute(TASK)  # in the middle of the host's transaction


class TestTheHostsConnection:
    def test_may_be_of_any_form(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        host.row_factory = dict_row
        host.prepare_threshold = 0
        said = list[str]()
        host.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        kept = {
            "search_path": "pg_temp, public",
            "timezone": "Asia/Tokyo",
            "datestyle": "SQL, DMY",
            "enable_seqscan": "on",
        }
        kept |= {"synchronous_commit": "local", "extra_float_digits": "0", "client_encoding": "LATIN1"}
        with host.transaction():
            for name, value in kept.items():
                host.execute("SELECT set_config(%s, %s, false)", [name, value])
            for number in range(8):
                tiu.execute_within(host, [AddTask(project_id=PROJECT, name=f"Ünï {number} €")])
                assert host.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]
            for name, value in kept.items():
                assert host.execute("SELECT current_setting(%s) AS now", [name]).fetchall() == [{"now": value}]
            host.execute("DO $$ BEGIN RAISE NOTICE 'still heard'; END $$")
        assert said == ["still heard"]
        assert not host.closed

    def test_must_be_in_a_transaction(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        with pytest.raises(TransactionRefused, match="in no transaction"):
            tiu.execute_within(host, [TASK])

    def test_whose_transaction_has_failed_is_refused(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        order(host, 1)
        with pytest.raises(psycopg.errors.UniqueViolation):
            order(host, 1)
        with pytest.raises(TransactionRefused, match="INERROR"):
            tiu.execute_within(host, [TASK])

    @pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
    def test_must_see_what_others_have_stored(
        self, tiu: Tiu, host: psycopg.Connection[Any], level: psycopg.IsolationLevel
    ) -> None:
        host.isolation_level = level
        with host.transaction(), pytest.raises(TransactionRefused, match="only read committed"):
            tiu.execute_within(host, [TASK])

    def test_must_be_to_the_same_database(self, tiu: Tiu, pg_url: str, pg_server: str) -> None:
        with psycopg.connect(pg_server) as host, host.transaction(), pytest.raises(StoreUnavailable, match="store"):
            tiu.execute_within(host, [TASK])

    def test_that_is_lost_is_told(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        order(host, 1)
        with psycopg.connect(tiu.database, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [host.info.backend_pid])
        with pytest.raises(StoreUnavailable):
            tiu.execute_within(host, [TASK])
        tiu.execute(TASK)

    def test_whose_patience_ends_is_told(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        with tiu.events.exclusive(), host.transaction():
            host.execute("SET LOCAL lock_timeout = 100")
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                tiu.execute_within(host, [TASK])
            assert host.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def test_on_sqlite_it_is_refused(sqlite: SQLiteBackend, postgresql: PostgreSQLBackend) -> None:
    with (
        connect(sqlite.url, project=False) as tiu,
        psycopg.connect(postgresql.url) as host,
        host.transaction(),
        pytest.raises(TransactionRefused, match="only PostgreSQL"),
    ):
        tiu.execute_within(host, [create_user()])


class TestOnAnEventLoop:
    def test_an_asynchronous_connection_is_taken(self, tiu: Tiu, host: psycopg.Connection[Any]) -> None:
        before = last(tiu)

        async def story() -> None:
            async with (
                aconnect(tiu.database, project=False) as async_tiu,
                await psycopg.AsyncConnection.connect(tiu.database) as connection,
            ):
                async with connection.transaction():
                    await connection.execute("INSERT INTO orders VALUES (7)")
                    await async_tiu.execute_within(connection, [TASK])
                async with connection.transaction(force_rollback=True):
                    await async_tiu.execute_within(connection, [TASK.model_copy(update={"task_id": uid("gone")})])
                await connection.execute("INSERT INTO orders VALUES (8)")
                await connection.commit()

        asyncio.run(story())
        assert (orders(host), last(tiu)) == ([7, 8], before + 1)

    def test_who_is_cancelled_leaves_the_connection_only_when_nobody_uses_it(
        self, postgresql: PostgreSQLBackend, tiu: Tiu, host: psycopg.Connection[Any]
    ) -> None:
        async def story() -> None:
            async with (
                aconnect(tiu.database, project=False) as async_tiu,
                await psycopg.AsyncConnection.connect(tiu.database) as connection,
            ):
                with tiu.events.exclusive():
                    await connection.execute("INSERT INTO orders VALUES (7)")
                    command = asyncio.create_task(async_tiu.execute_within(connection, [TASK]))
                    await asyncio.to_thread(until_waiting, postgresql)
                    command.cancel()
                    await asyncio.sleep(0.05)
                    assert connection.lock.locked()
                with pytest.raises(asyncio.CancelledError):
                    await command
                assert not connection.lock.locked()
                await connection.rollback()

        asyncio.run(story())
        assert orders(host) == []
