"""What cannot be projected is parked: its unit and all that refers to it wait, in order, and the rest goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    ClaimProgress,
    CompleteTask,
    CreateProject,
    CreateTemplate,
    EventParked,
    ForgetUser,
    NotParked,
    ProjectionFailed,
    RecordAgentMetric,
    RegisterAgent,
    RenameUser,
    RunRetention,
    StartSession,
    connect,
)
from claude_tiu.infrastructure import parking
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.parking import ParkedUnit
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import PROJECT, START, TASKS, USER, create_user, history, store_history, uid
from tests.support.poison import (
    AGENT,
    GRACE,
    LATER,
    OTHER,
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
from tests.support.stores import Backend, SQLiteBackend, append, event


@contextmanager
def a_check(backend: Backend) -> Iterator[Callable[[], None]]:
    """A rule of the database's own, that no claim is of 60 percent; what is given takes it away."""
    if isinstance(backend, SQLiteBackend):
        backend.on_reads(
            "CREATE TRIGGER no_sixty BEFORE UPDATE ON tasks WHEN NEW.real_progress = 60 "
            "BEGIN SELECT RAISE(ABORT, 'no_sixty'); END"
        )
        away = "DROP TRIGGER no_sixty"
    else:
        backend.on_reads("ALTER TABLE tasks ADD CONSTRAINT no_sixty CHECK (real_progress <> 60)")
        away = "ALTER TABLE tasks DROP CONSTRAINT no_sixty"

    def take_away() -> None:
        backend.on_reads(away)

    yield take_away


class TestWhatIsPoison:
    """Of each kind, made for real: the unit waits from there on, and others go on."""

    def parks(self, backend: Backend, projector: Projector, unit_id: UUID, position: int) -> ParkedUnit:
        events = backend.events()
        executed(events, ClaimProgress(task_id=OTHER_TASK, claimed=40))
        projector.catch_up()
        assert projector.position == events.max_notification_id()
        (unit,) = projector.parked()
        assert (unit.unit_id, unit.position, unit.behind) == (unit_id, position, None)
        assert claimed(backend, OTHER_TASK) == 40
        lag = projector.lag()
        assert (lag.behind, lag.parked, lag.parked_since) == (0, 1, unit.since)
        assert "secret" not in unit.reason
        return unit

    @pytest.mark.parametrize("batch_size", [1, 1_000])
    def test_a_handler_that_raises(self, backend: Backend, events: EventStore, batch_size: int) -> None:
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        executed(events, ClaimProgress(task_id=TASK, claimed=70))
        projector = poisoned.projector(events, backend.reads(), batch_size=batch_size)
        unit = self.parks(backend, projector, PROJECT, min(poisoned.at))
        assert (unit.kind, unit.topic, unit.reason) == ("project", "task.progress_claimed.v1", "RuntimeError")
        assert claimed(backend, TASK) == 0  # what came later waits, in order

    def test_a_row_that_the_database_refuses(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        projector = Poisoned().projector(events, backend.reads())
        projector.catch_up()
        with a_check(backend) as take_away:
            position = executed(events, ClaimProgress(task_id=TASK, claimed=60))
            assert "no_sixty" in self.parks(backend, projector, PROJECT, position).reason
            parked = tables_of(backend)
            tried_again(projector)  # it can be projected, and the database refuses it still
            assert "no_sixty" in projector.parked()[0].reason
            assert tables_of(backend) == parked
            take_away()
        tried_again(projector)
        assert claimed(backend, TASK) == 60
        assert tables_of(backend) == made_anew(backend, Poisoned())

    def test_an_unknown_topic(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        append(events, event(TASK, 3, topic="task.dreamt.v1", project_id=PROJECT))
        position = events.max_notification_id() or 0
        unit = self.parks(backend, Poisoned().projector(events, backend.reads()), PROJECT, position)
        assert (unit.kind, unit.reason) == ("project", "no event has the topic 'task.dreamt.v1'")

    def test_bytes_that_do_not_decode(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        append(events, event(TASK, 3, topic="task.completed.v1", state=b"secret", project_id=PROJECT))
        position = events.max_notification_id() or 0
        unit = self.parks(backend, Poisoned().projector(events, backend.reads()), PROJECT, position)
        assert unit.reason == "these bytes are no task.completed.v1 event"

    def test_a_stream_of_no_known_kind_waits_by_itself(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        stream = uid("unknown stream")
        append(events, event(stream, topic="nobody.knows.v1"))
        position = events.max_notification_id() or 0
        append(events, event(stream, 2, topic="nobody.knows.v1"))
        unit = self.parks(backend, Poisoned().projector(events, backend.reads()), stream, position)
        assert unit.kind == "stream"

    def test_personal_data_that_cannot_be_read_parks_its_person(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        append(events, event(USER, 2, topic="user.renamed.v1", state=b'{"sealed": "secret"}', key_id=USER))
        position = events.max_notification_id() or 0
        unit = self.parks(backend, Poisoned().projector(events, backend.reads()), USER, position)
        assert unit.kind == "user"

    def test_what_is_parked_is_logged_without_a_value(
        self, backend: Backend, events: EventStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        poisoned = Poisoned(two_projects(events))
        with caplog.at_level(logging.ERROR):
            poisoned.projector(events, backend.reads()).catch_up()
        assert str(OTHER) in caplog.text
        assert "secret" not in caplog.text


class TestWhatWaits:
    def test_the_unit_and_all_that_refers_to_it(self, backend: Backend, events: EventStore) -> None:
        """A user is parked: his project waits, and the agent that claims a task of it, and what is recorded of her."""
        two_projects(events)
        ready = uid("ready")
        poison = executed(events, RenameUser(user_id=USER, username="lovelace"))
        executed(
            events,
            StartSession(session_id=uid("s"), user_id=USER, token_hash="0" * 64, expires_at=LATER),
            CreateTemplate(template_id=uid("template"), name="T", structure={}, created_by=USER),
            CreateProject(project_id=uid("later"), user_id=USER, name="Later"),
            AddTask(task_id=ready, project_id=uid("later"), name="Ready"),
            RegisterAgent(agent_id=AGENT, agent_type="tester"),
            ClaimNextTask(agent_id=AGENT, project_id=uid("later")),
            RecordAgentMetric(agent_id=AGENT, metric_type="tokens", value=1),
            ClaimProgress(task_id=TASK, claimed=30),
            ClaimProgress(task_id=OTHER_TASK, claimed=40),
        )
        poisoned = Poisoned(poison)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        behind = {unit.kind: unit.behind for unit in projector.parked()}
        assert behind == {
            "user": None,
            "template": USER,
            "project": USER,
            "agent": uid("later"),
            "agent_metrics": AGENT,
        }
        assert claimed(backend, TASK) == 30  # his other project refers to a row of before
        assert claimed(backend, OTHER_TASK) == 40
        assert backend.on_reads("SELECT count(*) FROM agents") == [(1,)]
        for table in ("user_sessions", "templates", "agent_assignments", "agent_metrics"):
            assert backend.on_reads(f"SELECT count(*) FROM {table}") == [(0,)], table

        poisoned.at.clear()
        tried_again(projector, USER)
        assert projector.parked() == []
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_another_process_goes_on_with_what_is_parked(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        poisoned.projector(events, backend.reads()).catch_up()
        executed(events, ClaimProgress(task_id=TASK, claimed=70), ClaimProgress(task_id=OTHER_TASK, claimed=40))
        poisoned.at.clear()
        another = poisoned.projector(backend.events(), backend.reads())
        another.catch_up()
        assert (claimed(backend, TASK), claimed(backend, OTHER_TASK)) == (0, 40)
        assert len(another.parked()) == 1

    def test_forgetting_a_user_does_not(self, backend: Backend, events: EventStore) -> None:
        """Nothing personal stays in the tables for as long as somebody needs to mend something."""
        two_projects(events)
        executed(events, StartSession(session_id=uid("s"), user_id=USER, token_hash="a" * 64, expires_at=LATER))
        poisoned = Poisoned(executed(events, RenameUser(user_id=USER, username="lovelace")))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        executed(events, ForgetUser(user_id=USER))
        projector.catch_up()
        assert list(places(projector)) == [USER]
        assert backend.on_reads("SELECT username FROM users WHERE id = ?", USER) == [(f"forgotten:{USER}",)]
        assert backend.on_reads("SELECT count(*) FROM user_sessions") == [(0,)]
        poisoned.at.clear()
        tried_again(projector)
        assert projector.parked() == []
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_forgetting_a_user_who_has_no_row_waits_with_the_others(self, backend: Backend, events: EventStore) -> None:
        poisoned = Poisoned(executed(events, create_user(user_id=USER)))
        executed(events, ForgetUser(user_id=USER), create_user("grace", user_id=GRACE))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        assert places(projector) == {USER: 1}
        poisoned.at.clear()
        tried_again(projector)
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_nothing_is_looked_up_while_nothing_is_parked(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store_history(events)
        looked: list[Any] = []

        def look(*asked: Any) -> Any:
            looked.append(asked)
            raise AssertionError

        monkeypatch.setattr(parking.Sieve, "sift", look)
        monkeypatch.setattr(events, "units_of", look)
        projector = Poisoned().projector(events, backend.reads(), batch_size=10)
        projector.catch_up()
        assert looked == []
        assert projector.position == events.max_notification_id()


def test_two_projectors_in_turn_park_once_and_do_nothing_twice(backend: Backend, events: EventStore) -> None:
    """Each has the other's checkpoint move under its hands."""
    two_projects(events)
    poisoned = Poisoned()
    pair = [poisoned.projector(backend.events(), backend.reads(), batch_size=size) for size in (3, 2)]
    for number in range(12):
        position = executed(events, ClaimProgress(task_id=(TASK, OTHER_TASK)[number % 2], claimed=number))
        poisoned.at |= {position} if number in (4, 6) else set()
        pair[number % 2].step()
    for projector in (*pair, *pair):
        projector.catch_up()
    assert places(pair[0]) == places(pair[1]) == {PROJECT: min(poisoned.at)}
    after = tables_of(backend)
    assert made_anew(backend, poisoned) == after
    poisoned.at.clear()
    pair[0].catch_up()
    pair[1].ask_retry([])
    for projector in (*pair, *pair):
        projector.catch_up()
    assert tables_of(backend) == made_anew(backend, poisoned)


class TestTryingAgain:
    def test_what_is_not_mended_changes_nothing(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        before, since = tables_of(backend), projector.parked()[0].since
        tried_again(projector)
        assert tables_of(backend) == before
        assert projector.parked()[0].since == since

    def test_what_is_mended_in_part_waits_from_the_next(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        first = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        second = executed(events, ClaimProgress(task_id=TASK, claimed=70), CompleteTask(task_id=TASK))
        poisoned = Poisoned(first, second)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        poisoned.at.remove(first)
        tried_again(projector, PROJECT)
        assert (places(projector), claimed(backend, TASK)) == ({PROJECT: second}, 70)

    def test_a_projector_that_runs_elsewhere_notices(self, backend: Backend, events: EventStore) -> None:
        """It remembers rows of the unit, and a checkpoint that nobody has moved."""
        two_projects(events)
        poisoned = Poisoned(executed(events, ClaimProgress(task_id=TASK, claimed=60)))
        elsewhere = poisoned.projector(backend.events(), backend.reads())
        elsewhere.catch_up()
        poisoned.at.clear()
        projector = poisoned.projector(events, backend.reads())
        tried_again(projector)
        executed(events, ClaimProgress(task_id=TASK, claimed=80))
        elsewhere.catch_up()
        assert claimed(backend, TASK) == 80
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_of_nothing_that_is_parked_is_refused(self, backend: Backend, events: EventStore) -> None:
        two_projects(events)
        projector = Poisoned().projector(events, backend.reads())
        projector.catch_up()
        assert projector.ask_retry([]) == set()
        with pytest.raises(NotParked, match=str(PROJECT)):
            projector.ask_retry([PROJECT])

    def test_retention_counts_what_it_would_have_dropped(self, backend: Backend, events: EventStore) -> None:
        """Runs of it went by while the project waited: its rows, and everybody's counts, are as they would be."""
        commands = history()
        store_history(events, commands[:20])
        poisoned = Poisoned(12)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        late = START.replace(year=START.year + 1)
        executed(events, RunRetention(occurred_at=late, metric_days=1))
        projector.catch_up()
        counts = "SELECT table_name, rows_deleted FROM cleanup_log ORDER BY id"
        before = backend.on_reads(counts)
        poisoned.at.clear()
        tried_again(projector)
        assert backend.on_reads(counts) != before
        assert tables_of(backend) == made_anew(backend, poisoned)

    def test_tables_that_are_not_what_their_events_make_are_left_alone(
        self, backend: Backend, events: EventStore
    ) -> None:
        """By now an event raises that was projected before: nothing can be told of such tables."""
        last = two_projects(events)
        poison = executed(events, ClaimProgress(task_id=TASK, claimed=60))
        poisoned = Poisoned(poison)
        projector = poisoned.projector(events, backend.reads())
        projector.catch_up()
        before = tables_of(backend)
        poisoned.at = {last - 1}
        tried_again(projector)
        assert "rebuild" in projector.parked()[0].reason
        assert tables_of(backend) == before


class TestAnEmbeddingService:
    def test_is_told_when_what_it_waits_for_is_parked(self, backend: Backend) -> None:
        for project in (True, False):
            name = f"user {project}"
            with connect(backend.url, project=project) as tiu:
                bad = event(uid(name), topic="nobody.knows.v1")
                append(tiu.events, bad)
                position = tiu.events.max_notification_id() or 0
                good = tiu.execute(create_user(f"ada{project}"))
                if not project:
                    tiu.catch_up_to(good.position)
                tiu.wait_for(good)
                with pytest.raises(EventParked, match=r"nobody\.knows\.v1") as caught:
                    tiu.wait_for(position)
                assert caught.value.details["parked_at"] == position
                assert uid(name) in {unit.unit_id for unit in tiu.parked()}
                assert tiu.lag().parked == len(tiu.parked())

    def test_tries_again_and_discards(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect(backend.url) as tiu:
            stream = uid("stream")
            append(tiu.events, event(stream, topic="nobody.knows.v1"), event(stream, 2, topic="nobody.knows.v1"))
            tiu.wait_for(tiu.execute(create_user()))
            (unit,) = tiu.parked()
            assert tiu.waiting(unit) == 2
            assert [one.unit_id for one in tiu.retry_parked(stream)] == [stream]
            tiu.wait_for(tiu.discard_parked(stream, "made up", actor="ada", first=True))
            (unit,) = tiu.parked()
            assert (unit.position, tiu.waiting(unit)) == (2, 1)
            answer = tiu.discard_parked(stream, "made up", actor="ada")
            tiu.wait_for(answer)
            assert tiu.parked() == []
            with pytest.raises(NotParked):
                tiu.discard_parked(stream, "made up")
            (row,) = tiu.events.read_rows(answer.position - 1, 1)
            assert (row.actor, b"made up" in row.state) == ("ada", True)

    def test_need_not_wait_for_what_is_parked_to_forget_a_user(self, backend: Backend) -> None:
        with connect(backend.url) as tiu:
            tiu.execute(create_user(user_id=USER))
            append(tiu.events, event(uid("odd session"), topic="session.dreamt.v1", key_id=USER))
            tiu.wait_for(tiu.execute(ForgetUser(user_id=USER)))
            assert [unit.unit_id for unit in tiu.parked()] == [USER]

    def test_may_have_it_stop_at_once(self, backend: Backend) -> None:
        settings = Settings(projector_on_poison="stop")
        with connect(backend.url, settings=settings) as tiu:
            append(tiu.events, event(topic="nobody.knows.v1"))
            answer = tiu.execute(create_user())
            with pytest.raises(ProjectionFailed):
                tiu.wait_for(answer)
            assert tiu.parked() == []


def test_a_projection_that_does_not_say_how_it_parks_stops(events: EventStore, reads: ReadStore) -> None:
    append(events, event(topic="nobody.knows.v1"))
    projector = Projector(events, reads, replace(READ_MODEL, parking=None), parks=True)
    with pytest.raises(ProjectionFailed):
        projector.catch_up()


def test_the_units_of_streams(events: EventStore) -> None:
    two_projects(events)
    session = uid("s")
    executed(events, StartSession(session_id=session, user_id=USER, token_hash="0" * 64, expires_at=LATER))
    found = events.units_of([USER, PROJECT, TASK, session, TASKS[0]])
    assert found == {USER: USER, PROJECT: PROJECT, TASK: PROJECT, session: USER}
    read = [(one.position, one.stream_id) for one in events.read_units([USER, OTHER], 0, 100)]
    assert read == [(1, USER), (4, OTHER), (6, OTHER_TASK), (8, OTHER_TASK), (9, session)]
    assert [one.position for one in events.read_units([USER, OTHER], 4, 2)] == [6, 8]
