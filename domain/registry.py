"""Every aggregate, command and event by name: the one place from which all are read, written and described.

A topic and a command's name are stored or sent by others: they never change. An event that must change its form gets a
new topic, and an upcaster for the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from .agent import AGENT
from .agent_metrics import AGENT_METRICS
from .aggregate import Aggregate
from .claim_expiry import CLAIM_EXPIRY
from .dependency_graph import DEPENDENCY_GRAPH
from .errors import Fault, InvalidCommand, TiuError
from .messages import Command, Event
from .parking import PARKING
from .project import PROJECT
from .project_file import PROJECT_FILE
from .project_metrics import PROJECT_METRICS
from .retention import RETENTION
from .session import SESSION
from .task import TASK
from .template import TEMPLATE
from .user import USER
from .validation_run import VALIDATION_RUN
from .workflow import WORKFLOW
from .workflow_run import WORKFLOW_RUN

AGGREGATES: tuple[Aggregate[Any], ...] = (
    USER,
    SESSION,
    PROJECT,
    PROJECT_METRICS,
    PROJECT_FILE,
    TASK,
    DEPENDENCY_GRAPH,
    VALIDATION_RUN,
    WORKFLOW,
    WORKFLOW_RUN,
    AGENT,
    AGENT_METRICS,
    CLAIM_EXPIRY,
    TEMPLATE,
    RETENTION,
    PARKING,
)

COMMANDS: dict[str, type[Command]] = {c.__name__: c for aggregate in AGGREGATES for c in aggregate.commands}
EVENTS: dict[str, type[Event]] = {e.topic: e for aggregate in AGGREGATES for e in aggregate.events}
AGGREGATE_OF: dict[type[BaseModel], Aggregate[Any]] = {
    message: aggregate for aggregate in AGGREGATES for message in (*aggregate.commands, *aggregate.events)
}

SUPERSEDED = frozenset(topic for aggregate in AGGREGATES for topic in aggregate.superseded)
"""Topics of which a state needs each last event alone."""

VALIDATE: dict[str, Callable[[bytes], Event]] = {
    topic: event.__pydantic_validator__.validate_json for topic, event in EVENTS.items()
}
"""A compiled validator for each topic of today: stored bytes -> event. Raises ValueError."""
UPCASTERS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""old topic -> (the topic that replaced it, a function from the old body to the new one)."""


def _newest(topic: str) -> str:
    while topic in UPCASTERS:
        topic = UPCASTERS[topic][0]
    return topic


PERSONAL: dict[str, type[Event]] = {
    topic: EVENTS[_newest(topic)] for topic in (*EVENTS, *UPCASTERS) if EVENTS[_newest(topic)].personal
}
"""The topics of events that hold personal data, with the event in its newest form."""


class UndecodableEvent(TiuError):
    """A stored event of an unknown topic, or whose bytes are not what its topic says."""

    code = "undecodable_event"


def encode_event(event: Event) -> bytes:
    """Return an event's body as JSON: what is stored, for ever."""
    return event.__pydantic_serializer__.to_json(event)


def decode_event(topic: str, state: bytes) -> Event:
    """Return the event of stored bytes, upcast to its newest form. Raises UndecodableEvent."""
    try:
        if topic in UPCASTERS:
            topic_now, body = _upcast(topic, state)
            return VALIDATE[topic_now](body)
        validate = VALIDATE.get(topic)
        if validate is None:
            raise UndecodableEvent(f"no event has the topic {topic!r}", topic=topic)
        return validate(state)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UndecodableEvent(f"these bytes are no {topic} event", topic=topic) from None


def _upcast(topic: str, state: bytes) -> tuple[str, bytes]:
    body = from_json(state)
    while topic in UPCASTERS:
        topic, upcast = UPCASTERS[topic]
        body = upcast(body)
    return topic, to_json(body)


def parse_command(line: bytes | str) -> Command:
    """Return the command of a JSON object {"command": NAME, ...its fields}. Raises InvalidCommand."""
    try:
        data = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidCommand(None, [Fault("", f"not JSON: {error}")]) from None
    if not isinstance(data, dict):
        raise InvalidCommand(None, [Fault("", "should be a JSON object")])
    name = data.pop("command", None)
    if not isinstance(name, str) or name not in COMMANDS:
        known = "missing" if name is None else "unknown"
        raise InvalidCommand(None, [Fault("command", f"{known}; `tiu schema` lists the commands", _short(name))])
    return COMMANDS[name](**data)


def _short(name: Any) -> str | None:
    return None if name is None else ascii(name)[:60]


def command_json(command: Command) -> bytes:
    """Return a command as the JSON object that parse_command reads, without the fields that were left out."""
    body = command.model_dump(mode="json", exclude_none=True)
    return to_json({"command": type(command).__name__} | body)


def command_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a command as parse_command reads it. Raises InvalidCommand for an unknown name."""
    if name not in COMMANDS:
        raise InvalidCommand(None, [Fault("command", "unknown; `tiu schema` lists the commands", _short(name))])
    schema = COMMANDS[name].model_json_schema()
    schema["properties"] = {"command": {"const": name}} | schema["properties"]
    schema["required"] = ["command", *schema.get("required", [])]
    return schema


def event_schema(topic: str) -> dict[str, Any]:
    """Return the JSON Schema of an event's stored body."""
    return EVENTS[topic].model_json_schema()


def event_of(topic: str) -> type[Event]:
    """Return what an event of this topic is in its newest form. Raises UndecodableEvent for an unknown topic."""
    newest = _newest(topic)
    if newest not in EVENTS:
        raise UndecodableEvent(f"no event has the topic {newest!r}", topic=newest)
    return EVENTS[newest]


def topics_of(event: type[Event]) -> frozenset[str]:
    """Return every topic under which events of a kind are stored: its own, and those of its older forms."""
    return frozenset(topic for topic in (*EVENTS, *UPCASTERS) if _newest(topic) == event.topic)


def aggregate_of(topic: str) -> Aggregate[Any]:
    """Return the aggregate whose stream holds events of this topic. Raises UndecodableEvent for an unknown topic."""
    return AGGREGATE_OF[event_of(topic)]
