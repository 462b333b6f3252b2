"""Agents, the tasks they were given, and their numbers."""

from __future__ import annotations

from ..projection import Kind, Table

AGENTS = Table(
    "agents",
    "id",
    {
        "id": Kind.UUID,
        "agent_type": Kind.TEXT,
        "name": Kind.TEXT,
        "capabilities": Kind.JSON,
        "status": Kind.TEXT,
        "configuration": Kind.JSON,
        "coordination_hooks": Kind.JSON,
        "created_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "last_active": Kind.TIME,
    },
)

AGENT_ASSIGNMENTS = Table(
    "agent_assignments",
    "id",
    {
        "id": Kind.UUID,
        "agent_id": Kind.UUID,
        "task_id": Kind.UUID,
        "status": Kind.TEXT,
        "assignment_metadata": Kind.JSON,
        "assigned_at": Kind.TIME,
        "completed_at": Kind.TIME,
    },
)

AGENT_METRICS = Table(
    "agent_metrics",
    "id",
    {
        "id": Kind.UUID,
        "agent_id": Kind.UUID,
        "metric_type": Kind.TEXT,
        "value": Kind.DOUBLE,
        "metadata": Kind.JSON,
        "recorded_at": Kind.TIME,
    },
)
