"""A rebuild beside the live tables: it gives the same, readers and writers go on, and it can be stopped anywhere."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest

from claude_tiu import (
    AddTask,
    ClaimProgress,
    ProjectionFailed,
    RebuildRefused,
    StartTask,
    TablesDiffer,
    Tiu,
    connect,
)
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.rebuild import RebuildProgress
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.candidates import until
from tests.support.every_table import last_position, tell_all
from tests.support.history import PROJECT, USER, store_history, uid
from tests.support.patience import PATIENCE
from tests.support.rebuilding import (
    Stopped,
    catalogue,
    is_left,
    killed_half_way,
    rebuild,
    shadow,
    stops_at,
    traces,
)
from tests.support.stores import Backend, SQLiteBackend

PACE = 0.005
"""Seconds between what a writer does: without a pause most of the time goes into a longer and longer log."""


@pytest.fixture
def told(backend: Backend) -> Backend:
    """With every table filled."""
    tell_all(backend)
    return backend


@pytest.fixture
def projected(backend: Backend) -> Backend:
    """With a small history, projected."""
    store_history(backend.events())
    Projector(backend.events(), backend.reads(), READ_MODEL).catch_up()
    return backend


def generation(backend: Backend) -> int:
    checkpoint = backend.reads().checkpoint(READ_MODEL.name)
    assert checkpoint
    return checkpoint.generation


class TestARebuild:
    @pytest.mark.parametrize("batch_size", [1, pytest.param(7, marks=pytest.mark.long), 1_000])
    def test_gives_the_same_rows_and_the_same_tables(self, told: Backend, batch_size: int) -> None:
        rows, tables = told.tables(READ_MODEL), catalogue(told)
        assert {name for name, found in rows.items() if not found} == {"parked_units"}
        before = generation(told)

        report = rebuild(told, batch_size=batch_size)

        assert told.tables(READ_MODEL) == rows
        assert catalogue(told) == tables
        assert (report.differences, report.not_compared, report.swapped) == ((), None, True)
        assert report.compared_at == report.position == told.events().max_notification_id()
        assert generation(told) == before + 1
        assert traces(told) == []

    def test_can_follow_another(self, projected: Backend) -> None:
        tables = catalogue(projected)
        for number in (2, 3):
            assert rebuild(projected).resumed_at is None
            assert generation(projected) == number
        assert catalogue(projected) == tables

    def test_of_nothing(self, backend: Backend) -> None:
        report = rebuild(backend)
        assert (report.events, report.swapped) == (0, True)
        assert report.not_compared == "nothing was projected into the live tables yet"
        assert traces(backend) == []

    def test_of_what_was_never_projected(self, backend: Backend) -> None:
        store_history(backend.events())
        assert rebuild(backend).not_compared == "nothing was projected into the live tables yet"
        live = backend.tables(READ_MODEL)
        projector = Projector(backend.events(), backend.reads(), READ_MODEL)
        assert projector.step() == 0
        projector.reset()
        projector.catch_up()
        assert backend.tables(READ_MODEL) == live

    def test_goes_on_where_the_live_tables_are_behind(self, backend: Backend) -> None:
        store_history(backend.events())
        projector = Projector(backend.events(), backend.reads(), READ_MODEL, batch_size=10)
        projector.step()
        report = rebuild(backend)
        assert report.compared_at == 10
        assert report.position == backend.events().max_notification_id()
        projector.catch_up()
        assert projector.position == report.position
        assert rebuild(backend).differences == ()

    def test_tells_how_far_it_is(self, projected: Backend) -> None:
        told: list[Any] = []
        events = rebuild(projected, tell=told.append, batch_size=10).events
        loading = [(one.done, one.total) for one in told if one.step == "loading"]
        assert loading == [(min(done, events), events) for done in range(10, events + 10, 10)]
        steps = [one.step for one in told]
        assert sorted(set(steps), key=steps.index) == ["loading", "comparing", "indexing", "swapping"]
        assert all(one.done <= one.total for one in told)

    def test_of_tables_of_another_version_compares_and_makes_them_fit(self, projected: Backend) -> None:
        projected.on_reads("UPDATE checkpoints SET version = version + 1")
        report = rebuild(projected)
        assert report.compared_at == report.position
        assert Projector(projected.events(), projected.reads(), READ_MODEL).lag().behind == 0

    @pytest.mark.parametrize(
        "spoil",
        [
            "UPDATE checkpoints SET epoch = '00000000-0000-0000-0000-000000000000'",
            "UPDATE checkpoints SET position = position + 1",
        ],
    )
    def test_of_tables_of_another_history_makes_them_fit(self, projected: Backend, spoil: str) -> None:
        projected.on_reads(spoil)
        report = rebuild(projected)
        assert report.compared_at is None
        assert report.not_compared
        assert "history" in report.not_compared
        assert Projector(projected.events(), projected.reads(), READ_MODEL).lag().behind == 0


class TestWhereTheTablesDiffer:
    CHANGED = uid("task 1")

    @pytest.fixture
    def tampered(self, projected: Backend) -> Backend:
        projected.on_reads("UPDATE tasks SET name = 'Tampered' WHERE id = ?", self.CHANGED)
        projected.on_reads("DELETE FROM agent_metrics")
        projected.on_reads("UPDATE users SET email = 'eve@example.org'")
        return projected

    def test_it_is_told_and_nothing_is_replaced(self, tampered: Backend) -> None:
        live = tampered.tables(READ_MODEL)
        with pytest.raises(TablesDiffer, match=r"users, 1 .* of tasks, 1 .* of agent") as caught:
            rebuild(tampered)
        users, tasks, metrics = caught.value.report.differences
        (name,) = tasks.first
        assert (name.key, name.column, name.live, name.rebuilt) == (str(self.CHANGED), "name", "Tampered", "Task 1")
        (missing,) = metrics.first
        assert (missing.column, missing.live, missing.rebuilt) == (None, "missing", "there")
        (email,) = users.first
        assert (email.column, email.live, email.rebuilt) == ("email", "(personal)", "(personal)")
        assert tampered.tables(READ_MODEL) == live
        assert generation(tampered) == 1

    def test_what_is_loaded_stays_until_it_is_accepted(self, tampered: Backend) -> None:
        with pytest.raises(TablesDiffer):
            rebuild(tampered)
        assert is_left(tampered)
        report = rebuild(tampered, accept=True)
        assert (report.resumed_at, report.swapped) == (report.position, True)
        assert [table.table for table in report.differences] == ["users", "tasks", "agent_metrics"]
        assert traces(tampered) == []
        assert rebuild(tampered).differences == ()

    def test_or_discarded(self, tampered: Backend) -> None:
        with pytest.raises(TablesDiffer):
            rebuild(tampered)
        with closing(shadow(tampered)) as beside:
            assert beside.drop_alone()
            assert not beside.drop_alone()
        assert traces(tampered) == []

    def test_the_first_rows_of_many_are_told(self, projected: Backend) -> None:
        projected.on_reads("UPDATE progress_metrics SET value = value + 1")
        ((count,),) = projected.on_reads("SELECT count(*) FROM progress_metrics")
        with pytest.raises(TablesDiffer) as caught:
            rebuild(projected)
        (metrics,) = caught.value.report.differences
        assert metrics.rows == count > 5
        assert len({found.key for found in metrics.first}) == 5
        assert {found.column for found in metrics.first} == {"value"}

    def test_a_row_too_many_is_told(self, projected: Backend) -> None:
        extra = uuid4()
        projected.on_reads("INSERT INTO run_state VALUES (?, 'deep')", extra)
        with pytest.raises(TablesDiffer) as caught:
            rebuild(projected)
        ((found,),) = [table.first for table in caught.value.report.differences]
        assert (found.key, found.column, found.live, found.rebuilt) == (str(extra), None, "there", "missing")

    def test_a_projector_forgets_what_it_remembered_of_them(self, projected: Backend) -> None:
        """It remembers sums; somebody changed them; and a rebuild comes to the same position as it stands at."""
        events = projected.events()
        projected.on_reads("UPDATE project_state SET metric_seq = metric_seq + 100")
        live = Projector(events, projected.reads(), READ_MODEL)
        with connect(projected.url, project=False) as tiu:
            for number in range(2):
                tiu.execute(AddTask(task_id=uid(f"more {number}"), project_id=PROJECT, name="More"))
                live.catch_up()
            rebuild(projected, accept=True)
            tiu.execute(AddTask(task_id=uid("last"), project_id=PROJECT, name="Last"))
        live.catch_up()
        assert rebuild(projected).differences == ()

    def test_rows_that_break_what_the_live_table_has_are_told_without_values(self, projected: Backend) -> None:
        last = "SELECT max(CAST(id AS TEXT)) FROM progress_metrics"
        projected.on_reads(f"DELETE FROM progress_metrics WHERE CAST(id AS TEXT) <> ({last})")
        projected.on_reads("CREATE UNIQUE INDEX mine ON progress_metrics (metric_name)")
        live = projected.tables(READ_MODEL)
        with pytest.raises(ProjectionFailed, match="rows of progress_metrics break mine") as caught:
            rebuild(projected, accept=True)
        assert "real_progress" not in str(caught.value)
        assert projected.tables(READ_MODEL) == live


class TestStopped:
    def test_anywhere_it_goes_on_from_there(self, told: Backend) -> None:
        rows, tables = told.tables(READ_MODEL), catalogue(told)
        dice, last = random.Random(4), 0
        for _ in range(12):
            try:
                report = rebuild(told, tell=stops_at(dice.randint(1, 25)), batch_size=9)
                assert report.resumed_at == last or None
                last = 0
            except Stopped:
                assert told.tables(READ_MODEL) == rows
                assert is_left(told)
                with closing(shadow(told)) as beside, beside.alone():
                    checkpoint = beside.reads.checkpoint(READ_MODEL.name)
                last = checkpoint.position if checkpoint else 0
        rebuild(told)
        assert told.tables(READ_MODEL) == rows
        assert catalogue(told) == tables
        assert traces(told) == []

    def test_by_a_kill_it_goes_on_from_there(self, told: Backend) -> None:
        rows, tables = told.tables(READ_MODEL), catalogue(told)
        position = killed_half_way(told)
        assert told.tables(READ_MODEL) == rows
        assert is_left(told)
        report = rebuild(told)
        assert report.resumed_at == position
        assert told.tables(READ_MODEL) == rows
        assert catalogue(told) == tables
        assert traces(told) == []

    def test_with_another_version_it_begins_anew(self, projected: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(Stopped):
            rebuild(projected, tell=stops_at(3), batch_size=9)
        with closing(shadow(projected)) as beside, beside.alone():
            assert beside.stands()
            before = beside.reads.checkpoint(READ_MODEL.name)
            assert before
            after = before._replace(version=READ_MODEL.version + 1)
            beside.reads.apply(READ_MODEL.name, before, [], after)
        assert rebuild(projected).resumed_at is None

    def test_where_the_live_tables_changed_their_form_it_begins_anew(self, projected: Backend) -> None:
        with pytest.raises(Stopped):
            rebuild(projected, tell=stops_at(3), batch_size=9)
        projected.on_reads("ALTER TABLE cleanup_log ADD COLUMN note TEXT")
        tables = catalogue(projected)
        if isinstance(projected, SQLiteBackend):
            with pytest.raises(RebuildRefused, match="changed its form"):
                rebuild(projected)
            return
        assert rebuild(projected).resumed_at is None
        assert catalogue(projected) == tables

    def test_an_index_that_somebody_made_meanwhile_is_made_too(self, projected: Backend) -> None:
        with pytest.raises(Stopped):
            rebuild(projected, tell=stops_at(3), batch_size=9)
        projected.on_reads("CREATE INDEX mine ON tasks (name, status)")
        tables = catalogue(projected)
        assert rebuild(projected).resumed_at
        assert catalogue(projected) == tables


class TestMeanwhile:
    def test_another_rebuild_is_refused(self, projected: Backend) -> None:
        refused: list[str] = []

        def tell(progress: RebuildProgress) -> None:
            if progress.done > 0:
                return
            with pytest.raises(RebuildRefused, match="another rebuild is at work") as caught:
                rebuild(projected)
            refused.append(str(caught.value))
            with closing(shadow(projected)) as beside, pytest.raises(RebuildRefused, match="at work"):
                beside.drop_alone()
            assert not is_left(projected)

        rebuild(projected, tell=tell)
        assert len(refused) == 3, "when it compares, makes indexes and swaps"
        assert all("\n" not in line for line in refused)

    def test_readers_see_whole_tables(self, told: Backend) -> None:
        statement = " UNION ALL ".join(f"SELECT count(*) AS rows FROM {table.name}" for table in READ_MODEL.tables)
        with connect(told.url, project=False) as tiu:
            expected = tiu._reads.query(statement, {})
            with reading(tiu, statement) as seen:

                def read_meanwhile(progress: RebuildProgress) -> None:
                    if progress.step != "loading":
                        before = len(seen)
                        until(lambda: len(seen) > before)

                for _ in range(3):
                    rebuild(told, tell=read_meanwhile, batch_size=20)
            assert all(found == expected for found in seen)

    def test_nothing_is_lost_of_what_is_written(self, told: Backend) -> None:
        stop = threading.Event()
        with connect(told.url) as tiu, connect(told.url, project=False) as other:
            works = [(tiu, "a", stop), (other, "b", stop)]
            writers = [threading.Thread(target=work, args=arguments) for arguments in works]
            for writer in writers:
                writer.start()
            try:
                reports = [tiu.rebuild(), rebuild(told, batch_size=50), tiu.rebuild()]
            finally:
                stop.set()
                for writer in writers:
                    writer.join()
            assert [report.differences for report in reports] == [()] * 3
            assert [report.position for report in reports] == sorted({report.position for report in reports})
            tiu.wait_for(last_position(tiu), PATIENCE)
            live = told.tables(READ_MODEL)
            assert len(live["tasks"]) > 10
            assert tiu.lag().behind == 0
        report = rebuild(told)
        assert report.position == told.events().max_notification_id()
        assert told.tables(READ_MODEL) == live

    def test_a_connection_that_was_open_sees_the_new_tables(self, projected: Backend) -> None:
        with connect(projected.url) as tiu:
            for _ in range(10):  # often enough for its statements to be prepared
                assert tiu.read.dashboard(USER)
            projected.on_reads("UPDATE projects SET name = 'Tampered'")
            rebuild(projected, accept=True)
            assert {row.name for row in tiu.read.dashboard(USER)} == {"Billing"}
            answer = tiu.execute(AddTask(task_id=uid("later"), project_id=PROJECT, name="Later"))
            tiu.wait_for(answer, PATIENCE)
            assert [row for row in tiu.read.tasks(PROJECT) if row.name == "Later"]
        assert rebuild(projected).differences == ()


def work(tiu: Tiu, name: str, stop: threading.Event) -> None:
    """Add tasks and claim progress until told to stop."""
    for number in range(10_000):
        if stop.wait(PACE):
            return
        task_id = uid(f"{name} {number}")
        tiu.execute_all([AddTask(task_id=task_id, project_id=uid("project"), name=name), StartTask(task_id=task_id)])
        tiu.execute(ClaimProgress(task_id=task_id, claimed=number % 100))


@contextmanager
def reading(tiu: Tiu, statement: str) -> Iterator[list[Any]]:
    """Query all the time, in two threads; give what was found."""
    seen: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(tiu._reads.query(statement, {}))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
