"""The peer: the library `eventsourcing` itself, as its documentation shows it, on the same servers.

Its aggregates hold what the workloads' events hold. Its store runs as it comes (a table lock holds the order, so that
its readers miss nothing; never `enable_db_functions`, which loses events), its connections enough for every thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import InfrastructureFactory, Tracking, TrackingRecorder
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteDatastore, SQLiteTrackingRecorder
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict

from claude_tiu.infrastructure.event_store import NewEvent
from tests.benchmarks.by_hand import HandProjection
from tests.benchmarks.logs import Filled

PAGE = 500
INSERTED_AT_ONCE = 500


class Task(Aggregate):
    """A task as the library would have it: its events hold what W's hold."""

    class Added(Aggregate.Created):
        project_id: str
        name: str
        description: str
        priority: str
        ai_prompt: str
        expected_outputs: list[str]
        validation_criteria: dict[str, Any]
        estimated_duration: int | None
        agent_type: str | None
        capabilities: list[str]
        occurred_at: str

    class Started(Aggregate.Event):
        occurred_at: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status = "in_progress"

    class ProgressClaimed(Aggregate.Event):
        claimed: float
        occurred_at: str

        def apply(self, aggregate: Any) -> None:
            aggregate.claimed = self.claimed

    class Completed(Aggregate.Event):
        occurred_at: str

        def apply(self, aggregate: Any) -> None:
            aggregate.status, aggregate.claimed = "completed", 100.0

    def __init__(self, project_id: str, name: str, priority: str, **_: Any) -> None:
        self.project_id, self.name, self.priority = project_id, name, priority
        self.status, self.claimed = "pending", 0.0

    def claim(self, claimed: float, occurred_at: str) -> None:
        """Claim progress: refused where the task is not in progress."""
        if self.status != "in_progress":
            raise ValueError(f"a task that is {self.status} takes no claim")
        if not 0 <= claimed <= 100:
            raise ValueError(f"{claimed} is no percentage")
        self.trigger_event(self.ProgressClaimed, claimed=claimed, occurred_at=occurred_at)


class Project(Aggregate):
    class Added(Aggregate.Created):
        user_id: str
        name: str
        description: str
        configuration: dict[str, Any]
        metadata: dict[str, Any]
        template_id: str | None
        occurred_at: str


class Run(Aggregate):
    class Added(Aggregate.Created):
        project_id: str
        validation_type: str
        occurred_at: str

    class TaskAssessed(Aggregate.Event):
        task_id: str
        authenticity: float
        occurred_at: str

    class IssueReported(Aggregate.Event):
        issue_id: str
        task_id: str
        issue_type: str
        severity: str
        description: str
        file_path: str
        line_number: int
        auto_fix_available: bool
        suggested_fix: str | None
        occurred_at: str

    class Completed(Aggregate.Event):
        quality_score: float
        quality_metrics: dict[str, Any]
        assessments: dict[str, float]
        occurred_at: str


EVENTS: dict[str, type[Any]] = {
    "project.created.v1": Project.Added,
    "task.added.v1": Task.Added,
    "task.started.v1": Task.Started,
    "task.progress_claimed.v1": Task.ProgressClaimed,
    "task.completed.v1": Task.Completed,
    "validation_run.started.v1": Run.Added,
    "validation_run.task_assessed.v1": Run.TaskAssessed,
    "validation_run.issue_reported.v1": Run.IssueReported,
    "validation_run.completed.v1": Run.Completed,
}
TOPICS = {event_class: topic for topic, event_class in EVENTS.items()}
ORIGINS = {Task.Added: "Task", Project.Added: "Project", Run.Added: "Run"}


def peer_event(event: NewEvent) -> Any:
    """Return an event of a workload as the library's."""
    body, event_class = json.loads(event.state), EVENTS[event.topic]
    if event_class in ORIGINS:
        body["originator_topic"] = f"{__name__}:{ORIGINS[event_class]}"
    timestamp = datetime.fromisoformat(body["occurred_at"])
    return event_class(originator_id=event.stream_id, originator_version=event.version, timestamp=timestamp, **body)


class Tasks(Application[UUID]):
    """The library's application: `save` and `repository` are its own."""

    name = "tasks"


def environment(url: str, connections: int = 5) -> dict[str, str]:
    """Return the library's settings for a database of ours: its tables lie beside ours."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), "SQLITE_LOCK_TIMEOUT": "20"}
    given = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(given["dbname"]),
        "POSTGRES_HOST": str(given.get("host", "")),
        "POSTGRES_PORT": str(given.get("port", "5432")),
        "POSTGRES_USER": str(given["user"]),
        "POSTGRES_PASSWORD": str(given.get("password", "unused")),
        "POSTGRES_SCHEMA": "public",
        "POSTGRES_POOL_SIZE": str(connections),
        "POSTGRES_IDLE_IN_TRANSACTION_SESSION_TIMEOUT": "60",
    }


@contextmanager
def application(url: str, connections: int = 5, *, create: bool = True) -> Iterator[Tasks]:
    """Give the library's application on a database; `create` its tables, which several at once may not do."""
    with closing(Tasks(env={**environment(url, connections), "CREATE_TABLE": "yes" if create else "no"})) as app:
        yield app


def save_one_by_one(app: Tasks, events: Iterable[NewEvent]) -> Iterator[None]:
    """Save tasks with one new event at each save, and yield after each."""
    task: Any = None
    for event in events:
        body = json.loads(event.state)
        if event.version == 1:
            task = Task._create(Task.Added, id=event.stream_id, **body)
        elif event.topic == "task.progress_claimed.v1":
            task.claim(**body)
        else:
            task.trigger_event(EVENTS[event.topic], **body)
        app.save(task)
        yield


def fill(url: str, events: Iterable[NewEvent]) -> int:
    """Insert events of a workload into the library's log, in their order, and return how many."""
    count, rest = 0, iter(events)
    with application(url) as app:
        while batch := [app.mapper.to_stored_event(peer_event(event)) for event in islice(rest, INSERTED_AT_ONCE)]:
            app.recorder.insert_events(batch)
            count += len(batch)
    return count


class PostgresView(PostgresTrackingRecorder):
    """The specification's tables as the library's materialised view: one transaction an event, with its tracking."""

    def __init__(self, datastore: PostgresDatastore, **settings: Any) -> None:
        super().__init__(datastore, **settings)
        self.hand = HandProjection()
        self.offset = 0
        self.written: Callable[[int], None] = lambda position: None

    def write(self, event: Any, tracking: Tracking) -> None:
        writes = _writes(self.hand, self.offset, event, tracking)
        with self.datastore.transaction(commit=True) as cursor:
            for statement, values in writes:
                cursor.execute(statement, values, prepare=True)
            self._insert_tracking(cursor, tracking)
        self.written(tracking.notification_id)


class SQLiteView(SQLiteTrackingRecorder):
    """The same on SQLite."""

    def __init__(self, datastore: SQLiteDatastore, **settings: Any) -> None:
        super().__init__(datastore, **settings)
        self.hand = HandProjection()
        self.offset = 0

    def write(self, event: Any, tracking: Tracking) -> None:
        writes = _writes(self.hand, self.offset, event, tracking)
        with self.datastore.transaction(commit=True) as cursor:
            for statement, values in writes:
                cursor.execute(statement.replace("%s", "?"), values)
            self._insert_tracking(cursor, tracking)


def _writes(hand: HandProjection, offset: int, event: Any, tracking: Tracking) -> list[tuple[str, tuple[Any, ...]]]:
    position = offset + tracking.notification_id
    return hand.writes(TOPICS[type(event)], event.originator_id, event.originator_version, position, vars(event))


class PeerProjection(Projection[PostgresView]):
    """What ProjectionRunner drives."""

    name = "read_tables"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.write(domain_event, tracking)


@contextmanager
def runner(
    url: str, project_id: UUID, offset: int, written: Callable[[int], None]
) -> Iterator[ProjectionRunner[Tasks, PostgresView]]:
    """Give a running ProjectionRunner on a database; `offset` is what its positions are behind ours.

    `written` is told of each of its positions once it is committed.
    """

    class Starting(PostgresView):
        def __init__(self, datastore: PostgresDatastore, **settings: Any) -> None:
            super().__init__(datastore, **settings)
            self.hand, self.offset, self.written = HandProjection((str(project_id),)), offset, written

    with ProjectionRunner(
        application_class=Tasks, projection_class=PeerProjection, view_class=Starting, env=environment(url)
    ) as running:
        yield running


def project_all(filled: Filled, count: int, timeout: float = 600.0) -> float:
    """Project the library's whole log with its ProjectionRunner; return how many events a second, from the first on."""
    times: list[float] = []

    def written(position: int) -> None:
        times.append(time.perf_counter())

    with runner(filled.url, filled.setting.project_id, filled.first_position - 1, written) as running:
        running.wait(count, timeout)
    return (len(times) - 1) / (times[-1] - times[0])


def project_all_by_hand(events_url: str, reads: Path, filled: Filled, count: int) -> None:
    """Project the library's log on SQLite, which has no subscriptions there, in a loop over its pages."""
    view = _sqlite_view(reads)
    view.hand, view.offset = HandProjection((str(filled.setting.project_id),)), filled.first_position - 1
    with application(events_url) as app:
        last = 0
        while last < count:
            for notification in app.recorder.select_notifications(last + 1, PAGE):
                view.write(app.mapper.to_domain_event(notification), Tracking(app.name, notification.id))
                last = notification.id
    view.datastore.close()


def _sqlite_view(path: Path) -> SQLiteView:
    env = Environment("read_tables", environment(f"sqlite:///{path}"))
    factory: InfrastructureFactory[TrackingRecorder] = InfrastructureFactory.construct(env)
    view = factory.tracking_recorder(SQLiteView)
    assert isinstance(view, SQLiteView)
    return view
