"""What an audit bundle consists of: lines of JSON, each in one form alone (docs/explanation/bundle.md has them all).

Keys are sorted, nothing stands between the tokens, text is UTF-8 without needless escapes: the same contents are the
same bytes, and what is read must be what would be written of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from ....domain.registry import EVENTS, event_schema
from ....projections.projection import Kind, Table
from ....projections.read_model import READ_MODEL
from ....projections.tables import CLEANUP_LOG
from ...errors import BadSeal
from ...event_hash import event_hash
from ...event_store import EventRow
from ...mapper import SEALED
from ...sqlite.values import json_text, time_of, time_text
from ..seals import Inclusion, Seal

FORMAT = "claude-tiu.bundle.v1"
ABOUT, LOG, PROOFS, SEALS, ROWS, SCHEMAS = MEMBERS = (
    "bundle.json",
    "events.jsonl",
    "proofs.jsonl",
    "seals.jsonl",
    "rows.jsonl",
    "schemas.jsonl",
)
"""In their order."""
MAX_SEALS = 10_000
"""Of more, the last ones."""
HASH_BYTES = 32
MAX_INTEGER = 2**63 - 1
NOT_OF_A_PROJECT = {CLEANUP_LOG.name, "agents", "agent_metrics", "templates"}
TABLES = tuple(
    table
    for table in READ_MODEL.tables
    if not table.private and not table.personal and table.name not in NOT_OF_A_PROJECT
)
"""Those whose rows a bundle has: what is a project's own, and the workflows that were run in it."""


@dataclass(frozen=True, slots=True)
class About:
    """What a bundle says of itself."""

    project_id: UUID
    position: int
    """Up to which of the log's events it tells, and as of which its rows stand."""
    head: bytes
    """The hash of the event there."""
    epoch: UUID
    """Of the log."""
    code: str
    """The version of claude-tiu that made it."""
    projection: str
    projection_version: int

    @property
    def line(self) -> bytes:
        return line(
            {
                "format": FORMAT,
                "project_id": str(self.project_id),
                "position": self.position,
                "head": self.head.hex(),
                "epoch": str(self.epoch),
                "code": self.code,
                "projection": self.projection,
                "projection_version": self.projection_version,
            }
        )

    @classmethod
    def parse(cls, text: bytes) -> About:
        """Return what such a line says. Raises ValueError where it is none, or of another format."""
        found = _read(text)
        if isinstance(found, dict) and found.get("format") not in (None, FORMAT):
            raise ValueError(f"of the format {ascii(found['format'])[:60]}, which this version does not know")
        try:
            about = cls(
                project_id=UUID(found["project_id"]),
                position=_integer(found["position"]),
                head=_hash(found["head"]),
                epoch=UUID(found["epoch"]),
                code=_a_text(found["code"]),
                projection=_a_text(found["projection"]),
                projection_version=_integer(found["projection_version"]),
            )
        except BAD:
            about = None
        if about is None or about.line != text:
            raise ValueError("it does not say what it is")
        return about


def line(value: Any) -> bytes:
    """Return a value as the one line of JSON that it is."""
    return json_text(value).encode()


def event_line(row: EventRow) -> bytes:
    """Return an event's whole row. Its body stands there as text, or in hexadecimal where it is none."""
    try:
        state = {"state": row.state.decode()}
    except UnicodeDecodeError:
        state = {"state_hex": row.state.hex()}
    return line(
        {
            "position": row.position,
            "stream_id": str(row.stream_id),
            "version": row.version,
            "topic": row.topic,
            **state,
            "recorded_at": time_text(row.recorded_at),
            "command_id": _text(row.command_id),
            "command_digest": _hex(row.command_digest),
            "correlation_id": row.correlation_id,
            "causation_id": row.causation_id,
            "actor": row.actor,
            "project_id": _text(row.project_id),
            "key_id": _text(row.key_id),
            "previous_hash": row.previous_hash.hex(),
            "hash": row.hash.hex(),
        }
    )


def event_of(text: bytes) -> EventRow:
    """Return the event of such a line. Raises ValueError where it is none."""
    try:
        found = _read(text)
        row = EventRow(
            position=_integer(found["position"]),
            stream_id=UUID(found["stream_id"]),
            version=_integer(found["version"]),
            topic=_a_text(found["topic"]),
            state=_bytes(found["state_hex"]) if "state_hex" in found else found["state"].encode(),
            recorded_at=time_of(found["recorded_at"]),
            command_id=_given(UUID, found["command_id"]),
            command_digest=_given(_bytes, found["command_digest"]),
            correlation_id=_given(_a_text, found["correlation_id"]),
            causation_id=_given(_a_text, found["causation_id"]),
            actor=_given(_a_text, found["actor"]),
            project_id=_given(UUID, found["project_id"]),
            key_id=_given(UUID, found["key_id"]),
            previous_hash=_hash(found["previous_hash"]),
            hash=_hash(found["hash"]),
        )
        if event_line(row) == text:
            return row
    except BAD:
        pass
    raise ValueError("not an event as it is written")


def hash_of(row: EventRow) -> bytes:
    """Return the hash that an event's row must have: it covers every other column."""
    return event_hash(row.previous_hash, *row[:-2])


def seal_line(seal: Seal, growth: Sequence[bytes]) -> bytes:
    """Return a seal, and the proof that the last seal of the bundle continues it."""
    return line({"seal": json.loads(seal.text), "growth": [hash_.hex() for hash_ in growth]})


def seal_of(text: bytes) -> tuple[Seal, tuple[bytes, ...]]:
    """Return the seal of such a line, and its proof. Raises ValueError where it is none."""
    try:
        found = _read(text)
        seal = Seal.parse(json.dumps(found["seal"]))
        growth = tuple(map(_hash, found["growth"]))
        if seal_line(seal, growth) == text:
            return seal, growth
    except (*BAD, BadSeal):
        pass
    raise ValueError("not a seal as it is written")


def row_line(table: Table, row: Mapping[str, Any]) -> bytes:
    """Return a row of a read table, given in SQLite's terms."""
    values = dict(row)
    for column, form in _FROM_SQLITE[table.name]:
        if values[column] is not None:
            values[column] = form(values[column])
    return line({"table": table.name, "row": values})


def row_of(text: bytes) -> tuple[str, dict[str, Any]]:
    """Return the table and the values of such a line. Raises ValueError where it is none."""
    try:
        found = _read(text)
        tables = {table.name: table for table in TABLES}
        table, values = tables[found["table"]], found["row"]
        if values.keys() == table.columns.keys() and isinstance(values[table.key], str) and line(found) == text:
            return table.name, values
    except BAD:
        pass
    raise ValueError("not a row as it is written")


def proof_of(text: bytes) -> Inclusion:
    """Return the proof of such a line. Raises ValueError where it is none."""
    try:
        found = _read(text)
        if line(found) == text:
            return Inclusion.parse(found)
    except (*BAD, BadSeal):
        pass
    raise ValueError("not a proof as it is written")


def schema_lines(topics: Iterable[str], tables: Iterable[str]) -> Iterator[bytes]:
    """Return the JSON Schemas of events' bodies as they are stored, and of the rows of tables."""
    for topic in sorted(EVENTS.keys() & set(topics)):
        yield line({"event": topic, "schema": _stored_schema(topic)})
    named = set(tables)
    for table in TABLES:
        if table.name in named:
            yield line({"table": table.name, "schema": _row_schema(table)})


def _stored_schema(topic: str) -> dict[str, Any]:
    """What is personal in an event is stored as one text, which is sealed."""
    schema = event_schema(topic)
    if personal := EVENTS[topic].personal:
        properties = {name: value for name, value in schema["properties"].items() if name not in personal}
        schema["properties"] = {**properties, SEALED: {"type": "string"}}
        schema["required"] = [*(name for name in schema.get("required", []) if name not in personal), SEALED]
    return schema


def _row_schema(table: Table) -> dict[str, Any]:
    properties = {
        column: _SCHEMAS[kind] if column == table.key else {"anyOf": [_SCHEMAS[kind], {"type": "null"}]}
        for column, kind in table.columns.items()
    }
    closed = {"additionalProperties": False, "required": list(table.columns)}
    return {"title": table.name, "type": "object", "properties": properties, **closed}


_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.TEXT: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.DOUBLE: {"type": "number"},
    Kind.FLAG: {"type": "boolean"},
    Kind.JSON: {},
    Kind.TIME: {"type": "string", "format": "date-time"},
}


def _given(form: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else form(value)


_FORMS: dict[Kind, Callable[[Any], Any]] = {Kind.FLAG: bool, Kind.JSON: json.loads}
_FROM_SQLITE = {
    table.name: [(column, _FORMS[kind]) for column, kind in table.columns.items() if kind in _FORMS] for table in TABLES
}
BAD = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What reading other people's JSON may raise."""


def _read(text: bytes) -> Any:
    return from_json(text, allow_inf_nan=False)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value)


def _hash(value: str) -> bytes:
    hash_ = bytes.fromhex(value)
    if len(hash_) != HASH_BYTES:
        raise ValueError
    return hash_


def _a_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MAX_INTEGER:
        raise ValueError
    return value
