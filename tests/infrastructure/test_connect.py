"""connect(): what it makes, what it refuses and how it says so, and how many connections it takes."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from claude_tiu import (
    BadSettings,
    ConnectionClosed,
    MigrationChanged,
    NotFound,
    NotMigrated,
    SchemaTooNew,
    StoreUnavailable,
    Tiu,
    TiuError,
    WaitTimeout,
    connect,
)
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.migration import Migration, migrations_in
from claude_tiu.infrastructure.settings import Settings, database, load_settings, sqlite_url
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.infrastructure.sqlite.schema import SQLiteFile
from tests.support.candidates import until
from tests.support.connected import most_connections
from tests.support.history import create_user
from tests.support.patience import PATIENCE
from tests.support.stores import VERSIONS, Backend, PostgreSQLBackend, SQLiteBackend, append, event

SECRET = "hunter2"  # noqa: S105 - of nobody


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of this machine's environment nothing counts."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def use(tiu: Tiu) -> None:
    answer = tiu.execute(create_user())
    tiu.wait_for(answer.position, PATIENCE)
    assert tiu.get(answer.id).role == "developer"
    assert tiu.read.user_id("ada") == answer.id


class TestSQLite:
    def test_an_absent_file_is_made_and_migrated(self, tmp_path: Path) -> None:
        path = tmp_path / "new.db"
        with connect(sqlite_url(path)) as tiu:
            use(tiu)
            assert tiu.database == sqlite_url(path)
        assert path.stat().st_mode & 0o077 == 0  # its owner's alone
        with connect(sqlite_url(path)) as tiu:
            assert tiu.read.user_id("ada") is not None

    def test_an_empty_file_is_migrated(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.db"
        path.touch()
        with connect(sqlite_url(path)) as tiu:
            use(tiu)

    def test_by_default_sqlite_path_is_made_with_its_folders(self, tmp_path: Path, monkeypatch: Any) -> None:
        with connect() as tiu:
            use(tiu)
        assert (tmp_path / "data" / "claude_tiu.db").exists()
        monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "a" / "b" / "c.db"))
        connect().close()
        assert (tmp_path / "a" / "b" / "c.db").exists()

    def test_strange_paths_are_paths(self, tmp_path: Path) -> None:
        for name in ("with space.db", "100%.db", "ünï?#.db", "no_suffix"):
            with connect(sqlite_url(tmp_path / name)) as tiu:
                use(tiu)
            assert (tmp_path / name).exists()

    def test_somebody_elses_database_is_not_touched(self, tmp_path: Path) -> None:
        path = tmp_path / "songs.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE songs (title TEXT)")
        with pytest.raises(TiuError):
            connect(sqlite_url(path))
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
        assert not read_path(path, 1).exists()

    def test_lost_read_tables_are_told_of(self, sqlite: SQLiteBackend) -> None:
        append(sqlite.events(), event())
        read_path(sqlite.path, 1).unlink()
        with pytest.raises(NotMigrated, match="tiu migrate up"):
            connect(sqlite.url)

    @pytest.mark.parametrize("connecting", [True, False], ids=["connect", "migrate up"])
    def test_many_at_once_make_it_once(self, tmp_path: Path, *, connecting: bool) -> None:
        for number in range(3):
            url = sqlite_url(tmp_path / f"{number}.db")

            def make(delay: float, url: str = url) -> None:
                time.sleep(delay)
                connect(url, project=False).close() if connecting else migrations.migrate_up(url)

            at_once(*[lambda n=n: make(n * 0.005) for n in range(8)])
            with connect(url) as tiu:
                use(tiu)

    def test_one_that_is_being_made_by_another_is_waited_for(self, tmp_path: Path, monkeypatch: Any) -> None:
        """The other is between two of its transactions."""
        url, up, underway = sqlite_url(tmp_path / "new.db"), SQLiteFile.up, threading.Event()

        def slow(target: Any, migration: Any) -> bool:
            done = up(target, migration)
            underway.set()
            time.sleep(0.05)
            return done

        def make() -> None:
            connect(url, project=False).close()

        def after() -> None:
            assert underway.wait(PATIENCE)
            make()

        monkeypatch.setattr(SQLiteFile, "up", slow)
        at_once(make, after)


def at_once(*works: Callable[[], Any]) -> None:
    errors: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class TestAURLThatLeadsNowhere:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "app.db",
            "mysql://u:hunter2@host/db",
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite://host/app.db",
            "sqlite:///app.db?mode=ro",
            "sqlite:///a%00b.db",
            "postgresql:",
            "postgresql://[::1",
            "postgresql://u:hun ter2@host/db",
            "postgresql://u:hunter2%zz@host/db",
            "postgresql://host/db?nonsense=hunter2",
        ],
    )
    def test_because_it_is_none_is_bad_settings(self, url: str) -> None:
        with pytest.raises((BadSettings, StoreUnavailable)) as caught:
            connect(url)
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)
        assert "ter2" not in str(caught.value)

    @pytest.mark.parametrize("url", ["postgresql://u:hun/ter2@localhost/db", "postgresql://u:hun@ter2@localhost/db"])
    def test_because_its_password_is_not_quoted_does_not_show_it(self, url: str) -> None:
        with pytest.raises(TiuError) as caught:
            connect(url)
        assert "ter2" not in f"{caught.value} {caught.value.as_json()}"

    def test_a_missing_folder_is_named_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match="missing"):
            connect(sqlite_url(tmp_path / "missing" / "app.db"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["x" * 300, "file/app.db", "folder", "not_a_database", "truncated"])
    def test_a_path_that_is_no_database_is_named(self, tmp_path: Path, name: str, sqlite: SQLiteBackend) -> None:
        (tmp_path / "file").write_text("text")
        (tmp_path / "folder").mkdir()
        (tmp_path / "not_a_database").write_text("These are the voyages. " * 100)
        (tmp_path / "truncated").write_bytes(sqlite.path.read_bytes()[:3000])
        with pytest.raises(StoreUnavailable, match=name[:50]) as caught:
            connect(sqlite_url(tmp_path / name))
        assert "\n" not in str(caught.value)
        assert (tmp_path / "not_a_database").read_text().startswith("These are")

    @pytest.mark.parametrize("name", ["file/deeper/app.db", "file/app.db"])
    def test_a_default_path_that_cannot_be_made_is_named(self, tmp_path: Path, monkeypatch: Any, name: str) -> None:
        (tmp_path / "file").write_text("text")
        monkeypatch.setenv("SQLITE_PATH", name)
        with pytest.raises(StoreUnavailable, match="file"):
            connect()

    @pytest.mark.parametrize("closed", ["file", "folder"])
    def test_a_path_that_may_not_be_read_is_named(self, sqlite: SQLiteBackend, tmp_path: Path, closed: str) -> None:
        """In a process of its own, that gives up being root if it is."""
        if not hasattr(os, "geteuid"):
            pytest.skip("no users here")
        folder = tmp_path / "closed"
        folder.mkdir()
        path = folder / "app.db"
        path.write_bytes(sqlite.path.read_bytes())
        (path if closed == "file" else folder).chmod(0)
        program = (
            "import os, sys\n"
            "from claude_tiu import StoreUnavailable, connect\n"
            "os.chdir(sys.argv[1])\n"
            "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
            "try: connect('sqlite:///app.db' if len(sys.argv) < 3 else sys.argv[2])\n"
            "except StoreUnavailable as error: assert 'app.db' in str(error); sys.exit(7)\n"
        )
        # From inside the folder, its parents (a test's own, closed to others) do not matter.
        where = [str(folder)] if closed == "file" else [str(tmp_path), "sqlite:///closed/app.db"]
        try:
            done = subprocess.run([sys.executable, "-c", program, *where], capture_output=True, text=True, check=False)
        finally:
            folder.chmod(0o700)
        assert done.returncode == 7, done.stderr

    @pytest.mark.parametrize("place", ["port", "socket", "host"])
    def test_a_postgresql_that_is_not_there_is_named_without_its_password(self, tmp_path: Path, place: str) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # and does not listen
            urls = {
                "port": f"postgresql://me:{SECRET}@127.0.0.1:{held.getsockname()[1]}/app",
                "socket": f"postgresql://me:{SECRET}@/app?host={tmp_path}",
                "host": f"postgresql://me:{SECRET}@no-such-host.invalid/app",
            }
            with pytest.raises(StoreUnavailable, match=r"postgresql://me@.*app") as caught:
                connect(urls[place])
        assert SECRET not in f"{caught.value} {caught.value.as_json()}"
        assert "\n" not in str(caught.value)

    def test_a_database_that_is_not_there_is_named(self, pg_url: str) -> None:
        missing = pg_url.replace("/tiu_", f"/{uuid4().hex}_")
        with pytest.raises(StoreUnavailable, match="does not exist"):
            connect(missing)


class TestPostgreSQL:
    def test_a_migrated_one_is_used(self, pg_url: str) -> None:
        with connect(pg_url) as tiu:
            use(tiu)

    def test_one_that_is_not_migrated_is_refused_with_what_to_run(self, pg_empty: str) -> None:
        with pytest.raises(NotMigrated, match="is not migrated: run `tiu migrate up --db postgresql://"):
            connect(pg_empty)
        migrations.migrate_up(pg_empty)
        with connect(pg_empty) as tiu:
            use(tiu)

    def test_db_host_names_it(self, pg_url: str, monkeypatch: Any) -> None:
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(pg_url)
        for name, part in (("DB_HOST", "host"), ("DB_PORT", "port"), ("DB_NAME", "dbname"), ("DB_USER", "user")):
            if part in parts:
                monkeypatch.setenv(name, str(parts[part]))
        monkeypatch.setenv("DB_PASSWORD", str(parts.get("password", SECRET)))
        with connect() as tiu:
            use(tiu)
            assert SECRET not in tiu.database
        with connect(sqlite_url(Path("given.db"))) as tiu:  # a URL comes before the settings
            assert tiu.database.startswith("sqlite:///")

    def test_one_process_holds_six_connections_at_most(
        self, postgresql: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        most = most_connections(monkeypatch)
        with connect(postgresql.url) as tiu:
            at_once(*[lambda n=n: [tiu.execute(create_user(f"u{n}-{i}")) for i in range(5)] for n in range(32)])
            tiu.wait_for(160, PATIENCE)
        assert 2 <= most() <= 6


class TestMigrations:
    def test_are_applied_once(self, backend: Backend) -> None:
        assert migrations.migrate_up(backend.url) == []
        where = database(backend.url, load_settings())
        steps = migrations.status(where)
        assert [step.version for step in steps] == VERSIONS
        assert all(step.applied_at and step.known for step in steps)

    def test_are_recorded_with_their_rollback(self, backend: Backend) -> None:
        rows = backend.on_events("SELECT version, rollback_sql FROM migration_rollbacks ORDER BY version")
        if isinstance(backend, SQLiteBackend):
            rows += backend.on_reads("SELECT version, rollback_sql FROM migration_rollbacks ORDER BY version")
        assert sorted(version for version, _ in rows) == VERSIONS
        assert "events" not in "".join(f"{sql}" for _, sql in rows if "DROP TABLE events" in sql)

    def test_of_newer_code_are_refused(self, backend: Backend) -> None:
        columns = "version, applied_at, description, checksum"
        backend.on_events(f"INSERT INTO schema_migrations ({columns}) VALUES ('999', '2026-03-01', 'later', 'x')")
        for use_it in (connect, migrations.migrate_up):
            with pytest.raises(SchemaTooNew, match=r"newer code .*999.*upgrade"):
                use_it(backend.url)

    @pytest.mark.parametrize("version", ["001", "004"])
    def test_that_were_edited_are_noticed(self, backend: Backend, version: str) -> None:
        for where in (backend.on_events, backend.on_reads):
            where("UPDATE schema_migrations SET checksum = 'other' WHERE version = ?", version)
        for use_it in (connect, migrations.migrate_up):
            with pytest.raises(MigrationChanged, match=version):
                use_it(backend.url)

    def test_that_lack_are_named(self, backend: Backend) -> None:
        append(backend.events(), event())
        for where in (backend.on_events, backend.on_reads):
            where("DELETE FROM schema_migrations WHERE version = '006'")
        with pytest.raises(NotMigrated, match=r"lacks migration 006: run `tiu migrate up --db "):
            connect(backend.url)

    def test_that_fail_leave_nothing(self, pg_empty: str, tmp_path: Path, monkeypatch: Any) -> None:
        good = migrations_in

        def with_bad(folder: str) -> Any:
            return [
                *good(folder),
                Migration("777", "bad", "CREATE TABLE half (a INT);\nSELECT nonsense;", ""),
            ]

        for url in (pg_empty, sqlite_url(tmp_path / "bad.db")):
            monkeypatch.setattr(migrations, "migrations_in", with_bad)
            with pytest.raises(Exception, match="nonsense"):
                migrations.migrate_up(url)
            monkeypatch.setattr(migrations, "migrations_in", good)
            migrations.migrate_up(url)
            with connect(url) as tiu:
                use(tiu)

    def test_at_once_do_no_harm_to_postgresql(self, pg_empty: str) -> None:
        done: list[list[str]] = []
        at_once(*[lambda: done.append(migrations.migrate_up(pg_empty)) for _ in range(4)])
        assert sorted(version for part in done for version in part) == VERSIONS
        with connect(pg_empty) as tiu:
            use(tiu)


class TestWithoutAProjector:
    def test_waiting_times_out_clearly(self, backend: Backend) -> None:
        with connect(backend.url, project=False) as tiu:
            answer = tiu.execute(create_user())
            assert tiu.lag().behind == 1
            with pytest.raises(WaitTimeout, match=r"position 0, not at 1.*running"):
                tiu.wait_for(answer.position, 0.1)
            assert tiu.get(answer.id).role == "developer"
            assert tiu.read.user_id("ada") is None

    def test_another_connections_is_waited_for(self, backend: Backend) -> None:
        with connect(backend.url, project=False) as tiu, connect(backend.url):
            tiu.wait_for(tiu.execute(create_user()).position, PATIENCE)
            assert tiu.read.user_id("ada") is not None


class TestAConnection:
    def test_rebuilds_while_it_projects(self, backend: Backend) -> None:
        with connect(backend.url) as tiu:
            use(tiu)
            tiu.rebuild()
            tiu.wait_for(1, PATIENCE)
            assert tiu.read.user_id("ada") is not None

    def test_tells_of_an_unknown_id(self, backend: Backend) -> None:
        with connect(backend.url) as tiu, pytest.raises(NotFound):
            tiu.get(uuid4())

    def test_closes_twice_and_then_is_unavailable(self, backend: Backend) -> None:
        tiu = connect(backend.url)
        tiu.close()
        tiu.close()
        with pytest.raises(ConnectionClosed):
            tiu.execute(create_user())

    def test_leaves_no_thread_behind(self, backend: Backend) -> None:
        before = set(threading.enumerate())
        with connect(backend.url) as tiu:
            use(tiu)
        until(lambda: set(threading.enumerate()) <= before)


class TestSettings:
    def test_that_are_bad_are_all_named_and_none_is_repeated(self, monkeypatch: Any) -> None:
        for name, value in {"DB_PORT": "hunter2", "POOL_SIZE": "hunter2", "SQLITE_TIMEOUT": "hunter2"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BadSettings) as caught:
            connect()
        assert "DB_PORT" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_password_is_never_shown(self, monkeypatch: Any) -> None:
        for name, value in {"DB_HOST": "db", "DB_PASSWORD": SECRET}.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        where = database(None, settings)
        assert SECRET not in f"{settings!r} {where}"
        assert SECRET in where.url
        assert SECRET not in repr(where)
