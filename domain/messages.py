"""What commands and events have in common.

A command is data that asks for something; an event is a fact that was stored. Time and new ids come in with the
command: `stamped` puts in those that the caller left out, with values that the outer floor supplies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import Fault, InvalidCommand
from .name_ids import uuid5
from .values import Identifier, Timestamp, Version

T = TypeVar("T")

ENVELOPE = ("command_id", "actor", "correlation_id", "causation_id", "expected_version")
"""The fields of a command that say who asks and how; a retry may change them, the command's content it may not."""
_ENVELOPE = set(ENVELOPE)

TOO_MANY_FAULTS = 10_000
"""Of more, none is looked at: each would take a thousand bytes, and a line has room for a million."""


class Command(BaseModel):
    """The base of every command.

    `stream` names the field that holds the id of the stream that the command is about (None: its aggregate finds it),
    `creates` the field of a new id, which may be left out, `reads` the fields that name other streams which deciding on
    it reads, `personal` the fields that no error may repeat. An `exclusive` one asks what only holds while nobody else
    writes (what is ready, due or open): see Aggregate. `person` is the field of the id of an existing person whose
    personal data the command brings.
    Raises InvalidCommand, with every fault at once, when it is made of bad values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    stream: ClassVar[str | None] = None
    creates: ClassVar[str | None] = None
    reads: ClassVar[tuple[str, ...]] = ()
    personal: ClassVar[frozenset[str]] = frozenset()
    exclusive: ClassVar[bool] = False
    person: ClassVar[str | None] = None

    command_id: UUID | None = None
    actor: Identifier | None = None
    correlation_id: Identifier | None = None
    causation_id: Identifier | None = None
    occurred_at: Timestamp | None = None
    expected_version: Version | None = None

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidCommand(type(self).__name__, _faults(error, self.personal)) from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return _without_personal(super().__repr_args__(), self.personal)

    @property
    def lacks_id(self) -> bool:
        """Whether the caller left out the new id."""
        return self.creates is not None and getattr(self, self.creates) is None

    def stamped(
        self, *, at: datetime, command_id: UUID, new_id: UUID, correlation_id: Identifier | None = None
    ) -> Self:
        """Return the command with its time, its ids and its correlation filled in where they were left out."""
        missing: dict[str, Any] = {}
        if self.occurred_at is None:
            missing["occurred_at"] = at
        if self.command_id is None:
            missing["command_id"] = command_id
        if self.correlation_id is None and correlation_id is not None:
            missing["correlation_id"] = correlation_id
        if self.creates is not None and self.lacks_id:
            missing[self.creates] = new_id
        return self.model_copy(update=missing) if missing else self

    @property
    def at(self) -> datetime:
        """When what the command tells of occurred (UTC)."""
        return given(self.occurred_at)

    def asked(self) -> bytes:
        """Return the JSON that a retry of this command_id must equal: what was asked, without the envelope."""
        return self.__pydantic_serializer__.to_json(self, exclude=_ENVELOPE, exclude_defaults=True)


def _without_personal(
    arguments: Iterable[tuple[str | None, Any]], personal: frozenset[str]
) -> Iterator[tuple[str | None, Any]]:
    """What a repr shows: logs and tracebacks hold reprs."""
    return ((name, "…" if name in personal else value) for name, value in arguments)


def given(value: T | None) -> T:
    """Return what a command surely has by now. Raises ValueError where the outer floor did not stamp it."""
    if value is None:
        raise ValueError("the command was not stamped: its time and new id come from the outer floor")
    return value


def _faults(error: ValidationError, personal: frozenset[str]) -> list[Fault]:
    count = error.error_count()
    if count > TOO_MANY_FAULTS:
        return [Fault("", f"{count:,} faults are too many to tell")]
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        field = _short(ascii(".".join(str(part) for part in fault["loc"]))[1:-1])
        unknown = fault["type"] in ("extra_forbidden", "missing")  # a field that we do not know may hold anything
        hidden = unknown or not fault["loc"] or fault["loc"][0] in personal
        faults.append(Fault(field, fault["msg"], None if hidden else _shown(fault["input"])))
    return faults


def _shown(value: Any) -> str:
    """A value as one short line of plain characters, whatever is in it."""
    if isinstance(value, str):
        text = ascii(value[:60])
        return text if len(value) <= 60 else f"{text[:-1]}…' ({len(value)} characters)"
    if isinstance(value, dict | list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() >= 200:
        return "a number of over 60 digits"
    if isinstance(value, int | float | bytes | date | UUID | None):
        return _short(ascii(value))
    return f"a {type(value).__name__}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


class Event(BaseModel):
    """The base of every event. `topic` is stored with it and never changes; `creates` names the field of the id of what
    it makes, where that is not its stream; `unique` fields whose values only one event of the whole store may hold;
    `personal` those that are a person's own, and `person` the field of that person's id (None: it is the stream's):
    they are stored encrypted under a key that forgetting the person destroys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    topic: ClassVar[str]
    creates: ClassVar[str | None] = None
    unique: ClassVar[tuple[str, ...]] = ()
    personal: ClassVar[frozenset[str]] = frozenset()
    person: ClassVar[str | None] = None

    occurred_at: datetime

    @classmethod
    def forgotten(cls, person_id: UUID) -> dict[str, Any]:
        """Return what stands in the personal fields of a person who was forgotten."""
        return {}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return _without_personal(super().__repr_args__(), self.personal)


class Elsewhere(NamedTuple):
    """An event of another stream than the one that its command is about, stored in the same commit."""

    stream_id: UUID
    event: Event


Decided = Event | Elsewhere
"""What a decision makes."""


def event_id(stream_id: UUID, version: int) -> UUID:
    """Return the id of an event: uuid5 of its stream and version, so that it needs no column and never changes."""
    return uuid5(stream_id, str(version))


class Recorded(NamedTuple):
    """An event and where it stands: what a projection is given."""

    event: Event
    stream_id: UUID
    version: int
    position: int
    project_id: UUID | None

    @property
    def event_id(self) -> UUID:
        return uuid5(self.stream_id, str(self.version))
