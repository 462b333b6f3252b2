"""docs/reference/commands.md and events.md, from the domain's registry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel

from claude_tiu import Command
from claude_tiu.domain.aggregate import Aggregate
from claude_tiu.domain.messages import ENVELOPE, Event
from claude_tiu.domain.registry import AGGREGATES, COMMANDS
from tests.docs.markdown import code, page, prose, table
from tests.docs.meanings import FIELDS, TYPES
from tests.docs.statuses import Step, project_statuses_of, steps_of
from tests.domain.golden import golden_file

SHARED = ("command_id", "actor", "correlation_id", "causation_id", "occurred_at", "expected_version")


def title(aggregate: Aggregate[Any]) -> str:
    return aggregate.name.replace("_", " ").capitalize()


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    types = table(["type", "takes"], [(code(name), takes) for name, (_, takes) in TYPES.items()])
    sections = [
        f"## {title(aggregate)}\n\n" + "\n\n".join(map(_command, aggregate.commands)) for aggregate in AGGREGATES
    ]
    return page(
        "Commands",
        "A command asks for something. It is plain data: a Python object, or the JSON object that `tiu apply` and "
        '`parse_command` read, `{"command": "AddTask", "project_id": "…", "name": "…"}`. `tiu schema COMMAND` prints '
        "its JSON Schema.",
        "A command with bad values is refused at once, with all its faults listed (`InvalidCommand`). One that the "
        "rules do not allow now is refused with the rule's own [error](errors.md). Neither stores anything.",
        "## Fields of every command",
        _fields(Command, SHARED),
        f"A retry may change {', '.join(map(code, ENVELOPE[1:]))}; any other field must be the same, or the command is "
        "refused as `CommandIdReused`.",
        "## Types",
        types,
        "Text holds neither NUL characters nor lone surrogates: PostgreSQL cannot store them. `UUID` is a UUID; words "
        "in quotes are the only values that a field takes.",
        *sections,
    )


def _command(command: type[Command]) -> str:
    parts = [f"### {command.__name__}", prose(command.__doc__), *_allowed(command)]
    names = [name for name in command.model_fields if name not in SHARED]
    return "\n\n".join([*parts, _fields(command, names)])


def _allowed(command: type[Command]) -> list[str]:
    steps = steps_of(command)
    always = [topic for topic in _topics(steps) if all(topic in _topics([step]) for step in steps)]
    sometimes = [topic for topic in _topics(steps) if topic not in always]
    parts = [" and ".join(map(_link, always)), " or ".join(map(_link, sometimes))]
    stored = "Stores " + ", and in some cases ".join(filter(None, parts))
    changes = _each(f"{_status(step.before)} → {_status(step.after)}" for step in steps if step.after is not None)
    lines = [f"{stored}." if not changes else f"{stored}. Status of the {steps[0].kind}: {', '.join(changes)}."]
    if projects := project_statuses_of(command):
        lines.append(f"The project must be {' or '.join(map(code, projects))}.")
    return [" ".join(lines)]


def _link(topic: str) -> str:
    return f"[`{topic}`](events.md#{_anchor(topic)})"


def _topics(steps: list[Step]) -> list[str]:
    return _each(event.topic for step in steps for event in step.events)


def _each(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _status(status: str | None) -> str:
    return code(status) if status else "none"


def _anchor(heading: str) -> str:
    """Return the anchor that a Markdown renderer gives a heading."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in "_- ").replace(" ", "-")


def _fields(model: type[BaseModel], names: Any) -> str:
    hints = get_type_hints(model, include_extras=True)
    rows = [(code(name), type_name(hints[name]), _default(model, name), FIELDS[name]) for name in names]
    return table(["field", "type", "default", "meaning"], rows)


def type_name(annotation: Any) -> str:
    """Return how a page names a field's type."""
    for name, (known, _) in TYPES.items():
        if annotation == known:
            return code(name)
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(type_name(part) for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Literal:
        return ", ".join(code(json.dumps(value)) for value in get_args(annotation))
    if annotation is UUID:
        return code("UUID")
    raise TypeError(f"tests/docs/meanings.py does not know the type {annotation!r}")


def _default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required():
        return "**required**"
    if name == getattr(model, "creates", None):
        return "a new one"
    return "–" if field.default is None else code(json.dumps(field.default))


def events_page() -> str:
    """Return docs/reference/events.md."""
    makers: dict[str, list[str]] = {}
    for command in COMMANDS.values():
        for topic in _topics(steps_of(command)):
            makers.setdefault(topic, []).append(command.__name__)
    sections = [
        f"## {title(aggregate)}\n\n" + "\n\n".join(_event(event, makers[event.topic]) for event in aggregate.events)
        for aggregate in AGGREGATES
        if aggregate.events
    ]
    return page(
        "Events",
        "An event is a fact, stored for ever: its topic and the shape of its body never change. A new shape is a new "
        "version of the topic, and the old one is still read.",
        "Each event stands at a version of its stream (1, 2, 3 …) and at a position of the whole log (1, 2, 3 …, "
        "without gaps). The log also keeps when it was recorded, the command's id and digest, its actor, correlation "
        "and causation ids, the project, and a hash over all of it and the hash before. An event's own id is "
        "`uuid5(stream, version)`.",
        "The examples are those of `tests/golden/events`, which every later version of the code must read.",
        *sections,
    )


def _event(event: type[Event], makers: list[str]) -> str:
    made_by = " or ".join(f"[{maker}](commands.md#{_anchor(maker)})" for maker in makers)
    example = golden_file(event.topic).read_text(encoding="utf-8").replace("\u2028", "\\u2028")
    schema = event.model_json_schema()["properties"]
    rows = [(code(name), _body_type(field), _event_meaning(name)) for name, field in schema.items()]
    return "\n\n".join(
        [
            f"### {event.topic}",
            f"`{event.__name__}`, stored by {made_by}.",
            table(["field", "JSON", "meaning"], rows),
            f"```json\n{example}\n```",
        ]
    )


def _event_meaning(name: str) -> str:
    return "when it happened (UTC)" if name == "occurred_at" else FIELDS[name]


def _body_type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_body_type(part) for part in field["anyOf"])
    kind: str = field["type"]
    return f"{kind} ({field['format']})" if "format" in field else kind
