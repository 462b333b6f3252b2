"""`tiu doctor`: it names what is wrong, goes on past it, tells no secret, and leaves everything as it was."""

from __future__ import annotations

import socket
import sqlite3
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from claude_tiu import connect
from claude_tiu.infrastructure import doctor
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.read_model import READ_MODEL
from tests.cli.running import contents, done, folder, tiu
from tests.support.history import create_user
from tests.support.patience import PATIENCE
from tests.support.postgres_server import database_url
from tests.support.rebuilding import Stopped, rebuild, stops_at
from tests.support.stores import VERSIONS, Backend, SQLiteBackend

SECRET = "hunter2"  # noqa: S105 - of nobody
MASTER_KEY = b64encode(bytes(range(32))).decode()
SEALING_KEY = b64encode(bytes(range(32, 64))).decode()
NOT_CHECKED = {"ok": None, "problem": "not checked: the database was not reached"}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MOVING_SECONDS", 0.2)
    monkeypatch.setattr(doctor, "LOOK_SECONDS", 0.01)


def well(*arguments: object) -> dict[str, Any]:
    """Return the report of a doctor who finds nothing wrong."""
    found: dict[str, Any] = done("doctor", *arguments, "--json").json
    assert found["ok"] is True
    return found


def ill(*arguments: object) -> dict[str, Any]:
    """Return the report of a doctor who finds something wrong."""
    ran = tiu("doctor", *arguments, "--json")
    assert (ran.status, ran.err) == (1, "")
    assert "Traceback" not in ran.out
    assert ran.json["ok"] is False
    found: dict[str, Any] = ran.json
    return found


def verdicts(report: dict[str, Any]) -> list[bool | None]:
    return [report[check]["ok"] for check in ("settings", "database", "migrations", "lag")]


class TestAllIsWell:
    def test_json_says_what_was_found(self, shared: Backend) -> None:
        before = contents(shared)
        report = well("--db", shared.url)

        checks = ["settings", "database", "migrations", "lag", "rebuild", "subscriptions", "projections"]
        assert list(report) == ["ok", "db", *checks]
        assert verdicts(report) == [True] * 4
        assert report["settings"]["named_by"] == "--db"
        assert report["migrations"]["applied"] == VERSIONS
        assert report["database"]["kind"] == shared.name
        last = report["lag"]["last_position"]
        assert report["lag"] == {
            "ok": True,
            "problem": None,
            "projection": "read_model",
            "position": last,
            "last_position": last,
            "behind": 0,
            "refused": None,
            "parked": 0,
            "parked_since": None,
            "active": None,
        }
        assert last == shared.on_events("SELECT max(position) FROM events")[0][0]
        assert contents(shared) == before

    def test_of_sqlite_it_tells_the_version_and_both_files(self, sqlite: SQLiteBackend) -> None:
        found = well("--db", sqlite.url)["database"]

        wal = {"journal_mode": "wal", "encoding": "UTF-8"}
        assert found["version"] == sqlite3.sqlite_version
        assert found["facts"] == {
            "events": {"path": str(sqlite.path), **wal},
            "read": {"path": str(read_path(sqlite.path, 1)), **wal},
        }

    def test_of_postgresql_it_tells_the_version_and_what_is_installed(self, pg_url: str) -> None:
        found = well("--db", pg_url)["database"]

        with psycopg.connect(pg_url) as connection:
            assert connection.execute("SHOW server_version").fetchall() == [(found["version"],)]
        assert found["facts"] == {"encoding": "UTF8", "schema": "public", "pg_stat_statements": None}

    def test_people_are_shown_tables(self, shared: Backend) -> None:
        ran = done("doctor", "--db", shared.url)

        assert [
            row.split()[:2] for row in ran.out.splitlines() if row.startswith(("settings ", "database ", "lag "))
        ] == [
            ["settings", "yes"],
            ["database", "yes"],
            ["lag", "yes"],
        ]
        assert f"{len(VERSIONS)} applied" in ran.out
        assert "0 behind" in ran.out
        assert all(len(line.rstrip()) <= 80 for line in ran.lines)


class TestSettings:
    def test_it_says_which_come_from_the_environment(
        self, sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SQLITE_PATH", str(sqlite.path))
        monkeypatch.setenv("DB_PASSWORD", SECRET)
        monkeypatch.setenv("POOL_SIZE", "3")
        report = well()

        values = {one["name"]: (one["value"], one["source"]) for one in report["settings"]["values"]}
        assert report["settings"]["named_by"] == "SQLITE_PATH"
        assert report["db"] == sqlite.url
        assert values == {
            "DB_HOST": (None, "default"),
            "DB_PORT": (5432, "default"),
            "DB_NAME": ("claude_tiu", "default"),
            "DB_USER": ("claude_tiu", "default"),
            "DB_PASSWORD": ("set", "environment"),
            "SQLITE_PATH": (str(sqlite.path), "environment"),
            "MASTER_KEY": ("not set", "default"),
            "SEALING_KEY": ("not set", "default"),
            "PROJECTIONS": (None, "default"),
            "PROJECTOR_ON_POISON": ("park", "default"),
            "PROJECTOR_LEASE_SECONDS": (10.0, "default"),
            "SQLITE_TIMEOUT": (20.0, "default"),
            "POOL_SIZE": (3, "environment"),
            "POOL_TIMEOUT": (30.0, "default"),
            "POOL_RECYCLE": (3600.0, "default"),
        }

    @pytest.mark.parametrize("form", [(), ("--json",)])
    def test_secrets_are_never_printed(
        self, monkeypatch: pytest.MonkeyPatch, closed_port: int, form: tuple[str, ...]
    ) -> None:
        url = f"postgresql://ada:{SECRET}@127.0.0.1:{closed_port}/x?sslpassword={SECRET}"
        named = tiu("doctor", "--db", url, *form)
        monkeypatch.setenv("DB_HOST", "127.0.0.1")
        monkeypatch.setenv("DB_PORT", str(closed_port))
        unset = tiu("doctor", *form)
        monkeypatch.setenv("DB_PASSWORD", SECRET)
        monkeypatch.setenv("MASTER_KEY", MASTER_KEY)
        monkeypatch.setenv("SEALING_KEY", SEALING_KEY)
        by_settings = tiu("doctor", *form)
        monkeypatch.setenv("MASTER_KEY", SECRET)
        bad = tiu("doctor", *form)

        assert "MASTER_KEY: " in bad.out
        for ran in (named, unset, by_settings, bad):
            assert ran.status == 1
            assert SECRET not in ran.out + ran.err
            assert MASTER_KEY not in ran.out + ran.err
            assert SEALING_KEY not in ran.out + ran.err
            assert f"127.0.0.1:{closed_port}" in ran.out
        assert "not set" in unset.out
        assert "not set" not in by_settings.out

    def test_a_bad_one_is_named_and_the_rest_is_checked(
        self, sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POOL_SIZE", SECRET)
        monkeypatch.setenv("SQLITE_PATH", str(sqlite.path))
        report = ill()

        assert verdicts(report) == [False, True, True, True]
        assert "POOL_SIZE" in report["settings"]["problem"]
        assert SECRET not in str(report)
        (bad,) = (one for one in report["settings"]["values"] if one["name"] == "POOL_SIZE")
        assert bad == {"name": "POOL_SIZE", "value": None, "source": "environment"}

    def test_a_bad_one_that_names_the_database_leads_to_no_other(
        self, sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch, here: Path
    ) -> None:
        monkeypatch.setenv("DB_PORT", "70000")
        report = ill()

        assert verdicts(report) == [False, None, None, None]
        assert report["db"] is None
        assert verdicts(ill("--db", sqlite.url)) == [False, True, True, True]
        assert folder(here) == {}

    @pytest.mark.parametrize(
        "url", ["", "mysql://ada:hunter2@x/y", "postgresql://ada:hunter2@[bad/x", "sqlite:///a%00b"]
    )
    def test_a_url_that_cannot_be_read(self, here: Path, url: str) -> None:
        report = ill("--db", url)

        assert verdicts(report) == [False, None, None, None]
        assert SECRET not in str(report)
        assert folder(here) == {}


class TestTheDatabase:
    def test_a_port_that_nothing_listens_on(self, closed_port: int) -> None:
        report = ill("--db", f"postgresql://ada@127.0.0.1:{closed_port}/x")

        assert verdicts(report) == [True, False, None, None]
        assert "refused" in report["database"]["problem"]
        assert NOT_CHECKED.items() <= report["migrations"].items()
        assert NOT_CHECKED.items() <= report["lag"].items()

    @pytest.mark.parametrize("url", ["sqlite:///tiu.db", "sqlite:///missing/tiu.db", "sqlite:///" + "x" * 300])
    def test_a_file_that_is_not_there_is_not_made(self, here: Path, url: str) -> None:
        report = ill("--db", url)

        assert verdicts(report) == [True, False, None, None]
        assert folder(here) == {}

    def test_the_settings_folder_is_not_made_either(self, here: Path) -> None:
        report = ill()

        assert "tiu migrate up" in report["database"]["problem"]
        assert folder(here) == {}

    def test_a_file_that_is_no_database(self, here: Path) -> None:
        (here / "notes.txt").write_bytes(b"these are my notes\n" * 100)
        before = folder(here)
        report = ill("--db", "sqlite:///notes.txt")

        assert verdicts(report) == [True, False, None, None]
        assert "notes.txt" in report["database"]["problem"]
        assert folder(here) == before

    def test_a_lost_file_of_read_tables(self, sqlite: SQLiteBackend) -> None:
        read_path(sqlite.path, 1).unlink()
        report = ill("--db", sqlite.url)

        assert verdicts(report) == [True, False, False, None]
        assert "tiu.read-1.db" in report["database"]["problem"]
        assert report["migrations"]["applied"] == ["001", "013", "015"]
        assert report["migrations"]["missing"] == [*VERSIONS[1:12], "014"]
        assert not read_path(sqlite.path, 1).exists()

    def test_a_file_without_a_write_ahead_log(self, sqlite: SQLiteBackend) -> None:
        sqlite.on_reads("PRAGMA journal_mode = DELETE")
        report = ill("--db", sqlite.url)

        assert verdicts(report) == [True, False, True, True]
        assert "tiu.read-1.db: its journal mode is delete" in report["database"]["problem"]

    def test_a_database_that_is_not_in_utf8(self, pg_server: str) -> None:
        name = f"tiu_ascii_{uuid4().hex[:12]}"
        with psycopg.connect(pg_server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'".encode())
            try:
                report = ill("--db", database_url(pg_server, name))
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

        assert verdicts(report) == [True, False, False, None]
        assert "SQL_ASCII" in report["database"]["problem"]


class TestMigrations:
    def test_an_empty_database(self, pg_empty: str) -> None:
        report = ill("--db", pg_empty)

        assert verdicts(report) == [True, True, False, None]
        assert report["migrations"]["missing"] == VERSIONS
        assert f"tiu migrate up --db {report['db']}" in report["migrations"]["problem"]

    def test_missing_newer_and_edited_are_all_named(self, db: Backend) -> None:
        done("migrate", "down", "013", "--db", db.url)
        db.on_events("UPDATE schema_migrations SET checksum = 'x' WHERE version = '001'")
        db.on_reads("UPDATE schema_migrations SET checksum = 'x' WHERE version = '003'")
        insert = "INSERT INTO schema_migrations (version, applied_at, checksum) VALUES (?, ?, 'x')"
        db.on_events(insert, "999", "2027-01-01")
        before = contents(db)
        report = ill("--db", db.url)

        found = report["migrations"]
        assert (found["missing"], found["newer"], found["edited"]) == (VERSIONS[13:], ["999"], ["001", "003"])
        for version in (VERSIONS[-1], "999", "001", "003"):
            assert version in found["problem"]
        assert verdicts(report) == [True, True, False, None], "what is parked cannot be told without its table"
        assert contents(db) == before


class TestRebuild:
    def test_one_that_has_stopped(self, told: Backend) -> None:
        with pytest.raises(Stopped):
            rebuild(told, tell=stops_at(1))
        report = ill("--db", told.url)

        assert verdicts(report) == [True, True, True, True]
        assert "--discard drops what it left" in report["rebuild"]["problem"]

    def test_one_that_is_at_work(self, told: Backend) -> None:
        reports: list[Any] = []
        rebuild(told, tell=lambda _: reports.append(well("--db", told.url)) if not reports else None)

        assert reports[0]["rebuild"] == {"ok": True, "problem": None}


class TestLag:
    def test_tables_that_stand_still_behind_the_events(self, db: Backend) -> None:
        with connect(db.url, project=False) as connection:
            connection.execute(create_user())
        report = ill("--db", db.url)

        assert verdicts(report) == [True, True, True, False]
        found = report["lag"]
        assert (found["position"], found["last_position"], found["behind"], found["refused"]) == (0, 1, 1, None)
        assert "is a projector running?" in found["problem"]

    def test_tables_that_move_are_well(self, db: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "MOVING_SECONDS", PATIENCE)
        with connect(db.url, project=False) as connection:
            for number in range(3):
                connection.execute(create_user(f"user-{number}"))
        projector = Projector(db.events(), db.reads(), READ_MODEL, batch_size=1)
        looked = threading.Event()
        standing = Projector.standing

        def looking(self: Projector) -> Any:
            found = standing(self)
            looked.set()
            return found

        def project() -> None:
            assert looked.wait(PATIENCE)
            projector.step()

        monkeypatch.setattr(Projector, "standing", looking)
        thread = threading.Thread(target=project)
        thread.start()
        report = well("--db", db.url)
        thread.join()

        assert (report["lag"]["position"], report["lag"]["behind"]) == (1, 2)

    def test_a_refused_checkpoint_and_why(self, told: Backend) -> None:
        told.on_reads("UPDATE checkpoints SET version = version + 1")
        before = contents(told)
        report = ill("--db", told.url)

        assert verdicts(report) == [True, True, True, False]
        found = report["lag"]
        assert "tiu projector rebuild" in found["refused"]
        assert found["position"] == found["last_position"] == found["behind"] > 0
        assert contents(told) == before

    def test_a_master_key_that_is_not_the_databases(self, db: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MASTER_KEY", MASTER_KEY)
        with connect(db.url) as connection:
            connection.wait_for(connection.execute(create_user()))
        well("--db", db.url)
        monkeypatch.setenv("MASTER_KEY", b64encode(bytes(32)).decode())
        report = ill("--db", db.url)

        assert verdicts(report) == [True, True, True, False]
        assert "MASTER_KEY" in report["lag"]["problem"]

    def test_tables_that_cannot_be_read(self, db: Backend) -> None:
        db.on_reads("DROP TABLE checkpoints")
        report = ill("--db", db.url)

        assert verdicts(report) == [True, True, True, False]
        assert "checkpoints" in report["lag"]["problem"]

    def test_what_nobody_thought_of_is_one_line_too(self, db: Backend) -> None:
        db.on_events("DELETE FROM store")
        report = ill("--db", db.url)

        problems = [found["problem"] for found in (report["database"], report["lag"]) if found["ok"] is False]
        assert len(problems) == 1
        assert problems[0].startswith(("TypeError", "ValueError"))
        assert "\n" not in problems[0]


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else is given."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
