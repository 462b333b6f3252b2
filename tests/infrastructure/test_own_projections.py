"""An embedding service's own projection is kept as ours is, on both stores."""

from __future__ import annotations

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_tiu import (
    ArchiveProject,
    BadProjection,
    CheckpointRefused,
    CompleteProject,
    EventParked,
    ForgetUser,
    InvalidQuery,
    ProjectionFailed,
    RebuildRefused,
    StartTask,
    TablesDiffer,
    TaskCompleted,
    connect,
)
from claude_tiu.infrastructure.migration import migrations_in
from claude_tiu.infrastructure.own import TABLES
from claude_tiu.infrastructure.postgresql.roles import apply_roles
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.shadows import shadow_of
from claude_tiu.projections import Change, Insert, Kind, Projection, Table, Update
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.board import BOARD, CARDS, REFERRING, STOPS, migrate
from tests.support.boarding import OTHER, SECOND, TASK, begin, cards, finish, opened, raising
from tests.support.connected import most_connections
from tests.support.history import PROJECT, USER, create_user
from tests.support.stores import Backend, PostgreSQLBackend

INFRASTRUCTURE = Path(__file__).resolve().parents[2] / "infrastructure"


class TestKept:
    def test_its_tables_follow_the_events_as_ours_do(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            board = tiu.projection("board")
            board.wait_for(finish(tiu))
            assert cards(board) == {"Ünïcödé": True, "T": False}
            found = board.query("SELECT name FROM board_cards WHERE task_id = :id", {"id": TASK})
            assert found == [{"name": "Ünïcödé"}]
            assert (board.lag().projection, board.lag().behind) == ("board", 0)
            holder = board.holder()
            assert holder is not None
            assert holder.active
            tiu.wait_for(8)
            assert tiu.projection("read_model").lag() == tiu.lag()

    def test_it_is_verified_rebuilt_and_verified(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            tiu.projection("board").wait_for(finish(tiu))
        with connect(backend.url, project=False, projections=[BOARD]) as tiu:
            board = tiu.projection("board")
            report = board.verify()
            assert (report.differences, report.position, report.rows) == ((), 8, 5)
            rebuilt = board.rebuild()
            assert (rebuilt.swapped, rebuilt.compared_at, rebuilt.differences) == (True, 8, ())
            assert board.verify().equal
            tiu.catch_up()
            assert tiu.rebuild().swapped
            assert board.verify().equal
            tiu.execute(StartTask(task_id=SECOND))
            assert board.catch_up() == 1
            assert board.verify().equal

    def test_its_rebuild_goes_beside_one_of_ours(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            board = tiu.projection("board")
            board.wait_for(5)
            where, settings = database(backend.url, Settings()), Settings()
            with closing(shadow_of(where, READ_MODEL, settings)) as ours, ours.alone():
                ours.make()
                assert board.rebuild().swapped
                refused = pytest.raises(RebuildRefused, match="another rebuild is at work")
                with closing(shadow_of(where, BOARD, settings)) as own, own.alone(), refused:
                    board.rebuild()
                assert ours.stands()
                assert ours.drop()
            assert cards(board) == {"Ünïcödé": False, "T": False}

    def test_what_is_spoilt_is_found_and_replaced_where_it_is_accepted(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            board = tiu.projection("board")
            board.wait_for(finish(tiu))
            board._reads.query("UPDATE board_cards SET name = 'spoilt' WHERE done RETURNING name", {})
            (drift,) = board.verify().differences
            assert [(one.column, one.live, one.replayed) for one in drift.first] == [("name", "spoilt", "Ünïcödé")]
            assert drift.first[0].written is not None
            assert drift.first[0].written.topic == "task.added.v1"
            with pytest.raises(TablesDiffer):
                board.rebuild()
            assert board.rebuild(accept=True).swapped
            assert cards(board) == {"Ünïcödé": True, "T": False}
            tiu.execute(StartTask(task_id=SECOND))
            board.wait_for(9)
            assert board.verify().equal

    def test_an_operation_brings_its_own_sql(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            board = tiu.projection("board")
            board.wait_for(
                tiu.execute_all([CompleteProject(project_id=PROJECT), ArchiveProject(project_id=PROJECT)])[-1]
            )
            assert cards(board) == {"T": False}
            assert board.verify().equal
            assert board.rebuild().differences == ()

    def test_a_connection_without_a_projector_waits_for_anothers(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu, connect(backend.url, project=False, projections=[BOARD]) as other:
            begin(other)
            other.projection("board").wait_for(finish(other))
            assert cards(other.projection("board")) == cards(tiu.projection("board"))

    def test_a_forgotten_user_is_gone_from_it_and_from_its_rebuilds(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            tiu.execute(create_user(user_id=USER))
            board = tiu.projection("board")
            board.wait_for(1)
            assert board.query("SELECT name FROM board_members") == [{"name": "ada"}]
            board.wait_for(tiu.execute(ForgetUser(user_id=USER)))
            assert board.query("SELECT name FROM board_members") == []
            assert board.rebuild().swapped
            assert board.verify().equal

    def test_what_nobody_can_know_any_more_is_no_drift(self, backend: Backend) -> None:
        """Its tables have not come to the forgetting, and hold a name that the events cannot give."""
        with opened(backend, BOARD) as tiu:
            tiu.execute(create_user(user_id=USER))
            tiu.projection("board").wait_for(1)
        with connect(backend.url, project=False, projections=[BOARD]) as tiu:
            tiu.execute(ForgetUser(user_id=USER))
            report = tiu.projection("board").verify()
            assert (report.equal, report.forgotten) == (True, (USER,))
            assert tiu.projection("board").rebuild().swapped
            tiu.projection("board").catch_up()
            assert tiu.projection("board").verify().forgotten == ()

    def test_one_embedding_process_holds_one_connection_more_for_each(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Six, with ours: the projector of each waits on a connection of its own, and shares the pool."""
        most = most_connections(monkeypatch)
        with opened(postgresql, BOARD) as tiu, ThreadPoolExecutor(20) as threads:
            working = [threads.submit(tiu.execute, create_user(f"u{n}")) for n in range(200)]
            assert all(work.result() for work in working)
            tiu.projection("board").wait_for(200)
            assert tiu.projection("board").query("SELECT count(*) AS n FROM board_members") == [{"n": 200}]
        assert 3 <= most() <= 7


class TestParked:
    def test_what_cannot_be_projected_is_parked_with_its_project_and_ours_goes_on(self, backend: Backend) -> None:
        poisoned = raising(BOARD, TaskCompleted, lambda recorded: recorded.stream_id == TASK)
        with opened(backend, poisoned) as tiu:
            begin(tiu)
            position = finish(tiu)
            board = tiu.projection("board")
            with pytest.raises(EventParked):
                board.wait_for(position)
            tiu.wait_for(position)
            assert tiu.parked() == []
            (unit,) = board.parked()
            assert (unit.unit_id, unit.kind, unit.position, board.waiting(unit)) == (PROJECT, "project", position, 1)
            board.wait_for(finish(tiu, SECOND))
            assert cards(board) == {"Ünïcödé": False, "T": True}
            assert board.verify().left_out == (str(PROJECT),)
            assert board.rebuild().parked[0].unit_id == PROJECT
        with opened(backend, BOARD) as tiu:  # the same version, mended
            board = tiu.projection("board")
            assert board.retry_parked() == []
            assert cards(board) == {"Ünïcödé": True, "T": True}
            assert board.verify().equal
            assert board.rebuild().differences == ()

    def test_what_is_discarded_of_it_stays_in_ours(self, backend: Backend) -> None:
        poisoned = raising(BOARD, TaskCompleted, lambda recorded: recorded.stream_id == TASK)
        with opened(backend, poisoned) as tiu:
            begin(tiu)
            position = finish(tiu)
            board = tiu.projection("board")
            board.catch_up_to(position)
            answer = board.discard_parked(PROJECT, "made up")
            board.wait_for(answer)
            assert board.parked() == []
            assert cards(board)["Ünïcödé"] is False
            tiu.wait_for(answer)
            (task,) = tiu.read.tasks(PROJECT)
            assert task.status == "completed"
            assert (board.verify().equal, tiu.verify().equal) == (True, True)
            with tiu.as_of(position=answer.position) as then:  # made anew, of events alone
                assert [row.status for row in then.read.tasks(PROJECT)] == ["completed"]
            assert board.rebuild().differences == ()

    def test_what_refers_to_what_is_parked_waits_behind_it(self, backend: Backend) -> None:
        poisoned = raising(REFERRING, next(iter(REFERRING.handlers)), lambda recorded: True)
        with opened(backend, poisoned) as tiu:
            begin(tiu)
            board = tiu.projection("board")
            board.catch_up_to(5)
            assert {unit.unit_id: unit.behind for unit in board.parked()} == {USER: None, PROJECT: USER, OTHER: USER}
        with opened(backend, REFERRING) as tiu:
            board = tiu.projection("board")
            assert board.retry_parked() == []
            assert cards(board) == {"Ünïcödé": False, "T": False}
            assert board.verify().equal

    def test_one_that_does_not_park_stops_and_says_why(self, backend: Backend) -> None:
        with opened(backend, raising(STOPS, TaskCompleted, lambda recorded: True)) as tiu:
            begin(tiu)
            position = finish(tiu)
            with pytest.raises(ProjectionFailed, match=r"board stopped at position 8 \(task.completed.v1\)"):
                tiu.projection("board").wait_for(position)
            tiu.wait_for(position)
            assert tiu.projection("board").lag().position == 7


class TestVersions:
    def test_another_version_refuses_until_it_is_rebuilt(self, backend: Backend) -> None:
        with opened(backend, BOARD) as tiu:
            begin(tiu)
            tiu.projection("board").wait_for(5)
        newer = replace(BOARD, version=2)
        with opened(backend, newer) as tiu:
            board = tiu.projection("board")
            with pytest.raises(CheckpointRefused, match="made by version 1 of the projection, this is version 2"):
                board.wait_for(5)
            tiu.wait_for(5)
            assert board.rebuild().swapped
            tiu.execute(StartTask(task_id=TASK))
            board.wait_for(6)
            assert board.verify().equal


NO_EVENT: Any = {StartTask: lambda *_: ()}


@pytest.mark.parametrize(
    ("projections", "fault"),
    [
        ([replace(BOARD, name="read_model")], "read_model is no name of an own projection"),
        ([replace(BOARD, name="Board")], "'Board' is no name of a projection"),
        ([replace(BOARD, version=0)], "board: the version is a number from 1 on"),
        ([replace(BOARD, handlers=NO_EVENT)], "StartTask has a handler, and is no event"),
        ([replace(STOPS, tables=(CARDS, CARDS))], "board: the table board_cards is one of board already"),
        ([replace(STOPS, tables=(replace(CARDS, name="tasks"),))], "the table tasks is one of claude-tiu already"),
        ([BOARD, BOARD], "two projections have the name board"),
        ([BOARD, replace(STOPS, name="other")], "other: the table board_members is one of board already"),
        ([replace(STOPS, tables=())], "board has no tables"),
        ([replace(STOPS, tables=(replace(CARDS, key="name"),))], "the key of board_cards, name, is no column"),
        ([replace(STOPS, tables=(replace(CARDS, unique=(("nothing",),)),))], "board_cards has no column nothing"),
        ([replace(STOPS, tables=(replace(CARDS, parent="project_id"),))], "has a parent, and is not private"),
        ([replace(STOPS, tables=(Table("x; y", "id", {"id": Kind.UUID}),))], "'x; y' is no name of a table"),
    ],
)  # fmt: skip
def test_a_bad_definition_is_told_before_anything_is_opened(
    sqlite: Backend, projections: list[Projection], fault: str
) -> None:
    with pytest.raises(BadProjection, match=fault):
        connect(sqlite.url, projections=projections)


@pytest.mark.parametrize("change", [Insert("tasks", {"id": TASK}), Update("tasks", TASK, {"name": "x"})])
def test_a_handler_that_writes_a_table_that_is_not_its_own_stops_it(backend: Backend, change: Change) -> None:
    stray = replace(STOPS, handlers={TaskCompleted: lambda *_: [change]})
    with opened(backend, stray) as tiu:
        begin(tiu)
        with pytest.raises(ProjectionFailed, match="tasks is no table of board"):
            tiu.projection("board").wait_for(finish(tiu))


BAD_SQL = (
    "SELECT nothing FROM board_cards",
    "SELECT FROM WHERE",
    "SELECT * FROM nowhere",
    "SELECT :missing",
    "DELETE FROM board_cards",
    "DELETE FROM board_cards RETURNING name",
    "CREATE TABLE mine (id INTEGER)",
)


def test_what_is_no_question_is_refused(backend: Backend) -> None:
    with opened(backend, BOARD) as tiu:
        for sql in BAD_SQL:
            with pytest.raises(InvalidQuery, match="cannot be asked"):
                tiu.projection("board").query(sql)


def test_a_projection_that_was_not_brought_along_is_named(sqlite: Backend) -> None:
    with connect(sqlite.url, projections=[]) as tiu, pytest.raises(BadProjection, match="no projection 'board' here"):
        tiu.projection("board")


def test_the_roles_have_the_rights_on_its_tables_that_they_have_on_ours(postgresql: PostgreSQLBackend) -> None:
    migrate(postgresql, BOARD)
    apply_roles(postgresql.url, [BOARD])
    try:
        rights = (
            "SELECT tablename, tableowner, has_table_privilege('tiu_reader', tablename, 'SELECT'),"
            " has_table_privilege('tiu_auditor', tablename, 'SELECT') FROM pg_tables WHERE tablename IN (?, ?, ?, ?)"
            " ORDER BY tablename"
        )
        assert postgresql.on_reads(rights, "board_cards", "board_counts", "tasks", "task_state") == [
            ("board_cards", "tiu_projector", True, True),
            ("board_counts", "tiu_projector", False, True),
            ("task_state", "tiu_projector", False, True),
            ("tasks", "tiu_projector", True, True),
        ]
    finally:
        apply_roles(postgresql.url, drop=True)


@pytest.mark.parametrize("folder", ["postgresql/migrations", "sqlite/migrations/events", "sqlite/migrations/read"])
def test_no_table_of_ours_can_be_taken(folder: str) -> None:
    made = {
        name
        for one in migrations_in(folder)
        for name in re.findall(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", one.up, re.M)
    }
    assert made
    assert made - TABLES == set()


KNOWING = {
    "doctor.py": "tells of it, and then of the others",
    "forgotten.py": "knows what stands in for what is personal in its rows",
    "operations.py": "rolls its metrics up",
    "own.py": "says whose names are taken",
    "schemas.py": "says where its migrations are",
    "tiu.py": "opens its read side, and asks it where no other is named",
}
"""What knows the read model or its tables, and why; audits of projects, the demo and the command line apart."""
NAMING = {
    "postgresql/shadow.py",
    "sqlite/event_store.py",
    "sqlite/generations.py",
    "sqlite/read_store.py",
    "sqlite/schema.py",
    "sqlite/shadow.py",
}
"""What knows its name: the names of its files and of its schema leave it out, and it is meant where none is named."""


def test_what_keeps_tables_knows_no_projection_by_its_name() -> None:
    """Ours are written with nothing that a service's own could not use."""
    known = dict[str, set[str]]()
    for path in sorted(INFRASTRUCTURE.rglob("*.py")):
        name = str(path.relative_to(INFRASTRUCTURE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                ("projections.read_model", "projections.tables")
            ):
                known.setdefault(name, set()).update(alias.name for alias in node.names)
    elsewhere = {name: names for name, names in known.items() if not name.startswith(("audit/", "cli/", "demo/"))}
    assert elsewhere.keys() == KNOWING.keys() | NAMING
    assert [name for name in NAMING if known[name] != {"NAME"}] == []
    assert known.keys().isdisjoint({"audit/verify.py", "audit/writers.py", "audit/side_by_side.py"})
