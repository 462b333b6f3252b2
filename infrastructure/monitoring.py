"""Which monitor goes with which event store."""

from __future__ import annotations

from .event_store import EventStore
from .monitor import Monitor
from .postgresql.event_store import PostgreSQLEventStore
from .postgresql.monitor import PostgreSQLMonitor
from .sqlite.event_store import SQLiteEventStore
from .sqlite.generations import read_path
from .sqlite.monitor import SQLiteMonitor


def monitor_of(events: EventStore) -> Monitor:
    """Return the monitor of the database that holds an event store."""
    match events:
        case PostgreSQLEventStore():
            return PostgreSQLMonitor(events.connections)
        case SQLiteEventStore():
            path, timeout = events.connections.path, events.connections.timeout
            return SQLiteMonitor(
                lambda: {"events": path, "read": read_path(path, events.read_generation())}, timeout=timeout
            )
    raise TypeError(f"no monitor goes with {type(events).__name__}")
