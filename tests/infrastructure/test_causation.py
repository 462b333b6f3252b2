"""What followed from a command or an event, at any remove, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    ClaimProgress,
    Command,
    CompleteTask,
    CreateProject,
    InvalidQuery,
    NotFound,
    RegisterAgent,
    StartRun,
    Tiu,
    connect,
)
from claude_tiu.domain.messages import event_id
from claude_tiu.infrastructure.audit.causation import CausationTree, caused_by, tree_of
from claude_tiu.infrastructure.event_store import EventStore, NewEvent
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import Backend, append

TASK, AGENT, RUN = uid("caused task"), uid("caused agent"), uid("caused run")


def told(tree: CausationTree) -> list[tuple[int, str]]:
    return [(caused.depth, caused.entry.topic) for caused in tree.events]


def narrate(tiu: Tiu, *commands: tuple[str, str | None, Command]) -> None:
    """Execute commands, each under a name that makes its id, and with a cause."""
    for number, (name, cause, command) in enumerate(commands):
        given: dict[str, Any] = {
            "command_id": uid(name),
            "causation_id": cause,
            "correlation_id": "order-66",
            "occurred_at": START + timedelta(minutes=number),
        }
        tiu.execute(command.model_copy(update=given))


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    """ticket-1 → project → task → (claim → progress → run), the last but one by the id of an event; an agent by nobody.

    A claim is a command of three events: of the agent, and two of the task.
    """
    with connect(backend.url, project=False) as connected:
        assigned = str(event_id(TASK, 2))
        narrate(
            connected,
            ("user", None, create_user(user_id=USER)),
            ("project", "ticket-1", CreateProject(project_id=PROJECT, user_id=USER, name="Billing")),
            ("agent", None, RegisterAgent(agent_id=AGENT, agent_type="tester")),
            ("task", str(uid("project")), AddTask(task_id=TASK, project_id=PROJECT, name="Parser")),
            ("claim", str(uid("task")), ClaimNextTask(agent_id=AGENT, project_id=PROJECT)),
            ("progress", assigned, ClaimProgress(task_id=TASK, claimed=40)),
            ("run", str(uid("progress")), StartRun(run_id=RUN, project_id=PROJECT, validation_type="quick")),
            ("done", str(uid("task")), CompleteTask(task_id=TASK)),
        )
        yield connected


FROM_THE_TASK = [
    (0, "task.added.v1"),
    (1, "agent.assignment_opened.v1"),
    (1, "task.assigned.v1"),
    (1, "task.started.v1"),
    (2, "task.progress_claimed.v1"),
    (3, "validation_run.started.v1"),
    (1, "task.completed.v1"),
    (1, "agent.assignment_closed.v1"),
]


class TestCausedBy:
    def test_a_commands_own_events_come_first_and_what_followed_below_them(self, tiu: Tiu) -> None:
        tree = tiu.caused_by(uid("task"))
        assert told(tree) == FROM_THE_TASK
        assert tree.complete
        assert [caused.entry.sentence for caused in tree.events][-2:] == [
            'Task "Parser" was declared completed, which claims 100 %.',
            f"The agent's assignment of task {TASK} ended: completed.",
        ]

    def test_an_id_beyond_the_log_may_be_a_cause(self, tiu: Tiu) -> None:
        below = [(depth + 1, topic) for depth, topic in FROM_THE_TASK]
        assert told(tiu.caused_by("ticket-1")) == [(0, "project.created.v1"), *below]

    def test_what_followed_from_an_event_is_found_by_the_events_id(self, tiu: Tiu) -> None:
        tree = tiu.caused_by(str(event_id(TASK, 2)))
        assert told(tree) == [(0, "task.progress_claimed.v1"), (1, "validation_run.started.v1")]

    def test_what_changed_is_told_from_the_state_before_it(self, tiu: Tiu) -> None:
        (progress, *_) = tiu.caused_by(uid("progress")).events
        assert [(c.field, c.before, c.after) for c in progress.entry.changes] == [("claimed", 0.0, 40.0)]

    def test_no_more_is_told_than_was_asked_for_and_that_there_is_more(self, tiu: Tiu) -> None:
        tree = tiu.caused_by(uid("task"), limit=3)
        assert len(tree.events) == 3
        assert not tree.complete
        assert tiu.caused_by(uid("task"), limit=8).complete

    def test_an_id_that_caused_nothing_is_not_found(self, tiu: Tiu) -> None:
        for id_ in ("ticket-2", str(uid("nothing"))):
            with pytest.raises(NotFound):
                tiu.caused_by(id_)

    @pytest.mark.parametrize("id_", ["", "\0", "a b", "x" * 256])
    def test_one_that_nothing_could_have_is_refused(self, tiu: Tiu, id_: str) -> None:
        with pytest.raises(InvalidQuery):
            tiu.caused_by(id_)


class TestTreeOf:
    def test_a_correlation_is_arranged_by_its_causes(self, tiu: Tiu) -> None:
        tree = tree_of(tiu.correlated("order-66"))
        below = [(depth + 1, topic) for depth, topic in FROM_THE_TASK]
        begins = [(0, "user.created.v1"), (0, "project.created.v1")]
        assert told(tree) == [*begins, *below, (0, "agent.registered.v1")]

    def test_where_a_cause_is_not_told_its_effects_begin_a_tree(self, tiu: Tiu) -> None:
        assert [depth for depth, _ in told(tree_of(tiu.history(TASK)))] == [0, 1, 1, 2, 1]
        assert [depth for depth, _ in told(tree_of(tiu.history(TASK, after=4)))] == [0, 0, 1, 0]

    def test_it_holds_no_more_than_it_may(self, tiu: Tiu) -> None:
        tree = tree_of(tiu.correlated("order-66"), limit=2)
        assert (told(tree), tree.complete) == ([(0, "user.created.v1"), (0, "project.created.v1")], False)


def caused(name: str, cause: str | None) -> NewEvent:
    """An event of no meaning, of a command of its own."""
    return NewEvent(uid(name), 1, "test.v1", b"{}", uid(name), b"digest", None, cause)


def test_causes_that_go_round_in_a_ring_are_each_told_once(events: EventStore) -> None:
    ring = (("a", "c"), ("b", "a"), ("c", "b"), ("own", "own"))
    append(events, *(caused(name, str(uid(cause))) for name, cause in ring))
    tree = caused_by(events, str(uid("b")))
    assert [(c.depth, c.entry.command_id) for c in tree.events] == [(0, uid("a")), (1, uid("b")), (2, uid("c"))]
    assert [c.depth for c in caused_by(events, str(uid("own"))).events] == [0]


def test_a_chain_of_any_length_is_followed(events: EventStore) -> None:
    links = range(1, 1_500)
    append(events, caused("link 0", None), *(caused(f"link {n}", str(uid(f"link {n - 1}"))) for n in links))
    tree = caused_by(events, str(uid("link 0")))
    assert [c.depth for c in tree.events] == list(range(1_500))


def test_an_effect_may_stand_before_its_cause(events: EventStore) -> None:
    """As in history that was imported in any order."""
    append(events, caused("effect", str(uid("cause"))), caused("cause", None))
    found = [(c.depth, c.entry.command_id) for c in caused_by(events, str(uid("cause"))).events]
    assert found == [(0, uid("cause")), (1, uid("effect"))]


def test_an_event_without_a_command_causes_by_its_own_id(events: EventStore) -> None:
    append(events, NewEvent(uid("bare"), 1, "test.v1", b"{}"), caused("effect", str(event_id(uid("bare"), 1))))
    assert [c.entry.stream_id for c in caused_by(events, str(event_id(uid("bare"), 1))).events] == [uid("effect")]


def test_ids_are_those_that_were_given(tiu: Tiu) -> None:
    """A command's id is found however its UUID is written; any other cause as it was given alone."""
    assert told(tiu.caused_by(str(uid("task")).upper()))[:1] == [(0, "task.added.v1")]
    with pytest.raises(NotFound):
        tiu.caused_by("TICKET-1")
