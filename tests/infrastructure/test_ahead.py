"""What a lone command names is loaded while the command is prepared, where a server does it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu import AddTask, ClaimProgress, Command, NotFound, StartTask, TiuError
from claude_tiu.infrastructure import executor
from claude_tiu.infrastructure.ahead import load_ahead
from claude_tiu.infrastructure.decision import Answer, Request, prepare
from claude_tiu.infrastructure.errors import StoreUnavailable
from claude_tiu.infrastructure.event_store import LAST, EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.postgresql.event_store import PostgreSQLEventStore
from claude_tiu.infrastructure.streams import StreamCache, load_stream
from tests.support.candidates import until
from tests.support.history import PROJECT, TASKS, plan
from tests.support.patience import PATIENCE
from tests.support.stores import Backend, PostgreSQLBackend, append, event

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
FIRST, SECOND, *_ = TASKS
CLAIM = ClaimProgress(task_id=FIRST, claimed=50)


@pytest.fixture
def store(postgresql: PostgreSQLBackend) -> PostgreSQLEventStore:
    """A task in progress; the statements of the connection that is kept are prepared."""
    store = postgresql.events()
    assert isinstance(store, PostgreSQLEventStore)
    Executor(store).execute([*plan(), StartTask(task_id=FIRST)])
    for versions in ({FIRST: 1}, {FIRST: 1, SECOND: 1}):
        store.load_many(versions)
    return store


class Calls:
    """What a store is asked for, in order, `prepare` among it; what is to happen there happens `amid` it."""

    def __init__(self, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[tuple[str, set[UUID]]] = []
        self.amid: Callable[[], object] = lambda: None
        self._load_many, self._load_ahead = store.load_many, store.load_ahead
        monkeypatch.setattr(store, "load_many", self.load_many)
        monkeypatch.setattr(store, "load_ahead", self.load_ahead)
        monkeypatch.setattr(executor, "prepare", self.prepare)

    def load_many(self, versions: Mapping[UUID, int], superseded: Collection[str] = ()) -> Any:
        self.found.append(("load", {*versions}))
        return self._load_many(versions, superseded)

    def load_ahead(self, versions: Mapping[UUID, int], superseded: Collection[str] = ()) -> Any:
        loading = self._load_ahead(versions, superseded)
        if loading is not None:
            self.found.append(("ahead", {*versions}))
        return loading

    def prepare(self, command: Command, correlation_id: str | None) -> Request:
        self.found.append(("prepare", set()))
        amid, self.amid = self.amid, lambda: None
        amid()
        return prepare(command, correlation_id)


@pytest.fixture
def calls(store: PostgreSQLEventStore, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(store, monkeypatch)


PREPARE: tuple[str, set[UUID]] = ("prepare", set())


class TestAStore:
    """The port: what is asked for ahead is what `load_many` returns, or nothing is asked for."""

    @pytest.mark.parametrize("streams", [[A], [C], [A, B, C]])
    def test_gives_what_it_would_load(self, events: EventStore, streams: list[UUID]) -> None:
        topics = {A: "one two two three two", B: "two two two"}
        append(events, *(event(s, n, topic=t) for s in topics for n, t in enumerate(topics[s].split(), 1)))
        for versions in (dict.fromkeys(streams, 1), dict.fromkeys(streams, 2)):
            for superseded in (set[str](), {"two"}):
                expected = events.load_many(versions, superseded)
                if (loading := events.load_ahead(versions, superseded)) is not None:
                    assert loading.answer() == expected
                    loading.close()

    def test_of_postgresql_asks_ahead(self, store: PostgreSQLEventStore) -> None:
        """On the connection that is kept: nobody else has it until there is an answer."""
        loading = store.load_ahead({FIRST: 1})
        assert loading is not None
        assert not is_free(store)
        assert store.load_ahead({SECOND: 1}) is None
        assert [one.version for one in store.load_many({SECOND: 1})[SECOND]] == [1]
        assert [one.version for one in loading.answer()[FIRST]] == [1, 2]
        assert is_free(store)

    def test_asks_nothing_ahead_where_nothing_is_gained(self, sqlite: Backend) -> None:
        assert sqlite.events().load_ahead({A: 1}) is None

    def test_asks_nothing_ahead_where_it_would_wait_or_be_asked_otherwise(self, store: PostgreSQLEventStore) -> None:
        assert store.load_ahead({FIRST: LAST}) is None
        with store.exclusive() as held:
            assert held.load_ahead({FIRST: 1}) is None
        with store.connections.hot():
            assert store.load_ahead({FIRST: 1}) is None

    def test_asks_nothing_ahead_on_a_connection_whose_time_has_come(self, store: PostgreSQLEventStore) -> None:
        with store.connections.hot() as connection:
            connection.kept_until = 1.0
        assert store.load_ahead({FIRST: 1}) is None
        store.load_many({FIRST: 1})  # makes another
        assert store.load_ahead({FIRST: 1}) is not None

    def test_prepares_what_is_not(self, postgresql: PostgreSQLBackend) -> None:
        store = postgresql.events()
        append(store, event(A, 1))  # keeps a connection
        loading = store.load_ahead({A: 1})
        assert loading is not None
        assert [one.version for one in loading.answer()[A]] == [1]

    def test_whose_statements_were_let_go_prepares_them_again(self, store: PostgreSQLEventStore) -> None:
        """As psycopg does behind a rollback."""
        with store.connections.hot() as connection:
            connection.execute("DEALLOCATE ALL")
        loading = store.load_ahead({FIRST: 1})
        assert loading is not None
        assert [one.version for one in loading.answer()[FIRST]] == [1, 2]

    def test_that_nobody_waits_for_is_of_use_again(self, store: PostgreSQLEventStore) -> None:
        loading = store.load_ahead({FIRST: 1})
        assert loading is not None
        loading.close()
        loading.close()
        for _ in range(3):
            assert [one.version for one in store.load_many({SECOND: 1})[SECOND]] == [1]


def test_streams_are_given_once_and_for_the_cache_that_lacked_them(store: PostgreSQLEventStore) -> None:
    cache = StreamCache()
    for asking, given in ((cache, {FIRST: load_stream(store, FIRST)}), (StreamCache(), {})):
        found = load_ahead(store, cache, CLAIM)
        assert found is not None
        assert found.streams(asking) == given
        assert found.streams(cache) == {}
        assert is_free(store)


def is_free(store: PostgreSQLEventStore) -> bool:
    """Whether nobody has the connection that is kept."""
    return len(store.connections._kept) == 1


class TestALoneCommand:
    def test_is_prepared_while_what_it_names_is_loaded(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        answer = Executor(store).execute([CLAIM])[0]
        assert (answer.id, answer.version) == (FIRST, 3)
        assert calls.found == [("ahead", {FIRST}), PREPARE, ("load", {PROJECT})]

    def test_has_what_is_cached(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        executor = Executor(store)
        executor.execute([CLAIM])
        calls.found.clear()
        executor.execute([CLAIM])
        assert calls.found == [PREPARE]

    def test_creates_nothing_that_is_looked_for(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        Executor(store).execute([AddTask(task_id=uuid4(), project_id=PROJECT, name="T")])
        assert calls.found == [("ahead", {PROJECT}), PREPARE]

    def test_is_refused_on_what_was_loaded(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        unknown = uuid4()
        with pytest.raises(NotFound):
            Executor(store).execute([StartTask(task_id=unknown)])
        assert calls.found == [("ahead", {unknown}), PREPARE]  # of one moment: nothing is verified

    def test_goes_by_what_others_have_done_meanwhile(
        self, store: PostgreSQLEventStore, postgresql: PostgreSQLBackend, calls: Calls
    ) -> None:
        other = Executor(postgresql.events())
        calls.amid = lambda: other.execute([CLAIM])
        answer = Executor(store).execute([CLAIM])[0]
        assert answer.version == 4
        decided_once = [("ahead", {FIRST}), PREPARE, PREPARE, ("load", {PROJECT})]
        assert calls.found == [*decided_once, ("load", {FIRST, PROJECT})]  # and again on what that brought

    @pytest.mark.parametrize("cut", ["before", "behind"])
    def test_outlives_its_connection(
        self, store: PostgreSQLEventStore, postgresql: PostgreSQLBackend, calls: Calls, cut: str
    ) -> None:
        if cut == "before":
            postgresql.terminate_connections()
        else:
            calls.amid = lambda: postgresql.terminate_connections()
        assert Executor(store).execute([CLAIM])[0].version == 3

    def test_does_not_rest_on_what_was_read_before_a_crash(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        """What was loaded may be gone: another connection has found the server begun anew."""
        before = store.connections.incarnation

        def crashed() -> None:
            store.connections.incarnation = None

        calls.amid = crashed
        executor = Executor(store)
        assert executor.execute([CLAIM])[0].version == 3
        assert calls.found[:3] == [("ahead", {FIRST}), PREPARE, ("load", {FIRST})]
        assert store.connections.incarnation == before

    def test_tells_of_a_store_that_is_away(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        def close() -> None:
            store.connections.close()

        calls.amid = close
        with pytest.raises(TiuError):
            Executor(store).execute([CLAIM])

    def test_that_is_interrupted_lets_its_connection_go(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        def interrupt() -> None:
            assert not is_free(store)
            raise KeyboardInterrupt

        calls.amid = interrupt
        executor = Executor(store)
        with pytest.raises(KeyboardInterrupt):
            executor.execute([CLAIM])
        assert is_free(store)
        assert executor.execute([CLAIM])[0].version == 3

    def test_that_is_none_is_told_so(self, store: PostgreSQLEventStore, calls: Calls) -> None:
        not_a_command: Any = "claim"
        with pytest.raises(TypeError, match="not a str"):
            Executor(store).execute([not_a_command])
        assert calls.found == [PREPARE]


def test_of_several_threads_none_loads_by_itself_while_another_works(
    store: PostgreSQLEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, calls = Executor(store), Calls(store, monkeypatch)
    begun, go, append = threading.Event(), threading.Event(), store.append

    def held_up(*arguments: Any) -> Any:
        begun.set()
        assert go.wait(PATIENCE)
        return append(*arguments)

    monkeypatch.setattr(store, "append", held_up)

    def execute(command: Command) -> Answer:
        return executor.execute([command])[0]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(execute, CLAIM)
        assert begun.wait(PATIENCE)
        calls.found.clear()
        second = pool.submit(execute, StartTask(task_id=SECOND))
        until(lambda: executor._together._queue)
        go.set()
        assert first.result(PATIENCE).version == 3
        with pytest.raises(TiuError):  # it waits for the first task
            second.result(PATIENCE)
    assert ("ahead", {SECOND}) not in calls.found
    assert ("load", {SECOND}) in calls.found


def test_a_command_is_attempted_again_where_what_it_names_was_not_loaded(
    store: PostgreSQLEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where anything else is lost sight of: once."""

    def away(*arguments: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr("claude_tiu.infrastructure.postgresql.loading.answered", away)
    assert Executor(store).execute([CLAIM])[0].version == 3
