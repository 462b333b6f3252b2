"""A file that is only read, whatever it is asked: other people's SQL included."""

from __future__ import annotations

import sqlite3

from .connections import Connections, open_database

ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
PRAGMAS = frozenset(
    {
        "data_version",  # the text search asks for it
        "foreign_key_list",
        "index_info",
        "index_list",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
"""They tell what there is, and change nothing."""


class ReadOnlyConnections(Connections):
    """Connections that can do no more than SELECT from their one file: they attach no other, and make none."""

    def _open(self) -> sqlite3.Connection:
        connection = open_database(self.path, timeout=self.timeout, read_only=True)
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorize)
        return connection


def _authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = second != "load_extension"
    elif action == sqlite3.SQLITE_PRAGMA:
        allowed = first in PRAGMAS
    elif action == sqlite3.SQLITE_UPDATE:  # what declares json_each and its like; to update it is refused all the same
        allowed = first == "sqlite_master"
    else:
        allowed = action in ALLOWED
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
