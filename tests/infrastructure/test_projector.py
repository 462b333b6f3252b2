"""The projector brings the tables to where the events are, does nothing twice, and stops where it must, saying why."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu import CompleteRun
from claude_tiu.domain.errors import TiuError
from claude_tiu.domain.registry import encode_event
from claude_tiu.domain.user import UserCreated
from claude_tiu.infrastructure import projector as module
from claude_tiu.infrastructure.checkpoints import Lag
from claude_tiu.infrastructure.errors import CheckpointRefused, ProjectionFailed, WaitTimeout
from claude_tiu.infrastructure.event_store import EventStore, Listener, NewEvent
from claude_tiu.infrastructure.projector import BATCH_SIZE, Projector, poll_for
from claude_tiu.infrastructure.read_store import Checkpoint, ReadStore
from claude_tiu.projections.projection import Projection
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import EVENTS, PASSWORD_HASH, START, create_user, history, store_history
from tests.support.patience import PATIENCE
from tests.support.stores import (
    Backend,
    PostgreSQLBackend,
    SQLiteBackend,
    append,
    copy_sqlite,
    event,
)


@pytest.fixture
def projector(events: EventStore, reads: ReadStore) -> Projector:
    return Projector(events, reads, READ_MODEL)


def another(backend: Backend, projection: Projection = READ_MODEL, batch_size: int = BATCH_SIZE) -> Projector:
    """A projector of another process."""
    return Projector(backend.events(), backend.reads(), projection, batch_size=batch_size)


def all_tables(backend: Backend) -> dict[str, list[tuple[Any, ...]]]:
    """Every row; the repr tells doubles and types apart to the bit."""
    return {name: [tuple(map(repr, row)) for row in rows] for name, rows in backend.tables(READ_MODEL).items()}


NOT_IN_THE_HISTORY = {
    "user_sessions",
    "project_files",
    "workflows",
    "workflow_steps",
    "step_executions",
    "templates",
    "project_files_archive",
    "step_executions_archive",
    "agent_assignments_archive",
    "parked_units",
    "left_out_events",
}
"""Tables that this small history leaves empty; test_every_table.py has a longer one that fills them all."""


class NeverWakes:
    """Push that has gone silent."""

    def wait(self, timeout: float) -> None:
        time.sleep(min(timeout, 0.05))

    pause = wait

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def running(projector: Projector, listener: Listener) -> Iterator[threading.Thread]:
    """`run` in a thread of its own, as connect() has it."""
    stop = threading.Event()

    def run() -> None:
        try:
            projector.run(listener, stop)
        except TiuError as error:
            logging.getLogger(__name__).info("stopped: %s", error)

    with closing(listener):
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            listener.wake()
            thread.join()


def undecodable(stream_id: UUID | None = None) -> NewEvent:
    return event(stream_id, topic="task.started.v1", state=b"not JSON")


def user_created(username: str, stream_id: UUID | None = None, version: int = 1) -> NewEvent:
    """What the executor would never store: nothing keeps its name unique."""
    created = UserCreated(
        occurred_at=START,
        username=username,
        email=f"{username}@example.org",
        password_hash=PASSWORD_HASH,
        role="developer",
        preferences={},
    )
    return event(stream_id, version, topic=created.topic, state=encode_event(created))


class TestCatchingUp:
    def test_it_projects_all_there_is_and_tells_of_its_progress(
        self, backend: Backend, events: EventStore, reads: ReadStore
    ) -> None:
        store_history(events)
        told: list[int] = []
        projector = another(backend, batch_size=10)
        assert projector.catch_up(told.append) == EVENTS
        assert sum(told) == EVENTS
        assert max(told) == 10
        assert projector.position == EVENTS
        assert projector.catch_up(told.append) == 0
        touched = {table for table, rows in backend.tables(READ_MODEL).items() if rows}
        assert touched == {table.name for table in READ_MODEL.tables} - NOT_IN_THE_HISTORY
        last_hash = events.hash_at(EVENTS)
        assert last_hash
        checkpoint = Checkpoint(READ_MODEL.version, events.epoch, EVENTS, last_hash)
        assert reads.checkpoint(READ_MODEL.name) == checkpoint

    def test_of_an_empty_log_is_nothing(self, projector: Projector) -> None:
        assert projector.catch_up() == 0
        assert projector.lag().behind == 0

    def test_lag_tells_how_far_the_tables_are_behind(self, events: EventStore, projector: Projector) -> None:
        store_history(events)
        assert projector.lag() == (lag := Lag(READ_MODEL.name, 0, EVENTS))
        assert lag.behind == EVENTS
        projector.catch_up()
        assert projector.lag().behind == 0

    def test_a_batch_split_anywhere_gives_the_same_tables(self, backend: Backend, events: EventStore) -> None:
        store_history(events)
        whole = another(backend)
        whole.catch_up()
        expected = all_tables(backend)
        for size in (1, 2, 3, 7):
            backend.reads().reset(READ_MODEL)
            assert another(backend, batch_size=size).catch_up() == EVENTS
            assert all_tables(backend) == expected, size

    def test_it_goes_on_in_another_process_from_what_is_stored(self, backend: Backend, events: EventStore) -> None:
        """Running state included: each step is a process of its own."""
        store_history(events)
        another(backend).catch_up()
        expected = all_tables(backend)
        backend.reads().reset(READ_MODEL)
        while another(backend, batch_size=5).step():
            pass
        assert all_tables(backend) == expected

    def test_both_stores_come_to_the_same_rows(self, sqlite: SQLiteBackend, postgresql: PostgreSQLBackend) -> None:
        for backend in (sqlite, postgresql):
            store_history(backend.events())
            another(backend).catch_up()
        assert sqlite.rows(READ_MODEL) == postgresql.rows(READ_MODEL)


class TestRebuilding:
    def test_gives_the_same_tables_to_the_byte(
        self, backend: Backend, events: EventStore, reads: ReadStore, projector: Projector
    ) -> None:
        for command in history():  # live: a batch for each event
            store_history(events, [command])
            projector.catch_up()
        live = all_tables(backend)
        reads.reset(READ_MODEL)
        assert not any(backend.tables(READ_MODEL).values())
        assert another(backend).catch_up() == EVENTS
        assert all_tables(backend) == live

    def test_is_noticed_by_a_projector_that_was_at_the_end_of_the_log(
        self, backend: Backend, events: EventStore, reads: ReadStore, projector: Projector
    ) -> None:
        """No event comes that would tell it."""
        store_history(events)
        projector.catch_up()
        live = all_tables(backend)
        backend.reads().reset(READ_MODEL)
        assert projector.catch_up() == EVENTS
        assert all_tables(backend) == live

    def test_is_noticed_by_a_projector_that_was_underway(
        self, backend: Backend, events: EventStore, reads: ReadStore
    ) -> None:
        store_history(events)
        projector = another(backend, batch_size=10)
        projector.step()
        backend.reads().reset(READ_MODEL)
        projector.catch_up()
        underway = all_tables(backend)
        backend.reads().reset(READ_MODEL)
        another(backend).catch_up()
        assert all_tables(backend) == underway


class TestLive:
    def test_push_wakes_it(self, events: EventStore, projector: Projector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "POLL_SECONDS", 4 * PATIENCE)
        with running(projector, events.listen()):
            for number in range(3):
                answer = store_history(events, [create_user(f"user{number}")])
                projector.wait_for(answer.position, PATIENCE)
                time.sleep(0.05)  # so that it waits again

    def test_without_push_it_polls(self, events: EventStore, projector: Projector) -> None:
        with running(projector, NeverWakes()):
            answer = store_history(events)
            projector.wait_for(answer.position, PATIENCE)
            answer = store_history(events, [create_user("later")])
            projector.wait_for(answer.position, PATIENCE)

    def test_stopping_it_does_not_wait_for_the_poll(
        self, events: EventStore, projector: Projector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "POLL_SECONDS", 4 * PATIENCE)
        with running(projector, events.listen()):
            time.sleep(0.1)
            begun = time.monotonic()
        assert time.monotonic() - begun < PATIENCE

    def test_waiting_for_what_does_not_come_times_out_and_tells_where_it_stands(
        self, events: EventStore, projector: Projector
    ) -> None:
        with running(projector, events.listen()), pytest.raises(WaitTimeout, match="position 0, not at 1,") as caught:
            projector.wait_for(1, 0.1)
        assert caught.value.details["position"] == 0

    def test_another_processs_projector_is_polled_for(self, backend: Backend, projector: Projector) -> None:
        events = backend.events()
        other = another(backend)
        answer = store_history(events)
        with pytest.raises(WaitTimeout, match="running"):
            poll_for(answer.position, 0.05, projector.lag)
        with running(other, events.listen()):
            poll_for(answer.position, PATIENCE, projector.lag)

    def test_two_at_once_do_nothing_twice(self, backend: Backend, events: EventStore) -> None:
        first, second = another(backend, batch_size=3), another(backend, batch_size=2)
        with running(first, backend.events().listen()), running(second, backend.events().listen()):
            for command in history():
                answer = store_history(events, [command])
            first.wait_for(answer.position, PATIENCE)
            second.wait_for(answer.position, PATIENCE)
        together = all_tables(backend)
        backend.reads().reset(READ_MODEL)
        another(backend).catch_up()
        assert all_tables(backend) == together

    def test_rows_that_another_projector_has_moved_on_are_no_failure(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one that is behind reads running state as it is ahead of it: a run's has ended by then."""
        commands = history()
        completed = next(n for n, command in enumerate(commands) if isinstance(command, CompleteRun))
        store_history(events, commands[:completed])
        another(backend).catch_up()
        store_history(events, commands[completed:])
        append(events, undecodable())  # so that the batch is narrowed down, event by event
        reads, calls, other = backend.reads(), list[str](), another(backend)
        row, checkpoint = reads.row, reads.checkpoint

        def late(*arguments: Any) -> Any:
            calls.append("row")
            if calls.count("load") >= 2:  # the batch has failed, and this is the first event by itself
                with suppress(ProjectionFailed):
                    other.catch_up()
            return row(*arguments)

        def loading(name: str) -> Any:
            calls.append("load")
            return checkpoint(name)

        monkeypatch.setattr(reads, "row", late)
        monkeypatch.setattr(reads, "checkpoint", loading)
        behind = Projector(events, reads, READ_MODEL)
        with pytest.raises(ProjectionFailed) as caught:
            behind.catch_up()
        assert caught.value.details["position"] == EVENTS + 1
        assert behind.position == EVENTS


class TestAnUnfitCheckpoint:
    """Each is refused, before anything is written, with what to do about it."""

    def refused(self, projector: Projector, why: str) -> None:
        for use in (projector.step, projector.catch_up, projector.lag):
            with pytest.raises(CheckpointRefused, match=why) as caught:
                use()
            assert "tiu projector rebuild" in str(caught.value)

    def test_of_another_version(self, backend: Backend, events: EventStore, projector: Projector) -> None:
        store_history(events)
        projector.catch_up()
        self.refused(another(backend, replace(READ_MODEL, version=READ_MODEL.version + 1)), "by version 1 .* version 2")

    def test_of_another_store(self, backend: Backend, events: EventStore, projector: Projector) -> None:
        store_history(events)
        projector.catch_up()
        backend.on_events("UPDATE store SET epoch = ?", uuid4())
        self.refused(another(backend), "another event store")

    def test_of_a_longer_history(self, sqlite: SQLiteBackend, tmp_path: Path) -> None:
        """The events were restored from a backup, the read tables were not."""
        commands = history()
        store_history(sqlite.events(), commands[:10])
        backup = copy_sqlite(sqlite, tmp_path / "backup.db")
        with closing(backup):
            store_history(backup.events(), commands[10:])
            another(backup).catch_up()
            mixed = Projector(sqlite.events(), backup.reads(), READ_MODEL)
            self.refused(mixed, f"longer or another history .*position {EVENTS}")

    def test_of_a_history_that_went_another_way(self, sqlite: SQLiteBackend, tmp_path: Path) -> None:
        store_history(sqlite.events(), history()[:10])
        with closing(copy_sqlite(sqlite, tmp_path / "fork.db")) as fork:
            for backend, name in ((sqlite, "here"), (fork, "there")):
                store_history(backend.events(), [create_user(name)])
            another(fork).catch_up()
            store_history(sqlite.events(), [create_user("more")])
            self.refused(Projector(sqlite.events(), fork.reads(), READ_MODEL), "another history .*position 11")

    def test_of_any_store_whose_hash_differs(self, backend: Backend, events: EventStore, projector: Projector) -> None:
        store_history(events)
        projector.catch_up()
        backend.on_reads("UPDATE checkpoints SET event_hash = ?", bytes(32))
        self.refused(another(backend), "another history")

    def test_stops_one_that_runs(self, backend: Backend, events: EventStore) -> None:
        store_history(events)
        another(backend).catch_up()
        newer = another(backend, replace(READ_MODEL, version=READ_MODEL.version + 1))
        with running(newer, events.listen()) as thread:
            with pytest.raises(CheckpointRefused):
                newer.wait_for(EVENTS, PATIENCE)
            thread.join(PATIENCE)
            assert not thread.is_alive()


class TestAnEventThatCannotBeProjected:
    """It stops the projector, which names it; what stands before it is projected."""

    CASES: tuple[tuple[str, list[NewEvent]], ...] = (
        ("undecodable bytes", [undecodable()]),
        ("an unknown topic", [event(topic="unknown.v9")]),
        ("a row that is not there", [event(topic="task.started.v1", state=b'{"occurred_at":"2026-03-01T12:00:00Z"}')]),
        ("a value that the database refuses", [user_created("taken"), user_created("taken")]),
        ("a row that is there already", [user_created("a", UUID(int=1)), user_created("b", UUID(int=1), 2)]),
    )

    @pytest.mark.parametrize("bad", [bad for _, bad in CASES], ids=[name for name, _ in CASES])
    @pytest.mark.parametrize("batch_size", [1, BATCH_SIZE])
    def test_stops_it(self, backend: Backend, events: EventStore, bad: list[NewEvent], batch_size: int) -> None:
        before = store_history(events).position
        append(events, *bad)
        append(events, user_created("behind it"))
        position = before + len(bad)
        projector = another(backend, batch_size=batch_size)
        with pytest.raises(ProjectionFailed) as caught:
            projector.catch_up()
        assert caught.value.details["position"] == position
        assert caught.value.details["topic"] == bad[-1].topic
        assert str(position) in str(caught.value)
        assert "taken" not in str(caught.value)  # what is personal is not repeated
        assert projector.position == position - 1
        assert projector.lag().behind == 2
        stopped = all_tables(backend)
        with pytest.raises(ProjectionFailed):
            another(backend).catch_up()
        assert all_tables(backend) == stopped

    @pytest.mark.parametrize("bad", [bad for _, bad in CASES], ids=[name for name, _ in CASES])
    def test_is_what_waiting_raises(self, events: EventStore, projector: Projector, bad: list[NewEvent]) -> None:
        with running(projector, events.listen()) as thread:
            append(events, *bad)
            with pytest.raises(ProjectionFailed):
                projector.wait_for(len(bad), PATIENCE)
            thread.join(PATIENCE)
            assert not thread.is_alive()

    @pytest.mark.parametrize("elsewhere", [1, 5])
    def test_stops_the_second_of_two_at_the_same_place(
        self, backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch, elsewhere: int
    ) -> None:
        """While the one narrows its batch down, the other goes on: nothing is done twice, and both name the event."""
        before = store_history(events).position
        append(events, undecodable())
        reads, started, other = backend.reads(), list[str](), another(backend, batch_size=elsewhere)
        checkpoint = reads.checkpoint

        def overtaken(name: str) -> Any:
            if started:  # it has failed once, and looks where it stands
                with suppress(ProjectionFailed):
                    other.step()
            started.append(name)
            return checkpoint(name)

        monkeypatch.setattr(reads, "checkpoint", overtaken)
        slow = Projector(events, reads, READ_MODEL)
        with pytest.raises(ProjectionFailed) as caught:
            slow.catch_up()
        assert caught.value.details["position"] == before + 1
        assert slow.position == before
        stopped = all_tables(backend)
        backend.reads().reset(READ_MODEL)
        with pytest.raises(ProjectionFailed):
            another(backend, batch_size=1).catch_up()
        assert all_tables(backend) == stopped

    def test_does_not_keep_from_waiting_for_what_is_projected(self, events: EventStore, projector: Projector) -> None:
        answer = store_history(events)
        append(events, undecodable())
        with running(projector, events.listen()) as thread:
            thread.join(PATIENCE)
            projector.wait_for(answer.position, 1)


class TestADatabaseThatGoesAway:
    def test_is_waited_for(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
        events, commands = postgresql.events(), history()
        projector = another(postgresql, batch_size=1)
        projector.step()
        writer = postgresql.events()
        with running(projector, events.listen()) as thread:
            for number, command in enumerate(commands):
                answer = store_history(writer, [command])
                if number % 5 == 0:
                    assert postgresql.terminate_connections() > 0
            projector.wait_for(answer.position, PATIENCE)
            assert thread.is_alive()
        live = all_tables(postgresql)
        postgresql.reads().reset(READ_MODEL)
        another(postgresql).catch_up()
        assert all_tables(postgresql) == live
        assert "secret" not in caplog.text

    def test_is_waited_for_even_when_it_goes_within_a_batch(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of the batch stays, nor what it left in memory."""
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
        events, reads = postgresql.events(), postgresql.reads()
        answer = store_history(events)
        apply, killed = reads.apply, list[int]()

        def dies(*arguments: Any) -> None:
            if len(killed) < 3:
                killed.append(postgresql.terminate_connections())
            apply(*arguments)

        monkeypatch.setattr(reads, "apply", dies)
        projector = Projector(events, reads, READ_MODEL, batch_size=20)
        with running(projector, NeverWakes()):
            projector.wait_for(answer.position, PATIENCE)
        assert len(killed) == 3
        live = all_tables(postgresql)
        postgresql.reads().reset(READ_MODEL)
        another(postgresql).catch_up()
        assert all_tables(postgresql) == live
