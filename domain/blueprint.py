"""The form of what a template makes: a project's tasks, and the workflow that it is worked on by.

`structure` of a template (defaults in brackets; the same fields and bounds as AddTask and AddDependency):

    {"tasks": [{"key": "parser", "name": "Parser", "description": [null], "priority": ["medium"], "ai_prompt": [null],
                "expected_outputs": [[]], "validation_criteria": [{}], "estimated_duration": [null] (minutes),
                "agent_type": [null], "capabilities": [[]],
                "depends_on": [[]] of {"key": "design", "dependency_type": ["blocks"]}, or of "design" alone}]}

`workflow_template` (the same fields and bounds as CreateWorkflow and AddStep):

    {"name": "Review", "description": [null], "configuration": [{}], "global_settings": [{}],
     "steps": [{"key": "lint", "name": "Lint", "type": "validation", "ai_prompt": [null], "depends_on": [[]] of keys,
                "validation_config": [{}]}, ...at least one]}

A key is a name of the template's own, once among its tasks, and once among its steps. Entries may stand in any order:
project_from_template.py makes a task or step of each, a step's step_order being its place from 1. What is stored has
every field of the form, so that what uses it needs no defaults; `in_running_order` puts entries behind those that they
depend on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from .errors import Fault
from .values import (
    MAX_JSON_BYTES,
    AgentType,
    Capabilities,
    DependencyType,
    JsonArray,
    JsonObject,
    LongText,
    Minutes,
    Name,
    Priority,
    StepType,
    within_bytes,
)
from .workflow import MAX_STEP_DEPENDENCIES, MAX_STEPS

MAX_TASKS = 1_000
MAX_TASK_DEPENDENCIES = 100
MAX_CYCLES_TOLD, MAX_KEYS_TOLD = 5, 8

PartType = TypeVar("PartType", bound="Part")

Key = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Part(BaseModel):
    """The base of every part of the form: unknown fields are refused, so that no misspelt one is lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlannedDependency(Part):
    key: Key
    dependency_type: DependencyType = "blocks"


def _spelt_out(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


class PlannedTask(Part):
    key: Key
    name: Name
    description: LongText | None = None
    priority: Priority = "medium"
    ai_prompt: LongText | None = None
    expected_outputs: JsonArray = []
    validation_criteria: JsonObject = {}
    estimated_duration: Minutes | None = None
    agent_type: AgentType | None = None
    capabilities: Capabilities = []
    depends_on: Annotated[
        list[Annotated[PlannedDependency, BeforeValidator(_spelt_out)]], Field(max_length=MAX_TASK_DEPENDENCIES)
    ] = []


class PlannedStep(Part):
    key: Key
    name: Name
    type: StepType
    ai_prompt: LongText | None = None
    depends_on: Annotated[list[Key], Field(max_length=MAX_STEP_DEPENDENCIES)] = []
    validation_config: JsonObject = {}


class PlannedProject(Part):
    tasks: Annotated[list[PlannedTask], Field(max_length=MAX_TASKS)] = []


class PlannedWorkflow(Part):
    name: Name
    description: LongText | None = None
    configuration: JsonObject = {}
    global_settings: JsonObject = {}
    steps: Annotated[list[PlannedStep], Field(min_length=1, max_length=MAX_STEPS)]


def stored(part: Part) -> dict[str, Any]:
    """Return a part of the form as JSON, with every field."""
    return part.model_dump(mode="json")


def _fits(part: PartType) -> PartType:
    within_bytes(json.dumps(stored(part), ensure_ascii=False), MAX_JSON_BYTES, "JSON")
    return part


Structure = Annotated[PlannedProject, AfterValidator(_fits)]
WorkflowTemplate = Annotated[PlannedWorkflow, AfterValidator(_fits)]


def in_running_order(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return stored tasks or steps, each behind those that it depends on; else in their own order.

    Raises ValueError where some wait for each other (no template that was accepted has such).
    """
    graph = {entry["key"]: [_key_of(other) for other in entry["depends_on"]] for entry in entries}
    order = _running_order(graph)
    if len(order) < len(graph):
        raise ValueError(f"these wait for each other: {sorted(graph.keys() - set(order))}")
    by_key = {entry["key"]: entry for entry in entries}
    return [by_key[key] for key in order]


def _running_order(graph: Mapping[str, list[str]]) -> list[str]:
    """Return the keys whose dependencies can all be met, in an order that meets them."""
    waits = {key: {other for other in others if other in graph} for key, others in graph.items()}
    needed_by: dict[str, list[str]] = {key: [] for key in graph}
    for key, others in waits.items():
        for other in others:
            needed_by[other].append(key)
    order = [key for key, others in waits.items() if not others]
    for met in order:  # grows as it is walked
        for key in needed_by[met]:
            waits[key].discard(met)
            if not waits[key]:
                order.append(key)
    return order


def reference_faults(path: str, kind: str, entries: Any) -> Iterator[Fault]:
    """Yield what is wrong between tasks or steps as they were given: keys that stand twice, that nothing has, that wait
    for each other. What is wrong within one is told by its form."""
    entries = [_fields(entry) for entry in entries] if _is_list(entries) else []
    graph: dict[str, list[str]] = {}
    for place, entry in enumerate(entries):
        key = entry.get("key")
        if isinstance(key, str):
            if key in graph:
                yield Fault(f"{path}.{place}.key", f"Another {kind} has this key", ascii(key[:60]))
            graph.setdefault(key, [])
    for place, entry in enumerate(entries):
        others = entry.get("depends_on")
        seen: set[str] = set()
        for number, other in enumerate(others if _is_list(others) else []):
            key = _key_of(_plain(other))
            if not isinstance(key, str):
                continue
            if key not in graph:
                yield Fault(f"{path}.{place}.depends_on.{number}", f"No {kind} has this key", ascii(key[:60]))
            elif key in seen:
                yield Fault(f"{path}.{place}.depends_on.{number}", f"This {kind} is named twice", ascii(key[:60]))
            seen.add(key)
        if isinstance(entry.get("key"), str):
            graph[entry["key"]] += sorted(seen)
    for cycle in _cycles(graph):
        yield Fault(path, f"These {kind}s would wait for each other: {_told(cycle)}")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _fields(entry: Any) -> dict[str, Any]:
    plain = _plain(entry)
    return plain if isinstance(plain, dict) else {}


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _key_of(dependency: Any) -> Any:
    return dependency.get("key") if isinstance(dependency, dict) else dependency


def _cycles(graph: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Yield cycles that have no key in common, MAX_CYCLES_TOLD at most: each ends where it began."""
    left = dict(graph)
    for _ in range(MAX_CYCLES_TOLD):
        for key in _running_order(left):
            del left[key]
        if not left:
            return
        key, path = next(iter(left)), dict[str, int]()
        while key not in path:
            path[key] = len(path)
            key = next(other for other in left[key] if other in left)
        cycle = list(path)[path[key] :]
        yield [*cycle, key]
        for key in cycle:
            del left[key]


def _told(cycle: list[str]) -> str:
    shown = [ascii(key[:60])[1:-1] for key in cycle]
    if len(shown) > MAX_KEYS_TOLD:
        shown = [*shown[: MAX_KEYS_TOLD - 2], "…", shown[-1]]
    return " -> ".join(shown)
