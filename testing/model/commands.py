"""Commands of every kind, valid and not, as Hypothesis draws them: few ids, so that they meet; nasty values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from .door import ENUMERATIONS, INT32_MAX
from .model import ISSUE_MOVES, PROJECT_MOVES, TASK_MOVES, Asked

Strategy = st.SearchStrategy[Any]


def ids_of(kind: str, count: int) -> list[UUID]:
    return [uuid5(UUID(int=0), f"{kind} {number}") for number in range(count)]


USERS, PROJECTS, TASKS = ids_of("user", 3), ids_of("project", 3), ids_of("task", 6)
RUNS, ISSUES, COMMANDS = ids_of("run", 5), ids_of("issue", 6), ids_of("command", 30)
IDS: Mapping[str, list[UUID]] = {
    "user_id": USERS,
    "project_id": PROJECTS,
    "task_id": TASKS,
    "depends_on_task_id": TASKS,
    "run_id": RUNS,
    "issue_id": ISSUES,
}
"""The fields that hold an id, and the ids that commands of that kind make."""
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def among(ids: list[UUID], *others: UUID) -> Strategy:
    """Mostly an id of the kind; at times another's, or nobody's."""
    return st.sampled_from([*ids * 6, *others, UUID(int=1)])


users = among(USERS, PROJECTS[0])
projects = among(PROJECTS[:2] * 2 + PROJECTS[2:], USERS[0], TASKS[0])
tasks = among(TASKS, PROJECTS[0], RUNS[0])
runs = among(RUNS, TASKS[0])
issues = among(ISSUES, RUNS[0])

NASTY = [
    "Billing",
    "billing",
    "x",
    " ",
    "Naïve café, e\u0301 and é",
    "😀👩‍👩‍👧‍👦",
    "'; DROP TABLE tasks; --",
    '"quoted" \\ back\\slash',
    "%s %(name)s ? :name {0} $1",
    "‮right to left‬ \u200b",
    "\n\t\r\x01\x7f",
    "NULL",
    "\U0001d518" * 255,
    "é" * 255,
]
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
names = texts.filter(bool)

percentages = (
    st.sampled_from(
        [0, 0.0, -0.0, 100, 100.0, 50, 1e-6, 5e-7, 1.5e-6, 2.5e-6, 99.9999995, 99.9999985, 33.3333333333333]
    )
    | st.floats(0, 100)
    | st.integers(0, 10**8).map(lambda micro: micro / 10**6)
)
weights = st.none() | st.sampled_from([1, 2, 3, 7, 60, INT32_MAX - 1, INT32_MAX]) | st.integers(1, INT32_MAX)

offsets = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=11))])
near = st.sampled_from([0, 0, 1, 59_999_999, 60_000_000, 90_000_000, -1, -45_000_000]) | st.integers(-(10**9), 10**9)
far = st.sampled_from([datetime(1900, 1, 2, tzinfo=UTC), datetime(2999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC)])
near_times = st.builds(lambda shift, zone: (START + timedelta(microseconds=shift)).astimezone(zone), near, offsets)
times = st.one_of(near_times, near_times, near_times, far)

numbers = st.sampled_from([0, -0.0, 1.0, 1e15, 0.1, 1e-300, -7, 2**53 - 1]) | st.floats(-1e15, 1e15)
free_json = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
arrays = st.lists(free_json, max_size=2)


def objects(*reserved: str) -> Strategy:
    return st.dictionaries(texts, free_json, max_size=2).filter(lambda found: not found.keys() & set(reserved))


ENVELOPE: Mapping[str, Strategy] = {
    "command_id": st.sampled_from(COMMANDS),
    "expected_version": st.integers(0, 6),
    "actor": st.sampled_from(["ana", "agent:7"]),
    "correlation_id": st.just("c-1"),
}


def enumerated(field: str) -> Strategy:
    return st.sampled_from(ENUMERATIONS[field])


hashes = st.just("$2b$12$" + "./ABCxyz0" * 5 + "./ABCxyz")
usernames = st.sampled_from(["ana", "Ana", "bob", "😀", "o'hara"])
emails = st.sampled_from(["ana@x.org", "bob@x.org", "Ana@x.org", "é@x.org"])
metric_names = st.sampled_from(["coverage", "Real_progress", "😀", "x" * 100])
values = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, -0.0, 1, 0.1, 5e-324, 1.7e308])

Fields = Mapping[str, Strategy]
A_PROJECT: Fields = {"project_id": projects}
A_TASK: Fields = {"task_id": tasks}
A_PAIR: Fields = {"task_id": tasks, "depends_on_task_id": tasks}
AN_ISSUE: Fields = {"run_id": runs, "issue_id": issues}
A_REASON: Fields = {"reason": st.none() | texts}
OPTIONAL_TEXT = st.none() | texts

FIELDS: dict[str, tuple[Fields, Fields]] = {
    **{name: (A_PROJECT, {}) for name in PROJECT_MOVES},
    **{name: (A_TASK, {}) for name in TASK_MOVES},
    **{name: (AN_ISSUE, {}) for name in ISSUE_MOVES},
    "FailProject": (A_PROJECT, A_REASON),
    "FailTask": (A_TASK, A_REASON),
    "BlockTask": (A_TASK, A_REASON),
    "CreateUser": (
        {"user_id": users, "username": usernames, "email": emails, "password_hash": hashes},
        {"role": enumerated("role"), "preferences": objects()},
    ),
    "CreateProject": (
        {"project_id": projects, "user_id": users, "name": names},
        {"description": OPTIONAL_TEXT, "configuration": objects(), "metadata": objects()},
    ),
    "RecordMetric": (
        {"project_id": projects, "metric_name": metric_names, "value": values},
        {"metadata": objects("aggregation_level", "event_id", "seq")},
    ),
    "AddTask": (
        {"task_id": tasks, "project_id": projects, "name": names},
        {
            "description": OPTIONAL_TEXT,
            "priority": enumerated("priority"),
            "ai_prompt": OPTIONAL_TEXT,
            "expected_outputs": arrays,
            "validation_criteria": objects(),
            "estimated_duration": weights,
        },
    ),
    "ClaimProgress": ({"task_id": tasks, "claimed": percentages}, {}),
    "AddDependency": ({**A_PAIR, "dependency_type": enumerated("dependency_type")}, {}),
    "RemoveDependency": (A_PAIR, {}),
    "StartRun": ({"run_id": runs, "project_id": projects, "validation_type": enumerated("validation_type")}, {}),
    "AssessTask": ({"run_id": runs, "task_id": tasks, "authenticity": percentages}, {}),
    "ReportIssue": (
        {
            "run_id": runs,
            "issue_id": issues,
            "issue_type": enumerated("issue_type"),
            "severity": enumerated("severity"),
            "description": texts,
        },
        {
            "task_id": st.none() | tasks,
            "file_path": st.none() | names,
            "line_number": st.none() | st.sampled_from([1, INT32_MAX]),
            "auto_fix_available": st.booleans(),
            "suggested_fix": OPTIONAL_TEXT,
        },
    ),
    "CompleteRun": ({"run_id": runs, "quality_score": percentages}, {"quality_metrics": objects("quality_score")}),
    "FailRun": ({"run_id": runs}, A_REASON),
}

envelopes: Strategy = st.one_of(
    *[st.just({})] * 3, *(st.fixed_dictionaries({field: drawn}) for field, drawn in ENVELOPE.items())
)
DRAWN = {
    name: st.fixed_dictionaries({**required, "occurred_at": times}, optional=optional)
    for name, (required, optional) in FIELDS.items()
}


@st.composite
def command(draw: st.DrawFn, name: str) -> Asked:
    """A command: some of its optional fields given, and now and then one of the envelope's."""
    return Asked(name, {**draw(DRAWN[name]), **draw(envelopes)})


@st.composite
def one_of(draw: st.DrawFn, *names: str) -> Asked:
    """A command of one of these names; a name that stands twice comes twice as often."""
    asked: Asked = draw(command(draw(st.sampled_from(names))))
    return asked


OF_TASKS = ("AddTask", *TASK_MOVES, *["ClaimProgress", "StartTask", "CompleteTask"] * 2)
OF_DEPENDENCIES = ("RemoveDependency", *["AddDependency"] * 4, "StartTask", "ResumeTask", "ReopenTask", "CompleteTask")
OF_RUNS = ("StartRun", "AssessTask", "AssessTask", "ReportIssue", "CompleteRun", "FailRun")
OF_PROJECTS = ("CreateUser", "CreateProject", "RecordMetric", *PROJECT_MOVES, "ReactivateProject")
OF_ISSUES = tuple(ISSUE_MOVES)
ANY = (*OF_TASKS, *OF_DEPENDENCIES, *OF_RUNS, *OF_PROJECTS, *OF_ISSUES)

BAD_TEXT = st.sampled_from(["", "a\0b", "\ud800", "x" * 256])
BAD_PERCENT = st.sampled_from([100.0001, 100.00000000000001, -1e-9, math.nan, math.inf, -math.inf])
BAD_COUNT = st.sampled_from([0, -1, INT32_MAX + 1])
BAD_TIME = st.sampled_from(
    [
        datetime(2026, 3, 1),  # noqa: DTZ001 - a time without an offset is what is refused
        datetime(1899, 12, 31, 23, 59, tzinfo=UTC),
        datetime(3000, 1, 1, tzinfo=UTC),
        datetime(1900, 1, 1, 3, tzinfo=timezone(timedelta(hours=5))),
    ]
)
BAD_JSON = st.sampled_from([{"a": math.nan}, {"a\0": 1}, {"a": ["\udfff"]}, {"a": 2**53}, {"a": {"b": -math.inf}}])
BAD: Mapping[str, Mapping[str, Strategy]] = {
    "CreateUser": {"username": BAD_TEXT | st.just("forgotten:1"), "email": BAD_TEXT | st.just("ana")},
    "CreateProject": {"name": BAD_TEXT, "description": st.just("€" * 5500), "metadata": BAD_JSON},
    "RecordMetric": {
        "metric_name": st.sampled_from(["real_progress", "quality_score", "", "x" * 101]),
        "value": st.sampled_from([math.nan, math.inf]),
        "metadata": BAD_JSON | st.sampled_from([{"seq": 1}, {"event_id": ""}, {"aggregation_level": "daily"}]),
    },
    "AddTask": {"name": BAD_TEXT, "estimated_duration": BAD_COUNT, "priority": st.just("urgent")},
    "ClaimProgress": {"claimed": BAD_PERCENT, "occurred_at": BAD_TIME},
    "AssessTask": {"authenticity": BAD_PERCENT},
    "ReportIssue": {"line_number": BAD_COUNT, "severity": st.just("none"), "file_path": BAD_TEXT | st.just("é" * 1001)},
    "CompleteRun": {"quality_score": BAD_PERCENT, "quality_metrics": BAD_JSON | st.just({"quality_score": 1})},
}


@st.composite
def spoilt(draw: st.DrawFn) -> Asked:
    """A command with a bad value in one of its fields."""
    asked = draw(one_of(*ANY))
    bad = BAD.get(asked.name, {"occurred_at": BAD_TIME})
    field = draw(st.sampled_from(sorted(bad)))
    return Asked(asked.name, {**asked.fields, field: draw(bad[field])})
