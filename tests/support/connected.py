"""How many connections to PostgreSQL this process holds: the server knows a little later of one that was closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from claude_tiu.infrastructure.postgresql.connections import Connection


def most_connections(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count connections from now on; return what tells how many were open at once at most."""
    made, counting, most = list[Connection](), threading.Lock(), 0
    connect = Connection.connect

    def counted(*arguments: Any, **named: Any) -> Connection:
        nonlocal most
        connection = connect(*arguments, **named)
        with counting:
            made.append(connection)
            most = max(most, sum(not one.closed for one in made))
        return connection

    monkeypatch.setattr(Connection, "connect", counted)
    return lambda: most
