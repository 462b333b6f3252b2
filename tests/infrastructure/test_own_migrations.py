"""An own projection's tables are made, and undone, by migrations of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_tiu import (
    BadProjection,
    MigrationChanged,
    MigrationFailed,
    NotMigrated,
    TaskAdded,
    connect,
    read_migrations,
)
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.projections import Change, Insert, Kind, Projection, Recorded, Rows, Table
from tests.support.board import BOARD, CARDS, STOPS, migrate
from tests.support.boarding import begin, opened
from tests.support.stores import VERSIONS, Backend, PostgreSQLBackend


class TestMigrated:
    def test_its_tables_must_be_made_first(self, postgresql: PostgreSQLBackend) -> None:
        with pytest.raises(NotMigrated, match="board/001"):
            connect(postgresql.url, projections=[BOARD])
        assert migrate(postgresql, BOARD) == ["board/001", "board/parking"]
        assert migrate(postgresql, BOARD) == []
        connect(postgresql.url, projections=[BOARD]).close()
        connect(postgresql.url).close()  # whoever does not know it is not kept out

    def test_other_tables_than_were_made_are_refused(self, backend: Backend) -> None:
        migrate(backend, BOARD)
        more = replace(CARDS, columns={**CARDS.columns, "more": Kind.TEXT})
        with pytest.raises(MigrationChanged, match=r"board/001 was applied with other contents.*needs migrations"):
            connect(backend.url, projections=[replace(STOPS, tables=(more,))])


FILES = {
    "postgresql/001_cards.up.sql": "CREATE TABLE short_cards (id UUID PRIMARY KEY, name TEXT NOT NULL);",
    "postgresql/001_cards.down.sql": "DROP TABLE short_cards;",
    "postgresql/002_an_index.up.sql": "CREATE INDEX short_cards_name ON short_cards (name);",
    "postgresql/002_an_index.down.sql": "DROP INDEX short_cards_name;",
    "sqlite/001_cards.up.sql": "CREATE TABLE short_cards (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT;",
    "sqlite/001_cards.down.sql": "DROP TABLE short_cards;",
    "sqlite/002_an_index.up.sql": "CREATE INDEX short_cards_name ON short_cards (name);",
    "sqlite/002_an_index.down.sql": "DROP INDEX short_cards_name;",
}


class TestMigrationsOfItsOwn:
    """A service's files, as ours are."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, text in FILES.items():
            (tmp_path / "short" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "short" / name).write_text(text, encoding="utf-8")
        return tmp_path / "short"

    def projection(self, folder: Path) -> Projection:
        def added(recorded: Recorded, event: Any, rows: Rows) -> Iterator[Change]:
            yield Insert("short_cards", {"id": recorded.stream_id, "name": event.name})

        table = Table("short_cards", "id", {"id": Kind.UUID, "name": Kind.TEXT})
        return Projection("short", 1, (table,), {TaskAdded: added}, migrations=read_migrations(folder))

    def test_are_applied_and_recorded_beside_ours(self, backend: Backend, folder: Path) -> None:
        short = self.projection(folder)
        where = database(backend.url, Settings())
        assert migrate(backend, short)[-2:] == ["short/001", "short/002"]
        found = {step.version: step for step in migrations.status(where, projections=[short])}
        assert found["short/002"].description == "an index"
        assert found["short/002"].applied_at is not None
        assert [step.version for step in migrations.status(where)] == VERSIONS, "who does not know it is not told"

    def test_its_index_is_there_after_a_rebuild(self, backend: Backend, folder: Path) -> None:
        short = self.projection(folder)
        with opened(backend, short) as tiu:
            begin(tiu)
            side = tiu.projection("short")
            side.wait_for(5)
            assert side.rebuild().swapped
            assert side.verify().equal
            catalogue = "sqlite_master" if backend.name == "sqlite" else "pg_indexes"
            column = "name" if backend.name == "sqlite" else "indexname"
            asked = f"SELECT {column} AS name FROM {catalogue} WHERE {column} = 'short_cards_name'"
            assert side.query(asked) == [{"name": "short_cards_name"}]

    def test_undoing_one_empties_its_tables_and_they_are_filled_again(self, backend: Backend, folder: Path) -> None:
        short = self.projection(folder)
        with opened(backend, short) as tiu:
            begin(tiu)
            tiu.projection("short").wait_for(5)
        where = database(backend.url, Settings())
        assert migrations.down(where, to="short/001", projections=[short]) == ["short/002"]
        with pytest.raises(NotMigrated, match="lacks migration short/002"):
            connect(backend.url, projections=[short])
        migrate(backend, short)
        with connect(backend.url, project=False, projections=[short]) as tiu:
            side = tiu.projection("short")
            assert (side.lag().position, side.query("SELECT * FROM short_cards")) == (0, [])
            assert side.catch_up() == 5
            assert side.verify().rows == 2
        assert migrations.down(where, to="short/0", projections=[short])[:2] == ["short/002", "short/001"]
        migrations.require_migrated(where)

    def test_one_that_reads_differently_by_now_is_refused(self, backend: Backend, folder: Path) -> None:
        migrate(backend, self.projection(folder))
        (folder / backend.name / "002_an_index.up.sql").write_text("SELECT 1;", encoding="utf-8")
        with pytest.raises(MigrationChanged, match="migration short/002 was applied with other contents"):
            connect(backend.url, projections=[self.projection(folder)])

    def test_a_folder_without_any_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadProjection, match="has no migrations: they are postgresql/"):
            read_migrations(tmp_path)

    def test_one_that_fails_leaves_nothing(self, backend: Backend, folder: Path) -> None:
        (folder / backend.name / "002_an_index.up.sql").write_text(
            "CREATE INDEX i ON nowhere (name);", encoding="utf-8"
        )
        with pytest.raises(MigrationFailed, match="migration short/002 could not be applied"):
            migrate(backend, self.projection(folder))
        where = database(backend.url, Settings())
        lacking = [
            one.version for one in migrations.status(where, projections=[self.projection(folder)]) if not one.applied_at
        ]
        assert lacking == ["short/002"]
