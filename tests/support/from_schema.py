"""JSON Lines from a command's own JSON Schema: what the schema allows, and what just misses it.

It knows the keywords that our schemas use, and fails at any other. What JSON cannot say in Python's terms (a number
of 400 digits, half a surrogate, a key that is there twice) is a `Raw` piece of text, written as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from claude_tiu.domain.registry import COMMANDS, command_schema

Schema = dict[str, Any]
Strategy = st.SearchStrategy[Any]

KNOWN = frozenset(
    {
        *("$defs", "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "format"),
        *("items", "maximum", "maxItems", "maxLength", "minimum", "minItems", "minLength", "pattern", "properties"),
        *("required", "title", "type"),
    }
)


class Raw(NamedTuple):
    """A piece of JSON as it stands in a line, and what Python's face is given in its place."""

    text: str
    value: Any


HOSTILE = (
    "'; DROP TABLE tasks; --",
    '"quoted" \\ back\\slash \\u0000 \\x00',
    "%s %(name)s ? :name {0} {} $1 $$ E'\\''",
    "[bold red]x[/bold red] [/] [link=file:///etc/passwd]y[/link] :smile:",
    "</script><script>alert(1)</script>]]>&amp;<!-- \"'`",
    "=HYPERLINK(1) +1 -1 @x",
    "\x1b[2J\x1b]0;title\x07 \x9b31m\x9d0;t\x9c \b\r\x7f \n\t\v\f\x85",
    "\u202etxt.exe\u202c \u2066a\u2069 \u200f\u200e \u061c",
    "\u200b\u200d\ufeff\u2060 \u2028\u2029 \ufffe\uffff \U000e0001",
    "e\u0301 \u00e9 \u1e9e\u0130\u0131 \ufb03 \U0001d518 \U0010ffff",
    "NULL",
    "../../etc/passwd",
    "COPY t FROM stdin\n\\.\n\\N\t\\N",
)
"""Texts that mean something to a database, a terminal, a markup language or a reader."""

texts = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9
)
numbers = st.sampled_from([0, 1, -1, 0.5, 1e-300, 5e-324, -0.0, 2**53 - 1, 1 - 2**53, 1e15, 0.1]) | st.floats(
    -1e15, 1e15
)
free_json = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
TIMES = (
    "2026-03-02T12:00:00Z",
    "2026-03-02T17:45:00.000001+05:45",
    "1900-01-02T00:00:00Z",
    "2999-12-30T23:59:59.999999Z",
    "2026-03-01t00:00:00z",
    "2026-03-05T00:00:00-11:00",
)


def nested(levels: int) -> Raw:
    """Arrays in arrays; Python's face is given no more of them than JSON's would get to."""
    value: Any = None
    for _ in range(levels):
        value = [value]
    return Raw("[" * levels + "null" + "]" * levels, value)


POISON: tuple[Any, ...] = (
    *(None, True, [], {}, [[]], {"": ""}, "", " ", "x"),
    *(0, -1, 0.1, 101, 2**31, 2**53, 2**63, 10**40, 1e308),
    *(Raw("NaN", float("nan")), Raw("-Infinity", float("-inf")), Raw("1e400", float("inf")), Raw("-0", 0)),
    *(Raw("9" * 400, 10**400), Raw("01", "01"), Raw('"\\ud800"', "\ud800"), Raw('"a\\udc00b"', "a\udc00b")),
    *("\0", "a\0b", "x" * 300, "\U0001d518" * 255, "\U0001d518" * 256, "x" * 2_001, "é" * 1_001),
    *(Raw("", ""), Raw("tru", "tru"), Raw("{", "{"), Raw('"', '"'), Raw("'x'", "x"), Raw("/**/1", 1)),
    *(nested(63), nested(66), nested(1_000)),
    *(
        "00000000000000000000000000000001",
        "{00000000-0000-0000-0000-000000000001}",
        "00000000-0000-0000-0000-00000000000",
    ),
    *("urn:uuid:00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-00000000000g", "\uff11" * 32),
    *("2026-02-30T00:00:00Z", "2026-03-01T12:00:00", "1899-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    *("0000-01-01T00:00:00Z", "2026-03-01T23:59:60Z", "2026-03-01", 1_700_000_000, "1900-01-01T00:00:00+14:00"),
    *HOSTILE,
)
"""What stands in place of a value that the schema allows."""
NAMES = ("__class__", "self", "model_config", "stream", "command ", "values", "__init__", "command_id ")
"""Of fields that no command has."""


@st.composite
def lines(draw: st.DrawFn, ids: Mapping[str, Sequence[str]], hostility: int = 25) -> tuple[str, dict[str, Any]]:
    """A command's name and its fields: as its schema has them or, in so many of 100, with up to two of them spoiled.

    `ids` are those that the store has, by the field that names them.
    """
    name = draw(st.sampled_from(sorted(COMMANDS)))
    fields = draw(_of_command(name, tuple((field, tuple(found)) for field, found in sorted(ids.items()))))
    if draw(st.integers(0, 99)) < hostility:
        for _ in range(draw(st.integers(1, 2))):
            _spoil(draw, fields)
    return name, fields


def _spoil(draw: st.DrawFn, fields: dict[str, Any]) -> None:
    what = draw(st.sampled_from(["value", "value", "value", "missing", "unknown", "renamed"]))
    key = draw(st.sampled_from(sorted(fields))) if fields else "x"
    if what == "value":
        fields[key] = draw(st.sampled_from(POISON))
    elif what == "unknown":
        fields[draw(texts | st.sampled_from(NAMES))] = draw(free_json)
    else:
        value = fields.pop(key, None)
        if what == "renamed":
            fields[draw(st.sampled_from([key.upper(), f" {key}", f"{key}\u200b", key[:-1]]))] = value


@cache
def _of_command(name: str, ids: tuple[tuple[str, tuple[str, ...]], ...]) -> Strategy:
    schema = command_schema(name)
    schema["properties"].pop("command")
    schema["required"].remove("command")
    return _Reader(schema.get("$defs", {}), dict(ids)).strategy(schema)


class _Reader:
    """Reads the schemas of one command."""

    def __init__(self, definitions: Mapping[str, Schema], ids: Mapping[str, Sequence[str]]) -> None:
        self._definitions = definitions
        self._ids = ids

    def strategy(self, schema: Schema, field: str = "") -> Strategy:
        """Return what a schema allows. Raises ValueError for a keyword that it does not know."""
        if unknown := schema.keys() - KNOWN:
            raise ValueError(f"a keyword of JSON Schema that is not known here: {unknown}")
        if field == "expected_version":
            return st.sampled_from([*[None] * 20, 0, 1, 2, 2**31 - 1])
        if "$ref" in schema:
            return self.strategy(self._definitions[schema["$ref"].rpartition("/")[2]], field)
        if "anyOf" in schema:
            return st.one_of([self.strategy(one, field) for one in schema["anyOf"]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        made: dict[str | None, Callable[[Schema, str], Strategy]] = {
            "string": self._text,
            "integer": lambda found, _: st.integers(found["minimum"], 99) | st.sampled_from([99, found["maximum"]]),
            "number": self._number,
            "boolean": lambda _, __: st.booleans(),
            "null": lambda _, __: st.none(),
            "array": self._array,
            "object": self._object,
            None: lambda _, __: free_json,
        }
        return made[schema.get("type")](schema, field)

    def _number(self, schema: Schema, field: str) -> Strategy:
        least, most = schema.get("minimum", -1.7e308), schema.get("maximum", 1.7e308)
        return st.floats(least, most) | st.sampled_from([least, most, 5e-324, 33.3333335]) | st.integers(0, 100)

    def _text(self, schema: Schema, field: str) -> Strategy:
        if schema.get("format") == "uuid":
            known = self._ids.get(field, ())
            return st.sampled_from([*known]) if known else st.uuids().map(str)
        if schema.get("format") == "date-time":
            return st.sampled_from(TIMES)
        if field == "file_path" and (paths := self._ids.get(field)):
            return st.sampled_from([*paths, *HOSTILE])
        if pattern := schema.get("pattern"):
            return st.sampled_from(PATTERNS[pattern]) if pattern in PATTERNS else st.from_regex(pattern, fullmatch=True)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 2_000)
        large = st.sampled_from("x\U0001d518é\x01").map(lambda character: character * most)
        return (texts | texts | texts | large).filter(lambda text: least <= len(text) <= most)

    def _array(self, schema: Schema, field: str) -> Strategy:
        return st.lists(self.strategy(schema["items"], field), min_size=schema.get("minItems", 0), max_size=3)

    def _object(self, schema: Schema, field: str) -> Strategy:
        if "properties" not in schema:
            more = schema.get("additionalProperties")
            return st.dictionaries(texts, self.strategy(more) if isinstance(more, dict) else free_json, max_size=3)
        each = {name: self.strategy(found, name) for name, found in schema["properties"].items()}
        required = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: found for name, found in each.items() if name in required},
            optional={name: found for name, found in each.items() if name not in required},
        )


_ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


def _patterns() -> Mapping[str, Sequence[str]]:
    found = {}
    schemas = json.dumps([command_schema(name) for name in COMMANDS])
    samples = (_ARGON, "a@b", "'--@\u202e\x1b[2J", "0" * 64, "~" * 255, "a", "a.b", "A/b:c", "0" * 64)
    for pattern in {json.loads(f'"{text}"') for text in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', schemas)}:
        found[pattern] = sorted({sample for sample in samples if re.fullmatch(pattern, sample)})
        if not found[pattern]:
            raise ValueError(f"no sample for the pattern {pattern}")
    return found


PATTERNS = _patterns()
"""Pattern -> texts that fit it."""


def as_line(name: str, fields: Mapping[str, Any]) -> bytes:
    """Return a command as a line of JSON, without its end."""
    return _json({"command": name, **fields}).encode()


def _json(value: Any) -> str:
    match value:
        case Raw():
            return value.text
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)}: {_json(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value)


def as_python(value: Any) -> Any:
    """Return fields as Python's face is given them."""
    match value:
        case Raw():
            return value.value
        case dict():
            return {key: as_python(inner) for key, inner in value.items()}
        case list():
            return [as_python(inner) for inner in value]
    return value
