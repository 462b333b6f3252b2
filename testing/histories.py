"""Whole histories, drawn: sequences of commands that the rules take, about few things, so that they meet.

What is drawn is plans: a kind of command, its values, and which of the things that are there it is about. One that
the rules would refuse is made to fit: other things are tried, then what has to come before it is told first; what still
does not fit is left out. So any part of the plans is a history too, and Hypothesis shrinks to those that matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice, product
from random import Random
from typing import Any, NamedTuple, get_args
from uuid import UUID

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from ..domain import agent as agents
from ..domain import (
    project,
    project_file,
    session,
    task,
    template,
    user,
    validation_run,
    values,
    workflow,
    workflow_run,
)
from ..domain.claim_expiry import ExpireClaims
from ..domain.dependency_graph import AddDependency, RemoveDependency
from ..domain.errors import InvalidCommand, Refused
from ..domain.messages import ENVELOPE, Command, Recorded
from ..domain.parking import DiscardParkedEvents
from ..domain.registry import AGGREGATE_OF, COMMANDS
from .history import History
from .names import AT
from .strategies import made

ANY: tuple[type[Command], ...] = tuple(kind for kind in COMMANDS.values() if kind is not DiscardParkedEvents)
"""What histories are of, if nothing else is asked for: all but what an operator decides on parked events."""
TRIES = 30
"""How many choices of things are tried before others are made."""
DEPTH = 6

USERNAMES = ("ada", "bob", "eve", "Ada", "o'hara", "😀")
KIND_OF: Mapping[str, str] = {
    "user_id": "user",
    "created_by": "user",
    "project_id": "project",
    "template_id": "template",
    "task_id": "task",
    "depends_on_task_id": "task",
    "run_id": "validation_run",
    "issue_id": "issue",
    "workflow_id": "workflow",
    "workflow_run_id": "workflow_run",
    "step_id": "step",
    "agent_id": "agent",
    "session_id": "session",
    "unit_id": "project",
    "username": "username",
    "email": "email",
}
"""A field that says what a command is about -> the kind of thing."""
OF_FILES = (
    project_file.ModifyFile,
    project_file.ValidateFile,
    project_file.FailFileValidation,
    project_file.DeleteFile,
)
"""Commands whose file_path is that of a file which is there."""
MADE_BY: Mapping[str, type[Command]] = {
    "user": user.CreateUser,
    "project": project.CreateProject,
    "template": template.CreateTemplate,
    "task": task.AddTask,
    "validation_run": validation_run.StartRun,
    "issue": validation_run.ReportIssue,
    "workflow": workflow.CreateWorkflow,
    "workflow_run": workflow_run.StartWorkflowRun,
    "step": workflow.AddStep,
    "agent": agents.RegisterAgent,
    "session": session.StartSession,
    "file": project_file.CreateFile,
}
"""A kind of thing -> the command that makes one."""
BEFORE: Mapping[type[Command], tuple[type[Command], ...]] = {
    **dict.fromkeys(user.USER.commands[1:], (user.CreateUser,)),
    user.ReactivateUser: (user.DeactivateUser,),
    session.StartSession: (user.CreateUser,),
    session.EndSession: (session.StartSession,),
    project.CreateProject: (user.CreateUser,),
    **dict.fromkeys(project.PROJECT.commands[1:], (project.CreateProject,)),
    project.ReactivateProject: (project.CompleteProject,),
    project.RestoreProject: (project.ArchiveProject,),
    project_file.CreateFile: (project.CreateProject,),
    **dict.fromkeys(OF_FILES, (project_file.CreateFile,)),
    task.AddTask: (project.CreateProject,),
    **dict.fromkeys(task.TASK.commands[1:], (task.AddTask,)),
    task.ClaimProgress: (task.StartTask,),
    task.CompleteTask: (task.StartTask,),
    task.PutBackTask: (task.StartTask,),
    task.UnblockTask: (task.BlockTask,),
    task.ResumeTask: (task.BlockTask,),
    task.RetryTask: (task.FailTask,),
    task.ReopenTask: (task.CompleteTask,),
    AddDependency: (task.AddTask,),
    RemoveDependency: (AddDependency,),
    validation_run.StartRun: (project.CreateProject,),
    **dict.fromkeys(validation_run.VALIDATION_RUN.commands[1:], (validation_run.StartRun,)),
    validation_run.AssessTask: (task.AddTask, validation_run.StartRun),
    validation_run.BeginIssue: (validation_run.ReportIssue, validation_run.CompleteRun),
    validation_run.ResolveIssue: (validation_run.BeginIssue,),
    validation_run.IgnoreIssue: (validation_run.BeginIssue,),
    validation_run.ReopenIssue: (validation_run.BeginIssue,),
    workflow.AddStep: (workflow.CreateWorkflow,),
    workflow.ActivateWorkflow: (workflow.AddStep,),
    workflow.ArchiveWorkflow: (workflow.CreateWorkflow,),
    workflow_run.StartWorkflowRun: (workflow.ActivateWorkflow, project.CreateProject),
    workflow_run.StartStep: (workflow_run.StartWorkflowRun,),
    workflow_run.CompleteStep: (workflow_run.StartStep,),
    workflow_run.FailStep: (workflow_run.StartStep,),
    workflow_run.FailWorkflowRun: (workflow_run.StartWorkflowRun,),
    **dict.fromkeys(agents.AGENT.commands[1:], (agents.RegisterAgent,)),
    agents.ClaimNextTask: (task.AddTask, agents.RegisterAgent),
    agents.FinishTask: (agents.ClaimNextTask,),
    agents.ReleaseTask: (agents.ClaimNextTask,),
    ExpireClaims: (agents.ClaimNextTask,),
    template.CreateTemplate: (user.CreateUser,),
    template.PublishTemplate: (template.CreateTemplate,),
    template.UnpublishTemplate: (template.PublishTemplate,),
}
"""What is told first, where nothing that is there is as a command wants it."""
AFTER: Mapping[type[Command], timedelta] = {ExpireClaims: timedelta(days=2)}
"""How much later a command comes than what was told first for it."""

TEXTS = ("x", " ", "Naïve café, 😀", "'; DROP TABLE tasks; --", '"\\ %s {0} $1 NULL')
OBJECTS: tuple[dict[str, Any], ...] = ({}, {"a": 1}, {"Ünï": [1.5, None, {"b": "c"}], "z": True})
PERCENTAGES = (50, 0, 100, 33.333333, 0.000001, 99.5)
DAYS = (30, 1, 400)
STRUCTURES: tuple[dict[str, Any], ...] = (
    {},
    {"tasks": [{"key": "b", "name": "Test", "depends_on": ["a"]}, {"key": "a", "name": "Write", "depends_on": []}]},
)
STEPS = (None, {"name": "Checks", "steps": [{"key": "a", "name": "Lint", "type": "validation", "depends_on": []}]})

VALUES: Mapping[str, Sequence[Any]] = {
    **dict.fromkeys(("name", "description", "ai_prompt", "reason", "category", "suggested_fix", "template"), TEXTS),
    **dict.fromkeys(("metric_name", "metric_type", "file_path"), TEXTS),
    **dict.fromkeys(("configuration", "coordination_hooks", "default_config", "execution_metadata"), OBJECTS),
    **dict.fromkeys(("global_settings", "metadata", "preferences", "quality_metrics", "result_data"), OBJECTS),
    **dict.fromkeys(("validation_config", "validation_criteria"), OBJECTS),
    **dict.fromkeys(("authenticity", "claimed", "quality_score", "validation_score"), PERCENTAGES),
    **dict.fromkeys(("report_days", "metric_days", "daily_days", "project_days"), DAYS),
    "agent_type": get_args(values.AgentType),
    "attempts_limit": (3, 1, 2),
    "auto_fix_available": (False, True),
    "capabilities": ([], ["python"], ["python", "sql"]),
    "content": ("", "print()\n", None),
    "content_hash": (None,),
    "dependency_type": get_args(values.DependencyType),
    "depends_on": ([],),
    "estimated_duration": (None, 1, 60, values.INT32_MAX),
    "expected_outputs": ([], ["a.py", {"b": None}]),
    "expires_at": (AT,),
    "is_public": (False, True),
    "issue_type": get_args(values.IssueType),
    "lease_seconds": (900, 60, 86_400),
    "line_number": (1, values.INT32_MAX),
    "password_hash": ("$argon2id$" + "x" * 22, "$2b$12$" + "." * 53),
    "priority": get_args(values.Priority),
    "role": get_args(values.Role),
    "severity": get_args(values.Severity),
    "size_bytes": (None,),
    "step_order": (0, 1, 7),
    "structure": STRUCTURES,
    "token_hash": ("0" * 32, "~" * 255),
    "type": get_args(values.StepType),
    "validation_type": get_args(values.ValidationType),
    "value": (1, 0, -0.5, 1e300, 5e-324),
    "workflow_template": STEPS,
    "first_position": (1,),
    "last_position": (1, 1_000),
}
"""Values of a field, the plainest first: few, so that they meet, where `commands` alone have any."""
MINUTES = (1, 0, 60, 1_440, -30, 130_000)
"""Between one command and the next; now and then news comes late."""
CHOICES = 8
SEEDS = 255


class Plan(NamedTuple):
    """A command to be told, if it can be made to fit. Small, so that Hypothesis leaves it out in one step."""

    kind: type[Command]
    seed: int = 0
    """Which values it has; 0: those that it cannot do without, and the plainest."""
    turn: int = 0
    """Which of the things that are there it is about, and how much later than the one before it comes."""

    @property
    def minutes(self) -> int:
        return MINUTES[self.turn // CHOICES]

    def values(self) -> dict[str, Any]:
        """Return the values of its fields, but for those that say what it is about."""
        dice = Random(self.seed) if self.seed else None  # noqa: S311 - the values of a test
        found = {}
        for name, field in fields_beside(self.kind).items():
            if dice is None and field.is_required():
                found[name] = VALUES[name][0]
            elif dice is not None and (field.is_required() or dice.random() < 0.5):
                found[name] = dice.choice(VALUES[name])
        return found


def histories(*kinds: type[Command], min_size: int = 0, max_size: int = 25) -> st.SearchStrategy[History]:
    """Return a strategy for histories of commands that the rules take: of these classes, or of every class.

    `min_size` and `max_size` bound how many commands are asked for. What one needs is told before it, so a history of
    StartTask has users, projects and tasks, too; and a command makes one event or several.
    """
    return st.lists(plans(*kinds), min_size=min_size, max_size=max_size).map(told)


def plans(*kinds: type[Command]) -> st.SearchStrategy[Plan]:
    """Return a strategy for a plan of a command of these classes, or of any."""
    seeds, turns = st.integers(0, SEEDS), st.integers(0, CHOICES * len(MINUTES) - 1)
    return st.builds(Plan, st.sampled_from(fewest_first(kinds or ANY)), seeds, turns)


@cache
def fewest_first(kinds: tuple[type[Command], ...]) -> list[type[Command]]:
    """Return commands in the order of how many events there are once they are told: what fails shrinks to the first."""
    return sorted(kinds, key=lambda kind: len(told([Plan(kind)]).events))


@cache
def fields_beside(kind: type[Command]) -> dict[str, FieldInfo]:
    """Return the fields of a command beside those that say who asks, when, and about what."""
    left_out = {*ENVELOPE, "occurred_at", *about(kind), kind.creates}
    return {name: field for name, field in kind.model_fields.items() if name not in left_out}


@cache
def about(kind: type[Command]) -> dict[str, str]:
    """Return the fields that say what a command is about, and the kind of each."""
    fields = {name: KIND_OF[name] for name in kind.model_fields if name in KIND_OF and name != kind.creates}
    return {**fields, "file_path": "file"} if issubclass(kind, OF_FILES) else fields


def told(plans: list[Plan]) -> History:
    """Return the history of those plans that can be made to fit."""
    teller = _Teller()
    for plan in plans:
        teller.tell(plan)
    return teller.history


class _Teller:
    def __init__(self) -> None:
        self.history = History()
        self._at: datetime = AT
        self._things: dict[str, list[Any]] = defaultdict(list)
        self._things["username"] += USERNAMES
        self._things["email"] += [f"{name}@example.org" for name in USERNAMES]

    def tell(self, plan: Plan) -> None:
        self._at += timedelta(minutes=plan.minutes)
        self._fit(plan, 0)

    def _fit(self, plan: Plan, depth: int) -> bool:
        """Tell a command of a plan, and what it needs before it; False where it cannot be made to fit."""
        if self._take(plan):
            return True
        missing = [kind for name, kind in about(plan.kind).items() if self._needs(plan.kind, name, kind)]
        for first in [tuple(MADE_BY[kind] for kind in dict.fromkeys(missing)), BEFORE.get(plan.kind, ())]:
            if first and depth < DEPTH:
                for kind in first:
                    self._fit(Plan(kind), depth + 1)
                    self._at += AFTER.get(plan.kind, timedelta())
                    if self._take(plan, newest=True):
                        return True
        return False

    def _needs(self, kind: type[Command], name: str, of: str) -> bool:
        return not self._things[of] and kind.model_fields[name].is_required()

    def _take(self, plan: Plan, *, newest: bool = False) -> bool:
        """Tell a command of a plan about the first of the things that are there of which the rules let it be."""
        for fields in islice(self._choices(plan, newest), TRIES):
            try:
                after = self.history.executed(made(plan.kind, fields))
            except (Refused, InvalidCommand):
                continue
            for recorded in after.events[len(self.history.events) :]:
                self._note(recorded)
            self.history = after
            return True
        return False

    def _choices(self, plan: Plan, newest: bool) -> Iterator[dict[str, Any]]:
        fields = {**plan.values(), "occurred_at": self._at}
        if "expires_at" in fields:
            fields["expires_at"] = self._at + timedelta(hours=1 + plan.turn % CHOICES)
        named = about(plan.kind)
        choices = []
        for name, of in named.items():
            things = self._things[of][::-1] if newest else self._things[of]
            first = plan.turn % (len(things) or 1)
            of_nobody = name == "created_by" and not fields.get("is_public")  # such a template has an owner
            optional = [] if of_nobody or plan.kind.model_fields[name].is_required() else [None]
            choices.append([*(optional if plan.turn % 2 == 0 else []), *things[first:], *things[:first], *optional])
        for chosen in product(*choices):
            yield fields | dict(zip(named, chosen, strict=True))

    def _note(self, recorded: Recorded) -> None:
        """Remember what an event makes, to be spoken of."""
        event = recorded.event
        if recorded.version == 1:
            self._add(AGGREGATE_OF[type(event)].name, recorded.stream_id)
        match event:
            case validation_run.IssueReported():
                self._add("issue", event.issue_id)
            case workflow.StepAdded():
                self._add("step", event.step_id)
            case project_file.FileCreated():
                self._add("file", event.file_path)

    def _add(self, kind: str, thing: UUID | str) -> None:
        if thing not in self._things[kind]:
            self._things[kind].append(thing)
