"""Commands in a transaction of the host's: on its connection, between its own statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn

from ...domain.messages import Command
from ..decision import Answer
from ..errors import TransactionRefused
from ..event_store import EventStore
from ..executor import Executor
from ..sql import for_psycopg, statements
from .connections import Connection, adapt, translated
from .event_store import SQL as EVENTS
from .event_store import PostgreSQLEventStore

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/host.sql").items()}
OURS = ("TimeZone", "DateStyle", "extra_float_digits", "search_path", "client_encoding")
"""What our connections set, and the host's may have otherwise."""
CHANGED = (*OURS, "plan_cache_mode", "enable_seqscan", "synchronous_commit")
"""What is changed meanwhile: by us, or by append_events."""
ISOLATION = "transaction_isolation"


def execute_within(events: EventStore, pgconn: PGconn, commands: Sequence[Command]) -> list[Answer]:
    """Execute commands as one unit in the transaction that a connection is in, which nobody else uses meanwhile.

    Raises what Executor.execute raises, and TransactionRefused: the transaction then is as it was before.
    """
    if not isinstance(events, PostgreSQLEventStore):
        raise TransactionRefused("only PostgreSQL executes commands in a transaction of the caller's")
    with _within(events, pgconn) as store:
        return Executor(store).execute_exclusively(commands)


@contextmanager
def _within(events: PostgreSQLEventStore, pgconn: PGconn) -> Iterator[PostgreSQLEventStore]:
    """Give an event store that reads and writes in the transaction that a connection is in.

    What is raised meanwhile rolls back to where it was. At the end the session's settings are the host's again, and the
    ordering lock is held until the host ends its transaction. Raises TransactionRefused.
    """
    if pgconn.transaction_status != TransactionStatus.INTRANS:
        status = TransactionStatus(pgconn.transaction_status).name
        raise TransactionRefused(f"the connection is in no transaction that could go on ({status}): begin one")
    with events.connections.using() as own:
        ours = _settings(own, OURS)
    with translated(events.connections.url), _connection(pgconn) as connection:
        before = _settings(connection, (*CHANGED, ISOLATION))
        if (isolation := before.pop(ISOLATION)) != "read committed":
            raise TransactionRefused(
                f"the transaction is {isolation}: only read committed sees what others have stored"
            )
        with connection.transaction():  # a savepoint
            _set(connection, ours)
            adapt(connection)
            ((epoch, *_),) = connection.execute(EVENTS["store"])
            if epoch != events.epoch:
                raise TransactionRefused("the connection is to another database")
            yield events.on(connection)
            _set(connection, before)


@contextmanager
def _connection(pgconn: PGconn) -> Iterator[Connection]:
    """Give a connection of ours over one of the host's: neither changes what the other one knows of it."""
    handlers = pgconn.notice_handler, pgconn.notify_handler
    connection = Connection(pgconn)
    pgconn.notice_handler, pgconn.notify_handler = handlers
    connection.prepare_threshold = None  # the host's names of prepared statements are its own
    try:
        yield connection
    finally:
        del connection.pgconn  # it stays open, and is the host's alone


def _settings(connection: Connection, names: tuple[str, ...]) -> dict[str, str]:
    return dict(connection.execute(SQL["settings"], {"names": list(names)}).fetchall())


def _set(connection: Connection, values: Mapping[str, str]) -> None:
    connection.execute(SQL["set"], {"names": list(values), "values": list(values.values())})
