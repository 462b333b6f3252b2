"""Every question that the read tables answer is answered through an index, where there are 100,000 tasks."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID

import psycopg
import pytest

from claude_tiu.infrastructure.queries import Queries
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.sql import for_psycopg, statements
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.infrastructure.sqlite.values import time_text
from tests.support.many_tasks import NOW, fill, id_of
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS, Backend, SQLiteBackend, new_backend

SMALL = {"users", "agents", "workflows", "workflow_steps", "cleanup_log"}
"""Tables that may be read whole: a hundred rows, or fewer, or none."""
BIG, USUAL = id_of("project", 0), id_of("project", 1_000)
BUSY, USER, RUN = id_of("user", 0), id_of("user", 50), id_of("run", 5)
WEEK = timedelta(days=7)

TASKS_OF_PROJECT = {"idx_tasks_project_id", "idx_tasks_summary_covering", "idx_tasks_project_status_priority"}
REPORTS_OF_PROJECT = {"idx_validation_reports_project_id", "idx_validation_project_type_created"}
ISSUES_OF_REPORT = {"idx_validation_issues_report_id"}
METRICS_OF_PROJECT = {"idx_progress_metrics_project_id", "idx_progress_metrics_project_metric_time"}
STEPS_OF_RUN = {"step_executions_run_id_workflow_step_id_key"}
ACTIVE_OF_USER = {"idx_projects_active", "idx_projects_list_covering"}

Indexes = Mapping[str, set[str]]
Ask = Callable[[Queries], object]


class Question(NamedTuple):
    """A question, and for each large table that it reads the indexes that may serve it."""

    ask: Ask
    indexes: Indexes


READY: Indexes = {
    "projects": {"projects_pkey"},
    "tasks": {"idx_tasks_incomplete", "tasks_pkey"},
    "task_dependencies": {"idx_task_dependencies_task_id", "task_dependencies_task_id_depends_on_task_id_key"},
}
READY_OF_FEW: Indexes = {**READY, "tasks": READY["tasks"] | TASKS_OF_PROJECT}
"""Of some dozen tasks, to sort them is as good as to read them in their order."""
DASHBOARD: Indexes = {
    "projects": ACTIVE_OF_USER,
    "tasks": TASKS_OF_PROJECT,
    "validation_reports": REPORTS_OF_PROJECT,
}
ISSUES: Indexes = {"validation_reports": {"idx_validation_reports_created_at"}, "validation_issues": ISSUES_OF_REPORT}
REPORTS: Indexes = {"validation_reports": REPORTS_OF_PROJECT, "validation_issues": ISSUES_OF_REPORT}
OPEN: Indexes = {**REPORTS, "tasks": {"tasks_pkey"}}
ASSIGNMENTS: Indexes = {"tasks": TASKS_OF_PROJECT, "agent_assignments": {"idx_agent_assignments_task_id"}}
FILE: Indexes = {"project_files": {"project_files_project_id_file_path_key", "idx_project_files_file_path"}}
"""Where few projects have a path, that of the paths is as good."""
SERIES: Indexes = {"progress_metrics": {"idx_progress_metrics_project_metric_time"}}
COUNTS: Indexes = {"tasks": TASKS_OF_PROJECT, **REPORTS, "progress_metrics": METRICS_OF_PROJECT}
PROJECT_SEARCH: Indexes = {"projects": {"idx_projects_search", "projects_pkey"}}
FILE_SEARCH: Indexes = {"project_files": {"idx_project_files_content_search", "project_files_pkey"}}

QUESTIONS = {
    "dashboard": Question(lambda read: read.dashboard(USER), DASHBOARD),
    "dashboard of many projects": Question(lambda read: read.dashboard(BUSY), DASHBOARD),
    "projects": Question(lambda read: read.projects(), {"projects": {"idx_projects_updated_at"}}),
    "project": Question(lambda read: read.project(USUAL), {"projects": {"projects_pkey"}}),
    "user_by_name": Question(lambda read: read.user_id("user50"), {}),
    "tasks": Question(lambda read: read.tasks(USUAL), {"tasks": TASKS_OF_PROJECT}),
    "tasks of a big project": Question(lambda read: read.tasks(BIG), {"tasks": TASKS_OF_PROJECT}),
    "ready_tasks": Question(lambda read: read.ready_tasks(USUAL), READY_OF_FEW),
    "ready_tasks of a big project": Question(lambda read: read.ready_tasks(BIG), READY),
    "validation_issues": Question(lambda read: read.validation_issues(until=NOW), ISSUES),
    "validation_issues of a week": Question(lambda read: read.validation_issues(until=NOW, within=WEEK), ISSUES),
    "reports": Question(lambda read: read.reports(USUAL), REPORTS),
    "reports of a big project": Question(lambda read: read.reports(BIG), REPORTS),
    # Of a project with hundreds of reports, PostgreSQL rather reads all issues: it asks seldom, for a report.
    "open_issues": Question(lambda read: read.open_issues(USUAL), OPEN),
    "assignments": Question(lambda read: read.assignments(USUAL), ASSIGNMENTS),
    "file_content": Question(lambda read: read.file_content(BIG, "src/7.py"), FILE),
    "metrics": Question(lambda read: read.metrics(BIG, "real_progress"), SERIES),
    "metrics of a week": Question(lambda read: read.metrics(BIG, "real_progress", since=NOW - WEEK), SERIES),
    "counts": Question(lambda read: read.counts(USUAL), COUNTS),
    "counts of a big project": Question(lambda read: read.counts(BIG), COUNTS),
    "cleanup_log": Question(lambda read: read.cleanup_log(since=NOW - WEEK), {}),
    "workflow_run": Question(lambda read: read.workflow_run(RUN), {"step_executions": STEPS_OF_RUN}),
    "ready_steps": Question(lambda read: read.ready_steps(RUN), {"step_executions": STEPS_OF_RUN}),
    "search projects": Question(lambda read: read.search_projects("zebra"), PROJECT_SEARCH),
    "search projects of a user": Question(lambda read: read.search_projects("zebra", user_id=BUSY), PROJECT_SEARCH),
    "search projects by a common word": Question(lambda read: read.search_projects("ledger"), PROJECT_SEARCH),
    "search files": Question(lambda read: read.search_files("zebra"), FILE_SEARCH),
    "search files of a project": Question(lambda read: read.search_files("zebra", project_id=BIG), FILE_SEARCH),
    "search files by common words": Question(lambda read: read.search_files("ledger parser"), FILE_SEARCH),
}


class Access(NamedTuple):
    """How a plan reads a table: through which index, and whether that is searched or walked from its beginning."""

    table: str
    by: str | None
    searched: bool


class Plan(NamedTuple):
    kind: str
    accesses: list[Access]
    sorts: bool


@pytest.fixture(scope="module", params=BACKENDS)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A database with 100,000 tasks, for tests that change nothing."""
    if request.param == "sqlite":
        with new_backend("sqlite", tmp_path_factory.mktemp("plans") / "tiu.db") as backend:
            fill(backend)
            backend.on_reads("ANALYZE")
            yield backend
        return
    server, template = request.getfixturevalue("pg_server"), request.getfixturevalue("pg_template")
    with (
        new_database(server, "plans", template) as name,
        new_backend("postgresql", database_url(server, name)) as backend,
    ):
        fill(backend)
        backend.on_reads("ANALYZE")  # without a VACUUM, as after a rebuild: plans are worse then
        yield backend


@pytest.fixture(scope="module")
def reads(full: Backend) -> ReadStore:
    return full.reads()


def plans(backend: Backend, reads: ReadStore, ask: Ask) -> Iterator[Plan]:
    """Yield the plans that a database may choose for the statement that a question runs, with its parameters."""
    with patch.object(reads, "query", wraps=reads.query) as spy:
        ask(Queries(reads))
    statement, parameters = spy.call_args.args
    if isinstance(backend, SQLiteBackend):
        with closing(sqlite3.connect(read_path(backend.path, 1), isolation_level=None)) as connection:
            yield _sqlite_plan(connection, "with statistics", statement, parameters)
            connection.execute("BEGIN")  # nothing runs ANALYZE by itself, so that most databases have none
            connection.execute("DELETE FROM sqlite_stat1")
            connection.execute("ANALYZE sqlite_schema")
            yield _sqlite_plan(connection, "without statistics", statement, parameters)
            connection.execute("ROLLBACK")
    else:
        with psycopg.connect(backend.url) as session:  # the plan for these parameters, and the one for any
            yield _postgresql_plan(session, "force_custom_plan", statement, parameters)
            yield _postgresql_plan(session, "force_generic_plan", statement, parameters)


AUTOMATIC = {
    "sqlite_autoindex_projects_1": "projects_pkey",
    "sqlite_autoindex_tasks_1": "tasks_pkey",
    "sqlite_autoindex_project_files_1": "project_files_pkey",
    "sqlite_autoindex_project_files_2": "project_files_project_id_file_path_key",
    "sqlite_autoindex_task_dependencies_2": "task_dependencies_task_id_depends_on_task_id_key",
    "sqlite_autoindex_step_executions_2": "step_executions_run_id_workflow_step_id_key",
}
"""SQLite's names for the indexes of keys, and PostgreSQL's."""
TEXT_INDEXES = {"idx_projects_search": "projects", "idx_project_files_content_search": "project_files"}
"""On SQLite tables of their own."""


def _sqlite_plan(connection: sqlite3.Connection, kind: str, statement: str, parameters: Mapping[str, Any]) -> Plan:
    values = {
        name: str(value) if isinstance(value, UUID) else time_text(value) if isinstance(value, datetime) else value
        for name, value in parameters.items()
    }
    lines = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    made = set(re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", statement))  # by the statement itself, WITH …
    tables = {alias or table: table for table, alias in re.findall(r"(?:FROM|JOIN) (\w+)(?: ([a-z]\w*))?", statement)}
    accesses = []
    for line in lines:
        read = re.match(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line)
        table = read and tables.get(read[2], read[2])
        if not read or not table or table in made or table == "CONSTANT" or "INTEGER PRIMARY KEY" in line:
            continue
        if table in TEXT_INDEXES:
            accesses.append(Access(TEXT_INDEXES[table], table, "VIRTUAL TABLE INDEX 0:M" in line))
        else:
            accesses.append(Access(table, AUTOMATIC.get(read[3], read[3]), read[1] == "SEARCH"))
    return Plan(kind, accesses, any("TEMP B-TREE" in line for line in lines))


def _postgresql_plan(
    session: psycopg.Connection[Any], kind: str, statement: str, parameters: Mapping[str, Any]
) -> Plan:
    text = for_psycopg(statement)
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for number, name in enumerate(names, 1):
        text = text.replace(f"%({name})s", f"${number}")
    session.execute("DEALLOCATE ALL")
    session.execute(f"SET plan_cache_mode = {kind}".encode())
    session.execute(f"PREPARE question AS {text.replace('%%', '%')}".encode())
    marks = f"({', '.join(['%s'] * len(names))})" if names else ""
    explain = f"EXPLAIN (FORMAT JSON) EXECUTE question{marks}".encode()
    row = psycopg.ClientCursor(session).execute(explain, [parameters[name] for name in names]).fetchone()
    assert row is not None
    nodes = list(_nodes(row[0][0]["Plan"]))
    accesses = [
        Access(table, node.get("Index Name"), "Index Cond" in node)
        for table, node in nodes
        if "Index Name" in node or ("Relation Name" in node and node["Node Type"] != "Bitmap Heap Scan")
    ]
    return Plan(kind, accesses, any("Sort" in node["Node Type"] for _, node in nodes))


def _nodes(node: Mapping[str, Any], table: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the nodes of a plan, each with its table: a bitmap of an index is below the node that reads the table."""
    table = node.get("Relation Name", table)
    yield table, node
    for child in node.get("Plans", ()):
        yield from _nodes(child, table)


def test_there_are_as_many_tasks_as_is_said(full: Backend) -> None:
    assert full.on_reads("SELECT count(*) FROM tasks") == [(100_000,)]


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_reads_a_large_table_but_through_an_index_made_for_it(
    full: Backend, reads: ReadStore, name: str
) -> None:
    question = QUESTIONS[name]
    for plan in plans(full, reads, question.ask):
        large = [access for access in plan.accesses if access.table not in SMALL]
        assert {access.table for access in large} == set(question.indexes), plan
        for access in large:
            assert access.by in question.indexes[access.table], plan
            # The listing of all projects reads its index from the beginning, until it has enough.
            assert access.searched or access.by == "idx_projects_updated_at", plan


@pytest.mark.parametrize("name", ["ready_tasks of a big project", "projects"])
def test_what_is_read_in_the_order_of_its_index_is_not_sorted(full: Backend, reads: ReadStore, name: str) -> None:
    assert [plan for plan in plans(full, reads, QUESTIONS[name].ask) if plan.sorts] == []


def test_every_statement_is_asked() -> None:
    asked = {" ".join(name.split()[: 2 if name.startswith("search") else 1]) for name in QUESTIONS}
    searches = {f"search {name}" for store in BACKENDS for name in statements(f"{store}/search.sql")}
    assert asked == {*statements("queries.sql"), *searches}
