"""The values that commands are made of: bounded, storable on either database, and normalised at the door.

Bounds come from the specification's columns, normal forms from what both databases keep alike.
Events hold the same values as plain types: what was once accepted must load under tomorrow's bounds.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, Strict
from pydantic_core import PydanticCustomError

INT32_MAX = 2**31 - 1
MAX_TEXT_BYTES = 1 << 20
MAX_CONTENT_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 20
MAX_JSON_DEPTH = 64
MAX_FILE_PATH_BYTES = MAX_CAPABILITIES_BYTES = 2_000  # a PostgreSQL index row holds about 2,700 bytes
MAX_CAPABILITIES = 1_000
EARLIEST_YEAR, LATEST_YEAR = 1900, 2999

ProjectStatus = Literal["active", "completed", "archived", "failed"]
TaskStatus = Literal["pending", "in_progress", "completed", "failed", "blocked"]
FileStatus = Literal["created", "modified", "validated", "failed_validation", "deleted"]
RunStatus = Literal["started", "completed", "failed"]
IssueStatus = Literal["open", "in_progress", "resolved", "ignored"]
Priority = Literal["low", "medium", "high", "critical"]
StepType = Literal["ai_generation", "validation", "file_operation", "external_command"]
Role = Literal["admin", "developer", "viewer"]
DependencyType = Literal["blocks", "requires", "suggests"]
ValidationType = Literal["quick", "deep", "comprehensive", "scheduled"]
IssueType = Literal["placeholder", "empty_function", "mock_data", "broken_logic", "security_risk"]
Severity = Literal["low", "medium", "high", "critical"]
AgentType = Literal[
    "backend-developer", "frontend-developer", "tester", "reviewer", "architect", "coordinator", "analyst"
]
AgentStatus = Literal["idle", "busy", "offline", "error"]


def _storable(text: str) -> str:
    """Refuse what PostgreSQL's text cannot hold (pydantic refuses lone surrogates only in text of a bounded length)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("lone_surrogate", "Text should not contain lone surrogates") from None
    if "\0" in text:
        raise PydanticCustomError("nul_character", "Text should not contain NUL characters")
    return text


def within_bytes(text: str, limit: int, what: str) -> str:
    """Return `text`, or raise where its UTF-8 form is longer than `limit` bytes."""
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise PydanticCustomError(
            "too_many_bytes", "{what} should have at most {limit} bytes in UTF-8", {"what": what, "limit": limit}
        )
    return text


def _long_text(text: str) -> str:
    return within_bytes(_storable(text), MAX_TEXT_BYTES, "Text")


def _file_path(text: str) -> str:
    return within_bytes(_storable(text), MAX_FILE_PATH_BYTES, "A file path")


def _file_text(text: str) -> str:
    what = "A larger file is given by content_hash and size_bytes alone: content"
    return within_bytes(_storable(text), MAX_CONTENT_BYTES, what)


def _percentage(value: float) -> float:
    """Round to 6 decimals, half-even, from the shortest decimal form; adding 0.0 turns -0.0 into 0.0."""
    return float(round(Decimal(repr(value)), 6)) + 0.0


def _no_number(value: Any) -> Any:
    """Pydantic would take a number, or a string of one, for seconds since 1970: it has no offset."""
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise PydanticCustomError("datetime_type", "Input should be a date and time with an offset, in ISO 8601")


def _utc(value: datetime) -> datetime:
    if EARLIEST_YEAR <= value.year <= LATEST_YEAR:
        utc = value.astimezone(UTC)
        if EARLIEST_YEAR <= utc.year <= LATEST_YEAR:
            return utc
    raise PydanticCustomError(
        "datetime_range",
        "Time should lie in the years {first} to {last}",
        {"first": EARLIEST_YEAR, "last": LATEST_YEAR},
    )


def _identifier(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def storable_json(value: Any, depth: int = MAX_JSON_DEPTH) -> Any:
    """Return free JSON in its normal form: keys sorted, integral floats as integers, -0.0 as 0.

    Raises PydanticCustomError for what one of the databases would change or refuse: numbers that are not finite or not
    below 2**53 in size, NUL characters, lone surrogates, keys that are not text, nesting beyond MAX_JSON_DEPTH.
    """
    if depth < 0:
        raise PydanticCustomError(
            "json_depth", "JSON should be nested at most {limit} levels deep", {"limit": MAX_JSON_DEPTH}
        )
    match value:
        case None | bool():
            return value
        case str():
            return _json_text(value)
        case int() | float():
            return _json_number(value)
        case dict() | list() | tuple() if len(value) > MAX_JSON_BYTES // 2:  # they would take no less than that
            raise _too_much_json()
        case dict():
            return {_json_key(key): storable_json(value[key], depth - 1) for key in sorted(value, key=_json_key)}
        case list() | tuple():
            return [storable_json(item, depth - 1) for item in value]
    raise PydanticCustomError("json_type", "Input should be JSON, not {type}", {"type": type(value).__name__})


def _json_text(text: str) -> str:
    return _storable(str.__str__(text))


def _json_key(key: Any) -> str:
    if not isinstance(key, str):
        raise PydanticCustomError("json_key", "Keys of a JSON object should be text")
    return _json_text(key)


def _json_number(value: float) -> float:
    if not abs(value) < 2**53:  # nan and the infinities, too
        raise PydanticCustomError("json_number", "Numbers in JSON should be finite and below 2**53 in size")
    return int(value) if value == int(value) else float(value)


def json_bytes(value: Any) -> int:
    """Return how many bytes of UTF-8 a JSON value has."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def _bounded(value: Any) -> Any:
    if json_bytes(value) > MAX_JSON_BYTES:
        raise _too_much_json()
    return value


def _too_much_json() -> PydanticCustomError:
    message = "JSON should have at most {limit} bytes in UTF-8"
    return PydanticCustomError("too_many_bytes", message, {"limit": MAX_JSON_BYTES})


def _json_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PydanticCustomError("dict_type", "Input should be a JSON object")
    return _bounded(storable_json(value)) if value else {}


def _json_array(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("list_type", "Input should be a JSON array")
    return _bounded(storable_json(value)) if value else []


def without_reserved(metadata: dict[str, Any], reserved: tuple[str, ...]) -> dict[str, Any]:
    """Return `metadata`, or raise where it sets what the core itself writes beside it."""
    if taken := [key for key in reserved if key in metadata]:
        raise PydanticCustomError("reserved_metadata", "Metadata may not set {keys}", {"keys": ", ".join(taken)})
    return metadata


def _each_once(capabilities: list[str]) -> list[str]:
    """Which was named first says nothing: sorted, so that equal sets are equal lists."""
    capabilities = sorted(set(capabilities))
    within_bytes(json.dumps(capabilities, ensure_ascii=False), MAX_CAPABILITIES_BYTES, "Capabilities as JSON")
    return capabilities


Name = Annotated[str, Strict(), Field(min_length=1, max_length=255), AfterValidator(_storable)]
MetricName = Annotated[str, Strict(), Field(min_length=1, max_length=100), AfterValidator(_storable)]
LongText = Annotated[str, Strict(), AfterValidator(_long_text)]
FilePath = Annotated[str, Strict(), Field(min_length=1, max_length=1000), AfterValidator(_file_path)]
FileText = Annotated[str, Strict(), AfterValidator(_file_text)]
Sha256 = Annotated[str, Strict(), Field(pattern=r"^[0-9A-Fa-f]{64}$"), AfterValidator(str.lower)]
SizeInBytes = Annotated[int, Strict(), Field(ge=0, le=INT32_MAX)]
_IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$"
Identifier = Annotated[str, Strict(), Field(pattern=_IDENTIFIER), BeforeValidator(_identifier)]
Capability = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_storable)]
Capabilities = Annotated[list[Capability], Field(max_length=MAX_CAPABILITIES), AfterValidator(_each_once)]
Flag = Annotated[bool, Strict()]
Minutes = Annotated[int, Strict(), Field(ge=1, le=INT32_MAX)]
LineNumber = Annotated[int, Strict(), Field(ge=1, le=INT32_MAX)]
Version = Annotated[int, Strict(), Field(ge=0, le=INT32_MAX)]
Percent = Annotated[float, Strict(), Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_percentage)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_utc)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
JsonArray = Annotated[list[Any], BeforeValidator(_json_array)]
