"""What a rebuild on SQLite does to files, and to those who have them open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from claude_tiu import AddTask, RebuildRefused, connect
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import PROJECT, USER, store_history
from tests.support.rebuilding import Stopped, rebuild, stops_at, traces
from tests.support.stores import VERSIONS, SQLiteBackend


@pytest.fixture
def projected(sqlite: SQLiteBackend) -> SQLiteBackend:
    store_history(sqlite.events())
    Projector(sqlite.events(), sqlite.reads(), READ_MODEL).catch_up()
    return sqlite


def files(backend: SQLiteBackend) -> set[str]:
    names = {path.name for path in backend.path.parent.iterdir()}
    return {name for name in names if not name.endswith(("-wal", "-shm"))}


def test_the_tables_are_in_the_file_of_the_next_generation(projected: SQLiteBackend) -> None:
    projected.close()
    for number in (2, 3, 4):
        rebuild(projected)
        assert files(projected) == {"tiu.db", f"tiu.read-{number}.db"}
        assert projected.read_path.name == f"tiu.read-{number}.db"
        assert projected.read_path.stat().st_mode & 0o777 == 0o600


def test_what_a_rebuild_leaves_is_one_file_beside(projected: SQLiteBackend) -> None:
    with pytest.raises(Stopped):
        rebuild(projected, tell=stops_at(2), batch_size=9)
    assert files(projected) == {"tiu.db", "tiu.read-1.db", "tiu.read-2.db"}
    assert rebuild(projected).resumed_at == 18
    assert traces(projected) == []


def test_a_file_that_a_crash_has_left_goes(projected: SQLiteBackend) -> None:
    rebuild(projected)
    left = projected.path.with_name("tiu.read-1.db")
    left.touch()
    rebuild(projected)
    assert not left.exists()


def test_who_reads_the_old_file_goes_on(projected: SQLiteBackend) -> None:
    with closing(sqlite3.connect(projected.read_path)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM tasks").fetchone()
        old = projected.read_path
        rebuild(projected)
        assert not old.exists()
        assert reader.execute("SELECT count(*) FROM tasks").fetchone() == before
        assert reader.execute("SELECT name FROM projects").fetchall() == [("Billing",)]


def test_a_writer_of_the_old_file_is_not_lost(projected: SQLiteBackend) -> None:
    """A projector that had the old file open writes what comes to the new one."""
    reads = projected.reads()
    live = Projector(projected.events(), reads, READ_MODEL)
    assert live.step() == 0
    rebuild(projected)
    with connect(projected.url, project=False) as tiu:
        tiu.execute(AddTask(project_id=PROJECT, name="Later"))
    while live.step():
        pass
    assert ("Later",) in projected.on_reads("SELECT name FROM tasks")


def test_the_search_finds_the_same(projected: SQLiteBackend) -> None:
    with connect(projected.url, project=False) as tiu:
        before = tiu.read.search_projects("billing", user_id=USER)
        rebuild(projected)
        assert tiu.read.search_projects("billing", user_id=USER) == before != []
    check = "INSERT INTO {} ({}, rank) VALUES ('integrity-check', 1)"
    for table in ("idx_projects_search", "idx_project_files_content_search"):
        projected.on_reads(check.format(table, table))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE TABLE theirs (id TEXT)", "table theirs"),
        ("CREATE VIEW report AS SELECT name FROM projects", "view report"),
        ("CREATE TRIGGER mine AFTER INSERT ON tasks BEGIN SELECT 1; END", "trigger mine"),
    ],
)
def test_what_a_rebuild_would_lose_is_named(projected: SQLiteBackend, made: str, told: str) -> None:
    projected.on_reads(made)
    with pytest.raises(RebuildRefused, match=told):
        rebuild(projected)
    assert files(projected) == {"tiu.db", "tiu.read-1.db"}


def test_migrations_are_recorded_as_they_were(projected: SQLiteBackend) -> None:
    projected.on_reads("UPDATE schema_migrations SET applied_at = '2026-01-01T00:00:00.000000Z'")
    projected.on_reads("UPDATE migration_rollbacks SET rollback_sql = rollback_sql || '-- as it was'")
    recorded = "SELECT m.*, r.* FROM schema_migrations m JOIN migration_rollbacks r USING (version)"
    before = projected.on_reads(recorded)
    rebuild(projected)
    assert projected.on_reads(recorded) == before
    where = database(projected.url, Settings())
    assert migrations.up(where) == []
    assert migrations.down(where, to="011") == [*reversed(VERSIONS[11:])]
    assert migrations.up(where) == VERSIONS[11:]


def test_the_file_is_whole_and_its_references_are(projected: SQLiteBackend) -> None:
    rebuild(projected)
    assert projected.on_reads("PRAGMA integrity_check") == [("ok",)]
    assert projected.on_reads("PRAGMA foreign_key_check") == []
    assert projected.on_reads("PRAGMA journal_mode") == [("wal",)]


def test_a_rebuilding_file_that_is_damaged_is_made_anew(projected: SQLiteBackend, tmp_path: Path) -> None:
    (tmp_path / "tiu.read-2.db").touch()
    assert rebuild(projected).resumed_at is None
    assert traces(projected) == []
