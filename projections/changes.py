"""What an event changes of the thing that its stream is about: field, before, after.

What decisions know of it is told by its aggregate (its state, evolved), the rest by the event's body. Of what stands
under an id (a run's issues, a graph's dependencies) the field is a dotted path: `issues.<id>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, NamedTuple

from ..domain.agent import HeartbeatRecorded
from ..domain.agent_metrics import AgentMetricRecorded
from ..domain.assignment import AssignmentClosed, AssignmentOpened
from ..domain.dependency_graph import DependencyAdded, DependencyRemoved
from ..domain.messages import Event
from ..domain.project_file import ContentEvent, FileCreated, FileModified, FileRevived
from ..domain.project_metrics import MetricRecorded
from ..domain.registry import AGGREGATE_OF
from ..domain.session import SessionEnded
from ..domain.task import TaskAssigned, TaskClaimExpired
from ..domain.validation_run import (
    ISSUE_STATUS_AFTER,
    IssueEvent,
    IssueReported,
    RunCompleted,
    TaskAssessed,
)
from ..domain.workflow import StepAdded
from ..domain.workflow_run import (
    STEP_STATUS_AFTER,
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)

SECRET = frozenset({"password_hash", "token_hash"})
"""Fields of which it is told that they changed, and never what they hold."""


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What became of a field. Values are those of the event or the state; None is also that there was none.

    Neither is told where the value is `withheld`: it is a "secret", or it was personal, and its person "forgotten".
    """

    field: str
    before: Any
    after: Any
    withheld: Literal["secret", "forgotten"] | None = None
    personal: bool = False

    def __repr__(self) -> str:
        """Logs and tracebacks hold reprs: what is personal is not repeated."""
        values = "…" if self.personal else f"{self.before!r} -> {self.after!r}"
        return f"Change({self.field}: {values})"


class Set(NamedTuple):
    """A field that an event gives a value. What no later event can change is not `kept` to be compared with."""

    field: str
    value: Any
    kept: bool = True


class Picture:
    """A thing as its events, told one after the other, have made it. It holds no more than what may change yet."""

    __slots__ = ("_fields", "_known", "state", "version")

    def __init__(self) -> None:
        self.version = 0
        self.state: Any = None
        """The state of its aggregate; None where that is not known."""
        self._known: dict[str, Any] = {}
        """What the state says, by field."""
        self._fields: dict[str, Any] = {}
        """What only events' bodies say."""

    @property
    def size(self) -> int:
        """How many values it holds, at the least 1."""
        return 1 + len(self._known) + len(self._fields)

    def tell(self, event: Event | None, *, has_key: bool = True) -> tuple[Change, ...]:
        """Take in the next event of the stream, and return what it changes. None is one that nobody can read.

        Without its person's key (`has_key`) what is personal in it is not told.
        """
        self.version += 1
        if event is None:
            return ()
        changes = [*self._by_state(event)]
        status_moved = any(change.field == "status" for change in changes)
        for field, value, kept in _sets(event):
            if field not in self._known:
                changes += self._by_body(field, value, kept, field in event.personal, has_key)
        if status_moved or "reason" in type(event).model_fields:
            changes += self._by_body("reason", getattr(event, "reason", None), True, False, has_key)
        return tuple(changes)

    def _by_state(self, event: Event) -> Iterator[Change]:
        try:
            self.state = AGGREGATE_OF[type(event)].evolve(self.state, event)
        except Exception:  # noqa: BLE001 - what came before cannot be read: then no state can be told
            self.state = None
        before, self._known = self._known, dict(_flat(self.state))
        for field in {**before, **self._known}:
            old, new = before.get(field), self._known.get(field)
            if old != new:
                yield Change(field, old, new)

    def _by_body(self, field: str, value: Any, kept: bool, personal: bool, has_key: bool) -> Iterator[Change]:
        if personal and (field in SECRET or not has_key):
            yield Change(field, None, None, "forgotten" if not has_key else "secret", personal=True)
            return
        before = self._fields.get(field)
        if kept and value is None:
            self._fields.pop(field, None)
        elif kept:
            self._fields[field] = value
        if before != value:
            yield Change(field, before, value, personal=personal)


def _flat(state: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values of a state; what stands under ids, and lists, are told by the events' bodies."""
    for name, value in _named(state).items():
        if is_dataclass(value) or hasattr(value, "_asdict"):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and not isinstance(value, Mapping | tuple):
            yield f"{prefix}{name}", value


def _named(state: Any) -> dict[str, Any]:
    """Return the parts of a state, or of what it holds, by name."""
    if is_dataclass(state):
        return {part.name: getattr(state, part.name) for part in fields(state)}
    parts: dict[str, Any] = state._asdict() if state is not None else {}
    return parts


def _sets(event: Event) -> Iterable[Set]:
    """Return what an event's body says of its thing, but for a reason: that is the status's."""
    for kind in type(event).__mro__:
        if (special := SETS.get(kind)) is not None:
            return special(event)
    return _body(event)


def _body(event: Event, *left_out: str) -> Iterator[Set]:
    for name in type(event).model_fields:
        if name not in ("occurred_at", "reason", *left_out):
            yield Set(name, getattr(event, name))


def _nothing(event: Event) -> Iterable[Set]:
    """The state tells all of it."""
    return ()


def _under(path: str, event: Event, *names: str) -> Iterator[Set]:
    """Yield fields of the body under a path: what is told once, when something new is made."""
    return (Set(f"{path}.{name}", getattr(event, name), kept=False) for name in names)


def _content(event: ContentEvent) -> Iterator[Set]:
    """Of the content its hash and size; any other is not validated yet."""
    for field, value, kept in _body(event, "content_zlib"):
        if field != "metadata" or value is not None:
            yield Set(field, value, kept)
    yield Set("validation_score", 0.0)


def _issue_reported(event: IssueReported) -> Iterator[Set]:
    path = f"issues.{event.issue_id}"
    yield Set(path, "open")
    yield from _under(path, event, "task_id", "issue_type", "severity", "description", "file_path", "line_number")
    yield from _under(path, event, "auto_fix_available", "suggested_fix")


def _dependency(event: DependencyAdded | DependencyRemoved) -> list[Set]:
    kind = event.dependency_type if isinstance(event, DependencyAdded) else None
    return [Set(f"dependencies.{event.task_id}.{event.depends_on_task_id}", kind)]


def _step_added(event: StepAdded) -> Iterator[Set]:
    names = ("name", "type", "ai_prompt", "depends_on", "validation_config", "step_order")
    return _under(f"steps.{event.step_id}", event, *names)


def _step_moved(event: StepStarted | StepCompleted | StepFailed) -> Iterator[Set]:
    path = f"steps.{event.step_id}"
    yield Set(path, STEP_STATUS_AFTER[type(event)])
    if not isinstance(event, StepStarted):
        yield from _under(path, event, "result_data", "execution_metadata")
    if isinstance(event, StepFailed):
        yield from _under(path, event, "reason")


def _run_started(event: WorkflowRunStarted) -> Iterator[Set]:
    yield from _body(event, "steps")
    for step_id, others in event.steps.items():
        yield Set(f"steps.{step_id}", "pending")
        yield Set(f"steps.{step_id}.depends_on", others, kept=False)


def _metric(event: MetricRecorded | AgentMetricRecorded) -> Iterator[Set]:
    name = event.metric_name if isinstance(event, MetricRecorded) else event.metric_type
    yield Set(f"metrics.{name}", event.value)
    yield Set(f"metrics.{name}.metadata", event.metadata)


SETS: dict[type, Callable[[Any], Iterable[Set]]] = {
    TaskAssigned: _nothing,
    TaskClaimExpired: _nothing,
    SessionEnded: _nothing,
    HeartbeatRecorded: _nothing,
    AssignmentOpened: lambda event: [Set("assignment.metadata", event.metadata)],
    AssignmentClosed: lambda event: [Set("assignment.metadata", None)],
    FileCreated: _content,
    FileRevived: _content,
    FileModified: _content,
    MetricRecorded: _metric,
    AgentMetricRecorded: _metric,
    DependencyAdded: _dependency,
    DependencyRemoved: _dependency,
    TaskAssessed: lambda event: [Set(f"assessments.{event.task_id}", event.authenticity)],
    IssueReported: _issue_reported,
    IssueEvent: lambda event: [Set(f"issues.{event.issue_id}", ISSUE_STATUS_AFTER[type(event)])],
    RunCompleted: lambda event: _body(event, "assessments"),
    StepAdded: _step_added,
    StepStarted: _step_moved,
    StepCompleted: _step_moved,
    StepFailed: _step_moved,
    WorkflowRunStarted: _run_started,
    WorkflowRunFailed: lambda event: [Set(f"steps.{step_id}", "skipped") for step_id in event.skipped],
}
"""Events whose bodies do not simply name fields of the thing."""
