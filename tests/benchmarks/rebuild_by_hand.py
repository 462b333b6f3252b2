"""The physical bound of rebuilding: one script in plain Python, in one process.

It copies the events out, decodes them without checking anything, folds them in memory, copies the rows into copies of
the same tables, and builds their indexes and foreign keys. No checkpoints, nothing compared, nothing that could go on
after a fault; it knows the workloads' events and no others.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha1
from itertools import islice
from typing import Any

import orjson
import psycopg

SCHEMA = "by_hand"
FULL = 10**8
FLUSH = 256
TABLES = (
    "users",
    "projects",
    "tasks",
    "progress_metrics",
    "validation_reports",
    "validation_issues",
    "project_state",
    "task_state",
)
ROW = struct.Struct(">hiqi16siii")
"""A binary row up to its topic: how many columns, then each with its length."""
BEGIN = 19
"""How long the signature of a binary COPY is."""
VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
SEVERITIES = ("low", "medium", "high", "critical")
TYPES = ("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")
ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
EVENTS = (
    "COPY (SELECT position, stream_id, version, topic, state FROM events ORDER BY position) TO STDOUT (FORMAT BINARY)"
)
TASK_COLUMNS = (
    "id, project_id, name, description, priority, ai_prompt, expected_outputs, validation_criteria, "
    "estimated_duration, created_at, added_position, status, updated_at, completed_at, actual_duration, "
    "real_progress, fake_progress, authenticity_score"
)


def rebuild(url: str) -> int:
    """Make the workloads' read tables of a database in the schema `by_hand`, and return how many events it read."""
    with psycopg.connect(url) as source, psycopg.connect(url) as target:
        target.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        target.execute(f"CREATE SCHEMA {SCHEMA}")
        for table in TABLES:
            target.execute(f"CREATE TABLE {SCHEMA}.{table} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        # The user's row holds what is encrypted in the events: it is the one row that is not made from them.
        target.execute(f"INSERT INTO {SCHEMA}.users SELECT * FROM public.users")
        count = _load(source, target)
        _index(target)
    return count


def differing(url: str) -> dict[str, int]:
    """Return how many rows differ, of each table, between ours and those made by hand."""
    with psycopg.connect(url) as connection:
        return {table: _differing(connection, table) for table in TABLES}


def _differing(connection: psycopg.Connection[Any], table: str) -> int:
    ours, hand = f"TABLE public.{table}", f"TABLE {SCHEMA}.{table}"
    row = connection.execute(
        f"SELECT (SELECT count(*) FROM ({ours} EXCEPT ALL {hand}) AS a)"
        f" + (SELECT count(*) FROM ({hand} EXCEPT ALL {ours}) AS b)"
    ).fetchone()
    return int(row[0]) if row else 0


def _index(target: psycopg.Connection[Any]) -> None:
    """Build what the tables have beside their rows, as the catalog tells it: indexes and keys, then foreign keys."""
    foreign = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = {} AND connamespace = 'public'::regnamespace AND conrelid::regclass::text = ANY (%s)"
    )
    for table, _, definition in target.execute(foreign.format("ANY ('{p,u}')"), [list(TABLES)]).fetchall():
        target.execute(f"ALTER TABLE {SCHEMA}.{table} ADD {definition}")
    indexes = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY (%s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conname = indexname)"
    )
    for (definition,) in target.execute(indexes, [list(TABLES)]).fetchall():
        target.execute(definition.replace(" ON public.", f" ON {SCHEMA}."))
    for table, _, definition in target.execute(foreign.format("'f'"), [list(TABLES)]).fetchall():
        target.execute(f"ALTER TABLE {SCHEMA}.{table} ADD {definition.replace('REFERENCES ', f'REFERENCES {SCHEMA}.')}")


class Project:
    """A project's sums, the numbers that they came to last, and its row."""

    __slots__ = ("claimed", "digits", "fake", "quality", "rate", "real", "row", "seq", "sum", "updated_at", "weight")

    def __init__(self, digits: str, row: str) -> None:
        self.digits, self.row, self.updated_at = digits, row, ""
        self.sum = self.claimed = self.weight = self.seq = 0
        self.real, self.fake, self.rate, self.quality = 0.0, 0.0, 100.0, 0.0


class Task:
    """A task's state, and its row."""

    __slots__ = (
        "added",
        "assessed",
        "authenticity",
        "claimed",
        "completed_at",
        "digits",
        "project",
        "started_at",
        "status",
        "text",
        "updated_at",
        "weight",
        "worked",
    )

    def __init__(self, digits: str, project: Project, weight: int, added: str) -> None:
        self.digits, self.project, self.weight, self.added = digits, project, weight, added
        self.text = _dashed(digits)
        self.claimed, self.authenticity, self.assessed, self.status = 0, FULL, 100.0, "pending"
        self.started_at, self.updated_at, self.completed_at, self.worked = "", "", r"\N", 0


class Fold:
    """The rows that the events come to; lines of progress_metrics gather in `metrics`, to be taken away."""

    def __init__(self) -> None:
        self.metrics: list[str] = []
        self.projects: dict[str, Project] = {}
        self.tasks: dict[str, Task] = {}
        self.runs: dict[str, tuple[Project, str, list[dict[str, Any]]]] = {}
        self.reports: list[str] = []
        self.issues: list[str] = []

    def add(self, position: int, stream: bytes, version: int, topic: bytes, body: dict[str, Any]) -> None:
        digits = stream.hex()
        at = body["occurred_at"]
        if topic == b"task.progress_claimed.v1":
            task = self.tasks[digits]
            task.updated_at = at
            self._claim(task, round(body["claimed"] * 1_000_000), stream, version, at)
        elif topic == b"task.started.v1":
            task = self.tasks[digits]
            task.status, task.started_at, task.updated_at = "in_progress", at, at
        elif topic == b"task.completed.v1":
            task = self.tasks[digits]
            spell = datetime.fromisoformat(at) - datetime.fromisoformat(task.started_at)
            task.worked = (spell.days * 86_400 + spell.seconds) * 1_000_000 + spell.microseconds
            task.status, task.updated_at, task.completed_at = "completed", at, at
            self._claim(task, FULL, stream, version, at)
        elif topic == b"task.added.v1":
            self._add_task(position, digits, stream, version, body, at)
        elif topic == b"project.created.v1":
            self._add_project(digits, body, at)
        elif topic == b"validation_run.started.v1":
            self.runs[digits] = (self.projects[_digits(body["project_id"])], body["validation_type"], [])
        elif topic == b"validation_run.issue_reported.v1":
            self.runs[digits][2].append(body)
        elif topic == b"validation_run.completed.v1":
            self._complete_run(digits, stream, version, body, at)

    def _add_project(self, digits: str, body: dict[str, Any], at: str) -> None:
        texts = (digits, body["user_id"], _text(body["name"]), _text(body["description"]), "active", r"\N")
        row = "\t".join((*texts, _json(body["configuration"]), _json(body["metadata"]), at))
        project = self.projects[digits] = Project(digits, row)
        project.updated_at = at

    def _add_task(self, position: int, digits: str, stream: bytes, version: int, body: dict[str, Any], at: str) -> None:
        project, duration = self.projects[_digits(body["project_id"])], body["estimated_duration"]
        texts = (_text(body["name"]), _text(body["description"]), body["priority"], _text(body["ai_prompt"]))
        jsons = (_json(body["expected_outputs"]), _json(body["validation_criteria"]))
        numbers = (r"\N" if duration is None else str(duration), at, str(position))
        added = "\t".join((digits, project.digits, *texts, *jsons, *numbers))
        task = self.tasks[digits] = Task(digits, project, duration or 1, added)
        task.updated_at = at
        project.weight += task.weight
        self._change(project, stream, version, at, f'"task_id": "{task.text}"')

    def _claim(self, task: Task, claimed: int, stream: bytes, version: int, at: str) -> None:
        project, more = task.project, task.weight * (claimed - task.claimed)
        project.claimed += more
        project.sum += more * task.authenticity
        task.claimed = claimed
        self._change(project, stream, version, at, f'"task_id": "{task.text}"')

    def _change(self, project: Project, stream: bytes, version: int, at: str, cause: str) -> None:
        """Write a line for each number that differs from its predecessor."""
        total, claimed, scale = project.sum, project.claimed, project.weight * 10**14
        real, fake = total / scale, (FULL * claimed - total) / scale
        rate = total / (claimed * 10**6) if claimed else 100.0
        if real == project.real and fake == project.fake and rate == project.rate:
            return
        event = _uuid5(stream, b"%d" % version)
        namespace, event_id = bytes.fromhex(event), _dashed(event)
        if real != project.real:
            project.seq += 1
            project.real = real
            self._metric(project, namespace, "real_progress", real, cause, event_id, at)
        if fake != project.fake:
            project.seq += 1
            project.fake = fake
            self._metric(project, namespace, "fake_progress", fake, cause, event_id, at)
        if rate != project.rate:
            project.seq += 1
            project.rate = rate
            self._metric(project, namespace, "authenticity_rate", rate, cause, event_id, at)
        project.updated_at = at

    def _metric(
        self, project: Project, namespace: bytes, name: str, value: float, cause: str, event_id: str, at: str
    ) -> None:
        self.metrics.append(
            f"{_uuid5(namespace, name.encode())}\t{project.digits}\t{name}\t{value!r}\t"
            f'{{{cause}, "seq": {project.seq}, "event_id": "{event_id}"}}\t{at}\n'
        )

    def _complete_run(self, digits: str, stream: bytes, version: int, body: dict[str, Any], at: str) -> None:
        project, kind, issues = self.runs.pop(digits)
        for task_id, percent in body["assessments"].items():
            task, assessed = self.tasks[_digits(task_id)], round(percent * 1_000_000)
            project.sum += task.weight * task.claimed * (assessed - task.authenticity)
            task.authenticity, task.assessed, task.updated_at = assessed, percent, at
        cause, quality = f'"run_id": "{_dashed(digits)}"', body["quality_score"]
        self._change(project, stream, version, at, cause)
        if quality != project.quality:
            event = _uuid5(stream, b"%d" % version)
            project.seq += 1
            project.quality, project.updated_at = quality, at
            self._metric(project, bytes.fromhex(event), "quality_score", quality, cause, _dashed(event), at)
        severities, types = Counter(i["severity"] for i in issues), Counter(i["issue_type"] for i in issues)
        summary = {"by_severity": {n: severities[n] for n in SEVERITIES}, "by_type": {n: types[n] for n in TYPES}}
        self.reports.append(
            f"{digits}\t{project.digits}\t{kind}\t{project.rate!r}\t{project.real!r}\t{project.fake!r}\t"
            f"{_json({**body['quality_metrics'], 'quality_score': quality})}\t{_json(summary)}\t{at}\n"
        )
        for issue in issues:
            self.issues.append(
                f"{issue['issue_id']}\t{digits}\t{_text(issue['task_id'])}\t{issue['issue_type']}\t"
                f"{issue['severity']}\t{_text(issue['description'])}\t{_text(issue['file_path'])}\t"
                f"{_text(issue['line_number'])}\t{issue['auto_fix_available']}\t{_text(issue['suggested_fix'])}\t"
                f"open\t{issue['occurred_at']}\t\\N\n"
            )

    def project_lines(self) -> Iterator[str]:
        for p in self.projects.values():
            yield f"{p.row}\t{p.real!r}\t{p.fake!r}\t{p.rate!r}\t{p.quality!r}\t{p.updated_at}\n"

    def project_states(self) -> Iterator[str]:
        for p in self.projects.values():
            numbers = f"{p.real!r}\t{p.fake!r}\t{p.rate!r}\t{p.quality!r}"
            yield f"{p.digits}\t{p.sum}\t{p.claimed}\t{p.weight}\t{numbers}\t{p.seq}\n"

    def task_lines(self) -> Iterator[str]:
        for t in self.tasks.values():
            duration = t.worked // 60_000_000 if t.completed_at != r"\N" else r"\N"
            real, fake = t.claimed * t.authenticity / 10**14, t.claimed * (FULL - t.authenticity) / 10**14
            yield (
                f"{t.added}\t{t.status}\t{t.updated_at}\t{t.completed_at}\t{duration}\t"
                f"{real!r}\t{fake!r}\t{t.assessed!r}\n"
            )

    def task_states(self) -> Iterator[str]:
        for t in self.tasks.values():
            since = t.started_at if t.status == "in_progress" else r"\N"
            yield f"{t.digits}\t{t.claimed}\t{t.authenticity}\t{t.weight}\t{t.worked}\t{since}\n"


def _load(source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> int:
    """Copy the events out and the metrics in at the same time, then the other rows; return how many events."""
    fold, count, begin = Fold(), 0, BEGIN
    add, metrics, loads, head = fold.add, fold.metrics, orjson.loads, ROW.unpack_from
    with (
        source.cursor().copy(EVENTS) as events,
        target.cursor().copy(f"COPY {SCHEMA}.progress_metrics FROM STDIN") as copy,
    ):
        for data in events:
            if len(data) - begin <= 2:  # the end of a binary COPY
                continue
            _, _, position, _, stream, _, version, length = head(data, begin)
            state = begin + ROW.size + length + 4
            topic = bytes(data[begin + ROW.size : state - 4])
            begin = 0
            if topic != b"user.created.v1":
                add(position, stream, version, topic, loads(data[state:]))
            count += 1
            if len(metrics) >= FLUSH:
                copy.write("".join(metrics))
                metrics.clear()
        copy.write("".join(metrics))
    project_columns = (
        "id, user_id, name, description, status, template_id, configuration, metadata, created_at, real_progress, "
        "fake_progress, authenticity_rate, quality_score, updated_at"
    )
    _copy(target, f"projects ({project_columns})", fold.project_lines())
    _copy(target, f"tasks ({TASK_COLUMNS})", fold.task_lines())
    _copy(target, "validation_reports", fold.reports)
    _copy(target, "validation_issues", fold.issues)
    _copy(target, "project_state", fold.project_states())
    _copy(target, "task_state", fold.task_states())
    return count


def _copy(target: psycopg.Connection[Any], table: str, lines: Iterable[str]) -> None:
    with target.cursor().copy(f"COPY {SCHEMA}.{table} FROM STDIN") as copy:
        rest = iter(lines)
        while batch := "".join(islice(rest, FLUSH)):
            copy.write(batch)


def _digits(text: str) -> str:
    return text.replace("-", "")


def _uuid5(namespace: bytes, name: bytes) -> str:
    """The 32 digits of uuid5, without an object."""
    digits = sha1(namespace + name, usedforsecurity=False).hexdigest()
    return f"{digits[:12]}5{digits[13:16]}{VARIANT[digits[16]]}{digits[17:32]}"


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _text(value: Any) -> str:
    return r"\N" if value is None else str(value).translate(ESCAPES)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode().replace("\\", "\\\\")
