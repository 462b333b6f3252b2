"""An agent's numbers: recorded as they are given, in a stream of their own."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.agent import Agent
from claude_tiu.domain.agent_metrics import AGENT_METRICS, AgentMetricRecorded, RecordAgentMetric, agent_metrics_id
from claude_tiu.domain.errors import InvalidCommand, NotFound
from tests.domain.given import AGENT_ID, AT, NOBODY, given, world

READS = replace(world(), agents={AGENT_ID: Agent("tester")})


def recorded(**fields: Any) -> AgentMetricRecorded:
    usual: dict[str, Any] = {"agent_id": AGENT_ID, "metric_type": "tokens", "value": 1200.0, "metadata": {}}
    return AgentMetricRecorded(occurred_at=AT, **(usual | fields))


def record(**fields: Any) -> RecordAgentMetric:
    usual: dict[str, Any] = {"agent_id": AGENT_ID, "metric_type": "tokens", "value": 1200.0}
    return RecordAgentMetric(**(usual | fields))


def test_a_number_is_recorded_as_it_is_given() -> None:
    command = record(value=-0.5, metadata={"model": "large"})
    metrics = given(AGENT_METRICS, reads=READS).when(command).then([recorded(value=-0.5, metadata={"model": "large"})])
    assert metrics.agent_id == AGENT_ID


def test_a_number_may_be_recorded_again() -> None:
    given(AGENT_METRICS, [recorded()], reads=READS).when(record()).then([recorded()])


def test_its_agent_exists() -> None:
    given(AGENT_METRICS, reads=READS).when(record(agent_id=NOBODY)).then_refused(NotFound, id=NOBODY)


def test_it_stands_in_a_stream_of_the_agents_numbers() -> None:
    assert AGENT_METRICS.stream_of is not None
    assert AGENT_METRICS.stream_of(record(), READS) == agent_metrics_id(AGENT_ID) != agent_metrics_id(UUID(int=1))


@pytest.mark.parametrize(
    "fields",
    [
        {"metric_type": ""},
        {"metric_type": "x" * 101},
        {"metric_type": "a\0b"},
        {"value": nan},
        {"value": inf},
        {"value": "1"},
        {"metadata": {"seq": 1}},
        {"metadata": {"event_id": "x"}},
        {"metadata": {"mine": nan}},
    ],
    ids=str,
)
def test_what_the_tables_cannot_hold_is_refused_at_the_door(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidCommand):
        record(**fields)


def test_the_longest_name_comes_in() -> None:
    assert record(metric_type="é" * 100).metric_type == "é" * 100
