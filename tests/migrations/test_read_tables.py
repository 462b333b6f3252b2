"""The migrations of the read tables: both stores take the same rows, refuse the same rows, and keep one shape."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid5

import psycopg
import pytest

MIGRATIONS = Path(__file__).resolve().parents[2] / "infrastructure"
NAMES = ("002_users_and_projects", "003_tasks", "004_validation", "005_metrics")
NOW = "2026-03-01T12:00:00.000000Z"
PRIORITY = "CASE priority WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END"
CYCLE = "Circular dependency detected"


def uid(name: object) -> str:
    """The same UUID for the same name, in every run and on every store."""
    return str(uuid5(UUID(int=0), str(name)))


class Store(ABC):
    """A database under test; statements are written once, with ? for a parameter."""

    name: str
    folder: Path
    refusals: tuple[type[Exception], ...]

    @abstractmethod
    def script(self, text: str) -> None:
        """Run many statements as one transaction, as the migration runner does."""

    @abstractmethod
    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None: ...

    @abstractmethod
    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        """(name, type, NOT NULL) of every column, in order."""

    @abstractmethod
    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        """(column, referenced table, ON DELETE) of every foreign key."""

    @abstractmethod
    def indexes(self) -> set[str]: ...

    @abstractmethod
    def catalogue(self) -> list[tuple[Any, ...]]:
        """Everything the migrations made, in an order that does not depend on when."""

    @abstractmethod
    def plan(self, query: str, *params: object) -> str: ...

    @abstractmethod
    def search(self, words: str) -> set[str]:
        """The ids of the projects whose name or description has all the words."""

    def up(self) -> None:
        for name in NAMES:
            self.script((self.folder / f"{name}.up.sql").read_text())

    def down(self) -> None:
        for name in reversed(NAMES):
            self.script((self.folder / f"{name}.down.sql").read_text())

    def insert(self, table: str, **values: object) -> None:
        row = {**ROWS[table], **values}
        self.rows(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())

    def accepts(self, table: str, **values: object) -> bool:
        """Whether a row goes in; it is taken out again."""
        self.rows("SAVEPOINT one_row")
        try:
            self.insert(table, **values)
        except self.refusals:
            return False
        finally:
            self.rows("ROLLBACK TO one_row")
            self.rows("RELEASE one_row")
        return True


class PostgreSQL(Store):
    name = "postgresql"
    folder = MIGRATIONS / "postgresql" / "migrations"
    refusals = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.DatatypeMismatch)

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("BEGIN")

    def script(self, text: str) -> None:
        self.connection.execute(text.encode())
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.replace("?", "%s").encode(), params or None)
        return cursor.fetchall() if cursor.description else []

    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), params)

    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        return self.rows(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
            "WHERE attrelid = ?::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )

    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        definitions = self.rows(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = ?::regclass AND contype = 'f'", table
        )
        pattern = r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)\(id\) ON DELETE (.+)"
        return {(m[1], m[2], m[3]) for (definition,) in definitions if (m := re.fullmatch(pattern, definition))}

    def indexes(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}

    def catalogue(self) -> list[tuple[Any, ...]]:
        return self.rows(
            """
            SELECT 'column', c.relname::text, a.attnum::text, concat_ws(' ', a.attname,
                   format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL
            SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid)
            FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL
            SELECT 'function', proname::text, '', pg_get_functiondef(oid)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            ORDER BY 1, 2, 3
            """
        )

    def plan(self, query: str, *params: object) -> str:
        return "\n".join(line for (line,) in self.rows(f"EXPLAIN {query}", *params))

    def search(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT id::text FROM projects WHERE to_tsvector('english', name || ' ' || COALESCE(description, '')) "
            "@@ plainto_tsquery('english', ?)",
            words,
        )
        return {project for (project,) in found}


class SQLite(Store):
    name = "sqlite"
    folder = MIGRATIONS / "sqlite" / "migrations" / "read"
    refusals = (sqlite3.IntegrityError,)

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA synchronous = OFF")

    def script(self, text: str) -> None:
        self.connection.executescript(f"BEGIN; {text} COMMIT;")

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, params).fetchall()

    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None:
        self.connection.execute("SAVEPOINT many")
        self.connection.executemany(statement, params)
        self.connection.execute("RELEASE many")

    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        return self.rows('SELECT name, type, "notnull" = 1 FROM pragma_table_info(?) ORDER BY cid', table)

    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        return set(
            self.rows('SELECT "from", "table", on_delete FROM pragma_foreign_key_list(?) WHERE "to" = \'id\'', table)
        )

    def indexes(self) -> set[str]:
        # The text search index is a virtual table here.
        return {name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'idx\\_%' ESCAPE '\\'")}

    def catalogue(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT type, tbl_name, name, sql FROM sqlite_schema ORDER BY type, tbl_name, name")

    def plan(self, query: str, *params: object) -> str:
        return "\n".join(str(row[3]) for row in self.rows(f"EXPLAIN QUERY PLAN {query}", *params))

    def search(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT i.project_id FROM idx_projects_search s JOIN projects_search_ids i ON i.docid = s.rowid "
            "WHERE idx_projects_search MATCH ?",
            words,
        )
        return {project for (project,) in found}


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    store = SQLite(tmp_path / "read.db")
    with closing(store.connection):
        yield store


@pytest.fixture
def postgresql(pg_empty: str) -> Iterator[Store]:
    store = PostgreSQL(pg_empty)
    with closing(store.connection):
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest) -> Store:
    """A database with nothing in it."""
    return cast(Store, request.getfixturevalue(request.param))


@pytest.fixture
def store(empty: Store) -> Store:
    """A database with the read tables, all of them empty."""
    empty.up()
    return empty


TIMES: dict[str, object] = {"created_at": NOW, "updated_at": NOW}
ROWS: dict[str, dict[str, object]] = {
    "users": {"id": uid("user"), "username": "ada", "email": "ada@example.org", "password_hash": "!", **TIMES},
    "projects": {"id": uid("project"), "user_id": uid("user"), "name": "Billing", **TIMES},
    "tasks": {"id": uid("task"), "project_id": uid("project"), "name": "Invoices", "added_position": 3, **TIMES},
    "task_dependencies": {
        "id": uid("dependency"),
        "task_id": uid("task"),
        "depends_on_task_id": uid("other task"),
        "created_at": NOW,
    },
    "validation_reports": {
        "id": uid("report"),
        "project_id": uid("project"),
        "validation_type": "quick",
        "created_at": NOW,
    },
    "validation_issues": {
        "id": uid("issue"),
        "validation_report_id": uid("report"),
        "issue_type": "mock_data",
        "severity": "low",
        "description": "a constant where a rate belongs",
        "created_at": NOW,
    },
    "progress_metrics": {
        "id": uid("metric"),
        "project_id": uid("project"),
        "metric_name": "real_progress",
        "value": 12.5,
        "recorded_at": NOW,
    },
}
"""A good row for each table, parents first, with nothing that has a default but its times."""

Values = tuple[list[object], list[object]]
"""What a column takes, and what it refuses."""

PERCENT: Values = ([0, 0.0, 33.333333333333336, 100.0, None], [-0.1, 100.1, float("inf"), "half"])
JSON: Values = (["{}", "[]", '{"a": [1, 2.5, null, "é"]}', None], ["", "{", "{'a': 1}", "NaN"])
TIME: Values = ([NOW, "1900-01-01T00:00:00.000001Z", None], ["", "soon"])
INTEGER: Values = ([0, 1, 2**31 - 1, -(2**31), None], [2**31, -(2**31) - 1, "one"])
BOOLEAN: Values = ([True, False, None], [2, "perhaps"])
TEXT: Values = (["", "é" * 100_000, None], [])
REFERENCE: Values = ([], [None, uid("nobody"), "no uuid", ""])
ID: Values = ([uid("fresh")], [None, "", "no uuid", uid("fresh")[:-1]])


def words(length: int, *, required: bool = False) -> Values:
    """Text of at most this many characters, counted as characters and not as bytes."""
    good: list[object] = ["", "é" * length, "𝄞" * length]
    none: list[object] = [None]
    return (good, ["x" * (length + 1), *none]) if required else (good + none, ["x" * (length + 1)])


def choice(*values: str, required: bool = False) -> Values:
    bad: list[object] = ["", "other", values[0].upper(), f"{values[0]} "]
    return (list(values), [*bad, None]) if required else ([*values, None], bad)


VALUES: dict[str, dict[str, Values]] = {
    "users": {
        "id": ID,
        "username": words(255, required=True),
        "email": words(255, required=True),
        "password_hash": words(255, required=True),
        "role": choice("admin", "developer", "viewer"),
        "preferences": JSON,
        "created_at": TIME,
        "updated_at": TIME,
        "last_login": TIME,
        "is_active": BOOLEAN,
    },
    "projects": {
        "id": ID,
        "user_id": REFERENCE,
        "name": words(255, required=True),
        "description": TEXT,
        "status": choice("active", "completed", "archived", "failed"),
        "template_id": words(255),
        "configuration": JSON,
        "metadata": JSON,
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "authenticity_rate": PERCENT,
        "quality_score": PERCENT,
        "created_at": TIME,
        "updated_at": TIME,
        "completed_at": TIME,
    },
    "tasks": {
        "id": ID,
        "project_id": REFERENCE,
        "name": words(255, required=True),
        "description": TEXT,
        "status": choice("pending", "in_progress", "completed", "failed", "blocked"),
        "priority": choice("low", "medium", "high", "critical"),
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "authenticity_score": PERCENT,
        "ai_prompt": TEXT,
        "expected_outputs": JSON,
        "validation_criteria": JSON,
        "estimated_duration": INTEGER,
        "actual_duration": INTEGER,
        "created_at": TIME,
        "updated_at": TIME,
        "completed_at": TIME,
        "added_position": ([1, 2**63 - 1], [None, "first"]),
    },
    "task_dependencies": {
        "id": ID,
        "task_id": REFERENCE,
        "depends_on_task_id": ([uid("other task")], [None, uid("nobody"), "no uuid", ""]),
        "dependency_type": choice("blocks", "requires", "suggests"),
        "created_at": TIME,
    },
    "validation_reports": {
        "id": ID,
        "project_id": REFERENCE,
        "validation_type": choice("quick", "deep", "comprehensive", "scheduled", required=True),
        "overall_authenticity": PERCENT,
        "real_progress": PERCENT,
        "fake_progress": PERCENT,
        "quality_metrics": JSON,
        "issues_summary": JSON,
        "created_at": TIME,
    },
    "validation_issues": {
        "id": ID,
        "validation_report_id": REFERENCE,
        "task_id": ([uid("task"), None], [uid("nobody"), "no uuid", ""]),
        "issue_type": choice(
            "placeholder", "empty_function", "mock_data", "broken_logic", "security_risk", required=True
        ),
        "severity": choice("low", "medium", "high", "critical", required=True),
        "description": (["", "é" * 100_000], [None]),
        "file_path": (["é" * 1000, None], ["x" * 1001]),
        "line_number": INTEGER,
        "auto_fix_available": BOOLEAN,
        "suggested_fix": TEXT,
        "status": choice("open", "in_progress", "resolved", "ignored"),
        "created_at": TIME,
        "resolved_at": TIME,
    },
    "progress_metrics": {
        "id": ID,
        "project_id": REFERENCE,
        "metric_name": words(100, required=True),
        "value": ([0, -1.5, 1e308, float("inf")], [None, "much"]),
        "metadata": JSON,
        "recorded_at": TIME,
    },
}
"""For each column of each table the values that both stores take, and those that both refuse."""

SQLITE_TYPES = {
    "uuid": "TEXT",
    "text": "TEXT",
    "jsonb": "TEXT",
    "timestamp with time zone": "TEXT",
    "double precision": "REAL",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "boolean": "INTEGER",
}
INDEXES = {
    "idx_users_email",
    "idx_users_username",
    "idx_users_role",
    "idx_users_last_login",
    "idx_projects_user_id",
    "idx_projects_status",
    "idx_projects_created_at",
    "idx_projects_real_progress",
    "idx_projects_authenticity_rate",
    "idx_projects_search",
    "idx_projects_active",
    "idx_projects_list_covering",
    "idx_tasks_project_id",
    "idx_tasks_status",
    "idx_tasks_priority",
    "idx_tasks_real_progress",
    "idx_tasks_authenticity_score",
    "idx_tasks_created_at",
    "idx_tasks_project_status_priority",
    "idx_tasks_incomplete",
    "idx_tasks_summary_covering",
    "idx_task_dependencies_task_id",
    "idx_task_dependencies_depends_on",
    "idx_validation_reports_project_id",
    "idx_validation_reports_validation_type",
    "idx_validation_reports_created_at",
    "idx_validation_reports_authenticity",
    "idx_validation_project_type_created",
    "idx_validation_issues_report_id",
    "idx_validation_issues_task_id",
    "idx_validation_issues_issue_type",
    "idx_validation_issues_severity",
    "idx_validation_issues_status",
    "idx_validation_issues_file_path",
    "idx_progress_metrics_project_id",
    "idx_progress_metrics_metric_name",
    "idx_progress_metrics_recorded_at",
    "idx_progress_metrics_project_metric_time",
}


def add_tasks(store: Store, *names: object) -> None:
    for position, name in enumerate(names, start=100):
        store.insert("tasks", id=uid(name), name=str(name), added_position=position)


def depend(store: Store, task: object, on: object, kind: str = "blocks") -> None:
    store.insert(
        "task_dependencies",
        id=uid(f"{task} on {on}"),
        task_id=uid(task),
        depends_on_task_id=uid(on),
        dependency_type=kind,
    )


@pytest.fixture
def graph(store: Store) -> Store:
    """A project to which tasks and dependencies can be added."""
    store.insert("users")
    store.insert("projects")
    return store


# Shape


@pytest.mark.parametrize("table", ROWS)
def test_a_table_has_the_same_columns_on_both_stores(table: str, sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()

    theirs = [
        (name, re.sub(r"character varying\(\d+\)", "text", type_), required)
        for name, type_, required in postgresql.columns(table)
    ]

    assert [(name, type_, bool(required)) for name, type_, required in sqlite.columns(table)] == [
        (name, SQLITE_TYPES[type_], required) for name, type_, required in theirs
    ]
    assert [name for name, _, _ in theirs] == list(VALUES[table])


@pytest.mark.parametrize("table", ROWS)
def test_a_table_has_the_same_foreign_keys_on_both_stores(table: str, sqlite: Store, postgresql: Store) -> None:
    sqlite.up()
    postgresql.up()

    assert sqlite.foreign_keys(table) == postgresql.foreign_keys(table)
    assert bool(sqlite.foreign_keys(table)) == (table != "users")


def test_every_index_of_the_specification_is_there_under_its_name(store: Store) -> None:
    assert store.indexes() >= INDEXES


def test_down_takes_back_what_up_made_and_up_makes_it_again(empty: Store) -> None:
    nothing = empty.catalogue()
    empty.up()
    first = empty.catalogue()
    for table in ROWS:
        if table == "task_dependencies":
            add_tasks(empty, "other task")
        empty.insert(table)
    empty.down()
    assert empty.catalogue() == nothing

    empty.up()

    assert empty.catalogue() == first
    assert len(first) > len(INDEXES)


# Rows


@pytest.mark.parametrize("table", ROWS)
def test_both_stores_take_and_refuse_the_same_values(table: str, graph: Store) -> None:
    add_tasks(graph, "other task")
    for parent in ("tasks", "validation_reports"):
        if parent != table:
            graph.insert(parent)
    own: dict[str, object] = {"id": uid("fresh")}
    if table == "users":
        own |= {"username": "grace", "email": "grace@example.org"}

    wrong = [
        f"{column} = {str(value)[:40]!r} should be {'taken' if good else 'refused'}"
        for column, (taken, refused) in VALUES[table].items()
        for value, good in [*((v, True) for v in taken), *((v, False) for v in refused)]
        if graph.accepts(table, **{**own, column: value}) != good
    ]

    assert wrong == []


def test_a_row_that_names_nothing_more_than_it_must_gets_the_same_defaults(graph: Store) -> None:
    add_tasks(graph, "other task")
    for table in list(ROWS)[2:]:
        graph.insert(table)

    def row(columns: str, table: str) -> list[tuple[Any, ...]]:
        where = f"WHERE id = '{ROWS[table]['id']}'"
        return [
            tuple({"{}": {}, "[]": []}.get(v, v) if isinstance(v, str) else v for v in r)
            for r in graph.rows(f"SELECT {columns} FROM {table} {where}")
        ]

    assert row("role, preferences, last_login, is_active", "users") == [("developer", {}, None, True)]
    assert row(
        "status, configuration, metadata, real_progress, fake_progress, authenticity_rate, quality_score, completed_at",
        "projects",
    ) == [("active", {}, {}, 0.0, 0.0, 100.0, 0.0, None)]
    assert row(
        "status, priority, real_progress, fake_progress, authenticity_score, expected_outputs, validation_criteria",
        "tasks",
    ) == [("pending", "medium", 0.0, 0.0, 100.0, [], {})]
    assert row("dependency_type", "task_dependencies") == [("blocks",)]
    assert row("overall_authenticity, quality_metrics, issues_summary", "validation_reports") == [(None, {}, {})]
    assert row("status, auto_fix_available, task_id", "validation_issues") == [("open", False, None)]
    assert row("metadata", "progress_metrics") == [({},)]


def test_a_username_and_an_email_are_taken_once(graph: Store) -> None:
    assert graph.accepts("users", id=uid("fresh"), username="grace", email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), email="grace@example.org")
    assert not graph.accepts("users", id=uid("fresh"), username="grace")


def test_a_pair_of_tasks_depends_once_whatever_the_type(graph: Store) -> None:
    add_tasks(graph, "a", "b")
    depend(graph, "a", on="b", kind="suggests")

    assert not graph.accepts("task_dependencies", id=uid(1), task_id=uid("a"), depends_on_task_id=uid("b"))


def test_on_sqlite_a_time_without_all_its_digits_is_refused_because_it_would_not_sort(sqlite: Store) -> None:
    sqlite.up()

    assert sqlite.accepts("users", created_at="2026-03-01T12:00:00.000000Z")
    for time in ("2026-03-01T12:00:00Z", "2026-03-01 12:00:00.000000Z", "2026-03-01T12:00:00.000000+00:00"):
        assert not sqlite.accepts("users", created_at=time)


def test_deleting_a_user_takes_all_that_stands_on_it_and_a_task_leaves_its_issues(graph: Store) -> None:
    add_tasks(graph, "task", "other task")
    for table in ("task_dependencies", "validation_reports", "progress_metrics"):
        graph.insert(table)
    graph.insert("validation_issues", task_id=uid("task"))

    graph.rows("DELETE FROM tasks")
    assert graph.rows("SELECT task_id FROM validation_issues") == [(None,)]
    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(0,)]

    graph.rows("DELETE FROM users")
    assert [graph.rows(f"SELECT count(*) FROM {table}") for table in ROWS] == [[(0,)]] * len(ROWS)
    assert graph.search("Billing") == set()


# Dependencies

KINDS = ("blocks", "requires", "suggests")


@pytest.mark.parametrize("length", [1, 2, 3, 10])
@pytest.mark.parametrize("closing_kind", KINDS)
def test_a_cycle_of_any_length_is_refused(graph: Store, length: int, closing_kind: str) -> None:
    add_tasks(graph, *range(length))
    for task, on in pairwise(range(length)):
        depend(graph, task, on, KINDS[task % 3])

    with pytest.raises(graph.refusals, match=CYCLE):
        depend(graph, length - 1, 0, closing_kind)


def test_a_diamond_is_no_cycle(graph: Store) -> None:
    add_tasks(graph, "top", "left", "right", "bottom")
    depend(graph, "top", "left")
    depend(graph, "right", "bottom", "suggests")
    depend(graph, "top", "right", "requires")
    depend(graph, "left", "bottom")
    depend(graph, "top", "bottom")

    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(5,)]


def test_a_cycle_within_one_statement_is_refused(graph: Store) -> None:
    add_tasks(graph, "a", "b", "c")
    edges = [("a", "b"), ("b", "c"), ("c", "a")]

    with pytest.raises(graph.refusals, match=CYCLE):
        graph.rows(
            f"INSERT INTO task_dependencies (id, task_id, depends_on_task_id) VALUES {', '.join(['(?, ?, ?)'] * 3)}",
            *(value for task, on in edges for value in (uid(task + on), uid(task), uid(on))),
        )


def test_a_cycle_closed_by_an_update_is_refused(graph: Store) -> None:
    add_tasks(graph, "a", "b", "c")
    depend(graph, "a", "b")
    depend(graph, "c", "a")

    with pytest.raises(graph.refusals, match=CYCLE):
        graph.rows("UPDATE task_dependencies SET depends_on_task_id = ? WHERE task_id = ?", uid("c"), uid("a"))


def test_a_dependency_may_turn_round(graph: Store) -> None:
    """Its own old direction does not count against it, neither in an update nor in a delete and an insert."""
    add_tasks(graph, "a", "b")
    depend(graph, "a", "b")

    graph.rows("UPDATE task_dependencies SET task_id = ?, depends_on_task_id = ?", uid("b"), uid("a"))
    graph.rows("DELETE FROM task_dependencies")
    depend(graph, "a", "b")

    assert graph.rows("SELECT count(*) FROM task_dependencies") == [(1,)]


def test_a_dependency_written_again_under_its_id_is_no_cycle(graph: Store) -> None:
    add_tasks(graph, "a", "b")
    depend(graph, "a", "b")

    graph.rows(
        "INSERT INTO task_dependencies (id, task_id, depends_on_task_id, dependency_type) VALUES (?, ?, ?, 'suggests') "
        "ON CONFLICT (id) DO UPDATE SET dependency_type = excluded.dependency_type",
        uid("a on b"),
        uid("a"),
        uid("b"),
    )

    assert graph.rows("SELECT dependency_type FROM task_dependencies") == [("suggests",)]


def test_every_task_is_visited_once_however_many_paths_lead_to_it(graph: Store) -> None:
    """Forty diamonds in a row have 2⁴⁰ paths from end to end: who walks each of them never comes back."""
    diamonds = 40
    add_tasks(graph, *range(diamonds * 3 + 1))
    for top in range(0, diamonds * 3, 3):
        for task, on in ((top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3)):
            depend(graph, task, on)

    with pytest.raises(graph.refusals, match=CYCLE):
        depend(graph, diamonds * 3, 0)


# The ready order

READY = f"""
    SELECT id, name, priority, created_at FROM tasks
    WHERE project_id = ? AND status = 'pending'
    ORDER BY {PRIORITY}, created_at, added_position
    LIMIT 1
"""


def test_the_ready_order_is_read_from_its_index_and_never_sorted(graph: Store) -> None:
    statuses = ("pending", "completed", "in_progress", "failed", "blocked")
    projects = range(4)
    for project in projects:
        graph.insert("projects", id=uid(project))
    graph.many(
        "INSERT INTO tasks (id, project_id, name, status, priority, created_at, updated_at, added_position) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                uid(n),
                uid(n % len(projects)),
                f"Task {n}",
                statuses[n // 4 % 5],
                ("low", "critical", "medium", "high")[n // 20 % 4],
                f"2026-03-{1 + n // 80 % 28:02}T00:00:00.000000Z",
                NOW,
                n,
            )
            for n in range(4_000)
        ],
    )
    graph.rows("ANALYZE")

    plan = graph.plan(READY, uid(1))

    assert "idx_tasks_incomplete" in plan, plan
    assert not re.search("sort|temp b-tree", plan, re.IGNORECASE), plan


def test_the_first_ready_task_is_the_most_pressing_then_the_oldest_then_the_first_added(graph: Store) -> None:
    early, late = "2026-03-01T12:00:00.000000Z", "2026-03-01T12:00:00.000001Z"
    order = [
        ("critical", early, 9),
        ("critical", late, 1),
        ("high", late, 2),
        ("high", late, 10),
        ("medium", early, 3),
        ("low", early, 4),
    ]
    for priority, created_at, position in reversed(order):
        graph.insert("tasks", id=uid(position), priority=priority, created_at=created_at, added_position=position)

    found = graph.rows(READY.replace("SELECT id,", "SELECT added_position,").replace("LIMIT 1", ""), uid("project"))

    assert [row[0] for row in found] == [position for _, _, position in order]


# Text search


def test_the_text_search_follows_its_projects(graph: Store) -> None:
    """Words are found by their stem, in the name and the description, and no longer once they are gone."""
    graph.insert("projects", id=uid("p"), name="Payment service", description="reconciles invoices")
    graph.insert("projects", id=uid("q"), name="Importer", description=None)
    assert graph.search("payments") == graph.search("invoice") == {uid("p")}
    assert graph.search("payment invoice") == {uid("p")}
    assert graph.search("importer") == {uid("q")}

    graph.rows("UPDATE projects SET description = ? WHERE id = ?", "ledgers", uid("p"))
    assert graph.search("invoice") == set()
    assert graph.search("payment ledger") == {uid("p")}

    graph.rows("UPDATE projects SET real_progress = 50, name = name WHERE id = ?", uid("p"))
    graph.rows("UPDATE projects SET name = 'Exporter', description = 'a ledger' WHERE id = ?", uid("q"))
    assert graph.search("ledger") == {uid("p"), uid("q")}
    assert graph.search("importer") == set()

    graph.rows("DELETE FROM projects WHERE id = ?", uid("p"))
    assert graph.search("ledger") == {uid("q")}

    graph.rows("DELETE FROM projects")
    graph.insert("projects", id=uid("p"), name="Payment service", description="reconciles invoices")
    assert graph.search("ledger") == set()
    assert graph.search("service") == {uid("p")}


def test_on_sqlite_the_text_index_agrees_with_the_projects_through_a_vacuum_and_a_rebuild(sqlite: Store) -> None:
    sqlite.up()
    sqlite.insert("users")
    for n in range(20):
        sqlite.insert("projects", id=uid(n), name=f"Project number{n}", description=None if n % 2 else "even")
    sqlite.rows("DELETE FROM projects WHERE id IN (?, ?)", uid(0), uid(7))

    sqlite.rows("VACUUM")
    sqlite.rows(
        "INSERT INTO projects (id, user_id, name) VALUES (?, ?, 'Project number8') "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        uid(8),
        uid("user"),
    )
    sqlite.rows("INSERT INTO idx_projects_search (idx_projects_search, rank) VALUES ('integrity-check', 1)")
    found = [sqlite.search(f"number{n}") for n in range(20)]

    assert found == [set() if n in (0, 7) else {uid(n)} for n in range(20)]
    sqlite.rows("INSERT INTO idx_projects_search (idx_projects_search) VALUES ('rebuild')")
    assert [sqlite.search(f"number{n}") for n in range(20)] == found
