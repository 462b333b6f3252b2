"""Events replayed into read tables of their own."""

from __future__ import annotations

import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from claude_tiu import connect
from claude_tiu.infrastructure.audit.replay import last_flushed, replay
from claude_tiu.infrastructure.errors import FileExists, ProjectionFailed, StoreUnavailable
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.queries import Queries
from claude_tiu.infrastructure.rebuild import RebuildProgress
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.every_table import PROJECT, tell_all
from tests.support.history import create_user
from tests.support.rebuilding import Stopped, catalogue
from tests.support.replaying import log_up_to, rows_in, stopped_at_each, tables_in
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend, append, event

REFUSED = r"not authorized|authorization denied|prohibited|may not be modified"


def test_replayed_tables_equal_the_live_ones(told: Backend, tmp_path: Path) -> None:
    events = told.events()
    with replay(log_up_to(events), tmp_path / "out.db") as replayed:
        assert (replayed.events, replayed.position) == (last_flushed(events),) * 2
        assert rows_in(replayed.reads) == told.rows(READ_MODEL)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_replayed_tables_at_every_position_equal_those_of_a_database_stopped_there(
    sqlite: SQLiteBackend, tmp_path: Path, every: int
) -> None:
    tell_all(sqlite)
    events = sqlite.events()
    for position in stopped_at_each(sqlite, sorted({*range(0, last_flushed(events), every), last_flushed(events)})):
        path = tmp_path / f"{position}.db"
        with replay(log_up_to(events, position), path, indexed=False) as replayed:
            assert replayed.position == position
            assert tables_in(path) == sqlite.tables(READ_MODEL), f"at position {position}"


def test_the_size_of_batches_makes_no_difference(told: Backend, tmp_path: Path) -> None:
    log = log_up_to(told.events())
    whole, small = tmp_path / "whole.db", tmp_path / "small.db"
    with replay(log, whole), replay(log, small, batch_size=2):
        assert tables_in(whole) == tables_in(small)


def test_the_file_has_the_form_of_live_tables(sqlite_told: SQLiteBackend, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    replay(log_up_to(sqlite_told.events()), path).close()
    assert _catalogue(path) == catalogue(sqlite_told)


def _catalogue(path: Path) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def test_typed_queries_and_search_answer_as_on_the_live_tables(told: Backend, tmp_path: Path) -> None:
    with replay(log_up_to(told.events()), tmp_path / "out.db") as replayed:
        then, live = Queries(replayed.reads), Queries(told.reads())
        assert then.projects() == live.projects()
        assert then.reports(PROJECT) == live.reports(PROJECT) != []
        assert then.search_projects("billing") == live.search_projects("billing") != []
        assert then.search_files("parse") == live.search_files("parse") != []


def test_without_indexes_the_rows_are_the_same(told: Backend, tmp_path: Path) -> None:
    log = log_up_to(told.events())
    bare, whole = tmp_path / "bare.db", tmp_path / "whole.db"
    with replay(log, bare, indexed=False), replay(log, whole):
        assert tables_in(bare) == tables_in(whole)
        names = {name for kind, name, *_ in _catalogue(bare) if kind in ("index", "trigger")}
        assert names == {"staged_issues_run_id"}


def test_nothing_is_replayed_of_an_empty_log(events: EventStore, tmp_path: Path) -> None:
    with replay(log_up_to(events), tmp_path / "out.db") as replayed:
        assert (replayed.events, replayed.position) == (0, 0)
        assert not any(rows_in(replayed.reads).values())


def test_the_file_is_one_and_its_owners_alone(events: EventStore, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with replay(log_up_to(events), folder / "out.db") as replayed:
        rows_in(replayed.reads)
        assert [path.name for path in folder.iterdir()] == ["out.db"]
        assert stat.S_IMODE(replayed.path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_overwritten(events: EventStore, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    path.write_text("mine")
    with pytest.raises(FileExists, match=re.escape(f"{path} is there already: nothing is overwritten")):
        replay(log_up_to(events), path)
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(events: EventStore, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot make .*: No such file or directory"):
        replay(log_up_to(events), tmp_path / "no folder" / "out.db")


def test_an_event_that_cannot_be_projected_is_told_and_leaves_no_file(events: EventStore, tmp_path: Path) -> None:
    append(events, event(topic="project.created.v1", state=b"{}"))
    with pytest.raises(ProjectionFailed, match=r"position 1 \(project.created.v1\)"):
        replay(log_up_to(events), tmp_path / "out.db")
    assert not list(tmp_path.glob("out*"))


def test_progress_is_told_and_what_it_raises_leaves_no_file(told: Backend, tmp_path: Path) -> None:
    log, steps = log_up_to(told.events()), list[RebuildProgress]()
    with replay(log, tmp_path / "out.db", batch_size=50, tell=steps.append):
        loading = [step for step in steps if step.step == "loading"]
        assert loading[0] == RebuildProgress("loading", 50, log.end)
        assert loading[-1] == RebuildProgress("loading", log.end, log.end)
        assert steps[-1].step == "indexing"

    def stop(_: RebuildProgress) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        replay(log, tmp_path / "stopped.db", tell=stop)
    assert not list(tmp_path.glob("stopped*"))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM projects",
        "CREATE TABLE mine (id)",
        "CREATE TEMP TABLE mine (id)",
        "ATTACH DATABASE '{folder}/other.db' AS other",
        "VACUUM INTO '{folder}/other.db'",
        "VACUUM",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = WAL",
        "BEGIN",
        "SAVEPOINT mine",
        "SELECT load_extension('{folder}/other.so')",
        "UPDATE sqlite_master SET sql = ''",
        "INSERT INTO idx_projects_search (idx_projects_search) VALUES ('rebuild')",
    ],
)
def test_what_was_replayed_is_only_read(statement: str, sqlite: SQLiteBackend, tmp_path: Path) -> None:
    folder = tmp_path / "only"
    folder.mkdir()
    with replay(log_up_to(sqlite.events()), folder / "out.db") as replayed:
        before = replayed.path.read_bytes()
        with pytest.raises(StoreUnavailable, match=REFUSED):
            replayed.reads.query(statement.format(folder=folder), {})
        assert replayed.path.read_bytes() == before
        assert [path.name for path in folder.iterdir()] == ["out.db"]


def test_a_replay_goes_on_beside_writers(postgresql_told: PostgreSQLBackend, tmp_path: Path) -> None:
    """Events that come meanwhile are not of it."""
    with connect(postgresql_told.url, project=False) as tiu:
        log = log_up_to(tiu.events)

        def write(_: RebuildProgress) -> None:
            tiu.execute(create_user(f"user{last_flushed(tiu.events)}"))

        with replay(log, tmp_path / "out.db", batch_size=40, tell=write) as replayed:
            assert replayed.position == log.end < last_flushed(tiu.events)
