"""The door, independently of the product: what a command's values are, once they are let in.

Written from the domain rules ("Numbers: at the door") and the specification's columns alone. A command here is its
name and its fields as a caller gives them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

INT32_MAX = 2**31 - 1
MICRO = 10**6
STANDARD_METRICS = ("real_progress", "fake_progress", "authenticity_rate", "quality_score")
SEVERITIES = ("low", "medium", "high", "critical")
ISSUE_TYPES = ("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")

ENUMERATIONS = {
    "priority": ("low", "medium", "high", "critical"),
    "role": ("admin", "developer", "viewer"),
    "dependency_type": ("blocks", "requires", "suggests"),
    "validation_type": ("quick", "deep", "comprehensive", "scheduled"),
    "issue_type": ISSUE_TYPES,
    "severity": SEVERITIES,
}
PERCENTAGES = ("claimed", "authenticity", "quality_score")
JSON_FIELDS = ("preferences", "configuration", "metadata", "expected_outputs", "validation_criteria", "quality_metrics")
LENGTHS = {"name": 255, "username": 255, "email": 255, "metric_name": 100, "file_path": 1000}
COUNTS = ("estimated_duration", "line_number")

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "CreateUser": {"role": "developer", "preferences": {}},
    "CreateProject": {"description": None, "configuration": {}, "metadata": {}},
    "RecordMetric": {"metadata": {}},
    "AddTask": {
        "description": None,
        "priority": "medium",
        "ai_prompt": None,
        "expected_outputs": [],
        "validation_criteria": {},
        "estimated_duration": None,
    },
    "AddDependency": {"dependency_type": "blocks"},
    "ReportIssue": {
        "task_id": None,
        "file_path": None,
        "line_number": None,
        "auto_fix_available": False,
        "suggested_fix": None,
    },
    "CompleteRun": {"quality_metrics": {}},
}
"""What a command says where its caller leaves a field out."""


class Invalid(Exception):
    """Bad input."""


def micro_percents(value: float) -> int:
    """A percentage, in millionths: rounded half-even, from its shortest decimal form."""
    if not math.isfinite(value) or not 0 <= value <= 100:
        raise Invalid(value)
    return round(Fraction(repr(value)) * MICRO)


def let_in(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return every field of a command in its normal form, percentages in micro-percents. Raises Invalid."""
    given = {**DEFAULTS.get(name, {}), **fields}
    if name == "RecordMetric":
        _own_metric(given)
    if name == "CompleteRun" and "quality_score" in given["quality_metrics"]:
        raise Invalid("quality_score is a field")
    normal = {field: None if value is None else _normal(field, value) for field, value in given.items()}
    if name == "CreateProject" and len((given["name"] + (given["description"] or "")).encode()) > 16 << 10:
        raise Invalid("name and description")
    return normal


def _own_metric(given: Mapping[str, Any]) -> None:
    """Custom metrics take neither the standard names nor what the core writes into metadata."""
    if given["metric_name"] in STANDARD_METRICS or given["metadata"].keys() & {"aggregation_level", "event_id", "seq"}:
        raise Invalid("reserved")
    if not math.isfinite(given["value"]):
        raise Invalid("not finite")


def _normal(field: str, value: Any) -> Any:
    if field in PERCENTAGES:
        return micro_percents(value)
    if field in ENUMERATIONS and value not in ENUMERATIONS[field]:
        raise Invalid(field)
    if field in COUNTS and not 1 <= value <= INT32_MAX:
        raise Invalid(field)
    if field in JSON_FIELDS:
        return normal_json(value)
    if field == "value":
        return float(value) + 0.0  # −0.0 becomes 0, as in free JSON: SQLite could not keep it
    if field == "occurred_at":
        return _time(value)
    if isinstance(value, str):
        _text(field, value)
    return value


def _text(field: str, value: str) -> None:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise Invalid(field)
    if field in LENGTHS and not 1 <= len(value) <= LENGTHS[field]:
        raise Invalid(field)
    if field in ("username", "email") and value.startswith("forgotten:"):
        raise Invalid(field)
    if field == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise Invalid(field)
    if field == "file_path" and len(value.encode()) > 2_000:
        raise Invalid(field)


def _time(value: datetime) -> datetime:
    if value.tzinfo is None or not 1900 <= value.year <= 2999:
        raise Invalid(value)
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise Invalid(value) from None
    if not 1900 <= utc.year <= 2999:
        raise Invalid(value)
    return utc


def normal_json(value: Any) -> Any:
    """Free JSON: an integral float becomes an integer, −0.0 becomes 0, the order of keys says nothing."""
    normal: Callable[[Any], Any] = normal_json
    match value:
        case None | bool():
            return value
        case int() | float():
            if not math.isfinite(value) or abs(value) >= 2**53:
                raise Invalid(value)
            return int(value) if Fraction(value).denominator == 1 else value
        case str():
            _text("", value)
            return value
        case list():
            return [normal(item) for item in value]
        case dict():
            for key in value:
                _text("", key)
            return {key: normal(value[key]) for key in sorted(value)}
    raise Invalid(value)
