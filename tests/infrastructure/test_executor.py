"""Command handling: a command is stored once, whatever is retried; a unit wholly or not at all; answers are typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    AlreadyExists,
    Answer,
    ClaimNextTask,
    ClaimProgress,
    Command,
    CommandIdReused,
    CompleteProject,
    Contended,
    CreateProject,
    CreateUser,
    ExpireClaims,
    NotFound,
    NotUnique,
    PutBackTask,
    Refused,
    RegisterAgent,
    ReportIssue,
    StaleVersion,
    StartRun,
    StartTask,
    StoreUnavailable,
    TiuError,
)
from claude_tiu.domain.dependency_graph import graph_id
from claude_tiu.domain.registry import decode_event
from claude_tiu.domain.validation_run import IssueReported
from claude_tiu.infrastructure import executor as module
from claude_tiu.infrastructure.event_store import Conflict, EventStore, Outcome, Unit
from claude_tiu.infrastructure.executor import Executor
from tests.support.history import PROJECT, START, TASKS, USER, create_user, plan
from tests.support.stores import Backend, event


@pytest.fixture
def executor(events: EventStore) -> Executor:
    return Executor(events)


@pytest.fixture
def planned(events: EventStore, executor: Executor) -> EventStore:
    """A store with a user and a project of four tasks, each depending on the one before it."""
    executor.execute(list(plan()))
    return events


def execute(executor: Executor, command: Command) -> Answer:
    (answer,) = executor.execute([command])
    return answer


def issue(**values: Any) -> ReportIssue:
    return ReportIssue(**{"issue_type": "mock_data", "severity": "low", "description": "d"} | values)


def end(store: EventStore) -> int:
    return store.max_notification_id() or 0


class TestAnswers:
    def test_an_answer_has_the_id_the_version_and_the_position(self, events: EventStore, executor: Executor) -> None:
        user = execute(executor, create_user())
        project = execute(executor, CreateProject(user_id=user.id, name="Billing"))
        done = execute(executor, CompleteProject(project_id=project.id))
        assert (user.version, user.position) == (1, 1)
        assert (project.version, project.position) == (1, 2)
        assert done == (project.id, 2, 3)
        assert [row.stream_id for row in events.read(0, 9)] == [user.id, project.id, project.id]

    def test_new_ids_are_made_where_none_are_given(self, executor: Executor) -> None:
        given = uuid4()
        assert execute(executor, create_user("one", user_id=given)).id == given
        made = [execute(executor, create_user(f"n{n}")).id for n in range(3)]
        assert [id_.version for id_ in made] == [7] * 3
        assert made == sorted(made)

    def test_reporting_an_issue_answers_with_the_issues_id(self, planned: EventStore, executor: Executor) -> None:
        run = execute(executor, StartRun(project_id=PROJECT, validation_type="deep")).id
        answer = execute(executor, issue(run_id=run))
        row = planned.load(run)[-1]
        stored = decode_event(row.topic, row.state)
        assert isinstance(stored, IssueReported)
        assert answer == (stored.issue_id, 2, end(planned))

    def test_events_carry_the_commands_envelope(self, planned: EventStore, executor: Executor) -> None:
        last, command_id = end(planned), uuid4()
        envelope: dict[str, Any] = {"correlation_id": "req/1", "causation_id": "cause:2", "actor": "agent-7"}
        execute(executor, StartTask(task_id=TASKS[0], command_id=command_id, **envelope))
        execute(executor, create_user("other"))
        row, bare = planned.read_rows(last, 9)
        assert (row.command_id, row.correlation_id, row.causation_id, row.actor) == (command_id, *envelope.values())
        assert row.project_id == PROJECT
        assert len(row.command_digest or b"") == 32
        assert row.key_id is None
        assert (bare.correlation_id, bare.causation_id, bare.actor, bare.project_id) == (None,) * 4
        assert bare.key_id == bare.stream_id
        assert bare.command_id is not None

    def test_every_event_of_a_project_names_it(self, planned: EventStore) -> None:
        rows = planned.read_rows(1, 99)
        assert {row.project_id for row in rows} == {PROJECT}
        assert planned.count(PROJECT) == (len(rows), len(rows))
        assert planned.count(USER) == (1, 1)


class TestARetry:
    """The same command_id again: the first answer, and nothing is stored."""

    COMMANDS: tuple[Callable[[], Command], ...] = (
        lambda: create_user("retried"),
        lambda: CreateProject(user_id=USER, name="Second"),
        lambda: AddTask(project_id=PROJECT, name="Fifth"),
        lambda: StartTask(task_id=TASKS[0]),
        lambda: AddDependency(task_id=TASKS[3], depends_on_task_id=TASKS[0]),
        lambda: StartRun(project_id=PROJECT, validation_type="quick"),
        lambda: CompleteProject(project_id=PROJECT),
    )

    @pytest.mark.parametrize("make", COMMANDS, ids=lambda make: type(make()).__name__)
    def test_answers_the_same(self, planned: EventStore, make: Callable[[], Command]) -> None:
        command = make().model_copy(update={"command_id": uuid4()})
        first = execute(Executor(planned), command)
        execute(Executor(planned), create_user("meanwhile"))
        last = end(planned)
        assert execute(Executor(planned), command) == first
        assert execute(Executor(planned), make().model_copy(update={"command_id": command.command_id})) == first
        assert end(planned) == last

    def test_answers_an_issue_with_its_first_id(self, planned: EventStore, executor: Executor) -> None:
        run = execute(executor, StartRun(project_id=PROJECT, validation_type="deep")).id
        command = issue(run_id=run, command_id=uuid4())
        first = execute(executor, command)
        assert execute(executor, issue(run_id=run)).id != first.id
        assert execute(executor, command) == first
        given = issue(run_id=run, issue_id=uuid4(), command_id=uuid4())
        assert execute(executor, given) == execute(executor, given)

    def test_may_have_another_envelope(self, planned: EventStore, executor: Executor) -> None:
        command = StartTask(task_id=TASKS[0], command_id=uuid4(), actor="one", correlation_id="a", expected_version=1)
        first = execute(executor, command)
        changed = {"actor": "two", "correlation_id": None, "causation_id": "b", "expected_version": None}
        assert execute(executor, command.model_copy(update=changed)) == first
        assert execute(executor, command) == first  # its expected_version is long past

    def test_is_answered_though_it_would_be_refused_by_now(self, planned: EventStore, executor: Executor) -> None:
        command = StartTask(task_id=TASKS[0], command_id=uuid4())
        first = execute(executor, command)
        execute(executor, CompleteProject(project_id=PROJECT))
        assert execute(executor, command) == first

    @pytest.mark.parametrize(
        "other",
        [
            ClaimProgress(task_id=TASKS[0], claimed=20),
            ClaimProgress(task_id=TASKS[1], claimed=10),
            StartTask(task_id=TASKS[0]),
            CompleteProject(project_id=uuid4()),
        ],
        ids=["another value", "another task", "another command", "a command that is refused too"],
    )
    def test_with_other_content_is_refused(self, planned: EventStore, executor: Executor, other: Command) -> None:
        execute(executor, StartTask(task_id=TASKS[0]))
        command_id = uuid4()
        execute(executor, ClaimProgress(task_id=TASKS[0], claimed=10, command_id=command_id))
        last = end(planned)
        with pytest.raises(CommandIdReused) as caught:
            execute(executor, other.model_copy(update={"command_id": command_id}))
        assert caught.value.details == {"command_id": str(command_id)}
        assert end(planned) == last

    def test_of_a_refused_command_is_decided_anew(self, planned: EventStore, executor: Executor) -> None:
        """Refusals are not recorded."""
        command = ClaimProgress(task_id=TASKS[0], claimed=10, command_id=uuid4())
        with pytest.raises(Refused):
            execute(executor, command)
        execute(executor, StartTask(task_id=TASKS[0]))
        assert execute(executor, command).version == 3


def dressed(*commands: Command) -> list[Command]:
    return [command.model_copy(update={"command_id": uuid4()}) for command in commands]


class TestAUnit:
    """Several commands that are stored together or not at all."""

    def test_of_nothing_is_nothing(self, events: EventStore, executor: Executor) -> None:
        assert executor.execute([]) == []
        assert end(events) == 0

    def test_is_one_commit_and_its_commands_see_those_before(self, events: EventStore, executor: Executor) -> None:
        appended: list[int] = []
        append_units = events.append

        def counted(units: Sequence[Unit]) -> Any:
            appended.append(len(units))
            return append_units(units)

        events.append = counted  # type: ignore[method-assign, assignment] # nobody observes
        commands = [*plan(), StartTask(task_id=TASKS[0]), ClaimProgress(task_id=TASKS[0], claimed=5)]
        answers = executor.execute(commands)
        assert appended == [1]
        assert [answer.position for answer in answers] == list(range(1, len(commands) + 1))
        assert answers[-1] == (TASKS[0], 3, len(commands))
        assert len({row.recorded_at for row in events.read_rows(0, 99)}) == 1

    def test_a_refusal_in_the_middle_stores_nothing(self, planned: EventStore, executor: Executor) -> None:
        last = end(planned)
        with pytest.raises(NotFound):
            executor.execute([StartTask(task_id=TASKS[0]), StartTask(task_id=uuid4()), create_user("new")])
        assert end(planned) == last
        execute(executor, create_user("new"))

    def test_all_known_gives_the_first_answers(self, planned: EventStore, executor: Executor) -> None:
        commands = dressed(StartTask(task_id=TASKS[0]), AddTask(project_id=PROJECT, name="New"), create_user("new"))
        first = executor.execute(commands)
        last = end(planned)
        assert executor.execute(commands) == first
        assert executor.execute(commands[::-1]) == first[::-1]
        assert execute(executor, commands[1]) == first[1]
        assert end(planned) == last

    @pytest.mark.parametrize("known", [0, 1])
    def test_partly_known_is_refused(self, planned: EventStore, executor: Executor, known: int) -> None:
        commands = dressed(StartTask(task_id=TASKS[0]), AddTask(project_id=PROJECT, name="New"))
        execute(executor, commands[known])
        last = end(planned)
        with pytest.raises(CommandIdReused) as caught:
            executor.execute(commands)
        assert caught.value.details["unknown"] == [str(commands[1 - known].command_id)]
        assert end(planned) == last

    def test_of_equal_command_ids_the_second_gets_the_firsts_answer(
        self, planned: EventStore, executor: Executor
    ) -> None:
        (add,) = dressed(AddTask(project_id=PROJECT, name="New"))
        last = end(planned)
        one, between, two = executor.execute([add, StartTask(task_id=TASKS[0]), add])
        assert one == two
        assert one.position == last + 1
        assert between.position == end(planned) == last + 2

    def test_equal_command_ids_of_other_content_are_refused(self, planned: EventStore, executor: Executor) -> None:
        (start,) = dressed(StartTask(task_id=TASKS[0]))
        other = StartTask(task_id=TASKS[1], command_id=start.command_id)
        last = end(planned)
        with pytest.raises(CommandIdReused):
            executor.execute([start, other])
        assert end(planned) == last

    def test_two_of_one_name_are_refused(self, events: EventStore, executor: Executor) -> None:
        with pytest.raises(NotUnique):
            executor.execute([create_user("ada"), create_user("ada", email="other@example.org")])
        assert end(events) == 0


class TestExpectedVersion:
    def test_is_that_of_the_stream(self, planned: EventStore, executor: Executor) -> None:
        execute(executor, StartTask(task_id=TASKS[0], expected_version=1))
        last = end(planned)
        with pytest.raises(StaleVersion) as caught:
            execute(executor, ClaimProgress(task_id=TASKS[0], claimed=1, expected_version=1))
        assert caught.value.details == {"id": str(TASKS[0]), "version": 2, "expected_version": 1}
        assert end(planned) == last

    def test_of_what_is_created_is_zero(self, events: EventStore, executor: Executor) -> None:
        with pytest.raises(StaleVersion):
            execute(executor, create_user(expected_version=1))
        execute(executor, create_user(expected_version=0))

    def test_counts_what_its_own_unit_did(self, planned: EventStore, executor: Executor) -> None:
        claim = ClaimProgress(task_id=TASKS[0], claimed=1, expected_version=2)
        executor.execute([StartTask(task_id=TASKS[0], expected_version=1), claim])

    def test_of_what_has_no_stream_is_zero(self, planned: EventStore, executor: Executor) -> None:
        agent_id, last = uuid4(), end(planned)
        claim = ClaimNextTask(agent_id=agent_id, project_id=PROJECT, occurred_at=START)
        executor.execute([RegisterAgent(agent_id=agent_id, agent_type="tester"), claim])
        with pytest.raises(StaleVersion) as caught:
            execute(executor, ExpireClaims(expected_version=1))
        assert caught.value.details == {"id": None, "version": 0, "expected_version": 1}
        assert end(planned) == last + 4
        execute(executor, ExpireClaims(expected_version=0))


class TestIdsOfAnotherKind:
    def test_are_not_found(self, planned: EventStore, executor: Executor) -> None:
        last = end(planned)
        commands: list[Command] = [
            StartTask(task_id=PROJECT),
            CompleteProject(project_id=USER),
            CreateProject(user_id=PROJECT, name="x"),
            AddTask(project_id=TASKS[0], name="x"),
            AddDependency(task_id=PROJECT, depends_on_task_id=TASKS[0]),
            AddDependency(task_id=TASKS[0], depends_on_task_id=USER),
            issue(run_id=TASKS[0]),
            StartRun(project_id=graph_id(PROJECT), validation_type="quick"),
            StartTask(task_id=graph_id(PROJECT)),
        ]
        for command in commands:
            with pytest.raises(NotFound):
                execute(executor, command)
        assert end(planned) == last

    def test_are_not_created_again(self, planned: EventStore, executor: Executor) -> None:
        last = end(planned)
        for id_ in (USER, PROJECT, TASKS[0], graph_id(PROJECT)):
            creating: list[Command] = [
                create_user("new", user_id=id_),
                CreateProject(project_id=id_, user_id=USER, name="x"),
                AddTask(task_id=id_, project_id=PROJECT, name="x"),
                StartRun(run_id=id_, project_id=PROJECT, validation_type="quick"),
            ]
            for command in creating:
                with pytest.raises(AlreadyExists):
                    execute(executor, command)
        assert end(planned) == last

    def test_that_stand_where_a_dependency_graph_would_are_refused(
        self, events: EventStore, executor: Executor
    ) -> None:
        commands = list(plan())
        executor.execute(commands[:6])  # no dependency yet
        execute(executor, create_user("squatter", user_id=graph_id(PROJECT)))
        last = end(events)
        with pytest.raises(Refused):
            execute(executor, commands[6])
        assert end(events) == last


class TestPersonalValues:
    """No error repeats them."""

    @pytest.mark.parametrize("taken", ["username", "email"])
    def test_that_are_taken(self, planned: EventStore, executor: Executor, taken: str) -> None:
        values = {"username": "grace", "email": "grace@example.org"}
        execute(executor, create_user("grace"))
        other = {"username": "other", "email": "other@example.org"} | {taken: values[taken]}
        with pytest.raises(NotUnique) as caught:
            execute(executor, create_user(**other))
        said = f"{caught.value} {caught.value.as_json()}"
        assert caught.value.details == {"field": taken}
        assert "grace" not in said
        assert "argon2" not in said

    def test_that_are_bad(self) -> None:
        queen: Any = "queen"
        with pytest.raises(TiuError) as caught:
            CreateUser(username="", email="grace and hopper", password_hash="plain secret", role=queen)  # noqa: S106 - refused
        said = f"{caught.value} {caught.value.as_json()}"
        assert "grace" not in said
        assert "plain" not in said
        assert "queen" in said

    def test_are_reserved_under_a_keyed_hash(self, planned: EventStore) -> None:
        taken: list[bytes] = []
        append_units = planned.append

        def seen(units: Sequence[Unit]) -> Any:
            taken.extend(reservation.key for unit in units for reservation in unit.reservations)
            return append_units(units)

        planned.append = seen  # type: ignore[method-assign, assignment] # nobody observes
        execute(Executor(planned), create_user("grace"))
        assert len(set(taken)) == 2
        assert all(len(key) == 32 for key in taken)

    def test_an_issues_id_is_unique_in_the_whole_store_and_is_said(
        self, planned: EventStore, executor: Executor
    ) -> None:
        runs = [execute(executor, StartRun(project_id=PROJECT, validation_type="deep")).id for _ in range(2)]
        answer = execute(executor, issue(run_id=runs[0]))
        with pytest.raises(NotUnique, match=str(answer.id)):
            execute(executor, issue(run_id=runs[1], issue_id=answer.id))


class TestALostAnswer:
    """The commit is stored, and the connection breaks before it is told."""

    def break_after(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch, times: int, *, stored: bool = True
    ) -> None:
        append_units, broken = store.append, list[int]()

        def breaking(units: Sequence[Unit]) -> Any:
            outcomes = append_units(units) if stored or len(broken) >= times else None
            if len(broken) < times:
                broken.append(1)
                raise StoreUnavailable("the connection was lost")
            return outcomes

        monkeypatch.setattr(store, "append", breaking)

    @pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
    def test_is_found_again(
        self, planned: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch, *, stored: bool
    ) -> None:
        last = end(planned)
        self.break_after(planned, monkeypatch, 1, stored=stored)
        answers = executor.execute([create_user("new"), StartTask(task_id=TASKS[0])])
        assert [answer.position for answer in answers] == [last + 1, last + 2]
        assert answers[1].version == 2
        assert end(planned) == last + 2
        assert [row.stream_id for row in planned.read(last, 9)] == [answer.id for answer in answers]

    def test_is_said_when_the_store_stays_away(
        self, planned: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = end(planned)
        self.break_after(planned, monkeypatch, 100, stored=False)
        with pytest.raises(StoreUnavailable):
            execute(executor, create_user("new"))
        assert end(planned) == last


class TestContention:
    def test_ends_under_the_ordering_lock(
        self, planned: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others are faster each time, until nobody else can write."""
        append_units, attempts = type(planned).append, list[bool]()

        def overtaken(store: EventStore, units: Sequence[Unit]) -> Any:
            attempts.append(store is planned)
            if store is planned:
                stream_id = units[0].events[0].stream_id
                version = len(planned.load(stream_id)) + 1
                append_units(store, [Unit([event(stream_id, version, topic="task.put_back.v1", state=STARTED)])])
            return append_units(store, units)

        monkeypatch.setattr(type(planned), "append", overtaken)
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
        answer = execute(executor, StartTask(task_id=TASKS[0]))
        assert answer.version == module.ATTEMPTS + 1
        assert attempts == [True] * (module.ATTEMPTS - 1) + [False]

    def test_is_told_where_it_does_not_end(
        self, planned: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def conflict(store: EventStore, units: Sequence[Unit]) -> list[Outcome]:
            return [Conflict(TASKS[0])]

        monkeypatch.setattr(type(planned), "append", conflict)
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
        with pytest.raises(Contended):
            execute(executor, StartTask(task_id=TASKS[0]))

    def test_a_command_that_was_overtaken_is_decided_again(
        self, planned: EventStore, executor: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append_units, overtaken = planned.append, list[int]()

        def overtake(units: Sequence[Unit]) -> Any:
            if not overtaken:
                overtaken.append(1)
                append_units([Unit([event(TASKS[0], 2, topic="task.put_back.v1", state=STARTED)])])
            return append_units(units)

        monkeypatch.setattr(planned, "append", overtake)
        assert execute(executor, StartTask(task_id=TASKS[0])).version == 3

    def test_is_none_where_nobody_writes_now_however_much_was_moved_before(
        self, planned: EventStore, executor: Executor, backend: Backend
    ) -> None:
        """Each attempt is refused at the next task, which is in progress as far as this process knows."""
        tasks = [uuid4() for _ in range(module.ATTEMPTS + 1)]
        started = [StartTask(task_id=task_id) for task_id in tasks]
        executor.execute([AddTask(task_id=task_id, project_id=PROJECT, name="Task") for task_id in tasks])
        executor.execute(started)
        Executor(backend.events()).execute([PutBackTask(task_id=task_id) for task_id in tasks])
        assert {answer.version for answer in executor.execute(started)} == {4}


STARTED = b'{"occurred_at":"2026-03-01T12:00:00Z"}'
