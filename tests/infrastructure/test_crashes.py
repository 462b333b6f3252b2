"""What a crash of the server leaves on PostgreSQL: all that was acknowledged, and nobody who knows more than that."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from claude_tiu import (
    AddTask,
    Answer,
    BlockTask,
    Command,
    CompleteTask,
    CreateProject,
    StartTask,
    Tiu,
    WaitTimeout,
    WrongStatus,
    connect,
)
from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.event_store import Conflict, EventStore, NewEvent, Stored, Unit
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.postgresql import appending, connections
from claude_tiu.infrastructure.postgresql.connections import Connections
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLEventStore
from claude_tiu.infrastructure.postgresql.read_store import PostgreSQLReadStore
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.streams import load_stream
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.crashing import CrashingServer, crashing_server
from tests.support.history import PROJECT, TASKS, USER, create_user
from tests.support.patience import PATIENCE, patiently
from tests.support.places import assert_chained
from tests.support.postgres_server import database_url, find_bindir
from tests.support.stores import PostgreSQLBackend, append, event

A, B = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    bindir = find_bindir()
    assert bindir is not None, "no PostgreSQL to kill: install the test extra, or put pg_ctl on PATH"
    with crashing_server(bindir) as made:
        yield made


@pytest.fixture
def crashing(server: CrashingServer) -> Iterator[PostgreSQLBackend]:
    name = f"crash_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())  # it goes with the server
    url = database_url(server.url, name)
    migrate_up(url)
    with closing(PostgreSQLBackend(url)) as backend:
        yield backend


def append_unflushed(store: EventStore, *events: NewEvent) -> None:
    """Append as a process does that has yet to wait for the disk when the server goes down."""
    assert isinstance(store, PostgreSQLEventStore)
    assert isinstance(store.connections, Connections)
    with store.connections.using() as connection:
        (outcome,) = appending.append(connection, [Unit(events)], independent=True, alone=False)
    assert isinstance(outcome, Stored)


def restart(server: CrashingServer) -> None:
    server.crash()
    server.start()


def test_what_nobody_waited_for_is_gone(server: CrashingServer, crashing: PostgreSQLBackend) -> None:
    """Or else the other tests would show nothing."""
    append(crashing.events(), event(A))
    append_unflushed(crashing.events(), event(A, 2))
    assert [row.version for row in crashing.events().load(A)] == [1, 2]
    restart(server)
    assert [row.version for row in crashing.events().load(A)] == [1]


def test_what_was_acknowledged_under_load_is_there(server: CrashingServer, crashing: PostgreSQLBackend) -> None:
    acknowledged: dict[tuple[UUID, int], int] = {}
    stores, enough, crashed = [crashing.events() for _ in range(2)], threading.Event(), threading.Event()

    def write(store: EventStore, stream_id: UUID) -> None:
        with suppress(StoreUnavailable):
            for version in count(1):
                if crashed.is_set():
                    return
                outcome = append(store, event(stream_id, version), guards={stream_id: version - 1})
                assert isinstance(outcome, Stored)
                acknowledged[stream_id, version] = outcome.first_position
                if len(acknowledged) > 1_000:
                    enough.set()

    writers = [threading.Thread(target=write, args=(stores[n % 2], uuid4())) for n in range(16)]
    for writer in writers:
        writer.start()
    assert enough.wait(2 * PATIENCE)
    server.crash()
    crashed.set()
    server.start()
    for writer in writers:
        writer.join()
    rows = crashing.events().read_rows(0, 1_000_000)
    assert_chained(rows)
    found = {(row.stream_id, row.version): row.position for row in rows}
    assert acknowledged.items() <= found.items()
    assert len(found) <= len(acknowledged) + len(writers), "more than what was on its way"


def test_what_an_exclusive_store_took_is_there_at_its_end(server: CrashingServer, crashing: PostgreSQLBackend) -> None:
    with crashing.events().exclusive() as held:
        append(held, event(A))
    restart(server)
    assert len(crashing.events().load(A)) == 1


def test_what_was_read_is_there_after_a_flush(server: CrashingServer, crashing: PostgreSQLBackend) -> None:
    store = crashing.events()
    append_unflushed(crashing.events(), event(A))
    store.flush()
    append_unflushed(crashing.events(), event(B))
    with store.exclusive() as held:
        held.flush()
    restart(server)
    after = crashing.events()
    assert [len(after.load(stream_id)) for stream_id in (A, B)] == [1, 1]


def test_a_retry_is_answered_only_with_what_is_on_disk(
    server: CrashingServer, crashing: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = create_user(user_id=USER, command_id=uuid4())
    store = crashing.events()

    def lost(units: Sequence[Unit]) -> None:
        monkeypatch.undo()
        append_unflushed(store, *units[0].events)
        raise StoreUnavailable("the connection was lost before the disk was waited for")

    monkeypatch.setattr(store, "append", lost)
    (answer,) = Executor(store).execute([command])
    restart(server)
    assert [row.version for row in crashing.events().load(answer.id)] == [1]


class TestWhatWasReadBeforeACrash:
    """An event that was seen may be gone with it, and its version be another event's."""

    def test_guards_nothing_behind_it(self, server: CrashingServer, crashing: PostgreSQLBackend) -> None:
        store = crashing.events()
        append_unflushed(crashing.events(), event(A))
        before = store.incarnation
        assert len(store.load(A)) == 1
        restart(server)
        append(crashing.events(), event(A, topic="test.another.v1"))
        with suppress(StoreUnavailable):  # its connections are gone
            store.load(A)
        units = [Unit([event(B)], {A: 1}, incarnation=before), Unit([event()]), Unit([event()], incarnation=before)]
        assert store.append(units) == [Conflict(A), Stored(2), Stored(3)]
        assert store.incarnation != before
        assert store.append([Unit([event(B)], {A: 1}, incarnation=store.incarnation)]) == [Stored(4)]

    def test_is_not_what_a_command_is_decided_on(
        self, server: CrashingServer, crashing: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even where its process does not notice the crash: as if it slept, and another call of it met it."""
        store, other = crashing.events(), crashing.events()
        Executor(other).execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="P")])
        Executor(other).execute([AddTask(task_id=TASKS[0], project_id=PROJECT, name="T")])
        executor = Executor(store)

        def unflushed(units: Sequence[Unit]) -> list[Stored]:
            append_unflushed(other, *units[0].events)
            return [Stored(4)]

        monkeypatch.setattr(other, "append", unflushed)
        Executor(other).execute([StartTask(task_id=TASKS[0])])
        with pytest.raises(WrongStatus):
            executor.execute([StartTask(task_id=TASKS[0])])  # it has seen the start, and keeps it
        restart(server)
        with suppress(StoreUnavailable):
            store.load(A)
        Executor(crashing.events()).execute([BlockTask(task_id=TASKS[0], reason="Waits")])
        with pytest.raises(WrongStatus):
            executor.execute([CompleteTask(task_id=TASKS[0])])
        assert load_stream(store, TASKS[0]).state.status == "blocked"

    def test_is_still_good_where_the_server_was_stopped_in_order(self, crashing: PostgreSQLBackend) -> None:
        store = crashing.events()
        append(store, event(A))
        before = store.incarnation
        crashing.terminate_connections()
        with suppress(StoreUnavailable):
            store.load(A)
        assert store.append([Unit([event(A, 2)], {A: 1}, incarnation=before)]) == [Stored(2)]


def test_a_projector_goes_on_behind_a_crash_that_another_of_its_process_has_noticed(
    server: CrashingServer, crashing: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had projected may be gone with the events: its tables stand before that, and it in memory behind."""
    store, other = crashing.events(), crashing.events()
    assert isinstance(store, PostgreSQLEventStore)
    projector = Projector(store, PostgreSQLReadStore(store.connections), READ_MODEL)
    Executor(other).execute([create_user(user_id=USER)])
    projector.step()

    def unflushed(units: Sequence[Unit]) -> list[Stored]:
        append_unflushed(other, *units[0].events)
        return [Stored(2)]

    with monkeypatch.context() as patched:
        patched.setattr(other, "append", unflushed)
        Executor(other).execute([CreateProject(project_id=PROJECT, user_id=USER, name="Lost")])
    projector.step()
    assert projector.position == 2
    restart(server)
    with suppress(StoreUnavailable):
        store.load(A)
    executor = Executor(crashing.events())
    executor.execute([CreateProject(project_id=PROJECT, user_id=USER, name="Kept")])
    executor.execute([AddTask(task_id=TASKS[0], project_id=PROJECT, name="T")])
    while projector.step():
        pass
    assert crashing.on_reads("SELECT name FROM projects") == [("Kept",)]
    assert projector.lag().behind == 0


def test_rows_that_a_crash_took_are_waited_for_again(server: CrashingServer, crashing: PostgreSQLBackend) -> None:
    """Even where the projector, in the same process, has yet to notice it."""
    with connect(crashing.url) as tiu:
        for number in range(10):  # now and then another session flushes just in time
            answer = execute_in_spite(tiu, create_user(f"user_{number}", user_id=uuid4(), command_id=uuid4()))
            tiu.wait_for(answer)
            with tiu.projector._stepping:  # it is about to take its next step
                restart(server)
                if lost := position_of(crashing) < answer.position:
                    patiently(lambda: tiu.read.user_id("nobody"))  # the connections of before are gone
                    with pytest.raises(WaitTimeout):
                        tiu.wait_for(answer, 1)
                    break
        assert lost, "or else this shows nothing"
        tiu.wait_for(answer)
        assert position_of(crashing) == answer.position


def execute_in_spite(tiu: Tiu, command: Command) -> Answer:
    """Execute a command once the connections that a crash has cut are made again."""
    while True:
        with suppress(StoreUnavailable):
            return tiu.execute(command)


def position_of(backend: PostgreSQLBackend) -> int:
    """Return where the read tables stand."""
    ((position,),) = backend.on_reads("SELECT coalesce(max(position), 0) FROM checkpoints")
    return int(position)


def test_connections_are_there_again_soon_after_the_server_is(
    server: CrashingServer, crashing: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it was away: the pool never waits for long between two attempts, as it would by itself."""
    begun_anew = threading.Semaphore(0)
    begin_anew = connections._begin_anew

    def noted(pool: ConnectionPool[connections.Connection]) -> None:
        begun_anew.release()
        begin_anew(pool)

    monkeypatch.setattr(connections, "_begin_anew", noted)
    store = crashing.events()
    server.crash()
    with suppress(StoreUnavailable):
        store.load(A)
    for _ in range(3):
        assert begun_anew.acquire(timeout=PATIENCE)
    server.start()
    assert store.load(A) == []
