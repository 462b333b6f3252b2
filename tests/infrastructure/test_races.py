"""Commands at once: together they never make what neither alone could."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from typing import Any

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    AlreadyExists,
    Answer,
    ClaimProgress,
    Command,
    CompleteProject,
    CompleteTask,
    CreateProject,
    CreateTemplate,
    DependencyCycle,
    DuplicateDependency,
    NotUnique,
    PrivateTemplate,
    PutBackTask,
    Refused,
    RemoveDependency,
    ReopenTask,
    StartTask,
    TiuError,
    UnmetDependencies,
    UnpublishTemplate,
    WrongStatus,
    template_task_id,
)
from claude_tiu.domain.dependency_graph import graph_id
from claude_tiu.infrastructure.event_store import EventStore, Unit
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.streams import load_stream
from tests.support.history import PROJECT, TASKS, USER, create_user, plan, uid
from tests.support.stores import Backend

THREADS = 8


def race(*works: Callable[[], Answer]) -> list[Answer | TiuError]:
    """Do all at once, each in a thread of its own; return what became of each."""
    barrier, outcomes = threading.Barrier(len(works)), dict[int, Answer | TiuError | BaseException]()

    def run(number: int, work: Callable[[], Answer]) -> None:
        barrier.wait()
        try:
            outcomes[number] = work()
        except BaseException as error:  # noqa: BLE001 - told below
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [outcomes[number] for number in range(len(works))]
    assert all(isinstance(one, Answer | TiuError) for one in found), found
    return [one for one in found if isinstance(one, Answer | TiuError)]


def executing(backend: Backend, command: Command) -> Callable[[], Answer]:
    executor = Executor(backend.events())
    return lambda: executor.execute([command])[0]


@pytest.fixture
def executor(events: EventStore) -> Executor:
    made = Executor(events)
    made.execute(list(plan()))
    return made


def overtaken_by(store: EventStore, action: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Executor:
    """An executor whose first append comes only after `action`: the decision rests on what was before it."""
    append, done = store.append, list[Any]()

    def late(units: Sequence[Unit]) -> Any:
        if not done:
            done.append(action())
        return append(units)

    monkeypatch.setattr(store, "append", late)
    return Executor(store)


def test_racing_dependencies_never_make_a_cycle(backend: Backend, executor: Executor, events: EventStore) -> None:
    tasks = [uid(f"raced {n}") for n in range(4)]
    executor.execute([AddTask(task_id=task, project_id=PROJECT, name="t") for task in tasks])
    executors, refusals = [Executor(backend.events()) for _ in range(THREADS)], list[TiuError]()

    def add(number: int) -> Answer:
        randomly, answer = random.Random(number), Answer(PROJECT, 0, 0)
        for _ in range(6):
            task, other = randomly.sample(tasks, 2)
            try:
                (answer,) = executors[number].execute([AddDependency(task_id=task, depends_on_task_id=other)])
            except Refused as error:
                refusals.append(error)
        return answer

    outcomes = race(*[lambda number=number: add(number) for number in range(THREADS)])
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes  # none was told that it is contended
    assert {type(error) for error in refusals} <= {DependencyCycle, DuplicateDependency}
    graph = load_stream(events, graph_id(PROJECT)).state
    TopologicalSorter({task: set(others) for task, others in graph.dependencies.items()}).prepare()  # CycleError if any
    assert len(refusals) == THREADS * 6 - (events.load(graph_id(PROJECT))[-1].version - 3)


def test_two_dependencies_that_would_close_a_cycle_together_are_not_both_stored(
    backend: Backend, executor: Executor, events: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor.execute([RemoveDependency(task_id=TASKS[1], depends_on_task_id=TASKS[0])])
    other = executing(backend, AddDependency(task_id=TASKS[0], depends_on_task_id=TASKS[1]))
    late = overtaken_by(events, other, monkeypatch)
    with pytest.raises(DependencyCycle):
        late.execute([AddDependency(task_id=TASKS[1], depends_on_task_id=TASKS[0])])


class TestAStartAndAReopenedDependency:
    @pytest.fixture(autouse=True)
    def _completed(self, executor: Executor) -> None:
        executor.execute([StartTask(task_id=TASKS[0]), CompleteTask(task_id=TASKS[0])])

    def test_race_to_what_one_of_the_two_orders_gives(self, backend: Backend) -> None:
        for _ in range(5):
            start, reopen = race(
                executing(backend, StartTask(task_id=TASKS[1])), executing(backend, ReopenTask(task_id=TASKS[0]))
            )
            assert isinstance(reopen, Answer)
            undo: list[Command] = [CompleteTask(task_id=TASKS[0])]
            if isinstance(start, Answer):
                assert start.position < reopen.position
                undo.append(PutBackTask(task_id=TASKS[1]))
            else:
                assert isinstance(start, UnmetDependencies)
            Executor(backend.events()).execute(undo)

    def test_that_overtakes_the_start_refuses_it(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = overtaken_by(events, executing(backend, ReopenTask(task_id=TASKS[0])), monkeypatch)
        with pytest.raises(UnmetDependencies, match=str(TASKS[0])):
            late.execute([StartTask(task_id=TASKS[1])])

    def test_a_dependency_that_overtakes_the_start_refuses_it(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add = executing(backend, AddDependency(task_id=TASKS[1], depends_on_task_id=TASKS[3]))
        executor = Executor(backend.events())
        executor.execute([RemoveDependency(task_id=TASKS[2], depends_on_task_id=TASKS[1])])
        late = overtaken_by(events, add, monkeypatch)
        with pytest.raises(UnmetDependencies, match=str(TASKS[3])):
            late.execute([StartTask(task_id=TASKS[1])])


def test_a_project_that_is_completed_meanwhile_takes_no_task(
    backend: Backend, executor: Executor, events: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = overtaken_by(events, executing(backend, CompleteProject(project_id=PROJECT)), monkeypatch)
    with pytest.raises(WrongStatus):
        late.execute([AddTask(project_id=PROJECT, name="late")])


class TestAProjectFromATemplate:
    create = CreateProject(project_id=uid("from template"), user_id=USER, name="P", template_id=uid("template"))
    task = template_task_id(uid("from template"), "a")

    @pytest.fixture(autouse=True)
    def _public_template(self, executor: Executor) -> None:
        structure: Any = {"tasks": [{"key": "a", "name": "A"}, {"key": "b", "name": "B", "depends_on": ["a"]}]}
        owner = create_user("owner", user_id=uid("owner"))
        fields = {"name": "T", "structure": structure, "created_by": uid("owner"), "is_public": True}
        executor.execute([owner, CreateTemplate(template_id=uid("template"), **fields)])

    def refused(self, late: Executor, events: EventStore, error: type[Refused]) -> None:
        with pytest.raises(error):
            late.execute([self.create])
        assert events.load(uid("from template")) == []
        assert events.load(graph_id(uid("from template"))) == []

    def test_that_is_unpublished_meanwhile_is_refused(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unpublish = executing(backend, UnpublishTemplate(template_id=uid("template")))
        self.refused(overtaken_by(events, unpublish, monkeypatch), events, PrivateTemplate)

    def test_one_of_whose_ids_is_taken_meanwhile_is_refused(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add = executing(backend, AddTask(task_id=self.task, project_id=PROJECT, name="Squatter"))
        self.refused(overtaken_by(events, add, monkeypatch), events, AlreadyExists)
        assert events.load(self.task)[-1].version == 1

    def test_is_stored_though_another_is_made_of_it_meanwhile(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = self.create.model_copy(update={"project_id": uid("another")})
        late = overtaken_by(events, executing(backend, other), monkeypatch)
        (answer,) = late.execute([self.create])
        assert len(events.load(graph_id(answer.id))) == 1

    def test_sent_by_many_at_once_is_stored_once(self, backend: Backend, events: EventStore) -> None:
        before = events.max_notification_id() or 0
        command = self.create.model_copy(update={"command_id": uid("sent by many")})
        outcomes = race(*[executing(backend, command) for _ in range(THREADS)])
        assert len(set(outcomes)) == 1
        assert isinstance(outcomes[0], Answer)
        assert events.max_notification_id() == before + 4


@pytest.mark.parametrize("same", ["username", "email"])
def test_of_users_created_at_once_with_one_name_one_is(backend: Backend, events: EventStore, same: str) -> None:
    works = []
    for number in range(THREADS):
        values = {"username": f"user{number}", "email": f"user{number}@example.org"} | {same: "same@example.org"}
        works.append(executing(backend, create_user(**values)))
    outcomes = race(*works)
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, NotUnique) for outcome in outcomes) == THREADS - 1
    assert events.max_notification_id() == 1


def test_of_one_command_sent_by_many_at_once_one_is_stored(backend: Backend, events: EventStore) -> None:
    command = create_user(command_id=uid("sent by many"))
    outcomes = race(*[executing(backend, command) for _ in range(THREADS)])
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Answer)
    assert events.max_notification_id() == 1


@pytest.mark.parametrize("own_connections", [False, True], ids=["one process", "several"])
def test_writers_of_one_stream_at_once_are_all_stored(
    backend: Backend, executor: Executor, events: EventStore, *, own_connections: bool
) -> None:
    """Contention is told of where it does not end, not where it is ordinary: agents that report to one run."""
    executor.execute([StartTask(task_id=TASKS[0])])
    each, last = 10, events.max_notification_id() or 0
    executors = [Executor(backend.events()) for _ in range(THREADS)] if own_connections else [executor] * THREADS

    def claim(one: Executor) -> Answer:
        return [one.execute([ClaimProgress(task_id=TASKS[0], claimed=n)])[0] for n in range(each)][-1]

    outcomes = race(*[lambda one=one: claim(one) for one in executors])
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    assert events.max_notification_id() == last + len(executors) * each
