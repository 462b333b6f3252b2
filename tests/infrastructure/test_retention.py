"""Archiving, restoring and retention on the stores: what moves, goes and stays, and that a rehearsal tells it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import (
    AddTask,
    ArchiveProject,
    BeginIssue,
    ClaimProgress,
    Command,
    CompleteProject,
    CreateProject,
    FailRun,
    NotFound,
    OpenWork,
    RecordMetric,
    Refused,
    ReopenIssue,
    ResolveIssue,
    RestoreProject,
    RunRetention,
    StartRun,
    StartTask,
    WrongStatus,
)
from claude_tiu.domain.agenda import COMPLETED_PROJECT
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.ids import new_id
from claude_tiu.infrastructure.operations import STATEMENTS
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.queries import Queries
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.retention import RetentionReport, rehearse, report
from claude_tiu.infrastructure.write_side import rebuild_write_side
from claude_tiu.projections.projection import Table
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import READ_TABLES
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.keeping import PROJECTS, Move, history, task_of
from tests.support.stores import Backend

Tables = dict[str, list[tuple[Any, ...]]]
KEPT, OTHER = PROJECTS
RUN = uid("run 0")
A_LIFE = [
    Move("validate", 2 * 7, 1),  # a run of the first project with one issue, that stays open
    Move("validate", 2 * 2 + 1, 0),  # and one of the other, with two that are settled
    Move("metric", 0, 1),
    Move("metric", 1, 0),
    Move("file", 2 * 2, 0),
    Move("file", 2 * 2 + 1, 0),
    Move("flow", 2 * 2, 0),
    Move("flow", 2 * 1 + 1, 0),
    Move("work", 2 * 12, 1),
    Move("agent", 2 * 6, 0),  # finishes a task
    Move("agent", 2 * 2 + 1, 0),
]
"""Rows of every table that depends on a project, some of each project."""
ARCHIVED = {table.name.removesuffix("_archive") for table in READ_TABLES if table.name.endswith("_archive")}


@pytest.fixture
def executor(events: EventStore) -> Executor:
    return Executor(events)


@pytest.fixture
def projector(events: EventStore, reads: ReadStore) -> Projector:
    return Projector(events, reads, READ_MODEL)


@pytest.fixture
def do(executor: Executor, projector: Projector) -> Callable[..., None]:
    """Execute commands, and project them."""

    def done(*commands: Command) -> None:
        for command in commands:
            executor.execute([command])
        projector.catch_up()

    return done


def live(do: Callable[..., None]) -> None:
    for command in history(A_LIFE):
        with suppress(Refused):
            do(command)


@pytest.fixture
def lived(do: Callable[..., None], backend: Backend) -> Tables:
    """The tables after A_LIFE."""
    live(do)
    tables = backend.tables(READ_MODEL)
    assert all(len(tables[table]) >= 2 for table in ARCHIVED)
    return tables


def of(table: Table, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in rows]


def described(name: str) -> Table:
    return next(table for table in READ_TABLES if table.name == name)


class TestArchiving:
    def test_moves_a_projects_rows_as_they_are_and_no_others(
        self, lived: Tables, backend: Backend, do: Callable[..., None]
    ) -> None:
        at = START + timedelta(days=9)
        do(ArchiveProject(project_id=KEPT, occurred_at=at))
        after = backend.tables(READ_MODEL)
        for name in ARCHIVED - {"projects"}:
            moved, stayed = set(map(repr, after[f"{name}_archive"])), set(map(repr, after[name]))
            assert moved, name
            assert stayed, name
            assert moved | stayed == set(map(repr, lived[name])), name
            assert not moved & stayed, name
        untouched = {name for name in lived if name not in ARCHIVED and not name.endswith("_archive")}
        assert {name: after[name] for name in untouched} == {name: lived[name] for name in untouched}
        assert {str(task["project_id"]) for task in of(described("tasks_archive"), after["tasks_archive"])} == {
            str(KEPT)
        }

    def test_the_projects_own_row_says_that_and_when(
        self, lived: Tables, do: Callable[..., None], reads: ReadStore
    ) -> None:
        before = dict(reads.row(described("projects"), KEPT) or {})
        at = START + timedelta(days=9)
        do(CompleteProject(project_id=KEPT, occurred_at=START), ArchiveProject(project_id=KEPT, occurred_at=at))
        said = {"status": "archived", "updated_at": at, "archived_at": at, "completed_at": START}
        assert reads.row(described("projects_archive"), KEPT) == before | said
        assert reads.row(described("projects"), KEPT) is None

    def test_and_restoring_brings_all_of_it_back(
        self, lived: Tables, backend: Backend, do: Callable[..., None], reads: ReadStore
    ) -> None:
        before = dict(reads.row(described("projects"), KEPT) or {})
        at = START + timedelta(days=9)
        do(CompleteProject(project_id=KEPT), ArchiveProject(project_id=KEPT))
        do(RestoreProject(project_id=KEPT, occurred_at=at))
        assert reads.row(described("projects"), KEPT) == before | {"updated_at": at}
        after = backend.tables(READ_MODEL)
        assert {name: rows for name, rows in after.items() if name != "projects"} == {
            name: rows for name, rows in lived.items() if name != "projects"
        }

    def test_what_is_archived_is_not_found_by_its_words(
        self, lived: Tables, do: Callable[..., None], reads: ReadStore
    ) -> None:
        queries = Queries(reads)
        do(ArchiveProject(project_id=KEPT))
        assert {row.project_id for row in queries.search_files("words")} == {OTHER}
        assert {row.id for row in queries.search_projects("invoices")} == {OTHER}
        do(RestoreProject(project_id=KEPT))
        assert {row.project_id for row in queries.search_files("words")} == {KEPT, OTHER}
        assert {row.id for row in queries.search_projects("invoices")} == {KEPT, OTHER}

    @pytest.mark.parametrize(
        "command",
        [
            AddTask(project_id=KEPT, name="More"),
            StartTask(task_id=task_of(KEPT, 1)),
            ClaimProgress(task_id=task_of(KEPT, 0), claimed=1),
            StartRun(project_id=KEPT, validation_type="quick"),
            RecordMetric(project_id=KEPT, metric_name="velocity", value=1),
            CompleteProject(project_id=KEPT),
            ArchiveProject(project_id=KEPT),
        ],
        ids=lambda command: type(command).__name__,
    )
    def test_an_archived_project_takes_no_command_but_restore(
        self, command: Command, executor: Executor, do: Callable[..., None]
    ) -> None:
        do(*history([]), ArchiveProject(project_id=KEPT))
        with pytest.raises(WrongStatus) as caught:
            executor.execute([command])
        assert caught.value.details["status"] == "archived"

    def test_an_open_run_keeps_a_project_from_it(self, executor: Executor, do: Callable[..., None]) -> None:
        do(*history([]), StartRun(run_id=RUN, project_id=KEPT, validation_type="quick"))
        with pytest.raises(OpenWork) as caught:
            executor.execute([ArchiveProject(project_id=KEPT)])
        assert caught.value.details["open"] == ["validation_run"]
        do(FailRun(run_id=RUN), ArchiveProject(project_id=KEPT))

    def test_takes_a_project_off_the_agenda_and_restoring_does_not_bring_it_back(
        self, do: Callable[..., None], events: EventStore
    ) -> None:
        do(*history([]), *(CompleteProject(project_id=one, occurred_at=START) for one in PROJECTS))
        assert events.due(COMPLETED_PROJECT, days(1), 10) == sorted(PROJECTS)
        do(ArchiveProject(project_id=KEPT))
        assert events.due(COMPLETED_PROJECT, days(1), 10) == [OTHER]
        do(RestoreProject(project_id=KEPT))
        assert events.due(COMPLETED_PROJECT, days(1), 10) == [OTHER]
        live = events.write_side()
        rebuild_write_side(events)
        assert events.write_side() == live

    def test_within_a_unit_it_sees_what_the_unit_did(self, executor: Executor, do: Callable[..., None]) -> None:
        do(*history([]))
        start = StartRun(run_id=RUN, project_id=KEPT, validation_type="quick")
        with pytest.raises(OpenWork):
            executor.execute([start, ArchiveProject(project_id=KEPT)])
        executor.execute([start, FailRun(run_id=RUN), ArchiveProject(project_id=KEPT)])


def days(count: float) -> datetime:
    return START + timedelta(days=count)


def metric(at: datetime, value: float = 1.0, name: str = "velocity") -> RecordMetric:
    return RecordMetric(project_id=PROJECT, metric_name=name, value=value, occurred_at=at)


@pytest.fixture
def begun(do: Callable[..., None]) -> Callable[..., None]:
    """`do`, with a project that is there."""
    do(create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing", occurred_at=START))
    return do


class TestRunning:
    def test_metrics_older_than_the_cutoff_become_one_a_day_and_younger_ones_stay(
        self, begun: Callable[..., None], reads: ReadStore
    ) -> None:
        queries = Queries(reads)
        begun(metric(days(0), 3.0), metric(days(0.25), 1.0), metric(days(1), 5.0), metric(days(1.3), 9.0))
        detail = queries.metrics(PROJECT, "velocity")[3]
        begun(RunRetention(metric_days=1, occurred_at=days(2.3)))
        first, second, stayed = queries.metrics(PROJECT, "velocity")
        assert stayed == detail  # recorded at the cutoff
        assert (first.value, first.recorded_at.isoformat()) == (1.0, "2026-03-01T00:00:00+00:00")
        assert first.metadata == {
            "aggregation_level": "daily",
            "count": 2,
            "min": 1,
            "max": 3,
            "mean": 2,
            "sum": "4",
            "last_at": "2026-03-01T18:00:00+00:00",
            "seq": 2,
        }
        assert (second.value, second.metadata["count"]) == (5.0, 1)

    def test_history_that_is_imported_later_merges_and_may_bring_a_dropped_day_back(
        self, begun: Callable[..., None], reads: ReadStore
    ) -> None:
        queries = Queries(reads)
        run = RunRetention(metric_days=30, daily_days=60, occurred_at=days(100))
        begun(metric(days(50), 2.0), metric(days(10), 2.0), run)
        assert [row.value for row in queries.metrics(PROJECT, "velocity")] == [2.0]
        begun(metric(days(49.9), 4.0), metric(days(10.1), 8.0))
        assert [row.value for row in queries.metrics(PROJECT, "velocity")] == [8.0, 2.0, 4.0]
        begun(run.model_copy(update={"occurred_at": days(101)}))
        (row,) = queries.metrics(PROJECT, "velocity")
        assert (row.value, row.metadata["count"], row.metadata["mean"], row.metadata["seq"]) == (2.0, 2, 3, 1)
        logged = [(one.table_name, one.rows_deleted) for one in queries.cleanup_log(since=days(101))]
        assert ("progress_metrics", 2) in logged  # the details
        assert ("progress_metrics", 1) in logged  # the day that was dropped before, and now again

    def test_a_report_with_issues_to_settle_stays_and_none_is_brought_back_by_an_issues_event(
        self, do: Callable[..., None], backend: Backend, events: EventStore
    ) -> None:
        live(do)
        do(RunRetention(occurred_at=days(400)))
        assert [row[0] for row in backend.on_reads("SELECT project_id FROM validation_reports")] == [
            UUID(str(KEPT)) if backend.name == "postgresql" else str(KEPT)
        ]
        assert len(backend.on_reads("SELECT 1 FROM validation_issues")) == 1
        gone = uid("run 1")
        do(ReopenIssue(run_id=gone, issue_id=uid(f"{gone} issue 0"), occurred_at=days(401)))
        assert len(backend.on_reads("SELECT 1 FROM validation_issues")) == 1
        issue: dict[str, Any] = {"run_id": RUN, "issue_id": uid(f"{RUN} issue 0")}
        do(BeginIssue(**issue), RunRetention(occurred_at=days(402)))
        assert len(backend.on_reads("SELECT 1 FROM validation_reports")) == 1
        do(ResolveIssue(**issue), RunRetention(occurred_at=days(403)))
        assert backend.on_reads("SELECT 1 FROM validation_reports") == []
        assert backend.on_reads("SELECT 1 FROM validation_issues") == []

    def test_sessions_go_when_they_have_expired(
        self, begun: Callable[..., None], backend: Backend, reads: ReadStore
    ) -> None:
        for name, at in (("past", days(1)), ("at the time", days(2)), ("to come", days(3))):
            text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            backend.on_reads(
                "INSERT INTO user_sessions (id, user_id, token_hash, expires_at) VALUES (?, ?, 'x', ?)",
                uid(name),
                USER,
                text,
            )
        begun(RunRetention(occurred_at=days(2)))
        left = {str(id_) for (id_,) in backend.on_reads("SELECT id FROM user_sessions")}
        assert left == {str(uid("at the time")), str(uid("to come"))}
        assert [one.rows_deleted for one in Queries(reads).cleanup_log() if one.table_name == "user_sessions"] == [1]

    def test_nothing_else_changes(self, lived: Tables, backend: Backend, do: Callable[..., None]) -> None:
        do(RunRetention(occurred_at=START))
        after = backend.tables(READ_MODEL)
        assert [row[2] for row in after.pop("cleanup_log")] == [0] * 9
        assert after == {name: rows for name, rows in lived.items() if name != "cleanup_log"}

    def test_what_was_completed_long_ago_is_archived_and_the_run_says_so(
        self, do: Callable[..., None], events: EventStore, reads: ReadStore
    ) -> None:
        do(*history([]), *(CompleteProject(project_id=one, occurred_at=days(1)) for one in PROJECTS))
        command = RunRetention(command_id=new_id(), occurred_at=days(366.5))
        do(command)
        assert command.command_id
        found = report(events, Queries(reads), command.command_id)
        assert found.archived == sorted(PROJECTS)
        assert [row.id for row in Queries(reads).projects()] == []


class TestARehearsal:
    def both(
        self, command: RunRetention, events: EventStore, reads: ReadStore, backend: Backend, do: Callable[..., None]
    ) -> tuple[RetentionReport, RetentionReport]:
        """The rehearsal's report, that changes nothing, and the real run's."""
        before, stored = backend.tables(READ_MODEL), events.max_notification_id()
        rehearsed = rehearse(events, reads, command)
        assert backend.tables(READ_MODEL) == before
        assert events.max_notification_id() == stored
        command_id = new_id()
        do(command.model_copy(update={"command_id": command_id}))
        return rehearsed, report(events, Queries(reads), command_id)

    def test_changes_nothing_and_says_what_the_run_then_says(
        self, lived: Tables, events: EventStore, reads: ReadStore, backend: Backend, do: Callable[..., None]
    ) -> None:
        do(CompleteProject(project_id=OTHER, occurred_at=days(3)))
        for late in (200, 400, 800):  # reports and metrics first, then the project, then what is archived
            rehearsed, ran = self.both(RunRetention(occurred_at=days(late)), events, reads, backend, do)
            assert rehearsed == ran
            assert any(one.rows for one in ran.dropped)
            assert ran.archived == ([OTHER] if late == 400 else [])
            do(RecordMetric(project_id=KEPT, metric_name="velocity", value=1.0, occurred_at=days(late - 100)))

    def test_of_nothing_to_do_says_so(
        self, begun: Callable[..., None], events: EventStore, reads: ReadStore, backend: Backend
    ) -> None:
        rehearsed, ran = self.both(RunRetention(occurred_at=START), events, reads, backend, begun)
        assert rehearsed == ran
        assert [one.rows for one in ran.dropped] == [0] * 9

    def test_a_report_is_of_a_run_of_retention(
        self, begun: Callable[..., None], events: EventStore, reads: ReadStore
    ) -> None:
        known = metric(START).model_copy(update={"command_id": uid("a command")})
        begun(known)
        for command_id in (uid("a command"), uid("unheard of")):
            with pytest.raises(NotFound):
                report(events, Queries(reads), command_id)


def test_projects_that_another_process_completed_are_archived_whatever_is_cached(
    backend: Backend, executor: Executor
) -> None:
    """However many stale states a run meets, it is decided again once."""
    projects = [uid(f"many {number}") for number in range(40)]
    executor.execute([create_user(user_id=USER)])
    for project in projects:
        executor.execute([CreateProject(project_id=project, user_id=USER, name="P")])
    elsewhere = Executor(backend.events())
    for project in projects:
        elsewhere.execute([CompleteProject(project_id=project, occurred_at=START)])
    executor.execute([RunRetention(occurred_at=days(400))])
    topics = [row.topic for row in backend.events().read(0, 1_000)]
    assert topics.count("project.archived.v1") == 40


def moves() -> list[tuple[str, str, list[str], str, list[str]]]:
    """(operation, target, its columns, source, what is selected) of every INSERT … SELECT between tables."""
    form = re.compile(r"INSERT INTO (\w+) \((.*?)\)\s+SELECT\s+(.*?)\s+FROM (\w+)\s+WHERE", re.DOTALL)
    found = []
    for name in ("archive_project", "restore_project"):
        for statement in STATEMENTS[name]:
            if match := form.match(statement):
                target, columns, selected, source = match.groups()
                found.append((name, target, re.findall(r"\w+", columns), source, re.split(r",\s+", selected)))
    return found


@pytest.mark.parametrize(
    ("operation", "target", "columns", "source", "selected"), moves(), ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_column_moves(operation: str, target: str, columns: list[str], source: str, selected: list[str]) -> None:
    """A column that a table gets must be moved, too."""
    assert columns == list(described(target).columns)
    if target not in ("projects", "projects_archive"):
        assert selected == columns
        assert set(columns) == set(described(source).columns)


def test_every_archive_table_takes_part_in_both_ways() -> None:
    for operation in ("archive_project", "restore_project"):
        targets = [target for name, target, *_ in moves() if name == operation]
        assert {target.removesuffix("_archive") for target in targets} == ARCHIVED
        assert len(targets) == len(ARCHIVED) == 9
