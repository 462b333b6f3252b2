"""Statements that are executed too often for psycopg's cursors: prepared once a connection, their parameters bytes in
binary form, their answers read as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from struct import pack
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import UUID

from psycopg import generators
from psycopg.abc import PQGen
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from ..sql import statements
from .connections import Connection

SQL = {name: text.encode() for name, text in statements("postgresql/hot.sql").items()}

# The types' numbers are PostgreSQL's own, the same in every database.
INT4, UUID_, TEXT, BYTEA, JSONB = 23, 2950, 25, 17, 3802
TRUE, FALSE = b"\x01", b"\x00"
_NULL = b"\xff\xff\xff\xff"
_BINARY = [[Format.BINARY] * count for count in range(20)]


def execute(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    """Execute a prepared statement: once more where psycopg let all of them go, as it does behind a rollback.

    Raises psycopg's errors.
    """
    if name in connection.prepared:
        try:
            return _send(connection, name, parameters)
        except InvalidSqlStatementName:
            pass
    connection.pgconn.send_prepare(name.encode(), SQL[name])
    _result(connection)
    connection.prepared.add(name)
    return _send(connection, name, parameters)


def execute_once(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    """Execute a statement without preparing it: a prepared one that is gone would end the transaction at hand."""
    connection.pgconn.send_query_params(SQL[name], parameters, None, _BINARY[len(parameters)], Format.BINARY)
    return _result(connection)


def send(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> bool:
    """Send a prepared statement, and wait for nothing: `answered` does. False where it is not prepared on this
    connection: then nothing is sent. Raises psycopg's errors."""
    if name not in connection.prepared:
        return False
    connection.pgconn.send_query_prepared(name.encode(), parameters, _BINARY[len(parameters)], Format.BINARY)
    return True


def answered(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    """Wait for the answer to what `send` has sent; as `execute`."""
    try:
        return _result(connection)
    except InvalidSqlStatementName:
        return execute(connection, name, parameters)


def _send(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    connection.pgconn.send_query_prepared(name.encode(), parameters, _BINARY[len(parameters)], Format.BINARY)
    return _result(connection)


def _result(connection: Connection) -> PGresult:
    """Wait for the answer to what was sent; an interrupt cancels it."""
    result: PGresult = connection.wait(generators.execute(connection.pgconn))[-1]
    if result.status == ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    return result


class Statement(NamedTuple):
    """A statement with $1 parameters in text or binary form, each with its own."""

    text: str
    parameters: Sequence[bytes | None]
    formats: Sequence[Format]
    prepared: bool = True
    """False of what ends a transaction: if psycopg had let go of it, its answer would leave the transaction open."""


class Pipeline:
    """Executes statements many at a time, in one round trip: each `execute` is one.

    A context manager. Statements are prepared, where they do not say otherwise; whoever begins a transaction ends it
    before the context ends. Where anything else is raised, or an interrupt comes, the connection is closed.
    """

    MOST_PREPARED = 250
    """So many statements are kept prepared on a connection; what comes later is planned each time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn

    def __enter__(self) -> Self:
        self._pgconn.enter_pipeline_mode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pgconn.transaction_status == TransactionStatus.IDLE:
            self._pgconn.exit_pipeline_mode()
        else:
            self._connection.close()

    def execute(self, statements: Iterable[Statement]) -> list[PGresult]:
        """Execute statements in order, and return the answer to each. Raises psycopg's error of the first that fails:
        those behind it are not executed."""
        sent: list[str | None] = []
        """What each answer to come is of: the name of a statement that is prepared or executed."""
        preparing = set[str]()
        for text, parameters, formats, prepared in statements:
            name = _name(text)
            known = name in self._connection.prepared or name in preparing
            full = len(self._connection.prepared) + len(preparing) >= self.MOST_PREPARED
            if not prepared or (full and not known):
                self._pgconn.send_query_params(text.encode(), parameters, None, formats)
                sent.append(None)
                continue
            if not known:
                self._pgconn.send_prepare(name.encode(), text.encode())
                preparing.add(name)
                sent.append(name)
            self._pgconn.send_query_prepared(name.encode(), parameters, formats)
            sent.append(name)
        self._pgconn.pipeline_sync()
        results = self._connection.wait(_answers(self._pgconn, len(sent)))
        answers: list[PGresult] = []
        for of, result in zip(sent, results, strict=True):
            if result.status == ExecStatus.FATAL_ERROR:
                error = error_from_result(result)
                if of and isinstance(error, InvalidSqlStatementName):
                    self._connection.prepared.discard(of)
                raise error
            if of in preparing:
                preparing.remove(of)
                self._connection.prepared.add(of)
            else:
                answers.append(result)
        return answers


def _answers(pgconn: PGconn, count: int) -> PQGen[list[PGresult]]:
    """Send what waits, and return the answer to each statement up to a sync."""
    yield from generators.send(pgconn)
    answers = []
    for _ in range(count):
        answers.append((yield from generators.fetch_many(pgconn))[-1])
    yield from generators.fetch_many(pgconn)
    return answers


def _name(text: str) -> str:
    """Return the name that a statement has as a prepared one, on every connection."""
    return _names.get(text) or _names.setdefault(text, f"written_{len(_names)}")


_names: dict[str, str] = {}


def encoded(values: Iterable[Any]) -> tuple[list[bytes | None], list[Format]]:
    """Return values as parameters of a Statement. Raises TypeError for a value of a type that is not known here."""
    parameters: list[bytes | None] = []
    formats: list[Format] = []
    for value in values:
        kind = type(value)
        if value is None:
            parameters.append(None)
            formats.append(Format.BINARY)
        elif kind is UUID:
            parameters.append(value.bytes)
            formats.append(Format.BINARY)
        elif kind is str:  # in binary form: a text parameter would end at a NUL, unnoticed
            parameters.append(value.encode())
            formats.append(Format.BINARY)
        elif kind is bytes:
            parameters.append(value)
            formats.append(Format.BINARY)
        elif kind is Jsonb:
            parameters.append(to_json(value.obj))
            formats.append(Format.TEXT)
        elif kind in _WRITTEN:
            parameters.append(str(value).encode())
            formats.append(Format.TEXT)
        else:
            raise TypeError(f"no parameter is made of a {kind.__name__}")
    return parameters, formats


_WRITTEN = (int, float, bool, datetime)
"""What PostgreSQL reads as Python writes it; of a float that is the shortest form that gives the same double again."""


def array(type_: int, values: Sequence[bytes | None]) -> bytes:
    """Return a binary array: dimensions (one), a flag of no use, the type, the length, where it begins to count; then
    each value behind its length, -1 for NULL."""
    if not values:
        return pack("!iii", 0, 0, type_)
    head = pack("!iiiii", 1, 1, type_, len(values), 1)
    return head + b"".join([_NULL if value is None else len(value).to_bytes(4) + value for value in values])


def integers(values: Iterable[int]) -> bytes:
    return array(INT4, [value.to_bytes(4, signed=True) for value in values])


def uuids(values: Iterable[UUID | None]) -> bytes:
    return array(UUID_, [None if value is None else value.bytes for value in values])


def strings(values: Iterable[str | None]) -> bytes:
    return array(TEXT, [None if value is None else value.encode() for value in values])


def elements(array: bytes | None) -> list[bytes | None]:
    """Return what a binary array of one dimension holds."""
    found: list[bytes | None] = []
    at = 20
    while array and at < len(array):
        length = int.from_bytes(array[at : at + 4], signed=True)
        found.append(None if length < 0 else array[at + 4 : at + 4 + length])
        at += 4 + max(length, 0)
    return found
