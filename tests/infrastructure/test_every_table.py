"""The example run of tests/support/every_table.py: it makes a row of every table, the same on both stores."""

from __future__ import annotations

import pytest

from claude_tiu import connect
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.every_table import last_position, tell_all
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend


def test_every_table_has_rows_and_a_rebuild_gives_the_same(backend: Backend) -> None:
    tell_all(backend)
    live = backend.tables(READ_MODEL)
    assert {name for name, rows in live.items() if not rows} == {"parked_units"}
    with connect(backend.url) as tiu:
        tiu.rebuild()
        tiu.wait_for(last_position(tiu))
    assert backend.tables(READ_MODEL) == live


def test_both_stores_have_the_same_rows(sqlite: SQLiteBackend, postgresql: PostgreSQLBackend) -> None:
    for backend in (sqlite, postgresql):
        tell_all(backend)
    rows = sqlite.rows(READ_MODEL)
    assert {name for name, found in rows.items() if not found} == {"parked_units"}
    assert postgresql.rows(READ_MODEL) == rows


@pytest.mark.parametrize("table", ["schema_migrations", "migration_rollbacks"])
def test_what_the_migrations_record_is_there(backend: Backend, table: str) -> None:
    """The two tables of the specification that no event fills."""
    assert backend.on_reads(f"SELECT count(*) FROM {table}")[0][0] > 0
