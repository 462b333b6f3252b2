"""What a database says of itself, on both stores; and how it says that it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from claude_tiu import StatisticsUnavailable, StoreUnavailable
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.monitor import Monitor, PoolUse
from claude_tiu.infrastructure.monitoring import monitor_of
from claude_tiu.infrastructure.postgresql.connections import Connections
from claude_tiu.infrastructure.postgresql.monitor import PostgreSQLMonitor
from claude_tiu.infrastructure.sqlite import monitor as sqlite_monitor
from claude_tiu.infrastructure.sqlite.monitor import pretty
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.support.history import store_history
from tests.support.postgres_server import database_url, find_bindir, temporary_server
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend, append, event

MODULE = find_bindir("pg_stat_statements")
SERVERS = ["stand-in", *(["module"] if MODULE else [])]
"""A table of the module's name and columns always; the module itself, where some PostgreSQL of this machine has it."""
COLUMNS = "dbid oid, query text, calls bigint, total_exec_time float8, mean_exec_time float8, stddev_exec_time float8"


@contextmanager
def monitoring(url: str) -> Iterator[Monitor]:
    with closing(Connections(url, max_size=1, timeout=10, recycle=3600)) as connections:
        yield PostgreSQLMonitor(connections)


class TestSizes:
    def test_every_table_the_largest_first(self, backend: Backend) -> None:
        rows = monitor_of(backend.events()).sizes()
        named = [row.tablename for row in rows]
        assert {"events", "store", "checkpoints", *(table.name for table in (*READ_TABLES, *PRIVATE_TABLES))} <= {
            *named
        }
        assert [row.size_bytes for row in rows] == sorted((row.size_bytes for row in rows), reverse=True)
        assert all(0 <= row.index_bytes <= row.size_bytes for row in rows)
        assert all(row.size == pretty(row.size_bytes) for row in rows)
        assert {row.schemaname for row in rows} == ({"public"} if backend.name == "postgresql" else {"events", "read"})

    def test_a_table_that_grows(self, backend: Backend) -> None:
        store, size = backend.events(), 1 << 20
        monitor = monitor_of(store)
        (before,) = (row for row in monitor.sizes() if row.tablename == "events")
        append(store, event(state=b"".join(uuid4().bytes for _ in range(size // 16))))
        (after,) = monitor.sizes(limit=1)
        assert after.tablename == "events"
        assert size <= after.size_bytes - before.size_bytes < 1.2 * size
        assert after.index_bytes - before.index_bytes < size / 10

    def test_on_sqlite_no_table_is_counted_twice(self, sqlite: SQLiteBackend) -> None:
        rows = monitor_of(sqlite.events()).sizes()
        ((pages, page),) = sqlite.on_reads("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
        counted = sum(row.size_bytes for row in rows if row.schemaname == "read")
        ((schema,),) = sqlite.on_reads("SELECT pgsize FROM dbstat WHERE name = 'sqlite_schema' AND aggregate = TRUE")
        ((free,),) = sqlite.on_reads("SELECT freelist_count FROM pragma_freelist_count")
        assert counted + schema + free * page == pages * page

    def test_rows_are_estimated_on_postgresql(self, postgresql: PostgreSQLBackend) -> None:
        store = postgresql.events()
        store_history(store)
        monitor = monitor_of(store)
        assert {row.row_estimate for row in monitor.sizes() if row.tablename == "tasks_archive"} == {None}
        postgresql.on_events("ANALYZE events")
        assert [row.row_estimate for row in monitor.sizes() if row.tablename == "events"] == [
            store.max_notification_id()
        ]

    def test_a_sqlite_without_dbstat_says_so(self, sqlite: SQLiteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sqlite_monitor.SQL, "has_dbstat", "SELECT 0")
        monitor = monitor_of(sqlite.events())
        with pytest.raises(StatisticsUnavailable, match="built without dbstat"):
            monitor.sizes()
        assert {row.size_bytes for row in monitor.indexes()} == {None}

    def test_sizes_are_written_as_postgresql_writes_them(self, pg_server: str) -> None:
        edges = [10 * 1024, 1023 * 1024, 10 * 1024**2, 10 * 1024**3, 10 * 1024**4, 10 * 1024**5, 2**62]
        near = [0, 1, *(edge + step for edge in edges for step in (-(edge // 1000), -513, -512, -1, 0, 1, 511, 512))]
        with psycopg.connect(pg_server) as connection:
            rows = connection.execute("SELECT n, pg_size_pretty(n) FROM unnest(%s::bigint[]) n", (near,)).fetchall()
        assert [(size, pretty(size)) for size, _ in rows] == rows


class TestIndexes:
    def test_every_index_with_its_table_and_size(self, backend: Backend) -> None:
        rows = {row.indexrelname: row for row in monitor_of(backend.events()).indexes()}
        assert rows["idx_tasks_project_id"].relname == "tasks"
        assert rows["events_project_id"].relname == "events"
        assert all(row.size_bytes is not None and row.size_bytes > 0 for row in rows.values())

    def test_limit(self, backend: Backend) -> None:
        monitor = monitor_of(backend.events())
        assert monitor.indexes(limit=3) == monitor.indexes()[:3]
        assert monitor.sizes(limit=3) == monitor.sizes()[:3]

    def test_use_is_counted_on_postgresql_the_most_used_first(self, postgresql: PostgreSQLBackend) -> None:
        with psycopg.connect(postgresql.url, autocommit=True) as connection:
            connection.execute("SET enable_seqscan = off")
            for _ in range(7):
                connection.execute("SELECT 1 FROM events WHERE project_id = %s", (uuid4(),))
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.execute("SELECT 1")
        rows = monitor_of(postgresql.events()).indexes()
        scans = [row.idx_scan or 0 for row in rows]
        assert next(row.idx_scan for row in rows if row.indexrelname == "events_project_id") == 7
        assert scans == sorted(scans, reverse=True)

    def test_sqlite_counts_no_use(self, sqlite: SQLiteBackend) -> None:
        rows = monitor_of(sqlite.events()).indexes()
        assert {(row.idx_scan, row.idx_tup_read, row.idx_tup_fetch) for row in rows} == {(None, None, None)}
        assert [(row.schemaname, row.relname) for row in rows] == sorted((row.schemaname, row.relname) for row in rows)


@pytest.fixture(scope="module")
def module() -> Iterator[str]:
    """A migrated database of a server that keeps statistics of statements, in a schema off the search path."""
    assert MODULE is not None
    with temporary_server(MODULE, "shared_preload_libraries=pg_stat_statements") as server:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("CREATE DATABASE tiu")
        url = database_url(server, "tiu")
        migrate_up(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA statistics")
            connection.execute("CREATE EXTENSION pg_stat_statements SCHEMA statistics")
            connection.execute("SELECT statistics.pg_stat_statements_reset()")
            for number in range(3):
                connection.execute(f"SELECT pg_sleep(0.02), {number} AS marker".encode())
            connection.execute("SELECT 'quick' AS marker")
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("SELECT pg_sleep(0.03), 'elsewhere'")
        yield url


class TestSlow:
    @pytest.fixture(params=SERVERS)
    def url(self, request: pytest.FixtureRequest) -> str:
        if request.param == "module":
            return str(request.getfixturevalue("module"))
        url: str = request.getfixturevalue("pg_url")
        stand_in(url)
        return url

    def test_the_statements_of_this_database_the_slowest_first(self, url: str) -> None:
        with monitoring(url) as monitor:
            rows = monitor.slow(limit=100)
            assert len(monitor.slow(limit=1)) == 1
        (slow,) = (row for row in rows if row.query == "SELECT pg_sleep($1), $2 AS marker")
        assert slow.calls == 3
        assert slow.total_exec_time >= 60
        assert slow.mean_exec_time == pytest.approx(slow.total_exec_time / 3)
        assert slow.stddev_exec_time >= 0
        assert "SELECT $1 AS marker" in [row.query for row in rows]
        assert "SELECT pg_sleep($1), $2" not in [row.query for row in rows], "that was in another database"
        assert [row.total_exec_time for row in rows] == sorted((row.total_exec_time for row in rows), reverse=True)

    def test_where_it_is_not_installed(self, pg_url: str) -> None:
        with monitoring(pg_url) as monitor, pytest.raises(StatisticsUnavailable, match=r"is not installed: .*CREATE"):
            monitor.slow()

    def test_where_it_is_installed_but_not_loaded(self, pg_url: str) -> None:
        """The module's function raises as this one does, in a server that was started without it."""
        with psycopg.connect(pg_url, autocommit=True) as connection:
            connection.execute(
                "CREATE FUNCTION raising() RETURNS oid LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE 'must be loaded' USING ERRCODE = 'object_not_in_prerequisite_state'; RETURN 0; END $$"
            )
            connection.execute(
                "CREATE VIEW pg_stat_statements AS SELECT raising() AS dbid, '' AS query, 1 AS calls,"
                " 1.0 AS total_exec_time, 1.0 AS mean_exec_time, 1.0 AS stddev_exec_time"
            )
        with monitoring(pg_url) as monitor, pytest.raises(StatisticsUnavailable, match=r"not loaded: .*shared_preload"):
            monitor.slow()

    def test_where_it_is_older_than_its_columns(self, pg_url: str) -> None:
        with psycopg.connect(pg_url, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE pg_stat_statements (dbid oid, query text, calls bigint, total_time float8)"
            )
        with monitoring(pg_url) as monitor, pytest.raises(StatisticsUnavailable, match="ALTER EXTENSION"):
            monitor.slow()

    def test_where_the_role_may_not_read_it(self, pg_url: str) -> None:
        stand_in(pg_url)
        role = f"tiu_nobody_{uuid4().hex[:12]}"
        with psycopg.connect(pg_url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role}".encode())
            try:
                options = psycopg.conninfo.make_conninfo(pg_url, options=f"-c role={role}")
                with monitoring(options) as monitor:
                    with pytest.raises(StatisticsUnavailable, match="this role may not read it"):
                        monitor.slow()
                    assert monitor.sizes(), "the connection goes on"
            finally:
                connection.execute(f"DROP ROLE {role}".encode())

    def test_on_sqlite(self, sqlite: SQLiteBackend) -> None:
        with pytest.raises(StatisticsUnavailable, match="SQLite keeps no statistics"):
            monitor_of(sqlite.events()).slow()


def stand_in(url: str) -> None:
    """Make a table like pg_stat_statements, with what the module would hold, and a database of another number."""
    rows: list[tuple[Any, ...]] = [
        (0, "SELECT $1 AS marker", 1, 0.01, 0.01, 0.0),
        (0, "SELECT pg_sleep($1), $2 AS marker", 3, 60.9, 20.3, 0.1),
        (1, "SELECT pg_sleep($1), $2", 1, 99.0, 99.0, 0.0),
        (0, None, 2, 0.5, 0.25, 0.0),
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE pg_stat_statements ({COLUMNS})".encode())
        for elsewhere, *values in rows:
            connection.execute(
                "INSERT INTO pg_stat_statements SELECT oid::bigint + %s, %s, %s, %s, %s, %s FROM pg_database"
                " WHERE datname = current_database()",
                (elsewhere, *values),
            )


class TestThePool:
    def test_on_postgresql(self, postgresql: PostgreSQLBackend) -> None:
        with closing(Connections(postgresql.url, max_size=1, timeout=10, recycle=3600)) as connections:
            monitor = PostgreSQLMonitor(connections)
            with connections.using():
                assert monitor.pool() == PoolUse(size=1, available=0, requests_waiting=0)
            assert monitor.pool() == PoolUse(size=1, available=1, requests_waiting=0)

    def test_on_sqlite_there_is_none(self, sqlite: SQLiteBackend) -> None:
        assert monitor_of(sqlite.events()).pool() is None


def test_a_lost_file_is_told(sqlite: SQLiteBackend, tmp_path: Path) -> None:
    monitor = monitor_of(sqlite.events())
    (tmp_path / "tiu.read-1.db").unlink()
    for ask in (monitor.sizes, monitor.indexes):
        with pytest.raises(StoreUnavailable, match=r"tiu\.read-1\.db"):
            ask()
    assert not (tmp_path / "tiu.read-1.db").exists()
