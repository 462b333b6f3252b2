"""The migration runner: each migration is applied whole and recorded, or leaves nothing, on both stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.errors import NotMigrated
from claude_tiu.infrastructure.migration import Migration, migrations_in
from claude_tiu.infrastructure.settings import Database, sqlite_url
from claude_tiu.infrastructure.sqlite.generations import read_path
from tests.migrations.samples import ROWS
from tests.migrations.stores import PostgreSQL, SQLite, Store
from tests.support.stores import VERSIONS

BROKEN = "CREATE TABLE half_done (id INTEGER);\nINSERT INTO half_done VALUES (1);\nINSERT INTO nowhere VALUES (1);\n"


class Migrated:
    """A database to migrate, and each of its files as a store to look into."""

    def __init__(self, name: str, place: Path | str) -> None:
        self.name = name
        self.place = place
        url = sqlite_url(place) if isinstance(place, Path) else place
        self.where = Database(place if isinstance(place, Path) else None, url)

    def stores(self) -> Iterator[Store]:
        """Yield each file, or the database, closed again behind one."""
        opened: list[Store] = (
            [SQLite(self.place), SQLite(read_path(self.place, 1))] if isinstance(self.place, Path) else []
        )
        for store in opened or [PostgreSQL(str(self.place))]:
            with closing(store):
                yield store

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [row for store in self.stores() for row in store.rows(statement)]

    def catalogue(self) -> list[tuple[Any, ...]]:
        return [entry for store in self.stores() for entry in store.catalogue()]


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Migrated:
    place = tmp_path / "tiu.db" if request.param == "sqlite" else cast(str, request.getfixturevalue("pg_empty"))
    return Migrated(request.param, place)


def known(target: Migrated) -> list[Migration]:
    return [migration for part in migrations.targets(target.where, 1.0) for migration in part.migrations]


def with_another(monkeypatch: pytest.MonkeyPatch, *others: Migration) -> None:
    """Let the last folder of each store have more migrations than it has."""
    real = migrations_in

    def more(folder: str) -> list[Migration]:
        found = real(folder)
        kept = [migration for migration in found if migration.version not in {other.version for other in others}]
        return kept if folder.endswith("events") else [*kept, *others]

    monkeypatch.setattr(migrations, "migrations_in", more)


def test_every_migration_is_recorded_with_its_checksum(target: Migrated) -> None:
    assert migrations.up(target.where) == VERSIONS

    recorded = target.rows("SELECT version, description, checksum, applied_at FROM schema_migrations ORDER BY version")

    assert [row[:3] for row in recorded] == [
        (one.version, one.description, sha256(one.up.encode()).hexdigest()) for one in known(target)
    ]
    assert all(applied_at for *_, applied_at in recorded)


def test_every_rollback_is_recorded_as_it_is_written(target: Migrated) -> None:
    migrations.up(target.where)

    recorded = target.rows("SELECT version, rollback_sql FROM migration_rollbacks ORDER BY version")

    assert recorded == [(one.version, one.down) for one in known(target)]
    assert all(sql.strip() for _, sql in recorded)


def test_the_recorded_rollbacks_take_the_read_tables_back_and_never_the_events(target: Migrated) -> None:
    """What is recorded is what someone has in hand when the code that migrated is gone."""
    migrations.up(target.where)
    assert {entry[1] for entry in target.catalogue()} >= {*ROWS, "events"}

    for store in target.stores():
        for (rollback,) in store.rows("SELECT rollback_sql FROM migration_rollbacks ORDER BY version DESC"):
            store.script(rollback)

    left = {entry[1] for entry in target.catalogue()}
    assert left >= {"events", "reservations", "schema_migrations"}
    assert not left & {*ROWS, "checkpoints", "project_state"}


def test_a_second_time_there_is_nothing_to_apply(target: Migrated) -> None:
    migrations.up(target.where)
    before = target.rows("SELECT * FROM schema_migrations ORDER BY version"), target.catalogue()

    assert migrations.up(target.where) == []

    assert (target.rows("SELECT * FROM schema_migrations ORDER BY version"), target.catalogue()) == before


def test_a_migration_that_fails_leaves_nothing_of_itself(target: Migrated, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations.up(target.where)
    before = target.catalogue()
    with_another(monkeypatch, Migration("900", "half done", BROKEN, "DROP TABLE half_done;"))

    with pytest.raises(Exception, match="nowhere"):
        migrations.up(target.where)

    assert target.catalogue() == before
    assert target.rows("SELECT version FROM schema_migrations WHERE version = '900'") == []
    assert target.rows("SELECT version FROM migration_rollbacks WHERE version = '900'") == []


def test_those_before_one_that_fails_stay_and_it_can_be_tried_again(
    target: Migrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_another(monkeypatch, Migration("900", "half done", BROKEN, "DROP TABLE half_done;"))
    with pytest.raises(Exception, match="nowhere"):
        migrations.up(target.where)
    steps = migrations.status(target.where)
    assert [step.version for step in steps if step.applied_at is None] == ["900"]
    with pytest.raises(NotMigrated, match="lacks migration 900"):
        migrations.require_migrated(target.where)

    mended = BROKEN.replace("nowhere", "half_done")
    monkeypatch.undo()
    with_another(monkeypatch, Migration("900", "done", mended, "DROP TABLE half_done;"))

    assert migrations.up(target.where) == ["900"]
    migrations.require_migrated(target.where)


def test_status_says_what_is_applied_and_when(target: Migrated, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {step.applied_at for step in migrations.status(target.where)} == {None}
    migrations.up(target.where)
    with_another(monkeypatch, Migration("900", "one more", "SELECT 1;", "SELECT 1;"))

    steps = migrations.status(target.where)

    assert [step.version for step in steps] == [*VERSIONS, "900"]
    in_order = sorted(known(target), key=lambda one: one.version)
    assert [step.description for step in steps] == [one.description for one in in_order]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(step.applied_at)) for step in steps[:-1])
    assert steps[-1].applied_at is None
    assert all(step.known for step in steps)
