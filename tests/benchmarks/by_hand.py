"""What a hand-written projector would write of each event of the workloads: statements, with state kept in memory.

It shares no code with ours, and comes to the same rows to the byte. Values are text and numbers that both stores take;
a statement's %s is a ? on SQLite.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

FULL = 10**8
SEVERITIES = ("low", "medium", "high", "critical")
ISSUE_TYPES = ("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")
NAMES = ("real_progress", "fake_progress", "authenticity_rate", "quality_score")
Write = tuple[str, tuple[Any, ...]]


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join(['%s'] * columns)})"


INSERT_PROJECT = _insert("projects", 15)
INSERT_PROJECT_STATE = _insert("project_state", 9)
INSERT_TASK_STATE = _insert("task_state", 6)
INSERT_METRIC = _insert("progress_metrics", 6)
INSERT_REPORT = _insert("validation_reports", 9)
INSERT_ISSUE = _insert("validation_issues", 13)
INSERT_RUN = _insert("run_state", 2)
INSERT_STAGED = _insert("staged_issues", 12)
INSERT_TASK = (
    "INSERT INTO tasks (id, project_id, name, description, status, priority, real_progress, fake_progress, "
    "authenticity_score, ai_prompt, expected_outputs, validation_criteria, estimated_duration, actual_duration, "
    "created_at, updated_at, completed_at, added_position) "
    "VALUES (%s, %s, %s, %s, 'pending', %s, 0.0, 0.0, 100.0, %s, %s, %s, %s, NULL, %s, %s, NULL, %s)"
)
START_TASK = "UPDATE tasks SET status = 'in_progress', updated_at = %s WHERE id = %s"
START_TASK_STATE = "UPDATE task_state SET in_progress_since = %s WHERE task_id = %s"
CLAIM = "UPDATE tasks SET updated_at = %s, real_progress = %s, fake_progress = %s WHERE id = %s"
CLAIM_STATE = "UPDATE task_state SET claimed = %s WHERE task_id = %s"
COMPLETE = (
    "UPDATE tasks SET status = 'completed', updated_at = %s, completed_at = %s, actual_duration = %s, "
    "real_progress = %s, fake_progress = %s WHERE id = %s"
)
COMPLETE_STATE = "UPDATE task_state SET claimed = %s, in_progress_since = NULL, worked = %s WHERE task_id = %s"
ASSESS = (
    "UPDATE tasks SET real_progress = %s, fake_progress = %s, authenticity_score = %s, updated_at = %s WHERE id = %s"
)
ASSESS_STATE = "UPDATE task_state SET authenticity = %s WHERE task_id = %s"
CHANGE_PROJECT = (
    "UPDATE projects SET real_progress = %s, fake_progress = %s, authenticity_rate = %s, quality_score = %s, "
    "updated_at = %s WHERE id = %s"
)
CHANGE_PROJECT_STATE = (
    "UPDATE project_state SET real_sum = %s, claimed_sum = %s, weight_sum = %s, real_progress = %s, "
    "fake_progress = %s, authenticity_rate = %s, quality_score = %s, metric_seq = %s WHERE project_id = %s"
)
DELETE_STAGED = "DELETE FROM staged_issues WHERE run_id = %s"
DELETE_RUN = "DELETE FROM run_state WHERE run_id = %s"


@dataclass
class Project:
    real: int = 0
    claimed: int = 0
    weight: int = 0
    seq: int = 0
    numbers: tuple[float, float, float, float] = (0.0, 0.0, 100.0, 0.0)


@dataclass
class Task:
    project_id: str
    weight: int
    claimed: int = 0
    authenticity: int = FULL
    started: str = ""


@dataclass
class Run:
    project_id: str
    validation_type: str
    issues: list[tuple[dict[str, Any], str]] = field(default_factory=list)


class HandProjection:
    """The rows of an event, in the order in which they are written. One for a log, from its first event on."""

    def __init__(self, projects: tuple[str, ...] = ()) -> None:
        """`projects` are those whose rows stand already."""
        self._projects = {project_id: Project() for project_id in projects}
        self._tasks: dict[str, Task] = {}
        self._runs: dict[str, Run] = {}
        self._writes: list[Write] = []
        self._handlers: dict[str, Callable[[UUID, int, int, Mapping[str, Any]], None]] = {
            "project.created.v1": self._project_created,
            "task.added.v1": self._task_added,
            "task.started.v1": self._task_started,
            "task.progress_claimed.v1": self._progress_claimed,
            "task.completed.v1": self._task_completed,
            "validation_run.started.v1": self._run_started,
            "validation_run.task_assessed.v1": lambda *_: None,
            "validation_run.issue_reported.v1": self._issue_reported,
            "validation_run.completed.v1": self._run_completed,
        }

    def writes(self, topic: str, stream_id: UUID, version: int, position: int, body: Mapping[str, Any]) -> list[Write]:
        """Return the statements of the next event."""
        self._writes = []
        self._handlers[topic](stream_id, version, position, body)
        return self._writes

    def _write(self, statement: str, *values: Any) -> None:
        self._writes.append((statement, values))

    def _project_created(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        at, given = body["occurred_at"], (body["name"], body["description"])
        configuration, metadata = _json(body["configuration"]), _json(body["metadata"])
        numbers = (0.0, 0.0, 100.0, 0.0)
        self._write(
            INSERT_PROJECT,
            *(str(id_), body["user_id"], *given, "active", None, configuration, metadata, *numbers, at, at, None),
        )
        self._write(INSERT_PROJECT_STATE, str(id_), "0", "0", "0", 0.0, 0.0, 100.0, 0.0, 0)
        self._projects[str(id_)] = Project()

    def _task_added(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        at, task = body["occurred_at"], Task(body["project_id"], body["estimated_duration"] or 1)
        self._tasks[str(id_)] = task
        texts = (body["name"], body["description"], body["priority"], body["ai_prompt"])
        jsons = (_json(body["expected_outputs"]), _json(body["validation_criteria"]))
        self._write(
            INSERT_TASK, str(id_), task.project_id, *texts, *jsons, body["estimated_duration"], at, at, position
        )
        self._write(INSERT_TASK_STATE, str(id_), 0, FULL, task.weight, 0, None)
        self._projects[task.project_id].weight += task.weight
        self._change_project(task.project_id, id_, version, at, "task_id", str(id_))

    def _task_started(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        at = self._tasks[str(id_)].started = body["occurred_at"]
        self._write(START_TASK, at, str(id_))
        self._write(START_TASK_STATE, at, str(id_))

    def _progress_claimed(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        at, claimed = body["occurred_at"], round(body["claimed"] * 1_000_000)
        real, fake = self._claim(id_, claimed)
        self._write(CLAIM, at, real, fake, str(id_))
        self._write(CLAIM_STATE, claimed, str(id_))
        self._change_project(self._tasks[str(id_)].project_id, id_, version, at, "task_id", str(id_))

    def _task_completed(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        task, at = self._tasks[str(id_)], body["occurred_at"]
        spell = datetime.fromisoformat(at) - datetime.fromisoformat(task.started)
        worked = (spell.days * 86_400 + spell.seconds) * 1_000_000 + spell.microseconds
        real, fake = self._claim(id_, FULL)
        self._write(COMPLETE, at, at, worked // 60_000_000, real, fake, str(id_))
        self._write(COMPLETE_STATE, FULL, worked, str(id_))
        self._change_project(task.project_id, id_, version, at, "task_id", str(id_))

    def _claim(self, id_: UUID, claimed: int) -> tuple[float, float]:
        task = self._tasks[str(id_)]
        project = self._projects[task.project_id]
        more = task.weight * (claimed - task.claimed)
        project.claimed += more
        project.real += more * task.authenticity
        task.claimed = claimed
        return claimed * task.authenticity / 10**14, claimed * (FULL - task.authenticity) / 10**14

    def _run_started(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        self._runs[str(id_)] = Run(body["project_id"], body["validation_type"])
        self._write(INSERT_RUN, str(id_), body["validation_type"])

    def _issue_reported(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        at = body["occurred_at"]
        self._runs[str(id_)].issues.append((dict(body), at))
        self._write(
            INSERT_STAGED,
            *(body["issue_id"], str(id_), position, body["task_id"], body["issue_type"], body["severity"]),
            *(body["description"], body["file_path"], body["line_number"], body["auto_fix_available"]),
            *(body["suggested_fix"], at),
        )

    def _run_completed(self, id_: UUID, version: int, position: int, body: Mapping[str, Any]) -> None:
        run, at = self._runs.pop(str(id_)), body["occurred_at"]
        project = self._projects[run.project_id]
        for task_id, percent in body["assessments"].items():
            task, assessed = self._tasks[task_id], round(percent * 1_000_000)
            project.real += task.weight * task.claimed * (assessed - task.authenticity)
            task.authenticity = assessed
            real, fake = task.claimed * assessed / 10**14, task.claimed * (FULL - assessed) / 10**14
            self._write(ASSESS, real, fake, percent, at, task_id)
            self._write(ASSESS_STATE, assessed, task_id)
        self._change_project(run.project_id, id_, version, at, "run_id", str(id_), body["quality_score"])
        real, fake, rate, quality = project.numbers
        metrics = _json({**body["quality_metrics"], "quality_score": quality})
        summary = _json(
            {
                "by_severity": _counted(SEVERITIES, [issue["severity"] for issue, _ in run.issues]),
                "by_type": _counted(ISSUE_TYPES, [issue["issue_type"] for issue, _ in run.issues]),
            }
        )
        self._write(
            INSERT_REPORT,
            *(str(id_), run.project_id, run.validation_type, rate, real, fake, metrics, summary, at),
        )
        for issue, reported_at in run.issues:
            self._write(
                INSERT_ISSUE,
                *(issue["issue_id"], str(id_), issue["task_id"], issue["issue_type"], issue["severity"]),
                *(issue["description"], issue["file_path"], issue["line_number"], issue["auto_fix_available"]),
                *(issue["suggested_fix"], "open", reported_at, None),
            )
        self._write(DELETE_STAGED, str(id_))
        self._write(DELETE_RUN, str(id_))

    def _change_project(
        self,
        project_id: str,
        stream_id: UUID,
        version: int,
        at: str,
        cause: str,
        caused_by: str,
        quality: float | None = None,
    ) -> None:
        project = self._projects[project_id]
        scale = project.weight * 10**14
        after = (
            project.real / scale,
            (FULL * project.claimed - project.real) / scale,
            project.real / (project.claimed * 10**6) if project.claimed else 100.0,
            project.numbers[3] if quality is None else quality,
        )
        changed = [(name, new) for name, old, new in zip(NAMES, project.numbers, after, strict=True) if old != new]
        project.numbers = after
        if changed:
            self._write(CHANGE_PROJECT, *after, at, project_id)
        event_id = uuid5(stream_id, str(version))
        for name, value in changed:
            project.seq += 1
            metadata = _json({cause: caused_by, "seq": project.seq, "event_id": str(event_id)})
            self._write(INSERT_METRIC, str(uuid5(event_id, name)), project_id, name, value, metadata, at)
        sums = (str(project.real), str(project.claimed), str(project.weight))
        self._write(CHANGE_PROJECT_STATE, *sums, *after, project.seq, project_id)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _counted(names: tuple[str, ...], found: list[str]) -> dict[str, int]:
    counts = Counter(found)
    return {name: counts[name] for name in names}
