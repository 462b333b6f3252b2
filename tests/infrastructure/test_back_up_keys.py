"""Keys and the kept list, backed up apart from the events as docs/how-to/back-up.md does it."""

from __future__ import annotations

import subprocess
from contextlib import closing
from uuid import UUID

import pytest
from pydantic import SecretStr

from claude_tiu import (
    ChangeRole,
    ForgetUser,
    KeyMissing,
    RenameUser,
    connect,
)
from claude_tiu.infrastructure.settings import Settings
from tests.cli.running import done
from tests.support.history import create_user
from tests.support.places import Place, PostgreSQLPlace, SQLitePlace, assert_chained, rows_of
from tests.support.postgres_server import database_url
from tests.support.stores import Backend, SQLiteBackend


def names_of(backend: Backend) -> set[str]:
    return {name for (name,) in backend.on_reads("SELECT username FROM users")}


def told_of_two(place: Place, settings: Settings | None = None) -> tuple[UUID, UUID]:
    """Store and project Ada and Eve, and return their ids."""
    with connect(place.live.url, settings=settings) as tiu:
        ada, eve = tiu.execute_all([create_user("ada"), create_user("eve")])
        tiu.wait_for(eve)
    return ada.id, eve.id


class TestKeys:
    def test_who_was_forgotten_since_is_forgotten_again(self, place: Place) -> None:
        ada, eve = told_of_two(place)
        place.back_up()
        with connect(place.live.url) as tiu:
            tiu.wait_for(tiu.execute(ForgetUser(user_id=ada)))
        place.run(place.keep_list, DB=place.live.url)
        with closing(place.restore()) as restored:
            assert names_of(restored) == {"ada", "eve"}
            said = place.run(place.forget_again, NEW=restored.url)
            assert said == "1 listed: 1 forgotten, 0 were already, 0 not known here\n"
            assert names_of(restored) == {f"forgotten:{ada}", "eve"}
            assert restored.on_events("SELECT CAST(person_id AS TEXT) FROM personal_keys") == [(str(eve),)]
            done("projector", "rebuild", "--db", restored.url)
            assert names_of(restored) == {f"forgotten:{ada}", "eve"}

    def test_the_dump_of_the_events_holds_none(self, postgresql_place: PostgreSQLPlace) -> None:
        """Restored without them, every person reads as forgotten; with them later, as before."""
        place = postgresql_place
        ada, eve = told_of_two(place)
        place.back_up()
        with closing(place.restore(keys=False)) as restored:
            assert restored.on_events("SELECT count(*) FROM personal_keys") == [(0,)]
            assert names_of(restored) == {f"forgotten:{ada}", f"forgotten:{eve}"}
            assert_chained(rows_of(restored))
            with connect(restored.url) as tiu:
                with pytest.raises(KeyMissing):
                    tiu.execute(RenameUser(user_id=ada, username="augusta"))
                tiu.execute(ChangeRole(user_id=ada, role="viewer"))
                tiu.execute(create_user("bob"))
            (dump,) = place.folder.glob("keys-*.dump")
            data = ("--data-only", f"--dbname={restored.url}", str(dump))
            subprocess.run([place.clients / "pg_restore", *data], check=True)
            done("projector", "rebuild", "--accept", "--db", restored.url)
            assert names_of(restored) == {"ada", "eve", "bob"}

    def test_few_dumps_of_them_are_kept(self, postgresql_place: PostgreSQLPlace) -> None:
        place = postgresql_place
        old = [f"keys-20200101T00000{number}Z.dump" for number in range(5)]
        for name in old:
            (place.folder / name).write_text("good")
        failed = place.attempt(place.dump_keys, DB=database_url(place.live.url, "missing"))
        assert failed.returncode != 0
        assert sorted(path.name for path in place.folder.glob("keys-*")) == old
        place.run(place.dump_keys)
        assert sorted(path.name for path in place.folder.glob("keys-*"))[:-1] == old[-2:]

    def test_a_copy_does_not_open_without_the_master_key(self, sqlite_place: SQLitePlace) -> None:
        place = sqlite_place
        place.run(place.make_master_key)
        file = place.folder / "master.key"
        assert file.stat().st_mode & 0o077 == 0
        master_key = file.read_text().strip()
        told_of_two(place, Settings(master_key=SecretStr(master_key)))
        place.back_up()
        (block,) = place.restores
        assert "MASTER_KEY" in place.attempt(block).stderr
        place.run(block, MASTER_KEY=master_key)
        with closing(SQLiteBackend(place.folder / "restored.db")) as restored:
            assert names_of(restored) == {"ada", "eve"}
            assert restored.on_events("SELECT DISTINCT wrapped FROM personal_keys") == [(1,)]
