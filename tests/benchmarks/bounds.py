"""The physical bound of appending: a bare INSERT and COMMIT of the same full row.

It goes into a copy of `events` with all its indexes, under no lock and in no order, so that nothing could read it as a
log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psycopg

from claude_tiu.infrastructure.event_store import EventRow

INSERT = f"INSERT INTO bare_events VALUES ({', '.join(['%s'] * len(EventRow._fields))})"


def make_bare_events(url: str) -> None:
    """Make the table of bare inserts anew: that of the events, with all its indexes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bare_events")
        connection.execute("CREATE TABLE bare_events (LIKE events INCLUDING ALL)")


def insert_one_by_one(url: str, rows: Iterable[EventRow]) -> Iterator[None]:
    """Insert rows with a commit each, in one round trip, and yield after each."""
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor(binary=True) as cursor:
        for row in rows:
            cursor.execute(INSERT, row, prepare=True)
            yield
