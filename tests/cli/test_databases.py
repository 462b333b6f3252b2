"""What no verb can work on: it says so in one line, tells no password, and leaves everything as it was."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import contents, done, folder, json_lines, refused
from tests.cli.story import PROJECT, user
from tests.support.stores import Backend, SQLiteBackend

LOOKING = {
    "dashboard": ("show", "dashboard"),
    "issues": ("show", "issues"),
    "ready": ("show", "ready", PROJECT),
    "metrics": ("show", "metrics", PROJECT),
    "projector status": ("projector", "status"),
    "sizes": ("show", "sizes"),
    "slow": ("show", "slow"),
    "indexes": ("show", "indexes"),
}
WORKING = {
    "apply": ("apply", "-"),
    "projector run": ("projector", "run", "--once"),
    "projector rebuild": ("projector", "rebuild"),
}
MIGRATING = {"migrate up": ("migrate", "up"), "migrate status": ("migrate", "status")}
ALL = LOOKING | WORKING | MIGRATING
COMMANDS = json_lines([user()])


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else is given."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tiu.db",
        "mysql://ada:secret@localhost/x",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://tiu.db",
        "sqlite:///tiu.db?mode=memory",
        "sqlite:///a%00b.db",
        "sqlite:///missing/tiu.db",
        "sqlite:////",
        "sqlite:///" + "x" * 300,
        "sqlite:///\udcff.db",
        "postgresql://ada:secret@[bad/x",
        "postgresql://ada:secret@localhost/x?secret=1",
        "postgresql://ada:secret@localhost/\udcff",
        "ada:secret@localhost",
    ],
    ids=lambda url: ascii(url)[:40],
)
def test_a_url_that_leads_nowhere(here: Path, url: str) -> None:
    for verb in ALL.values():
        line = refused(*verb, "--db", url, stdin=COMMANDS)
        assert "secret" not in line

    assert folder(here) == {}


@pytest.mark.parametrize("verb", ALL)
def test_a_port_that_nothing_listens_on(closed_port: int, verb: str) -> None:
    line = refused(*ALL[verb], "--db", f"postgresql://ada:secret@127.0.0.1:{closed_port}/x", stdin=COMMANDS)

    assert f"postgresql://ada@127.0.0.1:{closed_port}/x" in line
    assert "secret" not in line


@pytest.mark.parametrize("verb", LOOKING | WORKING)
def test_a_file_that_is_not_there_is_not_made(here: Path, verb: str) -> None:
    line = refused(*ALL[verb], "--db", "sqlite:///tiu.db", stdin=COMMANDS)

    url = f"sqlite:///{here / 'tiu.db'}"
    assert f"there is no database {url}: `tiu migrate up --db {url}` makes one" in line
    assert folder(here) == {}


def test_the_status_of_a_file_that_is_not_there_makes_no_file(here: Path) -> None:
    steps = done("migrate", "status", "--db", "sqlite:///tiu.db", "--json").json["migrations"]

    assert {step["applied_at"] for step in steps} == {None}
    assert folder(here) == {}


@pytest.mark.parametrize("verb", ALL)
def test_a_file_that_is_no_database_stays_as_it_is(here: Path, verb: str) -> None:
    (here / "notes.txt").write_bytes(b"these are my notes\n" * 100)
    before = folder(here)

    line = refused(*ALL[verb], "--db", "sqlite:///notes.txt", stdin=COMMANDS)

    assert "notes.txt" in line
    assert folder(here) == before


@pytest.mark.parametrize("verb", ALL)
def test_a_folder_is_no_database(here: Path, verb: str) -> None:
    (here / "tiu.db").mkdir()

    refused(*ALL[verb], "--db", "sqlite:///tiu.db", stdin=COMMANDS)

    assert [path.name for path in here.rglob("*")] == ["tiu.db"]


def test_a_postgresql_database_that_is_not_migrated(pg_empty: str) -> None:
    for verb in (LOOKING | WORKING).values():
        assert "not migrated" in refused(*verb, "--db", pg_empty, stdin=COMMANDS)

    steps = done("migrate", "status", "--db", pg_empty, "--json").json["migrations"]
    assert {step["applied_at"] for step in steps} == {None}


def newer(db: Backend) -> None:
    db.on_events(
        "INSERT INTO schema_migrations (version, applied_at, checksum) VALUES (?, ?, 'x')", "999", "2027-01-01"
    )


def test_a_database_newer_than_the_code(db: Backend) -> None:
    newer(db)
    before = contents(db)

    for verb in (LOOKING | WORKING | {"migrate up": MIGRATING["migrate up"]}).values():
        line = refused(*verb, "--db", db.url, stdin=COMMANDS)
        assert "999" in line
        assert "upgrade" in line

    assert contents(db) == before


def test_the_status_of_a_newer_database_names_what_is_unknown(db: Backend) -> None:
    newer(db)

    steps = done("migrate", "status", "--db", db.url, "--json").json["migrations"]

    assert [step["version"] for step in steps if not step["known"]] == ["999"]
    assert done("migrate", "status", "--db", db.url).rows[-1].split()[-1] == "no"


def test_a_migration_that_was_edited(db: Backend) -> None:
    db.on_events("UPDATE schema_migrations SET checksum = 'x' WHERE version = '001'")
    before = contents(db)

    for verb in ALL.values():
        assert "migration 001" in refused(*verb, "--db", db.url, stdin=COMMANDS)

    assert contents(db) == before


def test_settings_that_cannot_be_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TIMEOUT", "secret")
    monkeypatch.setenv("DB_PORT", "70000")

    line = refused("migrate", "up")

    assert "SQLITE_TIMEOUT" in line
    assert "DB_PORT" in line
    assert "secret" not in line
    assert folder(here) == {}


def test_the_settings_database_is_made_in_a_folder_of_its_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_PATH", "data/new/tiu.db")

    assert done("migrate", "status", "--json").json["db"] == f"sqlite:///{here / 'data' / 'new' / 'tiu.db'}"
    assert folder(here) == {}
    done("migrate", "up")
    assert (here / "data" / "new" / "tiu.db").is_file()
    assert done("show", "dashboard", "--json").json == []


def test_a_locked_database_ends_the_run_and_names_the_line(
    sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLITE_TIMEOUT", "0")
    with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        line = refused("apply", "-", "--db", sqlite.url, stdin=COMMANDS)

    assert "line 1" in line
    assert "locked" in line
    assert sqlite.on_events("SELECT count(*) FROM events") == [(0,)]
