"""The one server call of an append: units as the binary arrays of append_events, and its outcomes.

Below psycopg's cursors: making parameters and cursors of 20 arrays would cost as much as the server's part.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import accumulate
from struct import pack
from typing import Any

from psycopg import generators
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from ...projections.write_side import Change
from ..event_store import Conflict, Known, Outcome, Reservation, Stored, Taken, Unit
from ..sql import statements
from .connections import Connection

STATEMENT = b"append_events"
CALL = statements("postgresql/events.sql")["append"].encode()

# The types' numbers are PostgreSQL's own, the same in every database.
INTEGER, UUID_, TEXT, BYTEA, JSONB = 23, 2950, 25, 17, 3802
_NULL = b"\xff\xff\xff\xff"
FORMATS = [Format.BINARY] * 19
_TRUE, _FALSE = b"\x01", b"\x00"


def append(connection: Connection, units: Sequence[Unit], *, independent: bool, alone: bool) -> list[Outcome]:
    """Append units; `independent` and `alone` are those of append_events. Raises psycopg's errors.

    What was read before the server crashed may have been lost in the crash, and its version be another event's: guards
    that rest on it are told as conflicts.
    """
    current = [unit for unit in units if not _outlived(unit, connection)]
    if len(current) == len(units):
        return _append(connection, units, independent=independent, alone=alone)
    outcomes = iter(_append(connection, current, independent=independent, alone=alone) if current else [])
    return [Conflict(next(iter(unit.guards))) if _outlived(unit, connection) else next(outcomes) for unit in units]


def _outlived(unit: Unit, connection: Connection) -> bool:
    return unit.incarnation not in (None, connection.incarnation) and bool(unit.guards)


def _append(connection: Connection, units: Sequence[Unit], *, independent: bool, alone: bool) -> list[Outcome]:
    parameters = [_TRUE if alone else _FALSE, _TRUE if independent else _FALSE, *_arrays(units)]
    if alone:
        result = _call(connection, parameters)
    else:
        connection.pgconn.send_query_params(CALL, parameters, None, FORMATS, Format.BINARY)
        result = _result(connection)
    outcomes, details = _values(result.get_value(0, 0)), _values(result.get_value(0, 1))
    return [_outcome(*one) for one in zip(units, outcomes, details, strict=True)]


def _call(connection: Connection, parameters: Sequence[bytes]) -> PGresult:
    """Call the prepared statement: once more where psycopg let all of them go, as it does behind a rollback."""
    if connection.can_append:
        try:
            return _send(connection, parameters)
        except InvalidSqlStatementName:
            pass
    connection.pgconn.send_prepare(STATEMENT, CALL)
    _result(connection)
    connection.can_append = True
    return _send(connection, parameters)


def _send(connection: Connection, parameters: Sequence[bytes]) -> PGresult:
    connection.pgconn.send_query_prepared(STATEMENT, parameters, FORMATS, Format.BINARY)
    return _result(connection)


def _result(connection: Connection) -> PGresult:
    """Wait for the answer to what was sent; an interrupt cancels it."""
    result: PGresult = connection.wait(generators.execute(connection.pgconn))[-1]
    if result.status == ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    return result


def _outcome(unit: Unit, outcome: bytes | None, detail: bytes | None) -> Outcome:
    if detail is None:
        return Known()
    number = int.from_bytes(detail)
    if outcome == b"stored":
        return Stored(number)
    return Conflict(list(unit.guards)[number]) if outcome == b"conflict" else Taken(number)


def _arrays(units: Sequence[Unit]) -> list[bytes]:
    """Return the arguments of append_events from event_ends on."""
    events = units[0].events if len(units) == 1 else [event for unit in units for event in unit.events]
    guards = units[0].guards.items() if len(units) == 1 else [guard for unit in units for guard in unit.guards.items()]
    streams, versions, topics, states, commands, digests, correlations, causations, actors, projects, keys = (
        zip(*events, strict=True) if events else [()] * 11
    )
    return [
        _integers(accumulate(len(unit.events) for unit in units)),
        _uuids(streams),
        _integers(versions),
        _strings(topics),
        _array(BYTEA, states),
        _uuids(commands),
        _array(BYTEA, digests),
        _strings(correlations),
        _strings(causations),
        _strings(actors),
        _uuids(projects),
        _uuids(keys),
        _integers(accumulate(len(unit.guards) for unit in units)),
        _uuids([stream_id for stream_id, _ in guards]),
        _integers([version for _, version in guards]),
        _array(JSONB, [_reserved(unit.reservations) if unit.reservations else None for unit in units]),
        _array(JSONB, [_jsonb(changes_json(unit.changes)) if unit.changes else None for unit in units]),
    ]


def _array(type_: int, values: Sequence[bytes | None]) -> bytes:
    """Return a binary array: dimensions (one), a flag of no use, the type, the length, where it begins to count; then
    each value behind its length, -1 for NULL."""
    if not values:
        return pack("!iii", 0, 0, type_)
    head = pack("!iiiii", 1, 1, type_, len(values), 1)
    return head + b"".join([_NULL if value is None else len(value).to_bytes(4) + value for value in values])


def _integers(values: Iterable[int]) -> bytes:
    return _array(INTEGER, [value.to_bytes(4, signed=True) for value in values])


def _uuids(values: Iterable[Any]) -> bytes:
    return _array(UUID_, [None if value is None else value.bytes for value in values])


def _strings(values: Iterable[str | None]) -> bytes:
    return _array(TEXT, [None if value is None else value.encode() for value in values])


def _reserved(reservations: Sequence[Reservation]) -> bytes:
    return _jsonb(_json({**one._asdict(), "number": number} for number, one in enumerate(reservations)))


def _jsonb(text: str) -> bytes:
    return b"\x01" + text.encode()  # 1: the version of the format


def changes_json(changes: Iterable[tuple[int, Change]]) -> str:
    """Return changes as change_write_side takes them."""
    return _json({**change, "event": index} for index, change in changes)


def _json(items: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(items), default=_plain)


def _plain(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _values(array: bytes | None) -> list[bytes | None]:
    """Return what a binary array of one dimension holds."""
    values: list[bytes | None] = []
    at = 20
    while array and at < len(array):
        length = int.from_bytes(array[at : at + 4], signed=True)
        values.append(None if length < 0 else array[at + 4 : at + 4 + length])
        at += 4 + max(length, 0)
    return values
