"""What a service writes in the transaction of the checkpoint is written exactly once, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from claude_tiu import (
    AddTask,
    CheckpointMoved,
    CreateProject,
    Delivery,
    LeaseLost,
    StoreUnavailable,
    Tiu,
    TransactionRefused,
    connect,
)
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLListener
from claude_tiu.infrastructure.settings import Settings
from tests.support.candidates import until
from tests.support.history import PROJECT, USER, create_user, uid
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend
from tests.support.subscribing import NAME, Following, add, positions

PLACEHOLDER = {"sqlite": "?", "postgresql": "%s"}


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    """A connection to a database with a user (1) and a project (2), and a table of a service's own."""
    backend.on_events("CREATE TABLE seen (position INTEGER NOT NULL, subscriber TEXT NOT NULL DEFAULT '')")
    with connect(backend.url, project=False) as made:
        made.execute_all([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")])
        yield made


def seen(backend: Backend) -> list[int]:
    return [position for (position,) in backend.on_events("SELECT position FROM seen ORDER BY position")]


def note(delivery: Delivery[Any], *, twice: bool = False) -> int:
    """Note a delivery in the service's table, in its transaction."""

    def work(connection: Any) -> int:
        mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
        for _ in range(1 + twice):
            connection.execute(f"INSERT INTO seen (position) VALUES ({mark})", [delivery.position])
        return delivery.position

    return delivery.transact(work)


def test_it_is_committed_with_the_checkpoint(backend: Backend, tiu: Tiu) -> None:
    for delivery in tiu.subscribe(NAME):
        assert note(delivery) == 1
        break  # it is not asked for the next
    assert seen(backend) == [1]
    assert positions(tiu) == [2]


def test_nothing_of_it_stays_where_it_raises_and_it_comes_again(backend: Backend, tiu: Tiu) -> None:
    tried = []
    for delivery in tiu.subscribe(NAME, until_end=True):
        tried.append(delivery.position)

        def work(connection: Any) -> None:
            connection.execute("INSERT INTO seen (position) VALUES (0)")
            if len(tried) == 1:
                raise ZeroDivisionError

        try:
            delivery.transact(work)
        except ZeroDivisionError:
            continue  # a loop that goes on has not lost it
    assert tried == [1, 1, 2]
    assert len(seen(backend)) == 2


def test_what_the_database_refuses_comes_out_as_it_is(backend: Backend, tiu: Tiu) -> None:
    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        for statement in ("INSERT INTO seen (position) VALUES (NULL)", "SELECT * FROM nowhere", "no SQL"):
            with pytest.raises((psycopg.Error, sqlite3.Error)):
                next(deliveries).transact(lambda connection, sql=statement: connection.execute(sql))  # type: ignore[misc]
        assert note(next(deliveries)) == 1
    assert seen(backend) == [1]


def test_what_was_done_before_is_done_with_it(backend: Backend, tiu: Tiu) -> None:
    add(tiu, "a")
    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        next(deliveries)
        next(deliveries)
        note(next(deliveries))
    assert tiu.subscriptions()[0].position == 3
    assert seen(backend) == [3]


def test_it_is_done_once(tiu: Tiu) -> None:
    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        first = next(deliveries)
        note(first)
        for again in (lambda: note(first), first.done):
            with pytest.raises(TransactionRefused, match="or it is done"):
                again()
        second = next(deliveries)
        with pytest.raises(TransactionRefused):
            note(first)
        assert note(second) == 2


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
def test_it_may_not_be_ended_within(backend: Backend, tiu: Tiu, statement: str) -> None:
    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        for end in (lambda c: c.execute(statement), lambda c: c.commit()):

            def work(connection: Any, end: Any = end) -> None:
                connection.execute("INSERT INTO seen (position) VALUES (0)")
                end(connection)

            with pytest.raises((TransactionRefused, sqlite3.DatabaseError, psycopg.ProgrammingError)):
                next(deliveries).transact(work)
    if isinstance(backend, SQLiteBackend) or statement == "ROLLBACK":
        assert seen(backend) == []
        assert positions(tiu) == [1, 2]


def test_a_statement_that_failed_and_was_passed_over_commits_nothing(backend: Backend, tiu: Tiu) -> None:
    """On PostgreSQL it fails all that follows; on SQLite, what rolls back takes the checkpoint with it."""

    def work(connection: Any) -> None:
        sql = "INSERT OR ROLLBACK INTO seen (position) VALUES (NULL)"
        if isinstance(backend, PostgreSQLBackend):
            sql = sql.replace("OR ROLLBACK ", "")
        with suppress(psycopg.Error, sqlite3.Error):
            connection.execute(sql)

    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        with pytest.raises(TransactionRefused):
            next(deliveries).transact(work)
        assert note(next(deliveries)) == 1
    assert tiu.subscriptions()[0].position == 1


def test_what_is_set_on_its_connection_is_nobody_elses(backend: Backend, tiu: Tiu) -> None:
    def work(connection: Any) -> None:
        connection.row_factory = sqlite3.Row if isinstance(backend, SQLiteBackend) else psycopg.rows.dict_row

    for delivery in tiu.subscribe(NAME, until_end=True):
        delivery.transact(work)
        add(tiu, f"task {delivery.position}")
    assert tiu.subscriptions()[0].position == 2
    assert positions(tiu) == [3, 4]


def test_whoever_was_taken_over_from_writes_nothing(backend: Backend, tiu: Tiu) -> None:
    """He stood still in the loop's body, and does not know it yet."""
    with connect(backend.url, project=False) as elsewhere, tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        late = next(deliveries)
        stand_still(backend, subscription)
        with closing(Following(elsewhere, body=note)) as other:
            until(lambda: other.seen == [1, 2])
            for attempt in (lambda: note(late), late.done):
                with pytest.raises((LeaseLost, TransactionRefused)):
                    attempt()
            assert seen(backend) == [1, 2]
    assert seen(backend) == [1, 2]


def test_at_least_once_whoever_was_taken_over_from_moves_nothing(backend: Backend, tiu: Tiu) -> None:
    add(tiu, "a")
    with connect(backend.url, project=False) as elsewhere, tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        late = next(deliveries)
        stand_still(backend, subscription)
        with closing(Following(elsewhere)) as other:
            until(lambda: other.seen == [1, 2, 3])
            until(lambda: tiu.subscriptions()[0].position == 3)
            tiu.rewind_subscription(NAME, 0)  # so that it stands where he last saw it
            with pytest.raises(LeaseLost):
                late.done()
            until(lambda: other.seen == [1, 2, 3, 1, 2, 3])


def stand_still(backend: Backend, subscription: Any) -> None:
    """As a process that is stopped: it renews nothing, and its tenure has run out."""
    lease = subscription._consumer._lease
    lease._ended.set()
    if isinstance(backend, SQLiteBackend):
        for lock in backend.path.parent.glob("*subscription*-lock"):
            lock.write_text(f"{0:020.6f}\n", encoding="utf-8")
    else:
        backend.on_events("UPDATE subscription_leases SET expires_at = 'epoch'")


def test_where_somebody_moved_it_meanwhile_it_is_refused(backend: Backend, tiu: Tiu) -> None:
    add(tiu, "a")
    with tiu.subscribe(NAME) as subscription:
        deliveries = iter(subscription)
        delivery = next(deliveries)
        tiu.skip_subscription(NAME, 2)
        with pytest.raises(CheckpointMoved):
            note(delivery)
        assert note(next(deliveries)) == 3
    assert seen(backend) == [3]


def test_commands_are_stored_meanwhile_on_postgresql(postgresql: PostgreSQLBackend) -> None:
    """By others, and by whoever works: its own are in the transaction if they are executed within it."""
    with connect(postgresql.url, project=False) as tiu:
        tiu.execute_all([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")])

        def work(connection: Any, name: str = "within") -> None:
            tiu.execute_within(connection, [AddTask(task_id=uid(name), project_id=PROJECT, name=name)])

        def both(connection: Any) -> None:
            add(tiu, "beside")
            work(connection)

        def fail(connection: Any) -> None:
            work(connection, "undone")
            raise ZeroDivisionError

        with tiu.subscribe(NAME) as subscription:
            deliveries = iter(subscription)
            next(deliveries).transact(both)
            with pytest.raises(ZeroDivisionError):
                next(deliveries).transact(fail)
        assert tiu.events.max_notification_id() == 4
        assert tiu.subscriptions()[0].position == 1


class TestOnPostgreSQL:
    def test_a_connection_that_is_cut_within_is_told_and_it_comes_again(self, postgresql: PostgreSQLBackend) -> None:
        postgresql.on_events("CREATE TABLE seen (position INTEGER NOT NULL)")
        with connect(postgresql.url, project=False) as tiu:
            tiu.execute(create_user(user_id=USER))

            def work(connection: psycopg.Connection[Any]) -> None:
                connection.execute("INSERT INTO seen (position) VALUES (0)")
                pid = connection.info.backend_pid
                postgresql.on_events("SELECT pg_terminate_backend(?)", pid)
                connection.execute("SELECT 1")

            with tiu.subscribe(NAME) as subscription:
                deliveries = iter(subscription)
                with pytest.raises(StoreUnavailable):
                    next(deliveries).transact(work)
                assert note(next(deliveries)) == 1
            assert seen(postgresql) == [1]

    def test_who_stands_still_within_is_ended(self, postgresql: PostgreSQLBackend) -> None:
        """His session holds the checkpoint: whoever takes over ends it."""
        postgresql.on_events("CREATE TABLE seen (position INTEGER NOT NULL)")
        standing, go_on = threading.Event(), threading.Event()
        settings = Settings(projector_lease_seconds=2)
        with (
            connect(postgresql.url, project=False, settings=settings) as tiu,
            connect(postgresql.url, project=False, settings=settings) as elsewhere,
        ):
            tiu.execute(create_user(user_id=USER))

            def stand(delivery: Delivery[Any]) -> None:
                def work(connection: Any) -> None:
                    connection.execute("INSERT INTO seen (position) VALUES (0)")
                    stand_still(postgresql, one.subscription)
                    standing.set()
                    assert go_on.wait(60)
                    connection.execute("SELECT 1")

                delivery.transact(work)

            with closing(Following(tiu, body=stand)) as one:
                assert standing.wait(60)
                with closing(Following(elsewhere, body=note)) as two:
                    until(lambda: two.seen == [1])
                    until(lambda: seen(postgresql) == [1])
                    go_on.set()
                    until(one.ended)
                    assert isinstance(one.error, StoreUnavailable)

    def test_it_takes_one_connection_and_another_where_it_transacts(self, postgresql: PostgreSQLBackend) -> None:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        settings = Settings(projector_lease_seconds=600)  # it is not renewed meanwhile, by another of the pool
        with (
            connect(postgresql.url, project=False, settings=settings) as tiu,
            psycopg.connect(postgresql.url, autocommit=True) as watching,
        ):

            def pool() -> int:
                found = tiu.monitor.pool()
                assert found is not None
                return found.size

            def require(besides: int) -> None:
                """So many are open besides the pool's: of one that was closed the server may know a little later."""
                until(lambda: watching.execute(count.encode()).fetchone() == (pool() + besides,))

            tiu.execute(create_user(user_id=USER))
            before = pool()
            require(0)
            with tiu.subscribe(NAME) as subscription:
                deliveries = iter(subscription)
                delivery = next(deliveries)
                assert isinstance(subscription._consumer._listener, PostgreSQLListener)
                require(1)
                delivery.transact(lambda connection: connection.execute("SELECT 1"))
                require(2)
                assert pool() == before
