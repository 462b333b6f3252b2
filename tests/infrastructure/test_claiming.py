"""Claims on a store: each ready task goes to one agent, in the order of the rules, however many claim at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import (
    AddDependency,
    AddTask,
    Answer,
    ArchiveProject,
    ClaimNextTask,
    Command,
    CompleteTask,
    CreateProject,
    ExpireClaims,
    FinishTask,
    NotAssigned,
    NothingOverdue,
    NothingReady,
    NotUnique,
    OpenWork,
    PutBackTask,
    RecordHeartbeat,
    RegisterAgent,
    RestoreProject,
    StartTask,
    WrongStatus,
)
from claude_tiu.domain import claim_expiry
from claude_tiu.domain.assignment import AssignmentOpened
from claude_tiu.domain.registry import decode_event
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import ATTEMPTS, Executor
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.streams import load_stream
from claude_tiu.infrastructure.write_side import rebuild_write_side
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.claiming import claim_from_elsewhere, claim_in_threads, fill
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import Backend, in_other_processes, place_of

ADA, EVE = uid("ada"), uid("eve")
FIRST, SECOND = uid("first"), uid("second")
Give = Callable[..., Answer]


def opened(store: EventStore) -> list[tuple[int, UUID]]:
    """(position, task) of every claim in the log."""
    rows = [row for row in store.read(0, 100_000) if row.topic == AssignmentOpened.topic]
    events = [(row.position, decode_event(row.topic, row.state)) for row in rows]
    return [(position, event.task_id) for position, event in events if isinstance(event, AssignmentOpened)]


def assert_handed_out_once_in_order(store: EventStore, answers: list[tuple[int, UUID]], in_order: list[UUID]) -> None:
    """Every task once, to one agent, in the order of the rules by the claims' positions; and the answers say so."""
    claims = opened(store)
    assert [task_id for _, task_id in claims] == in_order
    assert sorted(answers) == [(position + 2, task_id) for position, task_id in claims]
    assert {load_stream(store, task_id).state.status for task_id in in_order} == {"completed"}


class TestManyAtOnce:
    def test_each_ready_task_goes_to_one_agent_in_the_order_of_the_rules(self, backend: Backend) -> None:
        in_order, agents = fill(backend.events(), tasks=100, agents=8)
        answers = claim_in_threads(backend.events(), agents)
        assert_handed_out_once_in_order(backend.events(), answers, in_order)

    def test_from_several_processes_too(self, backend: Backend) -> None:
        in_order, agents = fill(backend.events(), tasks=40, agents=4)
        works = [(backend.name, place_of(backend), agents[n::2]) for n in range(2)]
        answers = [answer for answers in in_other_processes(claim_from_elsewhere, *works) for answer in answers]
        assert_handed_out_once_in_order(backend.events(), answers, in_order)

    @pytest.mark.long
    def test_32_threads_over_1000_tasks(self, backend: Backend) -> None:
        in_order, agents = fill(backend.events(), tasks=1_000, agents=32)
        answers = claim_in_threads(backend.events(), agents)
        assert_handed_out_once_in_order(backend.events(), answers, in_order)

    @pytest.mark.long
    def test_4_processes_of_8_threads_over_1000_tasks(self, backend: Backend) -> None:
        in_order, agents = fill(backend.events(), tasks=1_000, agents=32)
        works = [(backend.name, place_of(backend), agents[n::4]) for n in range(4)]
        answers = [answer for answers in in_other_processes(claim_from_elsewhere, *works) for answer in answers]
        assert_handed_out_once_in_order(backend.events(), answers, in_order)


@pytest.fixture
def give(events: EventStore) -> Give:
    """Executes commands, as one unit, in a project with two ready tasks and two idle agents; gives the last answer."""
    executor = Executor(events)

    def execute(*commands: Command) -> Answer:
        return executor.execute(list(commands))[-1]

    execute(create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing"))
    execute(*[RegisterAgent(agent_id=agent_id, agent_type="tester") for agent_id in (ADA, EVE)])
    execute(*[AddTask(task_id=task_id, project_id=PROJECT, name="Task") for task_id in (FIRST, SECOND)])
    return execute


def claim(agent_id: UUID = ADA, **fields: Any) -> ClaimNextTask:
    return ClaimNextTask(agent_id=agent_id, project_id=PROJECT, **fields)


class TestAClaim:
    def test_answers_with_the_task_and_is_one_commit(self, events: EventStore, give: Give) -> None:
        before = events.max_notification_id() or 0
        answer = give(claim())
        assert answer == (FIRST, 2, before + 3)
        assert load_stream(events, FIRST).state.assignment.agent_id == ADA
        assert [row.stream_id for row in events.read(before, 9)] == [ADA, FIRST, FIRST]

    def test_that_is_retried_gets_the_same_task_and_stores_nothing(self, events: EventStore, give: Give) -> None:
        command = claim(command_id=uid("claim"))
        first = give(command)
        before = events.max_notification_id()
        assert give(command) == first
        assert Executor(events).execute([command]) == [first]
        assert events.max_notification_id() == before

    def test_in_one_unit_with_another_gets_another_task(self, events: EventStore, give: Give) -> None:
        assert give(claim(ADA), claim(EVE)).id == SECOND
        assert load_stream(events, ADA).state.assignment.task_id == FIRST

    def test_sees_what_its_own_unit_did_before_it(self, give: Give) -> None:
        urgent = uid("urgent")
        unit = [AddTask(task_id=urgent, project_id=PROJECT, name="Task", priority="critical"), claim()]
        assert give(*unit).id == urgent

    def test_of_a_unit_that_is_refused_leaves_nothing(self, events: EventStore, give: Give) -> None:
        before, live = events.max_notification_id(), events.write_side()
        with pytest.raises(WrongStatus):
            give(claim(), claim())  # busy by then
        assert (events.max_notification_id(), events.write_side()) == (before, live)
        assert give(claim(EVE)).id == FIRST

    def test_is_made_however_many_tasks_another_process_has_moved(self, backend: Backend, events: EventStore) -> None:
        tasks, agents = ([uid(f"{kind} {number}") for number in range(ATTEMPTS + 1)] for kind in ("task", "agent"))
        here, elsewhere = Executor(events), Executor(backend.events())
        here.execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
        here.execute([RegisterAgent(agent_id=agent_id, agent_type="tester") for agent_id in agents])
        here.execute([AddTask(task_id=task_id, project_id=PROJECT, name="Task") for task_id in tasks])
        elsewhere.execute([move(task_id=task_id) for task_id in tasks for move in (StartTask, PutBackTask)])
        answers = here.execute([claim(agent_id) for agent_id in agents])
        assert [answer.id for answer in answers] == tasks
        assert [load_stream(events, task_id).version for task_id in tasks] == [5] * len(tasks)

    def test_takes_an_id_for_its_assignment_once(self, give: Give) -> None:
        give(claim(assignment_id=uid("mine")))
        with pytest.raises(NotUnique):
            give(claim(EVE, assignment_id=uid("mine")))

    def test_waits_for_what_a_task_depends_on(self, give: Give) -> None:
        give(AddDependency(task_id=FIRST, depends_on_task_id=SECOND))
        assert give(claim()).id == SECOND
        with pytest.raises(NothingReady):
            give(claim(EVE))
        give(FinishTask(agent_id=ADA, task_id=SECOND))
        assert give(claim(EVE)).id == FIRST

    def test_never_takes_what_somebody_has_started(self, give: Give) -> None:
        give(StartTask(task_id=FIRST))
        assert give(claim()).id == SECOND
        give(PutBackTask(task_id=FIRST))
        assert give(claim(EVE)).id == FIRST


class TestAClaimThatRunsOut:
    AT = START + timedelta(hours=1)

    def test_goes_to_the_next_who_claims_and_its_first_agent_is_told(self, give: Give) -> None:
        give(claim(ADA, lease_seconds=60, occurred_at=self.AT))
        with pytest.raises(NothingOverdue):
            give(ExpireClaims(occurred_at=self.AT + timedelta(seconds=60)))
        give(ExpireClaims(occurred_at=self.AT + timedelta(seconds=61)))
        assert give(claim(EVE)).id == FIRST
        with pytest.raises(NotAssigned):
            give(FinishTask(agent_id=ADA, task_id=FIRST))
        give(FinishTask(agent_id=EVE, task_id=FIRST))
        assert give(claim(ADA)).id == SECOND

    def test_is_put_off_by_each_heartbeat(self, give: Give) -> None:
        give(claim(lease_seconds=60, occurred_at=self.AT))
        give(RecordHeartbeat(agent_id=ADA, occurred_at=self.AT + timedelta(seconds=45)))
        with pytest.raises(NothingOverdue):
            give(ExpireClaims(occurred_at=self.AT + timedelta(seconds=105)))
        give(ExpireClaims(occurred_at=self.AT + timedelta(seconds=106)))

    def test_too_often_fails_the_task(self, events: EventStore, give: Give) -> None:
        for number in range(3):
            at = self.AT + timedelta(hours=number)
            assert give(claim(ADA, lease_seconds=60, occurred_at=at)).id == FIRST
            give(ExpireClaims(occurred_at=at + timedelta(minutes=2)))
        assert load_stream(events, FIRST).state.status == "failed"
        assert give(claim(ADA)).id == SECOND

    def test_that_somebody_else_has_ended_is_due_no_more(self, give: Give) -> None:
        give(claim(lease_seconds=60, occurred_at=self.AT))
        give(CompleteTask(task_id=FIRST))
        with pytest.raises(NothingOverdue):
            give(ExpireClaims(occurred_at=self.AT + timedelta(days=1)))

    def test_so_many_at_once_and_the_longest_overdue_first(
        self, events: EventStore, give: Give, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two more than that, the two that ran out last are left for the next command."""
        monkeypatch.setattr(claim_expiry, "MAX_EXPIRED", 20)
        agents = [uid(f"silent {number}") for number in range(22)]
        give(*[RegisterAgent(agent_id=agent_id, agent_type="tester") for agent_id in agents])
        give(*[AddTask(project_id=PROJECT, name="Task") for _ in agents])
        later = [self.AT + timedelta(seconds=number) for number in range(22)]
        random.Random(1).shuffle(later)
        give(*[claim(agent_id, occurred_at=at) for agent_id, at in zip(agents, later, strict=True)])
        before = events.max_notification_id() or 0
        now = START + timedelta(days=1)
        assert give(ExpireClaims(occurred_at=now)).position == before + 40
        left = {agent_id for agent_id in agents if load_stream(events, agent_id).state.assignment}
        assert left == {agent_id for agent_id, at in zip(agents, later, strict=True) if at >= sorted(later)[-2]}
        assert give(ExpireClaims(occurred_at=now)).position == before + 44


class TestAnArchivedProject:
    def test_waits_for_its_open_assignments_and_takes_the_others_along(
        self, backend: Backend, events: EventStore, reads: ReadStore, give: Give
    ) -> None:
        projector = Projector(events, reads, READ_MODEL)

        def assignments() -> dict[str, list[tuple[Any, ...]]]:
            projector.catch_up()
            tables = backend.tables(READ_MODEL)
            return {name: tables[name] for name in ("agent_assignments", "agent_assignments_archive")}

        give(claim())
        with pytest.raises(OpenWork) as caught:
            give(ArchiveProject(project_id=PROJECT))
        assert caught.value.details["open"] == ["assignment"]
        give(FinishTask(agent_id=ADA, task_id=FIRST))
        before = assignments()
        assert len(before["agent_assignments"]) == 1

        give(ArchiveProject(project_id=PROJECT))
        moved = assignments()
        assert (moved["agent_assignments"], moved["agent_assignments_archive"]) == ([], before["agent_assignments"])
        with pytest.raises(WrongStatus):
            give(claim(EVE))
        give(RecordHeartbeat(agent_id=ADA))

        give(RestoreProject(project_id=PROJECT))
        assert assignments() == before
        assert give(claim(EVE)).id == SECOND
        live = (assignments(), backend.tables(READ_MODEL))
        reads.reset(READ_MODEL)
        projector = Projector(events, reads, READ_MODEL)
        assert (assignments(), backend.tables(READ_MODEL)) == live


CAPABILITIES = ("python", "rust", "sql", 'a "quoted" one', "Ünï ☃", "py")


@pytest.mark.parametrize("seed", range(3))
def test_an_agent_is_given_only_what_it_is_fit_for(events: EventStore, seed: int) -> None:
    """As told by hand, of many tasks that ask for this or that; and what was claimed can be rebuilt."""
    dice, executor = random.Random(seed), Executor(events)
    executor.execute([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
    asking: dict[UUID, AddTask] = {}
    for number in range(60):
        agent_type: Any = dice.choice([None, "tester", "architect"])
        asks = dice.sample(CAPABILITIES, dice.choice([0, 0, 1, 2]))
        priority: Any = dice.choice(["high", "low"])
        asking[uid(f"asking {number}")] = AddTask(
            task_id=uid(f"asking {number}"),
            project_id=PROJECT,
            name="Task",
            priority=priority,
            agent_type=agent_type,
            capabilities=asks,
            occurred_at=START,
        )
    executor.execute(list(asking.values()))
    refused = 0
    for number in range(60):
        agent_id, agent_type = uid(f"fit {number}"), dice.choice(["tester", "architect"])
        able = dice.sample(CAPABILITIES, dice.randrange(4))
        wanted: Any = dice.choice([None, None, "high", "low"])
        executor.execute([RegisterAgent(agent_id=agent_id, agent_type=agent_type, capabilities=able)])
        fit = [
            task
            for task in asking.values()
            if task.agent_type in (None, agent_type)
            and set(task.capabilities) <= set(able)
            and wanted in (None, task.priority)
        ]
        expected = min(fit, key=lambda task: task.priority == "low", default=None)
        if expected is None:
            refused += 1
            with pytest.raises(NothingReady):
                executor.execute([claim(agent_id, priority=wanted)])
        else:
            (answer,) = executor.execute([claim(agent_id, priority=wanted)])
            assert answer.id == expected.task_id
            del asking[answer.id]
    assert 0 < refused < 60
    live = events.write_side()
    rebuild_write_side(events)
    assert events.write_side() == live
