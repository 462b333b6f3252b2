"""The verbs of `tiu show` that ask the database about itself."""

from __future__ import annotations

from collections.abc import Sequence

from ..monitor import IndexUse, SlowStatement, TableSize
from .output import Columns, DbOption, JsonOption
from .session import connected
from .show import LimitOption, print_found


def sizes(limit: LimitOption = 1_000, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show how large each table is, the largest first. Sizes are with indexes; rows are estimates, on PostgreSQL."""
    with connected(db) as tiu:
        columns = {
            "schema": "schemaname",
            "table": "tablename",
            "size": "size",
            "bytes": "size_bytes",
            "indexes": "index_bytes",
            "rows, about": "row_estimate",
        }
        rows = tiu.monitor.sizes(limit=limit)
        print_found("Table sizes", rows, _known(rows, columns), as_json)


def slow(limit: LimitOption = 10, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show the statements that took the most time together. In milliseconds, from pg_stat_statements: not on SQLite."""
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
    """Show the indexes, the most used first. On SQLite use is not counted."""
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
        rows = tiu.monitor.indexes(limit=limit)
        print_found("Indexes", rows, _known(rows, columns), as_json)


def _known(rows: Sequence[TableSize | IndexUse], columns: dict[str, str]) -> dict[str, str]:
    """Leave out the columns of which the database knows nothing: SQLite counts no use, and estimates no rows."""
    return {heading: name for heading, name in columns.items() if any(getattr(row, name) is not None for row in rows)}
