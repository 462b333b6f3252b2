"""How often a command asks the server: each call is a round trip. A table of the common commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    AssessTask,
    ClaimNextTask,
    ClaimProgress,
    Command,
    CompleteTask,
    CreateFile,
    CreateProject,
    CreateTemplate,
    ExpireClaims,
    FailTask,
    FinishTask,
    NotFound,
    PutBackTask,
    RecordAgentMetric,
    RecordHeartbeat,
    RecordMetric,
    RegisterAgent,
    ReportIssue,
    StartRun,
    StartSession,
    StartTask,
    WrongStatus,
)
from claude_tiu.infrastructure.event_store import LAST, EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.postgresql import loading, wire
from claude_tiu.infrastructure.streams import LOADED_AT_ONCE, load_stream
from tests.support.history import PROJECT, START, TASKS, USER, create_user, plan, uid
from tests.support.stores import Backend

ASKING = ("load_many", "append", "trace", "keys", "next_ready", "due", "open_in", "exclusive", "select_events")
AGENT, BUSY, HELD, RUN, TEMPLATE = map(uid, ("agent", "busy agent", "held task", "run", "template"))
FIRST, SECOND, _, FOURTH = TASKS


@contextmanager
def calls_to(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of a store meanwhile, of one in its transactions too."""
    asked: list[str] = []
    with monkeypatch.context() as patched:
        for name in ASKING:
            patched.setattr(type(store), name, _counted(name, getattr(type(store), name), asked))
        patched.setattr(type(store), "load_ahead", _counted_as_loading(type(store).load_ahead, asked))
        yield asked


def _counted(name: str, method: Callable[..., Any], asked: list[str]) -> Callable[..., Any]:
    def counted(*args: Any, **values: Any) -> Any:
        asked.append(name)
        return method(*args, **values)

    return counted


def _counted_as_loading(method: Callable[..., Any], asked: list[str]) -> Callable[..., Any]:
    """It is the same call, sent before the command is prepared."""

    def counted(*args: Any) -> Any:
        answering = method(*args)
        if answering is not None:
            asked.append("load_many")
        return answering

    return counted


@pytest.fixture
def store(events: EventStore) -> EventStore:
    """Four tasks of which each waits for the one before it, the first completed; an agent who holds a fifth task."""
    executor = Executor(events)
    executor.execute([*plan(), StartTask(task_id=FIRST), CompleteTask(task_id=FIRST)])
    executor.execute([RegisterAgent(agent_id=id_, agent_type="tester") for id_ in (AGENT, BUSY)])
    executor.execute([AddTask(task_id=HELD, project_id=PROJECT, name="Held", priority="critical")])
    executor.execute([ClaimNextTask(agent_id=BUSY, project_id=PROJECT, occurred_at=START)])
    executor.execute([StartRun(run_id=RUN, project_id=PROJECT, validation_type="deep")])
    executor.execute([RecordMetric(project_id=PROJECT, metric_name="velocity", value=1)])
    executor.execute([RecordAgentMetric(agent_id=BUSY, metric_type="tokens", value=1)])
    tasks = [{"key": f"t{n}", "name": "T", "depends_on": [f"t{n - 1}"] if n else []} for n in range(5)]
    executor.execute([CreateTemplate(template_id=TEMPLATE, name="T", structure={"tasks": tasks}, is_public=True)])
    return events


class Calls(NamedTuple):
    """What a command asks where its streams are cached, and where none is."""

    command: Callable[[], Command]
    warm: list[str]
    cold: list[str]


def loads(number: int, *others: str) -> list[str]:
    return ["load_many"] * number + [*others, "append"]


APPEND = ["append"]
TABLE: dict[str, Calls] = {
    "a user": Calls(lambda: create_user("eve"), APPEND, APPEND),
    "a project": Calls(lambda: CreateProject(user_id=USER, name="P"), APPEND, loads(1)),
    # The user and the template; then all that the project has from it.
    "a project from a template": Calls(
        lambda: CreateProject(user_id=USER, name="P", template_id=TEMPLATE), loads(1), loads(2)
    ),
    "a task": Calls(lambda: AddTask(project_id=PROJECT, name="T"), APPEND, loads(1)),
    "a task with an id": Calls(lambda: AddTask(task_id=uuid4(), project_id=PROJECT, name="T"), APPEND, loads(1)),
    # The task; its project and, to start, its dependencies and who works on it; the tasks that it waits for.
    "start": Calls(lambda: StartTask(task_id=SECOND), APPEND, loads(3)),
    "claim progress": Calls(lambda: ClaimProgress(task_id=HELD, claimed=5), APPEND, loads(2)),
    "complete": Calls(lambda: CompleteTask(task_id=HELD), APPEND, loads(2)),
    "fail": Calls(lambda: FailTask(task_id=SECOND), APPEND, loads(2)),
    "a dependency": Calls(lambda: AddDependency(task_id=FOURTH, depends_on_task_id=FIRST), APPEND, loads(2)),
    "a run": Calls(lambda: StartRun(project_id=PROJECT, validation_type="quick"), APPEND, loads(1)),
    "assess": Calls(lambda: AssessTask(run_id=RUN, task_id=FIRST, authenticity=5), APPEND, loads(2)),
    "an issue": Calls(
        lambda: ReportIssue(run_id=RUN, task_id=FIRST, issue_type="mock_data", severity="low", description="d"),
        APPEND,
        loads(2),
    ),
    "a metric": Calls(lambda: RecordMetric(project_id=PROJECT, metric_name="velocity", value=1), APPEND, loads(1)),
    "a file": Calls(lambda: CreateFile(project_id=PROJECT, file_path=f"{uuid4()}", content=""), loads(1), loads(1)),
    "an agent": Calls(lambda: RegisterAgent(agent_type="tester"), APPEND, APPEND),
    "a heartbeat": Calls(lambda: RecordHeartbeat(agent_id=BUSY), APPEND, loads(1)),
    "an agent's number": Calls(
        lambda: RecordAgentMetric(agent_id=BUSY, metric_type="tokens", value=1), APPEND, loads(1)
    ),
    "a session": Calls(
        lambda: StartSession(user_id=USER, token_hash="h" * 32, expires_at="2099-01-01T00:00:00Z"),  # type: ignore[arg-type]
        ["keys", "append"],
        loads(1, "keys"),
    ),
    "finish": Calls(lambda: FinishTask(agent_id=BUSY, task_id=HELD), APPEND, loads(2)),
    # Who claims is read before the lock is held; which task it is, only the queue knows.
    "claim": Calls(
        lambda: ClaimNextTask(agent_id=AGENT, project_id=PROJECT),
        ["exclusive", "next_ready", "append"],
        ["load_many", "exclusive", "next_ready", "load_many", "append"],
    ),
    "expire": Calls(
        lambda: ExpireClaims(),
        ["exclusive", "due", "append"],
        ["exclusive", "due", "load_many", "load_many", "append"],
    ),
}


@pytest.mark.parametrize("warm", [True, False], ids=["cached", "not cached"])
@pytest.mark.parametrize("name", TABLE)
def test_a_command_asks_no_more_than_it_must(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, name: str, *, warm: bool
) -> None:
    executor, calls = Executor(store), TABLE[name]
    if warm:
        executor._cache.put({id_: load_stream(store, id_) for id_ in {row.stream_id for row in store.read(0, 1_000)}})
    with calls_to(store, monkeypatch) as asked:
        executor.execute([calls.command()])
    assert asked == (calls.warm if warm else calls.cold)


def test_a_task_that_is_not_cached_is_loaded_in_one_call(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case: other commands have brought what its project has."""
    executor = Executor(store)
    executor.execute([ClaimProgress(task_id=HELD, claimed=1)])
    with calls_to(store, monkeypatch) as asked:
        executor.execute([FailTask(task_id=SECOND)])
    assert asked == loads(1)


@pytest.mark.parametrize("cached", [True, False])
def test_a_unit_loads_all_that_its_commands_name_in_one_call(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    tasks = [uuid4() for _ in range(50)]
    executor = Executor(store)
    executor.execute([AddTask(task_id=task_id, project_id=PROJECT, name="T") for task_id in tasks])
    executor.execute([StartTask(task_id=tasks[0]), PutBackTask(task_id=tasks[0])])
    executor = executor if cached else Executor(store)
    with calls_to(store, monkeypatch) as asked:
        executor.execute([StartTask(task_id=task_id) for task_id in tasks])
    assert asked == (APPEND if cached else loads(2))


def test_very_many_streams_are_loaded_in_parts(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [uuid4() for _ in range(LOADED_AT_ONCE + 1)]
    Executor(store).execute([AddTask(task_id=task_id, project_id=PROJECT, name="T") for task_id in tasks])
    with calls_to(store, monkeypatch) as asked:
        Executor(store).execute([FailTask(task_id=task_id) for task_id in tasks])
    assert asked == loads(3)


class TestARefusal:
    def test_on_what_was_loaded_just_now_is_given_at_once(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with calls_to(store, monkeypatch) as asked, pytest.raises(NotFound):
            Executor(store).execute([StartTask(task_id=uuid4())])
        assert asked == ["load_many"]

    def test_on_what_was_cached_is_verified_in_one_call(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor = Executor(store)
        executor.execute([PutBackTask(task_id=HELD)])
        with calls_to(store, monkeypatch) as asked, pytest.raises(WrongStatus):
            executor.execute([PutBackTask(task_id=HELD)])
        assert asked == ["load_many"]

    def test_of_a_command_that_may_be_a_retry_asks_whether_it_is_known(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with calls_to(store, monkeypatch) as asked, pytest.raises(NotFound):
            Executor(store).execute([StartTask(task_id=uuid4(), command_id=uuid4())])
        assert asked == ["load_many", "trace"]


def test_a_lost_race_costs_one_call_that_brings_what_is_new(
    store: EventStore, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, other = Executor(store), Executor(backend.events())
    executor.execute([ClaimProgress(task_id=HELD, claimed=1)])
    for claimed in range(20):
        other.execute([ClaimProgress(task_id=HELD, claimed=claimed)])
    loaded: list[int] = []
    load_many = type(store).load_many

    def counted(self: EventStore, versions: Mapping[UUID, int], superseded: Collection[str] = ()) -> Any:
        found = load_many(self, versions, superseded)
        loaded.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(type(store), "load_many", counted)
    with calls_to(store, monkeypatch) as asked:
        (answer,) = executor.execute([ClaimProgress(task_id=HELD, claimed=50)])
    assert asked == ["append", "load_many", "append"]
    assert loaded == [1 + 3]  # of 20 claims the last, and the last events known of three streams: task, project, agent
    assert answer.version == len(store.load(HELD))


def test_what_was_cached_before_the_database_crashed_is_loaded_anew(
    sqlite: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite.events()
    executor = Executor(store)
    executor.execute(list(plan()))
    executor.execute([StartTask(task_id=FIRST)])
    monkeypatch.setattr(type(store), "incarnation", "another")
    with calls_to(store, monkeypatch) as asked:
        executor.execute([ClaimProgress(task_id=FIRST, claimed=1)])
    assert asked == loads(2)


def test_the_streams_of_a_call_are_one_statement(postgresql: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    store = postgresql.events()
    Executor(store).execute(list(plan()))
    sent: list[Any] = []

    def counted(execute: Any) -> Any:
        def counting(self: Any, query: Any, *args: Any, **kw: Any) -> Any:
            sent.append(query)
            return execute(self, query, *args, **kw)

        return counting

    monkeypatch.setattr(psycopg.Cursor, "execute", counted(psycopg.Cursor.execute))
    monkeypatch.setattr(loading, "execute", counted(wire.execute))
    streams = [*TASKS, uuid4()]
    for versions in (dict.fromkeys(streams, 1), dict.fromkeys(streams, LAST)):
        found = store.load_many(versions)
        assert [len(events) for events in found.values()] == [1, 1, 1, 1, 0]
        assert len(sent) == 1
        sent.clear()
