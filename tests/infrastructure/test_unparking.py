"""What is parked is discarded, or kept by a rebuild; retention that is poison; the read side as of a moment."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    ClaimProgress,
    DiscardParkedEvents,
    NotParked,
    ProjectionFailed,
    RegisterAgent,
    RunRetention,
    connect,
)
from claude_tiu.domain.parking import PARKING_ID
from claude_tiu.domain.retention import RETENTION_ID
from claude_tiu.infrastructure.errors import CheckpointRefused
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.rebuild import Rebuild, RebuildReport
from tests.support.history import PROJECT, START, USER, create_user, history, store_history, uid
from tests.support.poison import (
    AGENT,
    OTHER_TASK,
    TASK,
    Poisoned,
    claimed,
    executed,
    made_anew,
    places,
    tables_of,
    tried_again,
    two_projects,
)
from tests.support.rebuilding import shadow
from tests.support.stores import Backend, append, event


class TestDiscarding:
    def test_leaves_out_what_waits_and_goes_on_with_what_comes(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        poison = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        last = executed(events, ClaimProgress(task_id=TASK, claimed=70))
        poisoned = Poisoned(poison)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        command = DiscardParkedEvents(unit_id=PROJECT, first_position=poison, last_position=last, reason="made up")
        executed(events, command, ClaimProgress(task_id=TASK, claimed=20))
        projector.catch_up()
        assert (projector.parked(), claimed(backend, TASK)) == ([], 20)
        after = tables_of(backend)
        assert made_anew(backend, poisoned) == after
        poisoned.at.clear()  # what was discarded stays so, though it could be projected by now
        assert made_anew(backend, poisoned) == after
        assert [row.topic for row in events.load(PARKING_ID)] == ["parking.events_discarded.v1"]

    def test_lets_go_what_waited_for_the_unit(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        ready = uid("ready")
        poison = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        last = executed(events, RegisterAgent(agent_id=AGENT, agent_type="tester"))
        executed(events, AddTask(task_id=ready, project_id=PROJECT, name="Ready"))
        executed(events, ClaimNextTask(agent_id=AGENT, project_id=PROJECT))
        poisoned = Poisoned(poison)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        assert places(projector).keys() == {PROJECT, AGENT}
        discard = DiscardParkedEvents(unit_id=PROJECT, first_position=poison, last_position=last, reason="made up")
        executed(events, discard)
        projector.catch_up()
        assert projector.parked() == []
        assert backend.on_reads("SELECT count(*) FROM agent_assignments") == [(1,)]
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_what_refers_to_a_row_that_is_left_out_is_parked_itself(self, backend: Backend, events: EventStore) -> None:
        """Where foreign keys would be broken: the agent's task is never there."""
        two_projects(events)
        poison = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        executed(events, RegisterAgent(agent_id=AGENT, agent_type="tester"))
        executed(events, AddTask(task_id=uid("ready"), project_id=PROJECT, name="Ready"))
        last = executed(events, ClaimNextTask(agent_id=AGENT, project_id=PROJECT))
        projector = Poisoned(poison).projector(events, backend.reads())
        projector.catch_up()
        discard = DiscardParkedEvents(unit_id=PROJECT, first_position=poison, last_position=last, reason="made up")
        executed(events, discard)
        projector.catch_up()
        (agent,) = projector.parked()
        assert (agent.unit_id, agent.kind, agent.behind) == (AGENT, "agent", None)
        assert "FOREIGN KEY" in agent.reason

    def test_of_events_that_were_projected_makes_the_rows_without_them(
        self, backend: Backend, events: EventStore
    ) -> None:
        """Whoever gives the command by hand may name any."""
        two_projects(events)
        first = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        projector = Poisoned().projector(events, backend.reads())
        projector.catch_up()
        executed(events, DiscardParkedEvents(unit_id=PROJECT, first_position=first, last_position=first, reason="no"))
        projector.catch_up()
        assert claimed(backend, TASK) == 0
        assert tables_of(backend) == made_anew(backend, Poisoned())

    def test_of_a_user_parks_the_projects_that_stand_on_it(self, backend: Backend, events: EventStore) -> None:
        """No row goes because a row that it refers to does: no foreign key's action ever fires."""
        two_projects(events)
        projector = Poisoned().projector(events, backend.reads())
        projector.catch_up()
        executed(events, DiscardParkedEvents(unit_id=USER, first_position=1, last_position=1, reason="no"))
        projector.catch_up()
        assert places(projector) == {PROJECT: 3}
        assert backend.on_reads("SELECT count(*) FROM users") == [(1,)]

    def test_of_what_is_stored_later_does_nothing(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        position = (events.max_notification_id() or 0) + 1
        executed(
            events,
            DiscardParkedEvents(unit_id=PROJECT, first_position=position, last_position=2**53, reason="no"),
            ClaimProgress(task_id=TASK, claimed=60),
        )
        Poisoned().projector(events, backend.reads()).catch_up()
        assert claimed(backend, TASK) == 60


class TestRetentionThatIsPoison:
    def test_is_parked_and_tried_again_by_a_rebuild_alone(self, backend: Backend, events: EventStore) -> None:
        store_history(events, history()[:20])
        late = START.replace(year=START.year + 1)
        poisoned = Poisoned(executed(events, RunRetention(occurred_at=late, metric_days=1)))
        executed(events, create_user("grace"))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        assert list(places(projector)) == [RETENTION_ID]
        with pytest.raises(NotParked, match="rebuild"):
            projector.ask_retry([RETENTION_ID])
        poisoned.at.clear()
        assert projector.ask_retry([]) == set()
        report = rebuilt(backend, accept=True)
        assert {found.table for found in report.differences} >= {"progress_metrics", "cleanup_log", "parked_units"}
        after = tables_of(backend)
        assert after["parked_units"] == []
        assert after == made_anew(backend, poisoned)

    def test_can_be_discarded(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        first = executed(events, RunRetention())
        second = executed(events, RunRetention())
        poisoned = Poisoned(first)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        discard = DiscardParkedEvents(unit_id=RETENTION_ID, first_position=first, last_position=first, reason="no")
        executed(events, discard)
        projector.catch_up()
        assert places(projector) == {RETENTION_ID: second}
        executed(events, discard.model_copy(update={"first_position": second, "last_position": second}))
        executed(events, RunRetention())
        projector.catch_up()
        assert projector.parked() == []
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_that_was_projected_wants_a_rebuild(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        ran = executed(events, RunRetention())
        projector = Poisoned().projector(events, backend.reads())
        projector.catch_up()
        executed(events, DiscardParkedEvents(unit_id=RETENTION_ID, first_position=ran, last_position=ran, reason="no"))
        with pytest.raises(CheckpointRefused, match="tiu projector rebuild"):
            projector.catch_up()


def rebuilt(backend: Backend, poisoned: Poisoned | None = None, *, accept: bool = False) -> RebuildReport:
    """Rebuild the tables as `tiu projector rebuild` does."""
    projection = (poisoned or Poisoned()).projection
    with closing(shadow(backend)) as beside:
        return Rebuild(backend.events(), backend.reads(), beside, projection, parks=True).run(accept=accept)


class TestARebuild:
    @pytest.mark.parametrize("mended", [False, True])
    def test_parks_what_the_live_tables_do_and_finds_no_difference(
        self, backend: Backend, events: EventStore, mended: bool
    ) -> None:
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        executed(events, RegisterAgent(agent_id=AGENT, agent_type="tester"))
        executed(events, AddTask(task_id=uid("ready"), project_id=PROJECT, name="Ready"))
        executed(events, ClaimNextTask(agent_id=AGENT, project_id=PROJECT))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        before = tables_of(backend)
        if mended:
            poisoned.at.clear()
        report = rebuilt(backend, poisoned)
        assert (report.swapped, report.not_compared, report.differences) == (True, None, ())
        assert [unit.unit_id for unit in report.parked] == [PROJECT, AGENT]
        assert tables_of(backend) == before
        poisoned.at.clear()
        tried_again(projector)
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_that_began_before_a_unit_was_tried_again_finds_no_difference(
        self, backend: Backend, events: EventStore
    ) -> None:
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        poisoned.at.clear()
        told = list[str]()

        def tell(step: Any) -> None:
            if not told:
                tried_again(projector)
            told.append(step.step)

        with closing(shadow(backend)) as beside:
            rebuild = Rebuild(
                backend.events(), backend.reads(), beside, poisoned.projection, tell=tell, batch_size=2, parks=True
            )
            report = rebuild.run(accept=False)
        assert (report.not_compared, report.differences, report.parked) == (None, (), ())
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_of_tables_that_park_nothing_stops_at_poison_where_it_shall(
        self, backend: Backend, events: EventStore
    ) -> None:
        last = two_projects(events)
        Poisoned().projector(events, backend.reads()).catch_up()
        with closing(shadow(backend)) as beside, pytest.raises(ProjectionFailed):
            Rebuild(backend.events(), backend.reads(), beside, Poisoned(last).projection).run(accept=False)


class TestVerifying:
    @pytest.mark.parametrize("mended", [False, True])
    def test_tells_what_is_parked_as_left_out_and_finds_no_difference(self, backend: Backend, mended: bool) -> None:
        events = backend.events()
        two_projects(events)
        append(events, event(uid("unknown"), topic="nobody.knows.v1"))
        with connect(backend.url) as tiu:
            tiu.wait_for(tiu.execute(ClaimProgress(task_id=OTHER_TASK, claimed=40)))
            if mended:
                tiu.wait_for(tiu.discard_parked(uid("unknown"), "of a test"))
            report = tiu.verify()
        assert (report.equal, report.left_out) == (True, () if mended else (str(uid("unknown")),))


class TestTheReadSideAsOfAMoment:
    def test_parks_what_a_database_that_was_stopped_then_had_parked(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        append(events, event(TASK, 3, topic="task.dreamt.v1", project_id=PROJECT))
        poison = executed(events, ClaimProgress(task_id=OTHER_TASK, claimed=40)) - 1
        discard = DiscardParkedEvents(unit_id=PROJECT, first_position=poison, last_position=poison, reason="no")
        executed(events, discard)
        with connect(backend.url) as tiu:
            parked = "SELECT unit_id, position FROM parked_units"
            with tiu.as_of(position=poison + 1) as then:
                assert then.query(parked) == [{"unit_id": str(PROJECT), "position": poison}]
                assert then.query("SELECT real_progress FROM tasks WHERE id = :id", {"id": str(OTHER_TASK)}) == [
                    {"real_progress": 40.0}
                ]
            with tiu.as_of(position=poison + 2) as now:
                assert now.query(parked) == []
