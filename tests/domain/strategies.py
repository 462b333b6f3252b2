"""Commands and events of every kind that the door lets in: a strategy for each field, found by the field's name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar, get_args

from hypothesis import strategies as st

from claude_tiu.domain import values
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project_metrics import RESERVED_METADATA, STANDARD_METRICS

Message = TypeVar("Message", Command, Event)

JSON_INTEGER = 2**53 - 1

ids = st.uuids()
times = st.datetimes(
    datetime(1900, 1, 2),  # noqa: DTZ001 - the strategy wants naive bounds and adds the offset itself
    datetime(2999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters)
short_texts = st.text(characters, min_size=1, max_size=100)
percentages = st.integers(0, 10**8).map(lambda n: n / 10**6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-JSON_INTEGER, JSON_INTEGER)
    | st.floats(-1e15, 1e15).filter(lambda number: number != int(number))
    | texts
)
free_json = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)
objects = st.dictionaries(texts, free_json, max_size=4)
letters = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=30)
identifiers = letters
hashes = st.text("./ABCxyz019", min_size=22, max_size=60).map("$2b$12${}".format)
lines = st.integers(1, values.INT32_MAX)


def one_of(literal: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(literal))


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "actor": identifiers,
    "ai_prompt": texts,
    "assessments": st.dictionaries(ids, percentages, max_size=5),
    "authenticity": percentages,
    "auto_fix_available": st.booleans(),
    "causation_id": identifiers,
    "claimed": percentages,
    "command_id": ids,
    "configuration": objects,
    "correlation_id": identifiers,
    "dependency_type": one_of(values.DependencyType),
    "depends_on_task_id": ids,
    "description": texts,
    "email": st.builds("{}@{}".format, letters, letters),
    "estimated_duration": lines,
    "expected_outputs": st.lists(free_json, max_size=4),
    "expected_version": st.integers(0, values.INT32_MAX),
    "file_path": short_texts,
    "issue_id": ids,
    "issue_type": one_of(values.IssueType),
    "line_number": lines,
    "metadata": objects.filter(lambda metadata: not metadata.keys() & set(RESERVED_METADATA)),
    "metric_name": short_texts.filter(lambda name: name not in STANDARD_METRICS),
    "name": short_texts,
    "occurred_at": times,
    "password_hash": hashes,
    "preferences": objects,
    "priority": one_of(values.Priority),
    "project_id": ids,
    "quality_metrics": objects.filter(lambda metrics: "quality_score" not in metrics),
    "quality_score": percentages,
    "reason": texts,
    "role": one_of(values.Role),
    "run_id": ids,
    "severity": one_of(values.Severity),
    "suggested_fix": texts,
    "task_id": ids,
    "user_id": ids,
    "username": short_texts.filter(lambda name: not name.startswith("forgotten:")),
    "validation_criteria": objects,
    "validation_type": one_of(values.ValidationType),
    "value": st.floats(allow_nan=False, allow_infinity=False),
}


@cache
def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Every form of a command or event: optional fields are given, left out, or None where they may be."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in kind.model_fields.items():
        strategy = FIELDS[name]
        if type(None) in get_args(field.annotation):
            strategy = st.none() | strategy
        (required if field.is_required() else optional)[name] = strategy
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: kind(**fields))
