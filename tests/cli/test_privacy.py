"""`tiu privacy`: the kept list names forgotten users by their ids, and applies to a database restored from before."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from claude_tiu import CreateProject, ForgetUser, NotUnique, connect
from tests.cli.running import contents, done, refused
from tests.support.history import create_user, uid
from tests.support.stores import Backend, SQLiteBackend

ADA, EVE, BOB = map(uid, ("ada", "eve", "bob"))


def told(db: Backend, *forgotten: UUID) -> None:
    """Ada and Eve are users; then some are forgotten, each later than the one before."""
    with connect(db.url) as tiu:
        tiu.execute_all([create_user("ada", user_id=ADA), create_user("eve", user_id=EVE)])
        for user_id in forgotten:
            tiu.wait_for(tiu.execute(ForgetUser(user_id=user_id)))


def listed(*user_ids: UUID) -> bytes:
    return b"".join(json.dumps({"user_id": str(user_id)}).encode() + b"\n" for user_id in user_ids)


def keys(db: Backend) -> set[str]:
    return {str(person_id) for (person_id,) in db.on_events("SELECT person_id FROM personal_keys")}


def names(db: Backend) -> set[str]:
    return {name for (name,) in db.on_reads("SELECT username FROM users")}


class TestForgotten:
    def test_lists_ids_in_the_order_of_forgetting(self, db: Backend) -> None:
        told(db, EVE, ADA)
        assert done("privacy", "forgotten", "--db", db.url).lines == [str(EVE), str(ADA)]
        assert done("privacy", "forgotten", "--db", db.url, "--json").out.encode() == listed(EVE, ADA)

    def test_prints_nothing_where_nobody_is(self, db: Backend) -> None:
        told(db)
        assert done("privacy", "forgotten", "--db", db.url).out == ""


class TestForgetAgain:
    def test_forgets_who_is_not_destroys_what_came_back_and_passes_by_the_unknown(self, db: Backend) -> None:
        told(db, EVE)
        db.on_events(
            "INSERT INTO personal_keys (person_id, key, wrapped) VALUES (?, ?, ?)",
            EVE,
            bytes(32),
            0 if isinstance(db, SQLiteBackend) else False,
        )
        assert keys(db) == {str(ADA), str(EVE)}
        ran = done("privacy", "forget-again", "-", "--db", db.url, "--json", stdin=listed(ADA, EVE, BOB, ADA))
        assert ran.answers == [
            {"user_id": str(ADA), "done": "forgotten"},
            {"user_id": str(EVE), "done": "key_destroyed"},
            {"user_id": str(BOB), "done": "unknown"},
        ]
        assert keys(db) == set()
        assert names(db) == {f"forgotten:{ADA}", f"forgotten:{EVE}"}
        with connect(db.url) as tiu:
            tiu.execute(create_user("ada"))

    def test_twice_changes_nothing_more(self, db: Backend) -> None:
        told(db)
        first, second = (
            done("privacy", "forget-again", "-", "--db", db.url, stdin=listed(ADA)).lines for _ in range(2)
        )
        assert first == ["1 listed: 1 forgotten, 0 were already, 0 not known here"]
        assert second == ["1 listed: 0 forgotten, 1 were already, 0 not known here"]

    def test_leaves_alone_what_is_no_user(self, db: Backend) -> None:
        """Its unique values stay taken."""
        told(db)
        project = uid("project")
        db.on_events("UPDATE reservations SET stream_id = ? WHERE stream_id = ? AND space = 'email'", project, EVE)
        with connect(db.url) as tiu:
            tiu.execute(CreateProject(project_id=project, user_id=ADA, name="Billing"))
        reserved = db.on_events("SELECT * FROM reservations ORDER BY 1, 2")
        ran = done("privacy", "forget-again", "-", "--db", db.url, stdin=listed(project))
        assert ran.lines == ["1 listed: 0 forgotten, 0 were already, 1 not known here"]
        assert db.on_events("SELECT * FROM reservations ORDER BY 1, 2") == reserved != []

    def test_is_for_a_backup(self, sqlite: SQLiteBackend, here: Path) -> None:
        """A list kept beside a backup from before: its events know Ada, and are shown without her."""
        told(sqlite)
        with closing(sqlite3.connect(sqlite.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = here / "backup.db"
        shutil.copyfile(sqlite.path, backup)
        with connect(sqlite.url) as tiu:
            tiu.execute(ForgetUser(user_id=ADA))
        (here / "kept.jsonl").write_text(done("privacy", "forgotten", "--db", sqlite.url, "--json").out)
        for file in sqlite.path.parent.iterdir():
            file.unlink()
        shutil.copyfile(backup, sqlite.path)
        done("migrate", "up", "--db", sqlite.url)
        done("privacy", "forget-again", "kept.jsonl", "--db", sqlite.url)
        assert names(sqlite) == {f"forgotten:{ADA}", "eve"}
        assert b"ada@example.org" not in b"".join(file.read_bytes() for file in sqlite.path.parent.iterdir())
        with connect(sqlite.url) as tiu, pytest.raises(NotUnique):
            tiu.execute(create_user("eve"))

    @pytest.mark.parametrize(
        "line", ["x", "[]", "7", '"a"', "{}", '{"user_id": "ada"}', '{"user_id": 7}', '{"user_id": null}', "\0"]
    )
    def test_does_nothing_where_a_line_is_no_id(self, db: Backend, line: str) -> None:
        told(db)
        before = contents(db)
        said = refused("privacy", "forget-again", "-", "--db", db.url, stdin=listed(ADA) + line.encode() + b"\n")
        assert said == 'tiu: line 2: should be {"user_id": ID}\n'
        assert contents(db) == before

    def test_of_a_file_that_is_not_there_says_so(self, db: Backend) -> None:
        assert "cannot read nothing.jsonl" in refused("privacy", "forget-again", "nothing.jsonl", "--db", db.url)
