"""The rules of the domain as an executable model: a unit of commands gives a refusal, or the next world.

Written from the domain rules alone, to be compared with the product. Where several rules forbid a command, the model
names all of them: which one the product names is its own affair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, NoReturn
from uuid import UUID, uuid5

from .door import STANDARD_METRICS, Invalid, let_in
from .world import FULL, Answer, Dependency, Issue, Owned, Run, Task, World, event_id

BINDING = ("blocks", "requires")
ENVELOPE = ("command_id", "actor", "correlation_id", "causation_id", "expected_version")

TASK_MOVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "StartTask": (("pending",), "in_progress"),
    "BlockTask": (("pending", "in_progress"), "blocked"),
    "FailTask": (("pending", "in_progress", "blocked"), "failed"),
    "CompleteTask": (("in_progress",), "completed"),
    "PutBackTask": (("in_progress",), "pending"),
    "UnblockTask": (("blocked",), "pending"),
    "ResumeTask": (("blocked",), "in_progress"),
    "RetryTask": (("failed",), "pending"),
    "ReopenTask": (("completed",), "in_progress"),
}
PROJECT_MOVES = {
    "CompleteProject": (("active",), "completed"),
    "FailProject": (("active",), "failed"),
    "ReactivateProject": (("completed", "failed"), "active"),
}
ISSUE_MOVES = {
    "BeginIssue": (("open",), "in_progress"),
    "ResolveIssue": (("in_progress",), "resolved"),
    "IgnoreIssue": (("in_progress",), "ignored"),
    "ReopenIssue": (("in_progress", "resolved", "ignored"), "open"),
}


class Asked(NamedTuple):
    """A command, as its caller gives it: its name, and its fields."""

    name: str
    fields: Mapping[str, Any]


class Request(NamedTuple):
    """A command behind the door: its fields in their normal form, and what a retry must equal."""

    name: str
    fields: Mapping[str, Any]
    content: str


class Refusal(Exception):
    """The codes of all the rules that forbid a command."""

    def __init__(self, *codes: str) -> None:
        self.codes = frozenset(codes)
        super().__init__(*sorted(codes))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: its stream, the id to answer with, and the id that its metrics name."""

    stream: UUID
    created: UUID
    project: UUID | None = None
    cause: tuple[str, UUID] | None = None


class Attempt:
    """One command against a world, which it changes unless it is refused."""

    def __init__(self, world: World, name: str, fields: Mapping[str, Any], *, unique: bool) -> None:
        self.world, self.name, self.fields, self.unique = world, name, fields, unique
        self.at: datetime = fields["occurred_at"]
        self.faults: list[str] = []

    def check(self, allowed: bool, code: str) -> None:
        if not allowed and (self.unique or code != "not_unique"):
            self.faults.append(code)

    def settle(self, stream: UUID) -> None:
        """Refuse if any rule was broken; `stream` is what expected_version speaks of."""
        expected = self.fields.get("expected_version")
        self.check(expected in (None, self.world.versions.get(stream, 0)), "stale_version")
        if self.faults:
            raise Refusal(*self.faults)

    def found(self, kind: Mapping[UUID, Any], id_: UUID) -> Any:
        """What has an id, or a refusal: no other rule can be asked about what is not there."""
        if id_ not in kind:
            raise Refusal("not_found", *["stale_version"] * bool(self.fields.get("expected_version")))
        return kind[id_]

    def taken(self, id_: UUID) -> None:
        self.check(id_ not in self.world.versions, "already_exists")

    def next_event(self, stream: UUID) -> UUID:
        return event_id(stream, self.world.versions.get(stream, 0) + 1)

    # Users and projects

    def create_user(self) -> Outcome:
        world, user_id = self.world, self.fields["user_id"]
        said = {name: self.fields[name] for name in ("username", "email", "password_hash", "role", "preferences")}
        self.taken(user_id)
        for name in ("username", "email"):
            self.check(all(user.fields[name] != said[name] for user in world.users.values()), "not_unique")
        self.settle(user_id)
        world.users[user_id] = Owned(said, self.at, self.at)
        return Outcome(user_id, user_id)

    def create_project(self) -> Outcome:
        world, project_id = self.world, self.fields["project_id"]
        said = {name: self.fields[name] for name in ("user_id", "name", "description", "configuration", "metadata")}
        self.taken(project_id)
        self.check(said["user_id"] in world.users, "not_found")
        self.settle(project_id)
        world.projects[project_id] = Owned(said, self.at, self.at)
        return Outcome(project_id, project_id)

    def move_project(self) -> Outcome:
        project_id = self.fields["project_id"]
        project: Owned = self.found(self.world.projects, project_id)
        before, after = PROJECT_MOVES[self.name]
        self.check(project.status in before, "wrong_status")
        self.settle(project_id)
        completed_at = self.at if after == "completed" else None
        self.world.touch_project(project_id, self.at, status=after, completed_at=completed_at)
        return Outcome(project_id, project_id)

    def record_metric(self) -> Outcome:
        world, project_id = self.world, self.fields["project_id"]
        self.found(world.projects, project_id)
        metrics = uuid5(project_id, "metrics")
        self.settle(metrics)
        event, name = self.next_event(metrics), self.fields["metric_name"]
        metadata = {**self.fields["metadata"], "event_id": str(event), "seq": world.next_seq(project_id)}
        world.metrics.append(_metric(event, project_id, name, self.fields["value"], metadata, self.at))
        return Outcome(metrics, metrics)

    # Tasks and their dependencies

    def add_task(self) -> Outcome:
        world, task_id, project_id = self.world, self.fields["task_id"], self.fields["project_id"]
        self.taken(task_id)
        self.check(project_id in world.projects, "not_found")
        self.check(project_id not in world.projects or world.projects[project_id].status == "active", "wrong_status")
        self.settle(task_id)
        said = {name: value for name, value in self.fields.items() if name in TASK_FIELDS}
        world.tasks[task_id] = Task(said, self.at, self.at, world.events + 1)
        return Outcome(task_id, task_id, project_id, ("task_id", task_id))

    def move_task(self) -> Outcome:
        world, task_id = self.world, self.fields["task_id"]
        task: Task = self.found(world.tasks, task_id)
        before, after = TASK_MOVES[self.name]
        self.check(task.status in before, "wrong_status")
        if after == "in_progress":
            self.check(not self.unmet(task_id), "unmet_dependencies")
        self.settle(task_id)
        spells = task.spells + ((self.at - task.started_at,) if task.started_at else ())
        world.tasks[task_id] = replace(
            task,
            status=after,
            updated_at=self.at,
            claimed=FULL if after == "completed" else task.claimed,
            completed_at=self.at if after == "completed" else None,
            started_at=self.at if after == "in_progress" else None,
            spells=spells,
        )
        return Outcome(task_id, task_id, task.project, ("task_id", task_id))

    def unmet(self, task_id: UUID) -> list[UUID]:
        """The tasks that this one may not start before."""
        world = self.world
        return [
            other
            for (task, other), dependency in world.dependencies.items()
            if task == task_id and dependency.type in BINDING and world.tasks[other].status != "completed"
        ]

    def claim_progress(self) -> Outcome:
        world, task_id = self.world, self.fields["task_id"]
        task: Task = self.found(world.tasks, task_id)
        self.check(task.status == "in_progress", "wrong_status")
        self.settle(task_id)
        world.tasks[task_id] = replace(task, claimed=self.fields["claimed"], updated_at=self.at)
        return Outcome(task_id, task_id, task.project, ("task_id", task_id))

    def _graph(self) -> tuple[tuple[UUID, UUID], UUID, UUID]:
        """The pair of tasks that a command names, the stream of their project's graph, and the project."""
        pair = self.fields["task_id"], self.fields["depends_on_task_id"]
        project: UUID = self.found(self.world.tasks, pair[0]).project
        graph = uuid5(project, "dependency_graph")
        return pair, graph, project

    def add_dependency(self) -> Outcome:
        world = self.world
        pair, graph, project = self._graph()
        other = world.tasks.get(pair[1])
        self.check(other is not None, "not_found")
        self.check(other is None or other.project == project, "outside_project")
        self.check(world.projects[project].status == "active", "wrong_status")
        self.check(pair[0] not in world.needed_by(pair[1]), "dependency_cycle")
        self.check(pair not in world.dependencies, "duplicate_dependency")
        self.settle(graph)
        id_ = uuid5(pair[0], str(pair[1]))  # each pair depends once
        world.dependencies[pair] = Dependency(id_, self.fields["dependency_type"], self.at)
        return Outcome(graph, graph)

    def remove_dependency(self) -> Outcome:
        pair, graph, project = self._graph()
        self.check(pair in self.world.dependencies, "not_found")
        if pair[1] in self.world.tasks:
            self.check(self.world.tasks[pair[1]].project == project, "outside_project")
        self.settle(graph)
        del self.world.dependencies[pair]
        return Outcome(graph, graph)

    # Validation runs and their issues

    def start_run(self) -> Outcome:
        world, run_id, project_id = self.world, self.fields["run_id"], self.fields["project_id"]
        self.taken(run_id)
        self.check(project_id in world.projects, "not_found")
        self.check(project_id not in world.projects or world.projects[project_id].status == "active", "wrong_status")
        self.settle(run_id)
        world.runs[run_id] = Run(project_id, self.fields["validation_type"])
        return Outcome(run_id, run_id)

    def _started_run(self) -> tuple[UUID, Run]:
        run_id = self.fields["run_id"]
        run: Run = self.found(self.world.runs, run_id)
        self.check(run.status == "started", "wrong_status")
        if task_id := self.fields.get("task_id"):
            task = self.world.tasks.get(task_id)
            self.check(task is not None, "not_found")
            self.check(task is None or task.project == run.project, "outside_project")
        return run_id, run

    def assess_task(self) -> Outcome:
        run_id, run = self._started_run()
        self.settle(run_id)
        assessment = self.fields["task_id"], self.fields["authenticity"]
        self.world.runs[run_id] = replace(run, assessments=(*run.assessments, assessment))
        return Outcome(run_id, run_id)

    def report_issue(self) -> Outcome:
        world, issue_id = self.world, self.fields["issue_id"]
        run_id, _ = self._started_run()
        self.check(issue_id not in world.issues, "not_unique")
        self.settle(run_id)
        said = {name: value for name, value in self.fields.items() if name in ISSUE_FIELDS}
        world.issues[issue_id] = Issue(run_id, said, self.at)
        return Outcome(run_id, issue_id)

    def complete_run(self) -> Outcome:
        world = self.world
        run_id, run = self._started_run()
        self.settle(run_id)
        for task_id, authenticity in dict(run.assessments).items():
            world.tasks[task_id] = replace(world.tasks[task_id], authenticity=authenticity, updated_at=self.at)
        score = self.fields["quality_score"]
        world.quality[run.project] = score
        metrics = {**self.fields["quality_metrics"], "quality_score": score / 10**6}
        report = world.report(run_id, metrics, self.at)
        world.runs[run_id] = replace(run, status="completed", report=report)
        return Outcome(run_id, run_id, run.project, ("run_id", run_id))

    def fail_run(self) -> Outcome:
        run_id, run = self._started_run()
        self.settle(run_id)
        self.world.runs[run_id] = replace(run, status="failed")
        return Outcome(run_id, run_id)

    def move_issue(self) -> Outcome:
        world, run_id, issue_id = self.world, self.fields["run_id"], self.fields["issue_id"]
        run: Run = self.found(world.runs, run_id)
        issue = world.issues.get(issue_id)
        before, after = ISSUE_MOVES[self.name]
        self.check(run.status == "completed", "wrong_status")
        self.check(issue is not None and issue.run == run_id, "not_found")
        self.check(issue is None or issue.run != run_id or issue.status in before, "wrong_status")
        self.settle(run_id)
        assert issue is not None
        resolved_at = self.at if after in ("resolved", "ignored") else None
        world.issues[issue_id] = replace(issue, status=after, resolved_at=resolved_at)
        return Outcome(run_id, run_id)


COMMANDS: Mapping[str, Callable[[Attempt], Outcome]] = {
    "CreateUser": Attempt.create_user,
    "CreateProject": Attempt.create_project,
    "RecordMetric": Attempt.record_metric,
    "AddTask": Attempt.add_task,
    "ClaimProgress": Attempt.claim_progress,
    "AddDependency": Attempt.add_dependency,
    "RemoveDependency": Attempt.remove_dependency,
    "StartRun": Attempt.start_run,
    "AssessTask": Attempt.assess_task,
    "ReportIssue": Attempt.report_issue,
    "CompleteRun": Attempt.complete_run,
    "FailRun": Attempt.fail_run,
    **dict.fromkeys(PROJECT_MOVES, Attempt.move_project),
    **dict.fromkeys(TASK_MOVES, Attempt.move_task),
    **dict.fromkeys(ISSUE_MOVES, Attempt.move_issue),
}
TASK_FIELDS = (
    "project_id",
    "name",
    "description",
    "priority",
    "ai_prompt",
    "expected_outputs",
    "validation_criteria",
    "estimated_duration",
)
ISSUE_FIELDS = (
    "task_id",
    "issue_type",
    "severity",
    "description",
    "file_path",
    "line_number",
    "auto_fix_available",
    "suggested_fix",
)


def _metric(event: UUID, project: UUID, name: str, value: float, metadata: dict[str, Any], at: datetime) -> Any:
    return {
        "id": uuid5(event, name),
        "project_id": project,
        "metric_name": name,
        "value": value,
        "metadata": metadata,
        "recorded_at": at,
    }


def execute(world: World, unit: Sequence[Asked]) -> tuple[World, list[Answer]]:
    """Return the next world and the answers of a unit of commands: all of them, or none. Raises Refusal."""
    requests: list[Request] = []
    for asked in unit:
        try:
            fields = let_in(asked.name, asked.fields)
        except Invalid:
            raise Refusal("invalid_command") from None
        requests.append(Request(asked.name, fields, _content(asked.name, fields)))
    ids = {fields["command_id"]: content for _, fields, content in requests if fields.get("command_id")}
    if any(ids[f["command_id"]] != content for _, f, content in requests if f.get("command_id")):
        raise Refusal("command_id_reused")
    if known := ids.keys() & world.answers.keys():
        anonymous = any(not fields.get("command_id") for _, fields, _ in requests)
        if anonymous or known != ids.keys() or any(world.answers[id_][0] != ids[id_] for id_ in known):
            raise Refusal("command_id_reused")
        return world, [world.answers[fields["command_id"]][1] for _, fields, _ in requests]
    try:
        return _all_of(world, requests, unique=True)
    except Refusal as refusal:
        if "not_unique" not in refusal.codes:
            raise
        _beyond_uniqueness(world, requests, refusal)


def _all_of(world: World, requests: Sequence[Request], *, unique: bool) -> tuple[World, list[Answer]]:
    after = world.copy()
    return after, [_execute(after, *request, unique=unique) for request in requests]


def _beyond_uniqueness(world: World, requests: Sequence[Request], refusal: Refusal) -> NoReturn:
    """Uniqueness is held by the append, behind every decision: a refusal of a later command may be named instead."""
    try:
        _all_of(world, requests, unique=False)
    except Refusal as later:
        raise Refusal(*refusal.codes, *later.codes) from None
    raise refusal


def _content(name: str, fields: Mapping[str, Any]) -> str:
    """What was asked, without who asked and how."""
    said = {key: value for key, value in fields.items() if key not in ENVELOPE and value is not None}
    return name + json.dumps(said, default=str, sort_keys=True)


def _execute(world: World, name: str, fields: Mapping[str, Any], content: str, *, unique: bool) -> Answer:
    command_id = fields.get("command_id")
    if command_id in world.answers:  # twice in one unit
        return world.answers[command_id][1]
    attempt = Attempt(world, name, fields, unique=unique)
    numbers = {project: world.numbers(project) for project in world.projects}
    outcome = COMMANDS[name](attempt)
    _write_metrics(attempt, outcome, numbers)
    world.events += 1
    version = world.versions.get(outcome.stream, 0) + 1
    world.versions[outcome.stream] = version
    answer = Answer(outcome.created, version, world.events)
    if command_id:
        world.answers[command_id] = content, answer
    return answer


def _write_metrics(attempt: Attempt, outcome: Outcome, before: Mapping[UUID, Mapping[str, float]]) -> None:
    """A row for each of the project's doubles that differs from its predecessor; the project is touched with it."""
    if outcome.project is None or outcome.cause is None:
        return
    world, event = attempt.world, attempt.next_event(outcome.stream)
    after = world.numbers(outcome.project)
    for name in STANDARD_METRICS:
        if after[name] != before[outcome.project][name]:
            seq = world.next_seq(outcome.project)
            metadata = {"event_id": str(event), "seq": seq, outcome.cause[0]: str(outcome.cause[1])}
            world.metrics.append(_metric(event, outcome.project, name, after[name], metadata, attempt.at))
            world.touch_project(outcome.project, attempt.at)
