"""The server calls of an append: units as the parameters of append_events and append_event, and the outcomes."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from psycopg.errors import UniqueViolation

from ...projections.write_side import Change
from ..event_store import Conflict, Known, Outcome, Reservation, Stored, Taken, Unit
from .connections import Connection
from .wire import BYTEA, FALSE, JSONB, TRUE, array, elements, execute, execute_once, integers, strings, uuids


def append(connection: Connection, units: Sequence[Unit], *, independent: bool, alone: bool) -> list[Outcome]:
    """Append units; `independent` and `alone` are those of append_events. Raises psycopg's errors."""
    parameters = [TRUE if alone else FALSE, TRUE if independent else FALSE, *_arrays(units)]
    result = (execute if alone else execute_once)(connection, "append", parameters)
    outcomes, details = result.get_value(0, 0), elements(result.get_value(0, 1))
    if outcomes is None:
        return _all_stored(units, int.from_bytes(details[0] or b""))
    return [_outcome(*one) for one in zip(units, elements(outcomes), details, strict=True)]


def _all_stored(units: Sequence[Unit], position: int) -> list[Outcome]:
    """Return the outcomes of units whose events lie one behind the other from a position on."""
    outcomes: list[Outcome] = []
    for unit in units:
        outcomes.append(Stored(position))
        position += len(unit.events)
    return outcomes


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
            own = number.to_bytes(4, signed=True)
        else:
            other, at = guarded.bytes, number.to_bytes(4, signed=True)
    event = [
        stream_id.bytes,
        version.to_bytes(4, signed=True),
        topic.encode(),
        state,
        command.bytes if command else None,
        digest,
        None if correlation is None else correlation.encode(),
        None if causation is None else causation.encode(),
        None if actor is None else actor.encode(),
        project.bytes if project else None,
        key.bytes if key else None,
    ]
    if connection.kept_until and own and not unit.changes and not crowded:
        position = _insert_one(connection, [*event, own] if other is None else [*event, own, other, at])
        if position is not None:
            return Stored(position), False
    changes = _jsonb(changes_json(unit.changes)) if unit.changes else None
    parameters = [*event, own, other, at, changes]
    value = execute(connection, "append_one_crowded" if crowded else "append_one", parameters).get_value(0, 0)
    if value is None:
        return None, crowded
    position = int.from_bytes(value, signed=True)
    return Stored(abs(position)), position < 0


def _insert_one(connection: Connection, parameters: list[bytes | None]) -> int | None:
    """Return the position of an event; None where it was not stored, and append_event must tell."""
    try:
        result = execute(connection, "insert_one" if len(parameters) == 12 else "insert_one_guarded", parameters)
    except UniqueViolation:
        return None
    return int.from_bytes(result.get_value(0, 0) or b"") if result.ntuples else None


def _outcome(unit: Unit, outcome: bytes | None, detail: bytes | None) -> Outcome:
    if detail is None:
        return Known()
    number = int.from_bytes(detail)
    if outcome == b"stored":
        return Stored(number)
    return Conflict(list(unit.guards)[number]) if outcome == b"conflict" else Taken(number)


def _arrays(units: Sequence[Unit]) -> list[bytes | None]:
    """Return the arguments of append_events from event_ends on."""
    events = units[0].events if len(units) == 1 else [event for unit in units for event in unit.events]
    guards = units[0].guards.items() if len(units) == 1 else [guard for unit in units for guard in unit.guards.items()]
    streams, versions, topics, states, commands, digests, correlations, causations, actors, projects, keys = (
        zip(*events, strict=True) if events else [()] * 11
    )
    return [
        integers(accumulate(len(unit.events) for unit in units)),
        uuids(streams),
        integers(versions),
        strings(topics),
        array(BYTEA, states),
        uuids(commands),
        array(BYTEA, digests),
        strings(correlations),
        strings(causations),
        strings(actors),
        uuids(projects),
        uuids(keys),
        integers(accumulate(len(unit.guards) for unit in units)),
        uuids([stream_id for stream_id, _ in guards]),
        integers([version for _, version in guards]),
        _jsons([_reserved(unit.reservations) if unit.reservations else None for unit in units]),
        _jsons([_jsonb(changes_json(unit.changes)) if unit.changes else None for unit in units]),
    ]


def _jsons(values: Sequence[bytes | None]) -> bytes | None:
    """Return an array; NULL where nothing is in it."""
    return array(JSONB, values) if any(values) else None


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
