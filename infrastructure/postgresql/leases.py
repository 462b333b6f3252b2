"""Leases on PostgreSQL: a row by the server's clock, and a lock of the session that listens for appends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import psycopg

from ..errors import StoreUnavailable
from ..event_store import Listener
from ..leases import Holder, Lease, Leases, this_process
from ..logs import fields
from ..sql import for_psycopg, statements
from .connections import Connection, Connections
from .event_store import PostgreSQLListener

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/leases.sql").items()}
"""Those of projections: beside `checkpoints`, in `leases`."""
LOCK_SECONDS = 0.5
"""How long to wait for a batch that is being written under a tenure that has ended, before its session is ended."""

log = logging.getLogger(__name__)


class PostgreSQLLeases(Leases):
    """Where the leases and their checkpoints stand, `sql` says."""

    def __init__(self, connections: Connections, seconds: float, sql: Mapping[str, str] = SQL) -> None:
        super().__init__(seconds)
        self._connections = connections
        self._sql = sql

    def candidate(self, name: str, listener: Listener) -> Lease:
        if not isinstance(listener, PostgreSQLListener):
            raise TypeError("a lease is held by the session of a PostgreSQLListener")
        return PostgreSQLLease(self._connections, listener, name, self._seconds, self._sql)

    def holder(self, name: str) -> Holder | None:
        with self._connections.using() as connection:
            row = connection.execute(self._sql["holder"], {"name": name}).fetchone()
        return None if row is None else Holder(*row)


class PostgreSQLLease(Lease):
    """Its tenures' locks are the listener's session's; they are renewed by any of the pool's."""

    def __init__(
        self,
        connections: Connections,
        listener: PostgreSQLListener,
        name: str,
        seconds: float,
        sql: Mapping[str, str] = SQL,
    ) -> None:
        super().__init__(name, seconds, listener)
        self._connections = connections
        self._sql = sql
        self._session = listener
        self._locked_on: Connection | None = None
        self._patience = {"milliseconds": str(round(min(LOCK_SECONDS, seconds / 20) * 1000))}

    def _take(self, candidate: UUID) -> int | None:
        with self._session.session() as connection:
            row = connection.execute(self._sql["is_free"], {"name": self.name}).fetchone()
            if row is not None and not row[0]:
                return None
            try:
                return self._begin(connection, candidate)
            except psycopg.errors.LockNotAvailable:
                self._end_writers(connection)
            with suppress(psycopg.errors.LockNotAvailable):  # they are on their way out; else the next attempt ends it
                return self._begin(connection, candidate)
            return None

    def _begin(self, connection: Connection, candidate: UUID) -> int | None:
        """The order is that of whoever writes: the checkpoint first, then the lease."""
        values = {"name": self.name, "candidate": candidate, "term": self.term, **this_process()}
        with connection.transaction():
            connection.execute(self._sql["patience"], self._patience)
            connection.execute(self._sql["lock_checkpoint"], values)
            row = connection.execute(self._sql["take"], values).fetchone()
            if row is None:
                return None
            (fence,) = row
            connection.execute(self._sql["fence"], {"name": self.name, "fence": fence})
            self._lock(connection, fence)  # last, and before anybody sees the tenure: it outlasts the transaction
        return int(fence)

    def _lock(self, connection: Connection, fence: int) -> None:
        """Take a tenure's lock. Where another just looks whether it is free, it is not: `keep` tries again."""
        ((locked,),) = connection.execute(self._sql["lock"], {"name": self.name, "fence": fence}).fetchall()
        self._locked_on = connection if locked else None

    def _end_writers(self, connection: Connection) -> None:
        """End the sessions that hold the checkpoint: their process stands still within a transaction, or is gone while
        its statement runs."""
        try:
            ended = connection.execute(self._sql["end_writers"], {"name": self.name}).fetchall()
        except psycopg.errors.InsufficientPrivilege as error:
            extra = fields("lease.held_up", projection=self.name, error=error)
            why = error.diag.message_primary
            log.warning("%s: a session of another role holds the checkpoint: %s", self.name, why, extra=extra)
            return
        found = dict(ended)
        extra = fields("lease.sessions_ended", projection=self.name, sessions=len(found))
        log.warning("%s: ended sessions that wrote under a lease that has run out: %s", self.name, found, extra=extra)

    def keep(self) -> None:
        super().keep()
        if self.fence is not None:
            with self._session.session() as connection:
                if connection is not self._locked_on:  # it was lost, and is another
                    self._lock(connection, self.fence)

    def _renew(self, candidate: UUID, fence: int) -> bool:
        values = {"name": self.name, "candidate": candidate, "fence": fence, "term": self.term}
        with self._connections.using() as connection:
            return connection.execute(self._sql["renew"], values).rowcount == 1

    def _let_go(self, fence: int) -> None:
        connection, self._locked_on = self._locked_on, None
        if connection is None or connection.closed:
            return
        with suppress(StoreUnavailable), self._session.session() as current:
            if current is connection:
                connection.execute(self._sql["unlock"], {"name": self.name, "fence": fence})
