"""Verifying that the read tables are what the events make: no false alarm, whatever goes on; what is told of drift."""

from __future__ import annotations

import hashlib
import math
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from claude_tiu import (
    AddTask,
    CheckpointRefused,
    ClaimProgress,
    CreateFile,
    CreateProject,
    ForgetUser,
    RenameUser,
    StartSession,
    StartTask,
    Tiu,
    VerifyReport,
    connect,
)
from claude_tiu.infrastructure.errors import CheckpointMoved
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.rebuild import RebuildProgress
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.candidates import until
from tests.support.every_table import DESIGN, PARSER
from tests.support.history import PROJECT, START, USER, create_user, store_history, uid
from tests.support.patience import PATIENCE
from tests.support.postgres_server import database_url
from tests.support.rebuilding import rebuild
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend


@pytest.fixture
def projected(backend: Backend) -> Backend:
    """With a small history, projected."""
    store_history(backend.events())
    Projector(backend.events(), backend.reads(), READ_MODEL).catch_up()
    return backend


def verify(backend: Backend, **options: Any) -> VerifyReport:
    """Verify as another process would."""
    with connect(backend.url, project=False) as tiu:
        return tiu.verify(**options)


def rows_of(backend: Backend) -> int:
    return sum(len(rows) for rows in backend.tables(READ_MODEL).values())


class TestNoFalseAlarm:
    def test_where_every_table_has_rows(self, told: Backend) -> None:
        live = told.tables(READ_MODEL)
        report = verify(told)
        assert (report.equal, report.differences, report.left_out, report.forgotten) == (True, (), (), ())
        assert report.position == told.events().max_notification_id()
        assert report.rows == sum(len(rows) for rows in live.values()) > 0
        assert told.tables(READ_MODEL) == live

    def test_where_there_is_nothing(self, backend: Backend) -> None:
        report = verify(backend)
        assert (report.equal, report.position, report.rows) == (True, 0, 0)

    def test_where_nothing_was_projected_yet(self, backend: Backend) -> None:
        store_history(backend.events())
        report = verify(backend)
        assert (report.equal, report.position, report.rows) == (True, 0, 0)

    def test_while_the_projector_is_behind(self, backend: Backend) -> None:
        store_history(backend.events())
        projector = Projector(backend.events(), backend.reads(), READ_MODEL, batch_size=7)
        while projector.step():
            report = verify(backend)
            assert (report.equal, report.position) == (True, projector.position)

    def test_after_a_rebuild(self, told: Backend) -> None:
        rebuild(told)
        assert verify(told).equal

    def test_while_eight_write_and_a_projector_lags(self, backend: Backend) -> None:
        store_history(backend.events())
        positions = []
        with connect(backend.url, project=False) as tiu, writing(tiu, 8), lagging(backend):
            for _ in range(5):
                report = tiu.verify()
                assert (report.equal, report.differences) == (True, ())
                positions.append(report.position)
                until(lambda: tiu.lag().position > positions[-1])  # it goes on meanwhile
                until(lambda: tiu.lag().last_position > positions[-1])
        assert positions == sorted(positions)

    def test_while_it_is_rebuilt(self, projected: Backend) -> None:
        rebuilt = list[bool]()
        thread = threading.Thread(target=lambda: rebuilt.append(rebuild(projected).swapped))
        with connect(projected.url) as tiu, writing(tiu, 2):
            thread.start()
            while thread.is_alive():
                assert tiu.verify().differences == ()
                thread.join(0.5)
            assert tiu.verify().differences == ()
        assert rebuilt == [True]

    def test_writers_are_not_held_up(self, projected: Backend) -> None:
        """What is written, and projected, while it compares, is there before it ends."""
        with connect(projected.url) as tiu:
            added = iter(range(100))

            def tell(progress: RebuildProgress) -> None:
                if progress.step == "comparing":
                    name = f"meanwhile {next(added)}"
                    answer = tiu.execute(AddTask(task_id=uid(name), project_id=PROJECT, name=name))
                    tiu.wait_for(answer, PATIENCE)

            report = tiu.verify(progress=tell)
            assert (report.equal, next(added)) == (True, len(READ_MODEL.tables))
            assert len([row for row in tiu.read.tasks(PROJECT) if row.name.startswith("meanwhile")]) == len(
                READ_MODEL.tables
            )
            assert report.position == tiu.lag().position - len(READ_MODEL.tables)


@contextmanager
def writing(tiu: Tiu, count: int) -> Iterator[None]:
    """Add tasks and claim progress all the time, in threads."""
    stop = threading.Event()

    def write(name: str) -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            task_id = uid(f"{name} {number}")
            tiu.execute_all([AddTask(task_id=task_id, project_id=PROJECT, name=name), StartTask(task_id=task_id)])
            tiu.execute(ClaimProgress(task_id=task_id, claimed=number % 100))

    with running([lambda name=f"writer {number}": write(name) for number in range(count)], stop):  # type: ignore[misc]
        yield


@contextmanager
def lagging(backend: Backend) -> Iterator[None]:
    """Project a little now and then."""
    projector = Projector(backend.events(), backend.reads(), READ_MODEL, batch_size=3)
    stop = threading.Event()

    def project() -> None:
        while not stop.wait(0.01):
            projector.step()

    with running([project], stop):
        yield


@contextmanager
def running(works: list[Callable[[], None]], stop: threading.Event) -> Iterator[None]:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class TestWhoIsForgotten:
    """The key is gone before the tables have come to the event that says so."""

    @pytest.fixture
    def behind(self, backend: Backend) -> Backend:
        """A user with two sessions, projected; and forgotten, which is not."""
        session: dict[str, Any] = {"user_id": USER, "token_hash": "0" * 64, "expires_at": START + timedelta(days=9_000)}
        with connect(backend.url, project=False) as tiu:
            tiu.execute(create_user(user_id=USER))
            tiu.execute(CreateProject(project_id=PROJECT, user_id=USER, name="Billing"))
            tiu.execute(StartSession(session_id=uid("session"), metadata={"address": "192.0.2.7"}, **session))
            tiu.execute(StartSession(session_id=uid("other"), **session))
            tiu.projector.catch_up()
            tiu.execute(RenameUser(user_id=USER, username="augusta"))
            tiu.execute(ForgetUser(user_id=USER))
        return backend

    def test_is_no_drift_and_is_told(self, behind: Backend) -> None:
        report = verify(behind)
        assert (report.equal, report.position, report.forgotten) == (True, 4, (USER,))

    def test_is_no_reason_to_refuse_a_rebuild(self, behind: Backend) -> None:
        assert rebuild(behind).differences == ()

    def test_half_projected_is_no_drift(self, behind: Backend) -> None:
        """The live tables have the new name's stand-in, and the email as it was."""
        Projector(behind.events(), behind.reads(), READ_MODEL, batch_size=1).step()
        report = verify(behind)
        assert (report.equal, report.position, report.forgotten) == (True, 5, (USER,))

    def test_is_nothing_special_once_the_tables_have_come_there(self, behind: Backend) -> None:
        Projector(behind.events(), behind.reads(), READ_MODEL).catch_up()
        report = verify(behind)
        assert (report.equal, report.forgotten) == (True, ())
        behind.on_reads("UPDATE users SET username = 'augusta'")
        (table,) = verify(behind).differences
        assert [(one.key, one.column) for one in table.first] == [(str(USER), "username")]

    def test_hides_no_drift_in_what_is_not_personal(self, behind: Backend) -> None:
        behind.on_reads("UPDATE users SET role = 'admin'")
        behind.on_reads("UPDATE user_sessions SET expires_at = created_at WHERE id = ?", uid("other"))
        users, sessions = verify(behind).differences
        assert [(one.key, one.column) for one in users.first] == [(str(USER), "role")]
        assert [(one.key, one.column) for one in sessions.first] == [(str(uid("other")), "expires_at")]

    def test_hides_no_drift_of_others(self, behind: Backend) -> None:
        with connect(behind.url) as tiu:
            tiu.wait_for(tiu.execute(create_user("eve", user_id=uid("eve"))), PATIENCE)
        behind.on_reads("UPDATE users SET email = 'forgotten:' || email WHERE id = ?", uid("eve"))
        (table,) = verify(behind).differences
        assert [(one.key, one.column) for one in table.first] == [(str(uid("eve")), "email")]

    def test_a_key_that_is_gone_without_that_is_drift(self, backend: Backend) -> None:
        with connect(backend.url) as tiu:
            tiu.wait_for(tiu.execute(create_user(user_id=USER)), PATIENCE)
        backend.events().destroy_keys([USER])
        report = verify(backend)
        (table,) = report.differences
        assert [one.column for one in table.first] == ["username", "email", "password_hash"]
        assert {(one.live, one.replayed) for one in table.first} == {("(personal)", "(personal)")}


class TestDrift:
    def test_is_told_with_the_event_that_wrote_it(self, told: Backend) -> None:
        told.on_reads("UPDATE tasks SET name = 'Tampered' WHERE id = ?", PARSER)
        told.on_reads("UPDATE tasks SET actual_duration = 7 WHERE id = ?", DESIGN)
        report = verify(told)
        assert not report.equal
        (table,) = report.differences
        assert (table.table, table.rows) == ("tasks", 2)
        found = {one.key: one for one in table.first}
        name, duration = found[str(PARSER)], found[str(DESIGN)]
        assert (name.column, name.live, name.replayed) == ("name", "Tampered", "Parser")
        assert name.written
        assert (name.written.topic, name.written.stream_id) == ("task.added.v1", PARSER)
        (row,) = told.events().read_rows(name.written.position - 1, 1)
        assert (row.topic, row.stream_id, row.version) == ("task.added.v1", PARSER, name.written.version)
        assert (row.recorded_at, row.actor) == (name.written.recorded_at, name.written.actor)
        assert (duration.column, duration.live) == ("actual_duration", "7")
        assert duration.written
        assert (duration.written.topic, duration.written.stream_id) == ("task.completed.v1", DESIGN)

    def test_of_each_table_the_first_rows_are_told_and_all_counted(self, told: Backend) -> None:
        told.on_reads("UPDATE progress_metrics SET value = value + 1")
        told.on_reads("DELETE FROM agent_state")
        ((metrics,), (agents,)) = (
            told.on_reads(f"SELECT count(*) FROM {table}") for table in ("progress_metrics", "agents")
        )
        found = {table.table: table for table in verify(told, limit=3).differences}
        assert found.keys() == {"progress_metrics", "agent_state"}
        assert (found["progress_metrics"].rows, len(found["progress_metrics"].first)) == (metrics[0], 3)
        assert (found["agent_state"].rows, len(found["agent_state"].first)) == (agents[0], 3)
        kinds = {(one.column, one.live, one.replayed) for one in found["agent_state"].first}
        assert kinds == {(None, "missing", "there")}

    def test_of_persons_no_value_is_told(self, told: Backend) -> None:
        told.on_reads("UPDATE users SET email = 'mallory@example.org' WHERE id = ?", USER)
        report = verify(told)
        ((email,),) = (table.first for table in report.differences)
        assert (email.column, email.live, email.replayed) == ("email", "(personal)", "(personal)")
        assert "@" not in repr(report)

    def test_what_no_event_wrote_has_no_writer(self, told: Backend) -> None:
        stranger = uid("stranger")
        told.on_reads("INSERT INTO run_state VALUES (?, 'deep')", stranger)
        ((found,),) = (table.first for table in verify(told).differences)
        assert (found.key, found.column, found.live, found.replayed) == (str(stranger), None, "there", "missing")
        assert found.written is None

    def test_many_rows_too_many_between_two_are_counted(self, told: Backend) -> None:
        """More than are read at once, on one side."""
        text = "printf('00000000-0000-7000-8000-%012d', i)"
        if isinstance(told, PostgreSQLBackend):
            text = "('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid"
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1700)"
        told.on_reads(f"INSERT INTO run_state {numbers} SELECT {text}, 'deep' FROM n")
        report = verify(told)
        (table,) = report.differences
        assert (table.table, table.rows, len(table.first)) == ("run_state", 1_700, 5)
        assert report.rows == rows_of(told)

    def test_what_an_operation_took_away_is_told_with_its_event(self, told: Backend) -> None:
        others = "user_id, token_hash, expires_at, metadata, created_at FROM user_sessions"
        told.on_reads(f"INSERT INTO user_sessions SELECT '{uid('ended session')}', {others}")
        ((found,),) = (table.first for table in verify(told).differences)
        assert (found.column, found.live, found.replayed) == (None, "there", "missing")
        assert found.written
        assert found.written.topic == "session.ended.v1"

    @pytest.mark.parametrize(
        ("statement", "topic"),
        [
            ("UPDATE tasks_archive SET name = 'Tampered'", "project.archived.v1"),
            ("UPDATE projects SET name = 'Tampered' WHERE name = 'Old'", "project.restored.v1"),
            ("UPDATE cleanup_log SET rows_deleted = 0 WHERE rows_deleted > 0", "retention.ran.v1"),
            ("DELETE FROM progress_metrics WHERE CAST(metadata AS TEXT) LIKE '%daily%'", "retention.ran.v1"),
        ],
    )
    def test_what_an_operation_wrote_is_told_with_its_event(self, told: Backend, statement: str, topic: str) -> None:
        told.on_reads(statement)
        (table,) = verify(told).differences
        assert {one.written and one.written.topic for one in table.first} == {topic}


class TestWhatIsLong:
    """Longer than what is compared as it stands."""

    TEXT = "All work and no play. " * 10_000
    FILE = "SELECT id FROM project_files WHERE file_path = 'long'"

    @pytest.fixture
    def long(self, projected: Backend) -> Backend:
        with connect(projected.url) as tiu:
            metadata: Any = {"long": [self.TEXT, 1e-7, 1.5], "deep": {"z": 1, "aa": [True, None]}}
            for name, content in (("long", self.TEXT), ("short", f"sha256:{'0' * 64}")):
                file = CreateFile(project_id=PROJECT, file_path=name, content=content, metadata=metadata)
                tiu.wait_for(tiu.execute(file), PATIENCE)
        return projected

    def test_is_compared(self, long: Backend) -> None:
        assert verify(long).equal

    @pytest.mark.parametrize("column", ["content", "metadata"])
    def test_is_found_where_it_was_changed_anywhere(self, long: Backend, column: str) -> None:
        kind = "JSONB" if column == "metadata" and isinstance(long, PostgreSQLBackend) else "TEXT"
        changed = f"CAST(replace(CAST({column} AS TEXT), 'All work and', 'Some work and') AS {kind})"
        long.on_reads(f"UPDATE project_files SET {column} = {changed} WHERE file_path = 'long'")
        ((found,),) = (table.first for table in verify(long).differences)
        assert (found.column, (found.live or "")[:7], (found.replayed or "")[:7]) == (column, "sha256:", "sha256:")
        assert found.live != found.replayed

    def test_is_not_what_its_digest_is(self, long: Backend) -> None:
        """A short text that looks like the digest of the long one."""
        digest = f"sha256:{hashlib.sha256(self.TEXT.encode()).hexdigest()}"
        long.on_reads("UPDATE project_files SET content = ? WHERE file_path = 'long'", digest)
        ((found,),) = (table.first for table in verify(long).differences)
        assert found.column == "content"


class TestTheSmallestChange:
    """Values that are equal, and not the same."""

    def test_of_a_number_in_json(self, told: Backend) -> None:
        kind = "TEXT" if isinstance(told, SQLiteBackend) else "JSONB"
        changed = f"CAST(replace(CAST(assignment_metadata AS TEXT), '0.3', '0.30') AS {kind})"
        told.on_reads(f"UPDATE agent_assignments SET assignment_metadata = {changed}")
        ((found,),) = (table.first for table in verify(told).differences)
        assert (found.column, found.replayed) == ("assignment_metadata", (found.live or "").replace("0.30", "0.3"))
        assert (found.live or "").count("0.30") == 1
        assert "u0000" not in (found.live or "")

    def test_of_zero(self, postgresql_told: PostgreSQLBackend) -> None:
        """SQLite keeps no negative zero."""
        postgresql_told.on_reads("UPDATE tasks SET fake_progress = '-0' WHERE id = ?", DESIGN)
        ((found,),) = (table.first for table in verify(postgresql_told).differences)
        assert (found.column, found.live, found.replayed) == ("fake_progress", "-0.0", "0.0")

    def test_of_the_last_bit(self, told: Backend) -> None:
        ((value,),) = told.on_reads("SELECT value FROM agent_metrics")
        told.on_reads("UPDATE agent_metrics SET value = ?", math.nextafter(value, math.inf))
        ((found,),) = (table.first for table in verify(told).differences)
        assert (found.column, found.replayed) == ("value", str(value))

    def test_of_bytes_that_are_no_text(self, sqlite_told: SQLiteBackend) -> None:
        sqlite_told.on_reads("UPDATE tasks SET name = CAST(x'ff00fe' AS TEXT) WHERE id = ?", PARSER)
        ((found,),) = (table.first for table in verify(sqlite_told).differences)
        assert (found.column, found.replayed) == ("name", "Parser")

    def test_of_times_out_of_all_bounds(self, postgresql_told: PostgreSQLBackend) -> None:
        for time in ("infinity", "-infinity", "0044-03-15 12:00:00+00 BC"):
            postgresql_told.on_reads("UPDATE tasks SET created_at = ? WHERE id = ?", time, PARSER)
            ((found,),) = (table.first for table in verify(postgresql_told).differences)
            assert (found.column, found.live) == ("created_at", time)


class TestTablesThatDoNotFit:
    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            ("UPDATE checkpoints SET epoch = '00000000-0000-0000-0000-000000000000'", "another event store"),
            ("UPDATE checkpoints SET position = position + 1", "another history"),
            ("UPDATE checkpoints SET version = version + 1", "version"),
        ],
    )
    def test_are_refused_and_are_no_drift(self, projected: Backend, spoil: str, why: str) -> None:
        projected.on_reads(spoil)
        with pytest.raises(CheckpointRefused, match=why):
            verify(projected)

    def test_that_are_made_anew_meanwhile_are_no_drift(self, projected: Backend) -> None:
        with connect(projected.url, project=False) as tiu:

            def tell(progress: RebuildProgress) -> None:
                if progress.done == progress.total:
                    tiu.projector.reset()

            with pytest.raises(CheckpointMoved, match="made anew"):
                tiu.verify(progress=tell)

    def test_that_a_rebuild_has_replaced_meanwhile_are_compared(self, projected: Backend) -> None:
        projected.on_reads("UPDATE tasks SET name = 'Tampered'")
        rebuilt = list[bool]()

        def tell(progress: RebuildProgress) -> None:
            if progress.done == progress.total and not rebuilt:
                rebuilt.append(rebuild(projected, accept=True).swapped)

        assert verify(projected, progress=tell).equal
        assert rebuilt == [True]


def test_who_may_only_read_can_verify(postgresql_told: PostgreSQLBackend) -> None:
    role = f"auditor_{uuid4().hex[:12]}"
    postgresql_told.on_events(f"CREATE ROLE {role} LOGIN")
    try:
        postgresql_told.on_events(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        server = make_conninfo(postgresql_told.url, user=role)
        url = database_url(server, str(conninfo_to_dict(server)["dbname"]))
        with connect(url, project=False) as tiu:
            assert tiu.verify().equal
            postgresql_told.on_reads("UPDATE tasks SET name = 'Tampered' WHERE id = ?", PARSER)
            assert [table.table for table in tiu.verify().differences] == ["tasks"]
    finally:
        postgresql_told.on_events(f"DROP OWNED BY {role}")
        postgresql_told.on_events(f"DROP ROLE {role}")


class TestWhatItLeaves:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    def test_is_nothing(self, told: Backend, folder: Path) -> None:
        told.on_reads("UPDATE tasks SET name = 'Tampered'")
        seen = list[Path]()
        assert not verify(told, progress=lambda _: seen.extend(folder.rglob("*.db"))).equal
        assert {path.name for path in seen} == {"replayed.db", "watched.db"}
        assert [*folder.iterdir()] == []

    def test_is_nothing_where_it_is_ended(self, told: Backend, folder: Path) -> None:
        def end(progress: RebuildProgress) -> None:
            if progress.step == "comparing":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            verify(told, progress=end)
        assert [*folder.iterdir()] == []


def test_it_tells_how_far_it_is(told: Backend) -> None:
    seen = list[RebuildProgress]()
    told.on_reads("UPDATE tasks SET name = 'Tampered'")
    verify(told, progress=seen.append)
    steps = [one.step for one in seen]
    assert sorted(set(steps), key=steps.index) == ["replaying", "comparing", "tracing"]
    assert all(one.done <= one.total for one in seen)
