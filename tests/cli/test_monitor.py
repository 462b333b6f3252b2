"""`tiu show sizes|indexes|slow`: what the database says of itself, as JSON and 80 columns wide where names allow."""

from __future__ import annotations

import psycopg
import pytest

from tests.cli.running import contents, done, refused
from tests.support.stores import Backend


def test_sizes(shared: Backend) -> None:
    rows = done("show", "sizes", "--db", shared.url, "--json").json

    assert list(rows[0]) == ["schemaname", "tablename", "size", "size_bytes", "index_bytes", "row_estimate"]
    assert {"events", "tasks", "progress_metrics"} <= {row["tablename"] for row in rows}
    assert done("show", "sizes", "--limit", 2, "--db", shared.url, "--json").json == rows[:2]
    table = done("show", "sizes", "--db", shared.url)
    assert all(row["size"] in table.out and row["tablename"][:20] in table.out for row in rows)
    assert table.rows[0].split()[:2] == [rows[0]["schemaname"], rows[0]["tablename"]]
    assert rows[0]["size"] in table.rows[0]


def test_indexes(shared: Backend) -> None:
    rows = done("show", "indexes", "--db", shared.url, "--json").json

    counted = ["idx_scan", "idx_tup_read", "idx_tup_fetch"]
    assert list(rows[0]) == ["schemaname", "relname", "indexrelname", *counted, "size_bytes"]
    assert {"events_project_id", "idx_tasks_status"} <= {row["indexrelname"] for row in rows}
    assert len(done("show", "indexes", "--limit", 2, "--db", shared.url, "--json").json) == 2
    assert "events_project_id" in done("show", "indexes", "--db", shared.url).out


def test_the_tables_leave_out_what_the_database_does_not_know(shared: Backend) -> None:
    headings = {verb: done("show", verb, "--db", shared.url).lines[1].split() for verb in ("sizes", "indexes")}

    uses = ["scans", "read", "fetched"] if shared.name == "postgresql" else []
    assert headings["indexes"] == ["schema", "table", "index", *uses, "bytes"]
    assert headings["sizes"][:5] == ["schema", "table", "size", "bytes", "indexes"]
    assert ("rows," in headings["sizes"]) == any(
        row["row_estimate"] is not None for row in done("show", "sizes", "--db", shared.url, "--json").json
    )


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_slow_says_in_one_line_why_it_cannot_tell(shared: Backend, form: tuple[str, ...]) -> None:
    why = {"sqlite": "SQLite keeps no statistics", "postgresql": "CREATE EXTENSION pg_stat_statements"}

    assert why[shared.name] in refused("show", "slow", "--db", shared.url, *form)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_slow_shows_statements(pg_url: str, form: tuple[str, ...]) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(
            "CREATE VIEW pg_stat_statements AS SELECT oid AS dbid, E'SELECT\\n  $1' AS query, 3::bigint AS calls,"
            " 61.5::float8 AS total_exec_time, 20.5::float8 AS mean_exec_time, 0.25::float8 AS stddev_exec_time"
            " FROM pg_database"
        )
    ran = done("show", "slow", "--db", pg_url, *form)

    if form:
        times = {"total_exec_time": 61.5, "mean_exec_time": 20.5, "stddev_exec_time": 0.25}
        assert ran.json == [{"query": "SELECT\n  $1", "calls": 3, **times}]
    else:
        assert "61.50" in ran.rows[0]
        assert "SELECT $1" in ran.rows[0]


def test_looking_changes_nothing(shared: Backend) -> None:
    before = contents(shared)
    for verb in ("sizes", "indexes"):
        done("show", verb, "--db", shared.url)
    refused("show", "slow", "--db", shared.url)
    assert contents(shared) == before
