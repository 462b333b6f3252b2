"""The server calls of an append: units as the binary parameters of append_events and append_event, and the outcomes.

Below psycopg's cursors: making parameters and cursors of 20 arrays would cost as much as the server's part.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import accumulate
from struct import pack
from typing import Any
from uuid import UUID

from psycopg import generators
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from ...projections.write_side import Change
from ..event_store import Conflict, Known, Outcome, Reservation, Stored, Taken, Unit
from ..sql import statements
from .connections import Connection

SQL = {name: text.encode() for name, text in statements("postgresql/events.sql").items()}

# The types' numbers are PostgreSQL's own, the same in every database.
INT4, UUID_, TEXT, BYTEA, JSONB = 23, 2950, 25, 17, 3802
_NULL = b"\xff\xff\xff\xff"
_BINARY = [[Format.BINARY] * count for count in range(20)]
_TRUE, _FALSE = b"\x01", b"\x00"


def append(connection: Connection, units: Sequence[Unit], *, independent: bool, alone: bool) -> list[Outcome]:
    """Append units; `independent` and `alone` are those of append_events. Raises psycopg's errors."""
    parameters = [_TRUE if alone else _FALSE, _TRUE if independent else _FALSE, *_arrays(units)]
    if alone:
        result = _execute(connection, "append", parameters)
    else:
        connection.pgconn.send_query_params(SQL["append"], parameters, None, [Format.BINARY] * 19, Format.BINARY)
        result = _result(connection)
    outcomes, details = _values(result.get_value(0, 0)), _values(result.get_value(0, 1))
    return [_outcome(*one) for one in zip(units, outcomes, details, strict=True)]


def is_small(units: Sequence[Unit]) -> bool:
    """Return whether `append_one` can append units."""
    if len(units) != 1:
        return False
    unit = units[0]
    if len(unit.events) != 1 or unit.reservations:
        return False
    return len(unit.guards) < 2 or (len(unit.guards) == 2 and unit.events[0].stream_id in unit.guards)


def append_one(connection: Connection, unit: Unit, *, crowded: bool) -> tuple[Stored | None, bool]:
    """Append a small unit; None where it is refused, or may be. Raises psycopg's errors.

    `crowded`, as given and as returned: somebody else is appending (append_event).
    """
    ((stream_id, version, topic, state, command, digest, correlation, causation, actor, project, key),) = unit.events
    own = other = at = None
    for guarded, number in unit.guards.items():
        if guarded == stream_id:
            own = number.to_bytes(4)
        else:
            other, at = guarded.bytes, number.to_bytes(4)
    parameters = [
        stream_id.bytes,
        version.to_bytes(4),
        topic.encode(),
        state,
        command.bytes if command else None,
        digest,
        None if correlation is None else correlation.encode(),
        None if causation is None else causation.encode(),
        None if actor is None else actor.encode(),
        project.bytes if project else None,
        key.bytes if key else None,
        own,
        other,
        at,
        _jsonb(changes_json(unit.changes)) if unit.changes else None,
    ]
    value = _execute(connection, "append_one_crowded" if crowded else "append_one", parameters).get_value(0, 0)
    if value is None:
        return None, crowded
    position = int.from_bytes(value, signed=True)
    return Stored(abs(position)), position < 0


def _execute(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    """Execute a prepared statement: once more where psycopg let all of them go, as it does behind a rollback."""
    if name in connection.prepared:
        try:
            return _send(connection, name, parameters)
        except InvalidSqlStatementName:
            pass
    connection.pgconn.send_prepare(name.encode(), SQL[name])
    _result(connection)
    connection.prepared.add(name)
    return _send(connection, name, parameters)


def _send(connection: Connection, name: str, parameters: Sequence[bytes | None]) -> PGresult:
    connection.pgconn.send_query_prepared(name.encode(), parameters, _BINARY[len(parameters)], Format.BINARY)
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
    return _array(INT4, [value.to_bytes(4, signed=True) for value in values])


def _uuids(values: Iterable[UUID | None]) -> bytes:
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
