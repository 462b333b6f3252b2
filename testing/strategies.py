"""Commands and events of every kind that the door lets in: a strategy for each field, found by the field's name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar, get_args

from hypothesis import strategies as st

from ..domain import agent, claim_expiry, project_file, values
from ..domain.messages import Command, Event
from ..domain.project_metrics import RESERVED_METADATA, STANDARD_METRICS
from ..domain.registry import COMMANDS, EVENTS
from ..domain.template import CreateTemplate

Message = TypeVar("Message", Command, Event)
C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)

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
hashes = st.text("./ABCxyz019", min_size=53, max_size=53).map("$2b$12${}".format)
token_hashes = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=32, max_size=255)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
lines = st.integers(1, values.INT32_MAX)
days = st.integers(1, 36_500)


def one_of(literal: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(literal))


keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)


def dependencies(key: str) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({"key": st.just(key)}, optional={"dependency_type": one_of(values.DependencyType)})


@st.composite
def planned(draw: st.DrawFn, entry: dict[str, st.SearchStrategy[Any]], least: int = 0) -> list[dict[str, Any]]:
    """A template's tasks or steps, in any order: each depends on some that were drawn before it; tasks in some way."""
    drawn: list[dict[str, Any]] = []
    for key in draw(st.lists(keys, unique=True, min_size=least, max_size=4)):
        others = [other["key"] for other in drawn]
        depends_on = draw(st.lists(st.sampled_from(others), unique=True)) if others else []
        if "priority" in entry:
            depends_on = [draw(st.just(other) | dependencies(other)) for other in depends_on]
        drawn.append({"key": key, "depends_on": depends_on, **draw(st.fixed_dictionaries(entry))})
    return draw(st.permutations(drawn))


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "actor": identifiers,
    "agent_id": ids,
    "agent_type": one_of(values.AgentType),
    "ai_prompt": texts,
    "assignment_id": ids,
    "assessments": st.dictionaries(ids, percentages, max_size=5),
    "attempts": st.integers(1, claim_expiry.MAX_ATTEMPTS),
    "attempts_limit": st.integers(1, claim_expiry.MAX_ATTEMPTS),
    "authenticity": percentages,
    "auto_fix_available": st.booleans(),
    "capabilities": st.lists(short_texts, unique=True, max_size=4).map(sorted),
    "category": short_texts,
    "causation_id": identifiers,
    "claimed": percentages,
    "command_id": ids,
    "content": texts,
    "content_hash": digests,
    "content_zlib": texts.map(project_file.compressed),
    "configuration": objects,
    "coordination_hooks": objects,
    "correlation_id": identifiers,
    "created_by": ids,
    "dailies_before": times,
    "daily_days": days,
    "deadline": times,
    "default_config": objects,
    "dependency_type": one_of(values.DependencyType),
    "depends_on": st.lists(ids, unique=True, max_size=4),
    "depends_on_task_id": ids,
    "description": texts,
    "details_before": times,
    "email": st.builds("{}@{}".format, letters, letters),
    "estimated_duration": lines,
    "execution_metadata": objects.filter(lambda metadata: "reason" not in metadata),
    "expected_outputs": st.lists(free_json, max_size=4),
    "expected_version": st.integers(0, values.INT32_MAX),
    "expires_at": times,
    "file_path": short_texts,
    "first_position": st.integers(1, 1_000),
    "projection": st.sampled_from(["read_model", "board"]),
    "global_settings": objects,
    "is_public": st.booleans(),
    "issue_id": ids,
    "issue_type": one_of(values.IssueType),
    "last_position": st.integers(1_000, 2**53),
    "lease_seconds": st.integers(1, agent.MAX_LEASE_SECONDS),
    "line_number": lines,
    "metadata": objects.filter(lambda metadata: not metadata.keys() & {*RESERVED_METADATA, *agent.RESERVED_METADATA}),
    "metric_days": days,
    "metric_name": short_texts.filter(lambda name: name not in STANDARD_METRICS),
    "metric_type": short_texts,
    "name": short_texts,
    "occurred_at": times,
    "password_hash": hashes,
    "preferences": objects,
    "priority": one_of(values.Priority),
    "project_days": days,
    "project_id": ids,
    "projects_before": times,
    "quality_metrics": objects.filter(lambda metrics: "quality_score" not in metrics),
    "quality_score": percentages,
    "reason": texts,
    "report_days": days,
    "reports_before": times,
    "result_data": objects,
    "role": one_of(values.Role),
    "run_id": ids,
    "sessions_before": times,
    "session_id": ids,
    "severity": one_of(values.Severity),
    "skipped": st.lists(ids, unique=True, max_size=4),
    "status": st.sampled_from(["completed", "failed", "released"]),
    "step_id": ids,
    "step_order": st.integers(0, values.INT32_MAX),
    "steps": st.dictionaries(ids, st.lists(ids, max_size=3), max_size=4),
    "structure": st.fixed_dictionaries({"tasks": planned({"name": short_texts, "priority": one_of(values.Priority)})}),
    "size_bytes": st.integers(0, values.INT32_MAX),
    "suggested_fix": texts,
    "task_id": ids,
    "template": short_texts,
    "template_id": ids,
    "token_hash": token_hashes,
    "type": one_of(values.StepType),
    "unit_id": ids,
    "user_id": ids,
    "username": short_texts.filter(lambda name: not name.startswith("forgotten:")),
    "validation_config": objects,
    "validation_score": percentages,
    "validation_criteria": objects,
    "validation_type": one_of(values.ValidationType),
    "value": st.floats(allow_nan=False, allow_infinity=False),
    "workflow_id": ids,
    "workflow_run_id": ids,
    "workflow_template": st.fixed_dictionaries(
        {"name": short_texts, "steps": planned({"name": short_texts, "type": one_of(values.StepType)}, least=1)}
    ),
}


def _owned(kind: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    """A template that is created without an owner is public."""
    if kind is CreateTemplate and fields.get("created_by") is None:
        return fields | {"is_public": True}
    return fields


def commands(kind: type[C] | None = None) -> st.SearchStrategy[C]:
    """Return a strategy for commands of a class, or of any class that there is: every form that the door lets in.

    Ids are anybody's: draw `histories` for commands that the rules take.
    """
    return _of(list(COMMANDS.values()) if kind is None else [kind])


def events(kind: type[E] | None = None) -> st.SearchStrategy[E]:
    """Return a strategy for events of a class, or of any class that there is: every form that may be stored."""
    return _of(list(EVENTS.values()) if kind is None else [kind])


def _of(kinds: list[Any]) -> st.SearchStrategy[Any]:
    return messages(kinds[0]) if len(kinds) == 1 else st.sampled_from(kinds).flatmap(messages)


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
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: made(kind, fields))


def made(kind: type[Message], fields: dict[str, Any]) -> Message:
    """Return a command or event of drawn fields, made to agree where they hang together."""
    return kind(**_coherent(kind, _owned(kind, fields)))


def _coherent(kind: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, where a file's content and its measure agree; without content the measure is there."""
    if not issubclass(kind, project_file.ContentCommand):
        return fields
    if (content := fields.get("content")) is None:
        return {**fields, **{name: FIXED[name] for name in FIXED if fields.get(name) is None}}
    measure = project_file.measured(content)._asdict()
    return {**fields, **{name: measure[name] for name in FIXED if fields.get(name) is not None}}


FIXED = {"content_hash": "0" * 64, "size_bytes": 7}
