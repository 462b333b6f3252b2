"""The verbs of `tiu show` that ask the database about itself."""

from __future__ import annotations

from ..monitor import SlowStatement
from .output import Columns, DbOption, JsonOption
from .session import connected
from .show import LimitOption, print_found


def sizes(limit: LimitOption = 1_000, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show how large each table is, its indexes included, and about how many rows it has; the largest first."""
    with connected(db) as tiu:
        columns = {
            "schema": "schemaname",
            "table": "tablename",
            "size": "size",
            "bytes": "size_bytes",
            "indexes": "index_bytes",
            "rows, about": "row_estimate",
        }
        print_found("Table sizes", tiu.monitor.sizes(limit=limit), columns, as_json)


def slow(limit: LimitOption = 10, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show the statements that took the most time together, in milliseconds (pg_stat_statements; not on SQLite)."""
    with connected(db) as tiu:
        columns: Columns = {
            "total": "total_exec_time",
            "calls": "calls",
            "mean": "mean_exec_time",
            "stddev": "stddev_exec_time",
            "statement": _on_one_line,
        }
        print_found("Slow statements (ms)", tiu.monitor.slow(limit=limit), columns, as_json)


def _on_one_line(row: SlowStatement) -> str:
    return "–" if row.query is None else " ".join(row.query.split())


def indexes(limit: LimitOption = 1_000, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show the indexes, their sizes in bytes, and on PostgreSQL how often each was used; the most used first."""
    with connected(db) as tiu:
        columns = {
            "schema": "schemaname",
            "table": "relname",
            "index": "indexrelname",
            "scans": "idx_scan",
            "read": "idx_tup_read",
            "fetched": "idx_tup_fetch",
            "bytes": "size_bytes",
        }
        print_found("Indexes", tiu.monitor.indexes(limit=limit), columns, as_json)
