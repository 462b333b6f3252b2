"""An agent: its statuses × its commands, what it claims, what it holds, and how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from claude_tiu.domain.agent import (
    AGENT,
    AgentErrorReported,
    AgentRegistered,
    AgentWentOffline,
    ClaimNextTask,
    FinishTask,
    GoOffline,
    HeartbeatRecorded,
    RecordHeartbeat,
    RegisterAgent,
    ReleaseTask,
    ReportAgentError,
)
from claude_tiu.domain.assignment import AssignmentClosed, AssignmentOpened
from claude_tiu.domain.errors import AlreadyExists, InvalidCommand, NotAssigned, NotFound, NothingReady, WrongStatus
from claude_tiu.domain.messages import Command, Decided, Elsewhere, Event
from claude_tiu.domain.task import TaskAssigned, TaskCompleted, TaskPutBack, TaskStarted
from tests.domain.given import (
    AGENT_ID,
    ASSIGNMENT_ID,
    AT,
    EARLIER,
    NEW_ID,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    TASK_ID,
    given,
    uid,
    world,
)

OTHER_TASK_ID = uid("other task")
MINUTE = timedelta(minutes=1)


def registered(at: datetime = EARLIER, **fields: Any) -> AgentRegistered:
    left_out: dict[str, Any] = {"name": None, "capabilities": [], "configuration": {}, "coordination_hooks": {}}
    return AgentRegistered(occurred_at=at, **({"agent_type": "tester"} | left_out | fields))


def opened(at: datetime = EARLIER, **fields: Any) -> AssignmentOpened:
    usual: dict[str, Any] = {
        "assignment_id": ASSIGNMENT_ID,
        "task_id": TASK_ID,
        "project_id": PROJECT_ID,
        "deadline": at + 15 * MINUTE,
        "lease_seconds": 900,
        "metadata": {},
    }
    return AssignmentOpened(occurred_at=at, **(usual | fields))


def closed(status: str, at: datetime = AT) -> AssignmentClosed:
    return AssignmentClosed(
        occurred_at=at, assignment_id=ASSIGNMENT_ID, task_id=TASK_ID, project_id=PROJECT_ID, status=status
    )


def heartbeat(deadline: datetime | None = None, at: datetime = AT) -> HeartbeatRecorded:
    of = (ASSIGNMENT_ID, PROJECT_ID) if deadline else (None, None)
    return HeartbeatRecorded(occurred_at=at, assignment_id=of[0], project_id=of[1], deadline=deadline)


def of_task(event: Event) -> Elsewhere:
    return Elsewhere(TASK_ID, event)


def claimed(**fields: Any) -> list[Decided]:
    """What a claim of the task makes."""
    return [
        opened(AT, assignment_id=NEW_ID, **fields),
        of_task(TaskAssigned(occurred_at=AT, agent_id=AGENT_ID, assignment_id=NEW_ID)),
        of_task(TaskStarted(occurred_at=AT)),
    ]


OFFLINE, ERROR = AgentWentOffline(occurred_at=EARLIER), AgentErrorReported(occurred_at=EARLIER, reason=None)
FREE: dict[str, list[Event]] = {
    "idle": [registered()],
    "offline": [registered(), OFFLINE],
    "error": [registered(), ERROR],
}
HOLDING: dict[str, list[Event]] = {
    "busy": [registered(), opened()],
    "offline": [registered(), opened(), OFFLINE],
    "error": [registered(), opened(), ERROR],
}
"""status -> a history that leads to it, without a task and with one."""
HISTORIES = [*FREE.values(), *HOLDING.values()]

READY = replace(world(), ready={(PROJECT_ID, "tester", (), None): TASK_ID})
CLAIM = ClaimNextTask(agent_id=AGENT_ID, project_id=PROJECT_ID)
OTHERS: tuple[Command, ...] = (
    RecordHeartbeat(agent_id=AGENT_ID),
    GoOffline(agent_id=AGENT_ID),
    ReportAgentError(agent_id=AGENT_ID),
    CLAIM,
    ReleaseTask(agent_id=AGENT_ID, task_id=TASK_ID),
    FinishTask(agent_id=AGENT_ID, task_id=TASK_ID),
)


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


def test_the_commands_here_are_all_that_an_agent_has() -> None:
    assert {type(command) for command in OTHERS} == set(AGENT.commands) - {RegisterAgent}


@pytest.mark.parametrize("command", OTHERS, ids=name_of)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(AGENT, reads=READY).when(command).then_refused(NotFound, id=AGENT_ID)


class TestRegistering:
    def test_an_agent_is_idle_and_holds_nothing(self) -> None:
        command = RegisterAgent(agent_id=AGENT_ID, agent_type="tester")
        agent = given(AGENT).when(command).then([registered(AT)])
        assert (agent.agent_type, agent.capabilities, agent.status, agent.assignment) == ("tester", (), "idle", None)

    def test_everything_that_it_was_given_stands_in_the_event(self) -> None:
        fields: dict[str, Any] = {
            "agent_type": "architect",
            "name": "Ada",
            "capabilities": ["python", "rust"],
            "configuration": {"model": "large"},
            "coordination_hooks": {"before": ["sync"]},
        }
        agent = given(AGENT).when(RegisterAgent(**fields)).then([registered(AT, **fields)])
        assert agent.capabilities == ("python", "rust")

    def test_an_id_is_given_once(self) -> None:
        command = RegisterAgent(agent_id=AGENT_ID, agent_type="tester")
        given(AGENT, [registered()]).when(command).then_refused(AlreadyExists, id=AGENT_ID)

    def test_capabilities_are_a_set(self) -> None:
        command = RegisterAgent(agent_type="tester", capabilities=["b", "a", "é", "b"])
        assert command.capabilities == ["a", "b", "é"]
        assert command.asked() == RegisterAgent(agent_type="tester", capabilities=["é", "b", "a"]).asked()

    @pytest.mark.parametrize("capabilities", [["x" * 1_996], ["a", "é" * 995 + "x"], ["a", "b", "c" * 1_986]])
    def test_capabilities_as_json_have_at_most_2000_bytes(self, capabilities: list[str]) -> None:
        """Brackets, quotes, commas and spaces count: so much an index holds."""
        assert RegisterAgent(agent_type="tester", capabilities=capabilities).capabilities == capabilities
        with pytest.raises(InvalidCommand, match="at most 2000 bytes"):
            RegisterAgent(agent_type="tester", capabilities=[*capabilities[:-1], capabilities[-1] + "x"])

    @pytest.mark.parametrize("capabilities", [[""], [1], ["a\0b"], ["\ud800"], "python", {"a": 1}, [None], None])
    def test_a_capability_is_text_that_can_be_stored(self, capabilities: Any) -> None:
        with pytest.raises(InvalidCommand):
            RegisterAgent(agent_type="tester", capabilities=capabilities)

    @pytest.mark.parametrize("agent_type", ["", "Tester", "tester ", "developer", None])
    def test_its_type_is_one_of_the_specification(self, agent_type: Any) -> None:
        with pytest.raises(InvalidCommand):
            RegisterAgent(agent_type=agent_type)


class TestHeartbeats:
    @pytest.mark.parametrize("status", FREE)
    def test_one_that_holds_nothing_is_idle(self, status: str) -> None:
        agent = given(AGENT, FREE[status]).when(RecordHeartbeat(agent_id=AGENT_ID)).then([heartbeat()])
        assert (agent.status, agent.assignment) == ("idle", None)

    @pytest.mark.parametrize("status", HOLDING)
    def test_one_that_holds_a_task_is_busy_and_has_its_whole_lease_again(self, status: str) -> None:
        when = given(AGENT, HOLDING[status]).when(RecordHeartbeat(agent_id=AGENT_ID))
        agent = when.then([heartbeat(AT + 15 * MINUTE)])
        assert agent.status == "busy"
        assert agent.assignment is not None
        assert (agent.assignment.task_id, agent.assignment.deadline) == (TASK_ID, AT + 15 * MINUTE)

    def test_the_lease_is_that_of_the_claim(self) -> None:
        history = [registered(), opened(lease_seconds=60)]
        given(AGENT, history).when(RecordHeartbeat(agent_id=AGENT_ID)).then([heartbeat(AT + MINUTE)])

    def test_the_deadline_is_never_earlier_than_it_was(self) -> None:
        """The clock of an agent may fall, and the lease may be shorter than what is left."""
        history = [registered(), opened(deadline=AT + 60 * MINUTE)]
        given(AGENT, history).when(RecordHeartbeat(agent_id=AGENT_ID)).then([heartbeat(AT + 60 * MINUTE)])

    def test_one_that_comes_after_the_deadline_still_counts(self) -> None:
        """Nobody has taken the task from it: a claim runs out when it is expired."""
        history = [registered(), opened(deadline=EARLIER)]
        given(AGENT, history).when(RecordHeartbeat(agent_id=AGENT_ID)).then([heartbeat(AT + 15 * MINUTE)])


class TestGoingAway:
    @pytest.mark.parametrize("history", HISTORIES)
    def test_any_agent_may_go_offline_and_keeps_what_it_holds(self, history: list[Event]) -> None:
        before = AGENT.fold(history)
        assert before is not None
        agent = given(AGENT, history).when(GoOffline(agent_id=AGENT_ID)).then([AgentWentOffline(occurred_at=AT)])
        assert (agent.status, agent.assignment) == ("offline", before.assignment)

    @pytest.mark.parametrize("history", HISTORIES)
    def test_any_agent_may_report_an_error_and_keeps_what_it_holds(self, history: list[Event]) -> None:
        before = AGENT.fold(history)
        assert before is not None
        when = given(AGENT, history).when(ReportAgentError(agent_id=AGENT_ID, reason="out of memory"))
        agent = when.then([AgentErrorReported(occurred_at=AT, reason="out of memory")])
        assert (agent.status, agent.assignment) == ("error", before.assignment)


class TestClaiming:
    def test_the_first_ready_task_is_assigned_and_started(self) -> None:
        claim = ClaimNextTask(agent_id=AGENT_ID, project_id=PROJECT_ID, lease_seconds=60, metadata={"try": 1})
        expected = claimed(deadline=AT + MINUTE, lease_seconds=60, metadata={"try": 1})
        agent = given(AGENT, [registered()], reads=READY).when(claim).then(expected)
        assert agent.status == "busy"
        assert agent.assignment is not None
        assert (agent.assignment.assignment_id, agent.assignment.task_id) == (NEW_ID, TASK_ID)

    def test_a_lease_is_15_minutes_where_nothing_else_is_said(self) -> None:
        given(AGENT, [registered()], reads=READY).when(CLAIM).then(
            claimed(lease_seconds=900, deadline=AT + 15 * MINUTE)
        )

    def test_the_queue_is_asked_for_what_the_agent_is_and_can_and_the_command_says(self) -> None:
        asked = (PROJECT_ID, "architect", ("python", "rust"), "high")
        history = [registered(agent_type="architect", capabilities=["python", "rust"])]
        claim = ClaimNextTask(agent_id=AGENT_ID, project_id=PROJECT_ID, priority="high")
        agent = given(AGENT, history, reads=replace(world(), ready={asked: TASK_ID})).when(claim).then(claimed())
        assert agent.status == "busy"

    def test_nothing_ready_is_a_refusal(self) -> None:
        when = given(AGENT, [registered()], reads=world()).when(CLAIM)
        when.then_refused(NothingReady, id=PROJECT_ID, agent_id=AGENT_ID)

    @pytest.mark.parametrize("history", HISTORIES)
    def test_only_an_idle_agent_may_claim(self, history: list[Event]) -> None:
        agent = AGENT.fold(history)
        assert agent is not None
        when = given(AGENT, history, reads=READY).when(CLAIM)
        if agent.status == "idle":
            when.then(claimed())
        else:
            when.then_refused(WrongStatus, id=AGENT_ID, status=agent.status, command="ClaimNextTask")

    @pytest.mark.parametrize("status", ["completed", "failed", "archived"])
    def test_only_in_an_active_project(self, status: str) -> None:
        reads = replace(READY, projects=world(status).projects)
        when = given(AGENT, [registered()], reads=reads).when(CLAIM)
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command="ClaimNextTask")

    def test_only_in_a_project_that_exists(self) -> None:
        claim = ClaimNextTask(agent_id=AGENT_ID, project_id=NOBODY)
        given(AGENT, [registered()], reads=READY).when(claim).then_refused(NotFound, id=NOBODY)

    @pytest.mark.parametrize("seconds", [0, -1, 86_401, 1.5, "60", True])
    def test_a_lease_is_a_whole_number_of_seconds_up_to_a_day(self, seconds: Any) -> None:
        with pytest.raises(InvalidCommand, match="lease_seconds"):
            ClaimNextTask(agent_id=AGENT_ID, project_id=PROJECT_ID, lease_seconds=seconds)

    @pytest.mark.parametrize("key", ["deadline", "lease_seconds"])
    def test_metadata_may_not_set_what_the_core_writes_beside_it(self, key: str) -> None:
        with pytest.raises(InvalidCommand, match=f"may not set {key}"):
            ClaimNextTask(agent_id=AGENT_ID, project_id=PROJECT_ID, metadata={key: 1, "mine": 2})

    def test_it_is_decided_while_nobody_else_writes(self) -> None:
        assert [command for command in AGENT.commands if command.exclusive] == [ClaimNextTask]


ENDS: dict[type[Command], tuple[Command, str, Event]] = {
    FinishTask: (FinishTask(agent_id=AGENT_ID, task_id=TASK_ID), "completed", TaskCompleted(occurred_at=AT)),
    ReleaseTask: (ReleaseTask(agent_id=AGENT_ID, task_id=TASK_ID), "released", TaskPutBack(occurred_at=AT)),
}


@pytest.mark.parametrize("end", ENDS)
class TestFinishingAndReleasing:
    @pytest.mark.parametrize("status", HOLDING)
    def test_closes_the_assignment_and_moves_the_task(self, end: type[Command], status: str) -> None:
        command, ended, event = ENDS[end]
        agent = given(AGENT, HOLDING[status]).when(command).then([closed(ended), of_task(event)])
        assert agent.status == ("idle" if status == "busy" else status)
        assert agent.assignment is None

    @pytest.mark.parametrize("status", FREE)
    def test_is_refused_to_one_that_holds_nothing(self, end: type[Command], status: str) -> None:
        refusal = given(AGENT, FREE[status]).when(ENDS[end][0]).then_refused(NotAssigned, agent_id=AGENT_ID)
        assert refusal.details == {"agent_id": str(AGENT_ID), "task_id": str(TASK_ID), "holds": None}
        assert "may have run out" in refusal.message

    def test_is_refused_to_one_that_has_lost_its_claim(self, end: type[Command]) -> None:
        history = [registered(), opened(), closed("released", EARLIER)]
        given(AGENT, history).when(ENDS[end][0]).then_refused(NotAssigned, agent_id=AGENT_ID, task_id=TASK_ID)

    def test_is_refused_to_one_that_holds_another(self, end: type[Command]) -> None:
        history = [registered(), opened(task_id=OTHER_TASK_ID)]
        when = given(AGENT, history).when(ENDS[end][0])
        when.then_refused(NotAssigned, agent_id=AGENT_ID, task_id=TASK_ID, holds=OTHER_TASK_ID)

    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_goes_on_in_a_project_that_is_not_archived(self, end: type[Command], status: str) -> None:
        command, ended, event = ENDS[end]
        given(AGENT, HOLDING["busy"], reads=world(status)).when(command).then([closed(ended), of_task(event)])

    def test_is_refused_in_an_archived_project(self, end: type[Command]) -> None:
        when = given(AGENT, HOLDING["busy"], reads=world("archived")).when(ENDS[end][0])
        when.then_refused(WrongStatus, id=PROJECT_ID, status="archived")


@pytest.mark.parametrize(("before", "how"), list(product(HOLDING, ["completed", "failed", "released"])))
def test_however_its_assignment_closes_a_busy_agent_is_idle(before: str, how: str) -> None:
    """One that is away stays away."""
    agent = AGENT.fold([*HOLDING[before], closed(how)])
    assert agent is not None
    assert (agent.status, agent.assignment) == ("idle" if before == "busy" else before, None)


def test_an_agent_belongs_to_no_project() -> None:
    agent = AGENT.fold([registered(), opened(project_id=OTHER_PROJECT_ID)])
    assert agent is not None
    assert AGENT.project_of(AGENT_ID, agent) is None
