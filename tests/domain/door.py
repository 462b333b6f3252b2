"""At the door: the least that a command is made of, and the faults of one that is not quite good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_tiu.domain.dependency_graph import AddDependency
from claude_tiu.domain.errors import Fault, InvalidCommand
from claude_tiu.domain.messages import Command
from claude_tiu.domain.project import CreateProject
from claude_tiu.domain.project_metrics import RecordMetric
from claude_tiu.domain.session import StartSession
from claude_tiu.domain.task import AddTask, ClaimProgress, StartTask
from claude_tiu.domain.user import CreateUser
from claude_tiu.domain.validation_run import AssessTask, CompleteRun, ReportIssue, StartRun
from tests.domain.given import NEW_ID, PROJECT_ID, RUN_ID, TASK_ID, USER_ID

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
GOOD: dict[type[Command], dict[str, Any]] = {
    AddDependency: {"task_id": TASK_ID, "depends_on_task_id": NEW_ID},
    AddTask: {"project_id": PROJECT_ID, "name": "Parser"},
    AssessTask: {"run_id": RUN_ID, "task_id": TASK_ID, "authenticity": 40},
    ClaimProgress: {"task_id": TASK_ID, "claimed": 50},
    CompleteRun: {"run_id": RUN_ID, "quality_score": 70},
    CreateProject: {"user_id": USER_ID, "name": "Billing"},
    CreateUser: {"username": "ada", "email": "ada@example.org", "password_hash": HASH},
    RecordMetric: {"project_id": PROJECT_ID, "metric_name": "coverage", "value": 81.5},
    ReportIssue: {"run_id": RUN_ID, "issue_type": "placeholder", "severity": "high", "description": "TODO"},
    StartSession: {"user_id": USER_ID, "token_hash": "5f4dcc3b" * 8, "expires_at": "2026-03-02T12:00:00Z"},
    StartRun: {"project_id": PROJECT_ID, "validation_type": "deep"},
    StartTask: {"task_id": TASK_ID},
}
"""The least that each command is made of."""


def made(command: type[Command], /, **changes: Any) -> Any:
    return command(**(GOOD[command] | changes))


def faults(command: type[Command], /, **changes: Any) -> tuple[Fault, ...]:
    """The faults of a command that is good but for `changes`; every one can be said in JSON and in one plain line."""
    with pytest.raises(InvalidCommand) as caught:
        made(command, **changes)
    error = caught.value
    assert len(error.message) < 2_000
    assert error.message.isprintable()
    assert all(str(fault) in error.message for fault in error.faults)
    answer = error.as_json()
    assert json.loads(json.dumps(answer).encode()) == answer
    assert answer["details"]["command"] == command.__name__
    assert len(answer["details"]["faults"]) == len(error.faults)
    return error.faults


def faulty_fields(command: type[Command], /, **changes: Any) -> list[str]:
    return [fault.field for fault in faults(command, **changes)]
