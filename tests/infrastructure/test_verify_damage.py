"""Any single change of the read tables, by SQL, is found and named: every column of every table, on both stores.

And what a verification finds, a rebuild finds. Where a value is another, its table alone is looked at; that no other
table seems to differ then is asked where a row is gone, or is too many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from claude_tiu.infrastructure.audit.replay import TIMEOUT, loading
from claude_tiu.infrastructure.audit.side_by_side import SideBySide
from claude_tiu.infrastructure.comparison import Comparison, TableDifferences
from claude_tiu.infrastructure.parking import Known, known_of
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.rebuild import Shadow
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.shadows import live_tables
from claude_tiu.infrastructure.sqlite.standing import file_tables
from claude_tiu.projections.parking import READ_MODEL_PARKING
from claude_tiu.projections.projection import Table
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.damage import COLUMNS, added, another, changed, damage, deleted, let_damage_through
from tests.support.every_table import tell_and_park
from tests.support.postgres_server import database_url, new_database
from tests.support.rebuilding import shadow
from tests.support.stores import BACKENDS, Backend, new_backend

TABLES = pytest.mark.parametrize("table", READ_MODEL.tables, ids=lambda table: table.name)
VALUES = pytest.mark.parametrize(
    ("table", "column"),
    [pytest.param(*one, marks=pytest.mark.long if number % 5 else ()) for number, one in enumerate(COLUMNS)],
    ids=[f"{table.name}.{name}" for table, name in COLUMNS],
)
"""Every fifth column by default; all of them in the long form."""


class Verified:
    """A database with rows in every table, and what a replay of its events gives: in a file, and beside the tables."""

    def __init__(self, backend: Backend, replayed: Path, shadow: Shadow) -> None:
        self.backend = backend
        self._replayed = replayed
        self._shadow = shadow

    def differences(self, *tables: Table) -> list[TableDifferences]:
        """How the tables (all, where none is named) differ now: what a verification finds, which is what a rebuild
        finds."""
        with ExitStack() as stack:
            where = database(self.backend.url, Settings())
            live = stack.enter_context(live_tables(where, READ_MODEL, Settings()))
            one_json = not live.keeps_json_text
            made = stack.enter_context(file_tables(self._replayed, READ_MODEL, timeout=TIMEOUT, one_json=one_json))
            found = self._in(SideBySide(live, made), tables)
            assert self._in(stack.enter_context(self._shadow.comparison()), tables) == found
        return found

    @staticmethod
    def _in(comparison: Comparison, tables: Sequence[Table]) -> list[TableDifferences]:
        found = [comparison.differences(table) for table in tables or READ_MODEL.tables]
        return [one for one in found if one.rows]

    def found(self, *tables: Table) -> list[tuple[str, int, list[tuple[str, str | None]]]]:
        """The same, without values: (table, rows, [(key, column)])."""
        found = self.differences(*tables)
        return [(one.table, one.rows, [(row.key, row.column) for row in one.first]) for one in found]


@pytest.fixture(scope="module", params=BACKENDS)
def verified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verified]:
    folder = tmp_path_factory.mktemp("verified")
    with ExitStack() as stack:
        place: Path | str = folder / "tiu.db"
        if request.param == "postgresql":
            server, template = (request.getfixturevalue(name) for name in ("pg_server", "pg_template"))
            place = database_url(server, stack.enter_context(new_database(server, "verified", template=template)))
        backend = stack.enter_context(new_backend(request.param, place))
        backend.new_identity()
        tell_and_park(backend)
        assert all(backend.tables(READ_MODEL).values()), "an empty table cannot be damaged"
        events, replayed = backend.events(), folder / "replayed.db"
        known = known_of(backend.reads(), READ_MODEL_PARKING)
        with loading(events, replayed, READ_MODEL, parks=True) as (loader, _):
            catch_up(loader, known)
        beside = stack.enter_context(closing(shadow(backend)))
        stack.enter_context(beside.alone())
        beside.make()
        catch_up(Projector(events, beside.reads, READ_MODEL, parks=True), known)
        let_damage_through(backend)
        made = Verified(backend, replayed, beside)
        assert made.differences() == [], "untouched, nothing differs"
        yield made


def catch_up(loader: Projector, known: Known) -> None:
    """Make the tables, and park in them what the live ones do, as a verification and a rebuild do."""
    loader.begin_with(known)
    loader.catch_up()
    loader.align(known)


def takes_null(backend: Backend, table: Table, column: str) -> bool:
    """Whether the database lets a column be emptied: on SQLite nothing can be told not to check that."""
    if backend.name == "postgresql":
        return True
    statement = "SELECT [notnull] = 0 FROM pragma_table_info(?) WHERE name = ?"
    return backend.on_reads(statement, table.name, column) == [(1,)]


@VALUES
def test_another_value_is_found_and_named(verified: Verified, table: Table, column: str) -> None:
    with changed(verified.backend, table, column, another(verified.backend, table, column)) as key:
        found = verified.found(table)
    if column == table.key:
        ((name, rows, told),) = found
        assert (name, rows) == (table.name, 2), "a row that is missing, and one that should not be there"
        assert (key, None) in told
    else:
        assert found == [(table.name, 1, [(key, column)])]


@pytest.mark.long
@VALUES
def test_a_value_that_is_gone_is_found_and_named(verified: Verified, table: Table, column: str) -> None:
    if column == table.key or not takes_null(verified.backend, table, column):
        with pytest.raises(sqlite3.IntegrityError if verified.backend.name == "sqlite" else psycopg.IntegrityError):
            damage(verified.backend, f"UPDATE {table.name} SET {column} = NULL")
        return
    if verified.backend.on_reads(f"SELECT {column} FROM {table.name} ORDER BY {table.key} LIMIT 1") == [(None,)]:
        return  # it has none: the test above gives it one
    with changed(verified.backend, table, column, "NULL") as key:
        assert verified.found(table) == [(table.name, 1, [(key, column)])]


@TABLES
def test_a_row_that_is_gone_is_found_and_named(verified: Verified, table: Table) -> None:
    with deleted(verified.backend, table) as key:
        assert verified.found() == [(table.name, 1, [(key, None)])]


@TABLES
def test_a_row_too_many_is_found_and_named(verified: Verified, table: Table) -> None:
    with added(verified.backend, table) as key:
        assert verified.found() == [(table.name, 1, [(key, None)])]
