"""The checker of histories: it finds a hand-made history good, and every way of spoiling it bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from claude_tiu import Answer, Command, Refused
from claude_tiu.testing.ledger import Ledger
from tests.support.concurrent.linearisable import Call, Entry, Failure, Refusal, check, told
from tests.support.concurrent.programs import AGENTS, PROJECTS, TASKS, USERS, given_before, make
from tests.support.history import PASSWORD_HASH, uid

FIRST, SECOND = TASKS[0], TASKS[1]
"""The second waits for the first."""
START_FIRST = make("StartTask", task_id=FIRST)
COMPLETE_FIRST = make("CompleteTask", task_id=FIRST)
START_SECOND = make("StartTask", task_id=SECOND)
CLAIM = make("ClaimProgress", task_id=FIRST, claimed=50, command_id=uid("claim"))
OTHER_CLAIM = make("ClaimProgress", task_id=FIRST, claimed=10, command_id=uid("claim"))

UNIT = [START_FIRST.model_copy(update={"command_id": uid("start")}), CLAIM]


class History(NamedTuple):
    calls: Sequence[Call]
    log: Sequence[Entry]

    def faults(self) -> Sequence[str]:
        return check(self.calls, self.log, Ledger()).faults

    def with_call(self, number: int, **values: Any) -> History:
        calls = list(self.calls)
        calls[number] = calls[number]._replace(**values)
        return History(calls, self.log)

    def with_entry(self, number: int, **values: Any) -> History:
        log = list(self.log)
        log[number] = log[number]._replace(**values)
        return History(self.calls, log)


def made(*calls: tuple[Command | Sequence[Command], int, int], order: Sequence[int] | None = None) -> History:
    """The history of calls, each from a moment to a moment, executed one at a time in an order: theirs if none is
    given. The first of them is what stands before all."""
    units = [given_before()[0], *[[unit] if isinstance(unit, Command) else unit for unit, _, _ in calls]]
    spans = [(0, 1), *[(start, end) for _, start, end in calls]]
    ledger, log, outcomes = Ledger(), list[Entry](), dict[int, Any]()
    for number in [0, *(number + 1 for number in order or range(len(calls)))]:
        try:
            step = ledger.execute(units[number])
        except Refused as refusal:
            outcomes[number] = Refusal(refusal.code, refusal.details)
            continue
        ids = [one.command_id for one in units[number]]
        log += [
            Entry(
                ledger.position + place,
                one.stream_id,
                one.version,
                one.project_id,
                ids[min(place, len(ids)) - 1],
                one.event,
            )
            for place, one in enumerate(step.events, 1)
        ]
        ledger, outcomes[number] = step.after, step.answers
    made_of = zip(units, spans, strict=True)
    return History([Call(0, unit, *span, outcomes[number]) for number, (unit, span) in enumerate(made_of)], log)


GOOD = {
    "one after the other": made((START_FIRST, 10, 20), (COMPLETE_FIRST, 30, 40), (START_SECOND, 50, 60)),
    "at once, in the order of their making": made((START_FIRST, 10, 90), (COMPLETE_FIRST, 20, 80)),
    "at once, in another order": made((COMPLETE_FIRST, 10, 90), (START_FIRST, 20, 80), order=[1, 0]),
    "a refusal that what came meanwhile would have spared": made(
        (START_FIRST, 10, 20), (COMPLETE_FIRST, 30, 90), (START_SECOND, 40, 80), order=[0, 2, 1]
    ),
    "a refusal that only what came meanwhile explains": made((START_FIRST, 10, 90), (START_FIRST, 20, 80)),
    "a retry at once": made((START_FIRST, 10, 20), (CLAIM, 30, 90), (CLAIM, 40, 80)),
    "a retry that is told before its first": made((START_FIRST, 10, 20), (CLAIM, 30, 90), (CLAIM, 40, 50)),
    "a retry of a part": made((UNIT, 10, 90), (UNIT[:1], 20, 80)),
    "other content": made((START_FIRST, 10, 20), (CLAIM, 30, 40), (OTHER_CLAIM, 50, 60)),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_one_order_explains_is_good(name: str) -> None:
    history = GOOD[name]
    assert history.faults() == [], told(*history)


def reused(history: History) -> History:
    """Give the last two calls, which store the same, one command_id."""
    return history._replace(
        calls=[one._replace(unit=[CLAIM]) if one.unit != history.calls[0].unit else one for one in history.calls]
    )


def answers(position: int, id_: UUID = FIRST, version: int = 2) -> list[Answer]:
    return [Answer(id_, version, position)]


LAST = len(GOOD["one after the other"].log)
AT_ONCE = made((START_FIRST, 10, 20), (COMPLETE_FIRST, 30, 40))
USER = {"user_id": USERS[1], "email": "eve@example.org", "password_hash": PASSWORD_HASH}
LATE = make("AddTask", task_id=TASKS[4], project_id=PROJECTS[0], name="Late")
COMPLETE_PROJECT = make("CompleteProject", project_id=PROJECTS[0])
CLAIMS = [
    make("ClaimNextTask", agent_id=agent, project_id=PROJECTS[0], assignment_id=uid(str(agent))) for agent in AGENTS
]


def swapped(history: History) -> History:
    """Let the last two calls have been made the other way round, each to its end before the other."""
    *before, one, other = history.calls
    first = one._replace(invoked=other.invoked, returned=other.returned)
    return History([*before, first, other._replace(invoked=one.invoked, returned=one.returned)], history.log)


def without_last(history: History) -> History:
    return History(history.calls, history.log[:-1])


def stored_twice(history: History) -> History:
    """Store the last event once more, as the next of its stream."""
    last = history.log[-1]
    return History(history.calls, [*history.log, last._replace(position=last.position + 1, version=last.version + 1)])


def lost_update() -> History:
    """A task is added to a project that was completed: each was decided on what was before both."""
    alone, with_it = made((LATE, 10, 90)), made((COMPLETE_PROJECT, 20, 80))
    late = alone.log[-1]._replace(position=alone.log[-1].position + 1)
    call = alone.calls[1]._replace(outcome=answers(late.position, TASKS[4], 1))
    return History([*with_it.calls, call], [*with_it.log, late])


def handed_out_twice() -> History:
    """Two agents are given one task."""
    first, second = made((CLAIMS[0], 10, 90)), made((CLAIMS[1], 10, 90))
    later = [entry._replace(position=entry.position + 3) for entry in second.log[-3:]]
    call = second.calls[1]._replace(outcome=answers(later[-1].position, TASKS[0], 2))
    return History([*first.calls, call], [*first.log, *later])


BAD: dict[str, tuple[Callable[[], History], str]] = {
    "a stale refusal": (
        lambda: made((START_FIRST, 10, 20), (COMPLETE_FIRST, 30, 40), (START_SECOND, 50, 60), order=[0, 2, 1]),
        "call 3: nothing that stood",
    ),
    "refusals that go back in time": (
        lambda: made(
            (START_FIRST, 10, 20),
            (COMPLETE_FIRST, 30, 90),
            (COMPLETE_FIRST, 40, 50),
            (START_SECOND, 60, 70),
            order=[0, 3, 1, 2],
        ),
        "call 4: nothing that stood",
    ),
    "a refusal of what was stored": (
        lambda: AT_ONCE.with_call(2, outcome=Refusal("not_found", {"id": str(FIRST)})),
        "nobody was told",
    ),
    "a refusal for another reason": (
        lambda: made((START_FIRST, 10, 20), (START_FIRST, 30, 40)).with_call(2, outcome=Refusal("wrong_status", {})),
        "call 2: nothing that stood",
    ),
    "a lost update": (lost_update, "call 2 stored, and should have been refused"),
    "a task handed out twice": (handed_out_twice, "call 2, stored up to"),
    "an event stored twice": (lambda: stored_twice(AT_ONCE), "nobody was told of the events from position"),
    "a command_id stored twice": (
        lambda: reused(made((START_FIRST, 10, 20), (CLAIM.model_copy(update={"command_id": None}), 30, 40))),
        "should have been refused",
    ),
    "a retry that is told something else": (
        lambda: made((START_FIRST, 10, 20), (CLAIM, 30, 40), (CLAIM, 50, 60)).with_call(3, outcome=answers(LAST - 2)),
        "was told of what",
    ),
    "a retry that stores again": (
        lambda: stored_twice(made((START_FIRST, 10, 20), (CLAIM, 30, 40), (CLAIM, 50, 60))).with_call(
            3, outcome=answers(LAST, version=4)
        ),
        "what it stored was known already",
    ),
    "other content that is answered": (
        lambda: made((START_FIRST, 10, 20), (CLAIM, 30, 40), (CLAIM, 50, 60)).with_call(3, unit=[OTHER_CLAIM]),
        "call 3: nothing that stood",
    ),
    "an answer told before what it rests on was asked": (
        lambda: made((START_FIRST, 10, 20), (CLAIM, 30, 90), (CLAIM, 40, 50)).with_call(3, invoked=2, returned=5),
        "made when what stands behind it",
    ),
    "an order against that in which they were made": (
        lambda: swapped(made((START_FIRST, 10, 20), (LATE, 30, 40))),
        "call 1 was made when what stands behind it",
    ),
    "a position left out": (lambda: AT_ONCE.with_entry(-1, position=LAST + 1), "a gap"),
    "a position that comes twice": (lambda: AT_ONCE.with_entry(-1, position=LAST - 2), "a gap"),
    "an acknowledged event that is not there": (lambda: without_last(AT_ONCE), "it should have stored"),
    "another event": (lambda: AT_ONCE.with_entry(-1, event=AT_ONCE.log[-2].event), "it should have stored"),
    "another version": (lambda: AT_ONCE.with_entry(-1, version=7), "it should have stored"),
    "another project": (lambda: AT_ONCE.with_entry(-1, project_id=PROJECTS[1]), "it should have stored"),
    "an event under another command": (
        lambda: made((START_FIRST, 10, 20), (CLAIM, 30, 40)).with_entry(-1, command_id=uid("another")),
        "of other commands",
    ),
    "an answer with another version": (
        lambda: AT_ONCE.with_call(2, outcome=answers(LAST - 1, version=9)),
        "it should have been told",
    ),
    "two calls told of one position": (
        lambda: AT_ONCE.with_call(1, outcome=AT_ONCE.calls[2].outcome),
        "was told of what",
    ),
    "an event that nobody was told of": (
        lambda: History(AT_ONCE.calls[:-1], AT_ONCE.log),
        "nobody was told of the events from position",
    ),
    "an error": (lambda: AT_ONCE.with_call(0, outcome=Failure("KeyError: 1")), "call 0: KeyError: 1"),
    "two users of one name": (
        lambda: made(
            (make("CreateUser", username="eve", **USER), 10, 20),
            (make("CreateUser", username="ada", **USER | {"user_id": USERS[2], "email": "b@example.org"}), 30, 40),
        ).with_call(2, outcome=answers(LAST - 1, USERS[2], 1)),
        "call 2 stored, and should have been refused: NotUnique",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_spoilt_history_is_found(name: str) -> None:
    spoilt, fault = BAD[name]
    history = spoilt()
    found = history.faults()
    assert any(fault in one for one in found), (found, told(*history))
