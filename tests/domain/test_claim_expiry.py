"""Claims run out: what is overdue, what becomes of the agent and of its task, and when a task fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.agent import AGENT, Agent
from claude_tiu.domain.assignment import Assigned, Assignment, AssignmentClosed
from claude_tiu.domain.claim_expiry import CLAIM_EXPIRY, MAX_EXPIRED, ExpireClaims
from claude_tiu.domain.errors import InvalidCommand, NothingOverdue
from claude_tiu.domain.messages import Elsewhere
from claude_tiu.domain.task import TASK, Task, TaskClaimExpired, TaskFailed
from tests.domain.given import (
    AGENT_ID,
    AT,
    COMMAND_ID,
    EARLIER,
    NEW_ID,
    PROJECT_ID,
    TASK_ID,
    DictReads,
    Entry,
    given,
    task,
    uid,
    world,
)

SECOND = timedelta(seconds=1)
EXPIRE = ExpireClaims()


def assignment(name: str = "task", **fields: Any) -> Assignment:
    usual: dict[str, Any] = {
        "assignment_id": uid(f"assignment of {name}"),
        "task_id": uid(name),
        "project_id": PROJECT_ID,
        "deadline": AT - SECOND,
        "lease_seconds": 900,
    }
    return Assignment(**(usual | fields))


def claimed(agent: str = "agent", name: str = "task", *, attempts: int = 0, **fields: Any) -> tuple[Agent, Task]:
    """An agent with a claimed task, and the task."""
    held = assignment(name, **fields)
    worked_on = Assigned(uid(agent), held.assignment_id)
    return Agent("tester", (), "busy", held), task("in_progress")._replace(assignment=worked_on, attempts=attempts)


def due(*agents: UUID, at: datetime = EARLIER) -> tuple[Entry, ...]:
    """The agenda with an assignment of each agent, a second apart."""
    return tuple(Entry("assignment", id_, PROJECT_ID, at + n * SECOND) for n, id_ in enumerate(agents))


def overdue(*pairs: tuple[Agent, Task]) -> DictReads:
    """What the agenda names: agents with tasks, by the tasks' own word."""
    agents = {pair[1].assignment.agent_id: pair[0] for pair in pairs if pair[1].assignment}
    tasks = {pair[0].assignment.task_id: pair[1] for pair in pairs if pair[0].assignment}
    return replace(world(), agents=agents, tasks=tasks, agenda=due(*agents))


def closed(status: str, name: str = "task", agent_id: UUID = AGENT_ID) -> Elsewhere:
    held = assignment(name)
    event = AssignmentClosed(
        occurred_at=AT,
        assignment_id=held.assignment_id,
        task_id=held.task_id,
        project_id=PROJECT_ID,
        status=status,
    )
    return Elsewhere(agent_id, event)


def expired(attempts: int, name: str = "task", agent_id: UUID = AGENT_ID) -> Elsewhere:
    return Elsewhere(uid(name), TaskClaimExpired(occurred_at=AT, agent_id=agent_id, attempts=attempts))


def test_an_overdue_task_is_pending_again_and_its_agent_free() -> None:
    agent, worked_on = claimed()
    given(CLAIM_EXPIRY, reads=overdue((agent, worked_on))).when(EXPIRE).then_elsewhere([closed("released"), expired(1)])
    after = AGENT.fold([closed("released").event], agent)
    assert after is not None
    assert (after.status, after.assignment) == ("idle", None)
    freed = TASK.fold([expired(1).event], worked_on)
    assert freed is not None
    assert (freed.status, freed.assignment, freed.attempts) == ("pending", None, 1)


def test_attempts_are_counted_on() -> None:
    given(CLAIM_EXPIRY, reads=overdue(claimed(attempts=1))).when(EXPIRE).then_elsewhere(
        [closed("released"), expired(2)]
    )


@pytest.mark.parametrize(("limit", "before"), [(1, 0), (3, 2), (3, 5), (1000, 999)])
def test_a_task_whose_claims_expired_so_often_fails(limit: int, before: int) -> None:
    """One beyond the limit, too: a limit may be lowered."""
    reads = overdue(claimed(attempts=before))
    when = given(CLAIM_EXPIRY, reads=reads).when(ExpireClaims(attempts_limit=limit))
    reason = f"claims expired: {before + 1}, the last of agent {AGENT_ID}; the limit is {limit}"
    when.then_elsewhere([closed("failed"), Elsewhere(TASK_ID, TaskFailed(occurred_at=AT, reason=reason))])


def test_all_that_are_overdue_are_expired_in_the_agendas_order() -> None:
    reads = overdue(claimed("b", "one"), claimed("a", "two", attempts=1))
    given(CLAIM_EXPIRY, reads=reads).when(EXPIRE).then_elsewhere(
        [
            closed("released", "one", uid("b")),
            expired(1, "one", uid("b")),
            closed("released", "two", uid("a")),
            expired(2, "two", uid("a")),
        ]
    )


def test_what_is_due_at_the_commands_time_or_later_is_left_alone() -> None:
    reads = replace(overdue(claimed()), agenda=due(AGENT_ID, at=AT))
    given(CLAIM_EXPIRY, reads=reads).when(EXPIRE).then_refused(NothingOverdue)


def test_a_command_expires_a_bounded_number() -> None:
    agents = [uid(f"agent {n}") for n in range(MAX_EXPIRED + 1)]
    pairs = {id_: claimed(f"task {n}", f"{n}") for n, id_ in enumerate(agents)}
    reads = replace(world(), agents={id_: pair[0] for id_, pair in pairs.items()}, agenda=due(*agents))
    decided = CLAIM_EXPIRY.decide(None, EXPIRE.stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID), reads)
    assert len(decided) == MAX_EXPIRED


def test_nothing_overdue_is_a_refusal() -> None:
    given(CLAIM_EXPIRY).when(EXPIRE).then_refused(NothingOverdue, before=AT.isoformat())


class TestWhatTheAgendaNamesAndIsNotSo:
    """It should not happen, and must not keep the others from expiring."""

    @pytest.mark.parametrize(
        "agent",
        [
            None,
            Agent("tester"),
            Agent("tester", (), "busy", assignment(deadline=AT)),
            Agent("tester", (), "busy", assignment(deadline=AT + SECOND)),
        ],
        ids=["no agent", "no assignment", "due now", "due later"],
    )
    def test_what_is_not_overdue_is_left_alone(self, agent: Agent | None) -> None:
        reads = overdue(claimed("other", "another"))
        there = {AGENT_ID: agent} if agent else {}
        both = replace(reads, agents={**reads.agents, **there}, agenda=due(AGENT_ID, uid("other")))
        expected = [closed("released", "another", uid("other")), expired(1, "another", uid("other"))]
        given(CLAIM_EXPIRY, reads=both).when(EXPIRE).then_elsewhere(expected)
        alone = replace(both, agenda=due(AGENT_ID))
        given(CLAIM_EXPIRY, reads=alone).when(EXPIRE).then_refused(NothingOverdue)

    @pytest.mark.parametrize(
        "worked_on",
        [
            None,
            task("pending"),
            task("in_progress"),
            task("in_progress")._replace(assignment=Assigned(uid("other"), assignment().assignment_id)),
            task("in_progress")._replace(assignment=Assigned(AGENT_ID, uid("another assignment"))),
        ],
        ids=["no task", "pending", "of nobody", "of another agent", "under another assignment"],
    )
    def test_a_task_that_is_not_the_agents_is_left_alone(self, worked_on: Task | None) -> None:
        agent, _ = claimed()
        tasks = {TASK_ID: worked_on} if worked_on else {}
        reads = replace(world(), agents={AGENT_ID: agent}, tasks=tasks, agenda=due(AGENT_ID))
        given(CLAIM_EXPIRY, reads=reads).when(EXPIRE).then_elsewhere([closed("released")])


@pytest.mark.parametrize("limit", [0, -1, 1_001, 1.5, "3", True, None])
def test_the_limit_is_a_whole_number_from_1_to_1000(limit: Any) -> None:
    with pytest.raises(InvalidCommand, match="attempts_limit"):
        ExpireClaims(attempts_limit=limit)


def test_it_is_decided_while_nobody_else_writes_and_has_no_stream() -> None:
    assert ExpireClaims.exclusive
    assert CLAIM_EXPIRY.stream_of is not None
    assert CLAIM_EXPIRY.stream_of(EXPIRE, world()) is None
    with pytest.raises(TypeError):
        CLAIM_EXPIRY.evolve(None, TaskClaimExpired(occurred_at=EARLIER, agent_id=AGENT_ID, attempts=1))
