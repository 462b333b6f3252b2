"""The demo: what it stores and prints is what oracle.py computes from the facts file alone, to the last bit."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

import psycopg
import pytest
from hypothesis import example, given, settings
from psycopg import sql

from claude_tiu import CreateUser, Tiu, connect
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.sqlite.generations import read_path
from tests.demo.make_facts import Facts, histories, many_paths, random_facts, revision, write_facts
from tests.demo.oracle import Expected, Issue, Metric, Report, expected
from tests.support.postgres_server import database_url

PACKAGED = "pytest-releases.jsonl.gz"
TABLES = (
    "users",
    "projects",
    "tasks",
    "task_dependencies",
    "validation_reports",
    "validation_issues",
    "progress_metrics",
)
JSON_COLUMNS = {
    "preferences",
    "configuration",
    "metadata",
    "expected_outputs",
    "validation_criteria",
    "quality_metrics",
    "issues_summary",
}
FLAGS = {"is_active", "auto_fix_available"}

PHC = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"

Row = dict[str, Any]
Tables = dict[str, list[Row]]


def demo(facts: Path, url: str) -> dict[str, Any]:
    """Run `tiu demo --json` in this process and return what it prints."""
    printed, complaints = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(complaints), pytest.raises(SystemExit) as exit_:
        main(["demo", "--facts", str(facts), "--db", url, "--json"])
    assert exit_.value.code == 0, complaints.getvalue()
    assert printed.getvalue().count("\n") == 1
    result: dict[str, Any] = json.loads(printed.getvalue())
    return result


def sqlite_files(url: str) -> tuple[Path, Path]:
    """Return the events' file and the read tables' file of a SQLite URL, which the first names."""
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as sqlite:
        ((generation,),) = sqlite.execute("SELECT generation FROM read_files WHERE projection = 'read_model'")
    return path, read_path(path, generation)


def read_tables(url: str) -> Tables:
    """Return all rows of the read tables, as the same Python types from either store, in the order of their ids."""
    return {table: sorted(_rows(url, table), key=lambda row: str(row["id"])) for table in TABLES}


def _rows(url: str, table: str) -> list[Row]:
    if not url.startswith("sqlite:"):
        with psycopg.connect(url) as postgresql:
            cursor = postgresql.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            names = [column.name for column in cursor.description or ()]
            return [{n: _in_utc(v) for n, v in zip(names, row, strict=True)} for row in cursor]
    with closing(sqlite3.connect(sqlite_files(url)[1])) as sqlite:
        found = sqlite.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        return [{n: _decoded(n, v) for n, v in zip(names, row, strict=True)} for row in found]


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _decoded(column: str, value: Any) -> Any:
    """Return a value of SQLite as the type that PostgreSQL's column has."""
    if value is None:
        return None
    if column == "id" or (column.endswith("_id") and column != "template_id"):
        return UUID(value)
    if column.endswith("_at") or column == "last_login":
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if column in JSON_COLUMNS:
        return json.loads(value)
    return bool(value) if column in FLAGS else value


def exact(value: Any) -> Any:
    """Return a value in a form that is equal only to the same value of the same type, 1 and 1.0 and True apart."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return [exact(item) for item in value] if isinstance(value, list) else (type(value).__name__, repr(value))


BUT_GENERATIONS = {
    "store": "epoch, reservation_key",
    "checkpoints": "projection, version, epoch, position, event_hash",
    "leases": "name",
    "read_files": "projection",
}
"""The columns of the tables that count how often the read tables were made, and who made them."""


def everything_stored(url: str) -> dict[str, list[str]]:
    """Return every row of every table, the events and the projections' own state included, as text.

    Not how often the read tables were made; nor SQLite's text search: how it cuts its index into segments is its own
    affair.
    """
    if not url.startswith("sqlite:"):
        with psycopg.connect(url) as postgresql:
            found = postgresql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            return {table: _as_text(postgresql, table) for (table,) in found}
    stored = {}
    for name, path in zip(("events", "reads"), sqlite_files(url), strict=True):
        with closing(sqlite3.connect(path)) as sqlite:
            statement = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'idx_*'"
            for (table,) in sqlite.execute(statement).fetchall():
                rows = sqlite.execute(f"SELECT {BUT_GENERATIONS.get(table, '*')} FROM {table}")
                stored[f"{name}: {table}"] = sorted(map(repr, rows))
    return stored


def _as_text(postgresql: psycopg.Connection[Any], table: str) -> list[str]:
    query = f"SELECT t::text FROM (SELECT {BUT_GENERATIONS.get(table, '*')} FROM {table}) AS t"
    return sorted(text for (text,) in postgresql.execute(query.encode()))


def events_in(url: str) -> int:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(sqlite_files(url)[0])) as sqlite:
            return int(sqlite.execute("SELECT count(*) FROM events").fetchone()[0])
    with psycopg.connect(url) as postgresql:
        row = postgresql.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0


def agrees(url: str, result: dict[str, Any], want: Expected) -> None:
    """Assert that what was printed and what is stored of that project is what the oracle says."""
    _printed_agrees(result, want)
    tables = read_tables(url)
    project_id = UUID(result["project"]["id"])
    (project,) = (row for row in tables["projects"] if row["id"] == project_id)
    (user,) = tables["users"]
    assert (user["username"], user["email"], user["id"]) == ("demo", "demo@example.invalid", project["user_id"])
    assert user["password_hash"].startswith("$")
    assert (*_numbers(project), project["quality_score"]) == want.numbers
    assert (project["name"], project["status"], project["completed_at"]) == (want.name, "active", None)
    assert (project["created_at"], project["updated_at"]) == (want.created_at, want.updated_at)
    assert tables["task_dependencies"] == []

    own = {table: [row for row in rows if row.get("project_id") == project_id] for table, rows in tables.items()}
    names = _tasks_agree(own["tasks"], want)
    reports = {row["id"]: row for row in own["validation_reports"]}
    issues = [row for row in tables["validation_issues"] if row["validation_report_id"] in reports]
    _reports_agree(reports, issues, names, want)
    _metrics_agree(own["progress_metrics"], reports, names, want)


def _numbers(row: Row, authenticity: str = "authenticity_rate") -> tuple[Any, ...]:
    return row["real_progress"], row["fake_progress"], row[authenticity]


def _time(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def _printed_agrees(result: dict[str, Any], want: Expected) -> None:
    project, last, newest = result["project"], result["last_report"], want.newest_report
    assert (project["name"], project["status"]) == (want.name, "active")
    assert (*_numbers(project), project["quality_score"]) == want.numbers
    assert (project["task_count"], project["completed_tasks"]) == (len(want.tasks), len(want.tasks))
    assert _time(project["last_validation"]) == newest.created_at
    assert sorted(
        (t["name"], t["status"], t["real_progress"], t["fake_progress"], t["authenticity_score"])
        for t in result["tasks"]
    ) == sorted((t.name, t.status, t.real, t.fake, t.authenticity) for t in want.tasks)
    counts = {name: result[name] for name in ("reports", "issues", "metrics", "events", "commands")}
    assert counts == {
        "reports": len(want.reports),
        "issues": want.issues,
        "metrics": len(want.metrics),
        "events": want.events,
        "commands": want.events,
    }
    assert _time(last["created_at"]) == newest.created_at
    assert _numbers(last, "overall_authenticity") == newest.numbers[:3]
    assert (last["issues"], last["quality_metrics"]) == (newest.issues.total(), newest.quality_metrics)


def _tasks_agree(rows: list[Row], want: Expected) -> dict[UUID | None, str | None]:
    rows = sorted(rows, key=lambda row: int(row["added_position"]))
    columns = ("name", "status", "real_progress", "fake_progress", "authenticity_score", "priority")
    times = ("created_at", "updated_at", "completed_at", "actual_duration", "estimated_duration")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        (t.name, t.status, t.real, t.fake, t.authenticity, "medium") for t in want.tasks
    ]
    assert [tuple(row[column] for column in times) for row in rows] == [
        (t.created_at, t.updated_at, t.completed_at, t.actual_duration, None) for t in want.tasks
    ]
    return {row["id"]: row["name"] for row in rows}


def _reports_agree(
    rows: dict[UUID, Row], issues: list[Row], names: dict[UUID | None, str | None], want: Expected
) -> None:
    found: dict[UUID, Counter[Issue]] = {id_: Counter() for id_ in rows}
    for issue in issues:
        type_, path, line = issue["issue_type"], issue["file_path"], issue["line_number"]
        report, task = issue["validation_report_id"], names[issue["task_id"]] or ""
        found[report][Issue(path, line, type_, issue["severity"], task, issue["description"])] += 1
        assert issue["created_at"] == rows[report]["created_at"]
        assert (issue["status"], issue["resolved_at"], issue["suggested_fix"]) == ("open", None, None)
        assert issue["auto_fix_available"] is False
    wanted: dict[datetime, Report] = {
        report.created_at: report for report in want.reports
    }  # each in a month of its own
    assert sorted(row["created_at"] for row in rows.values()) == sorted(wanted)
    for id_, row in rows.items():
        report_wanted = wanted[row["created_at"]]
        assert row["validation_type"] == "scheduled"
        assert _numbers(row, "overall_authenticity") == report_wanted.numbers[:3]
        assert row["quality_metrics"] == report_wanted.quality_metrics
        assert row["issues_summary"] == report_wanted.issues_summary
        assert found[id_] == report_wanted.issues


def _metrics_agree(
    rows: list[Row], reports: dict[UUID, Row], names: dict[UUID | None, str | None], want: Expected
) -> None:
    found = []
    for row in sorted(rows, key=lambda row: int(row["metadata"]["seq"])):
        metadata = row["metadata"]
        assert row["id"] == uuid5(UUID(metadata["event_id"]), row["metric_name"])
        if "run_id" in metadata:
            assert set(metadata) == {"event_id", "seq", "run_id"}
            assert reports[UUID(metadata["run_id"])]["created_at"] == row["recorded_at"]
            task = None
        else:
            assert set(metadata) == {"event_id", "seq", "task_id"}
            task = names[UUID(metadata["task_id"])]
        found.append(Metric(row["metric_name"], row["value"], row["recorded_at"], metadata["seq"], task))
    assert found == want.metrics


STORES = ("sqlite", "postgresql")


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that is not there yet, or empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'demo.db'}"
    return str(request.getfixturevalue("pg_empty"))


@pytest.fixture(scope="module")
def packaged() -> Iterator[Path]:
    """The packaged facts."""
    with as_file(files("claude_tiu.infrastructure.demo") / PACKAGED) as path:
        yield path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A history that nobody has seen."""
    return write_facts(tmp_path / "other-history.jsonl.gz", random_facts(11))


class Told(NamedTuple):
    """A database that the packaged history was told to, and what was printed."""

    url: str
    result: dict[str, Any]


@pytest.fixture(scope="module")
def told_sqlite(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    url = f"sqlite:///{tmp_path_factory.mktemp('told') / 'demo.db'}"
    return Told(url, demo(packaged, url))


@pytest.fixture(scope="module")
def told_postgresql(packaged: Path, pg_server: str) -> Iterator[Told]:
    name = f"tiu_told_{uuid4().hex[:12]}"
    with psycopg.connect(pg_server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            url = database_url(pg_server, name)
            yield Told(url, demo(packaged, url))
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(params=STORES)
def told(request: pytest.FixtureRequest) -> Told:
    """The packaged history, told once: tests of what is there, and of what leaves it as it is."""
    found: Told = request.getfixturevalue(f"told_{request.param}")
    return found


def test_the_packaged_history_is_what_its_description_says(packaged: Path) -> None:
    want = expected(packaged)
    assert (len(want.tasks), len(want.reports), want.issues, len(want.metrics)) == (10, 85, 9_324, 1_350)
    assert want.numbers == (71.343, 28.657, 71.343, 60.98)


def test_the_packaged_history_is_verified(told: Told) -> None:
    with connect(told.url, project=False) as tiu:
        report = tiu.verify()
        assert (report.equal, report.position) == (True, tiu.lag().last_position)


def test_the_packaged_history_gives_the_expected_tables(packaged: Path, told: Told) -> None:
    result = told.result
    assert [len(result["tasks"])] + [result[n] for n in ("reports", "issues", "metrics")] == [10, 85, 9_324, 1_350]
    last = result["last_report"]
    assert last["created_at"] == "2026-10-27T20:42:46Z"
    assert last["issues"] == 195
    assert _numbers(last, "overall_authenticity") == pytest.approx((71.343, 28.657, 71.343), abs=1e-6)
    assert _numbers(result["project"]) == pytest.approx((71.343, 28.657, 71.343), abs=1e-6)
    assert events_in(told.url) == result["events"] == 10_612
    agrees(told.url, result, expected(packaged))


@pytest.mark.parametrize("seed", [1, 4, 5, 38])
def test_other_histories_give_the_expected_tables(seed: int, tmp_path: Path, url: str) -> None:
    facts = write_facts(tmp_path / f"history.{seed}.jsonl.gz", random_facts(seed))
    agrees(url, demo(facts, url), expected(facts))


AT = datetime(2024, 2, 1, tzinfo=UTC)
JANUARY = datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC)
ODD = [{"line": 1, "type": "placeholder"}]


@settings(max_examples=25)
@given(histories())
@example([revision(0, AT, [])])
@example([revision(0, AT, [("only/text.md", "A", ODD)])])
@example([revision(0, AT, [("a/x.py", "A", ODD), ("a/x.py", "D", [])])])
@example([revision(0, AT, [("a/x.py", "A", ODD + ODD)]), revision(1, JANUARY, [("a/x.py", "D", [])])])
@example([revision(0, JANUARY, [("a/x.md", "A", [])]), revision(1, AT, [("a/x.py", "A", []), ("a/x.py", "M", ODD)])])
@example(
    [revision(n, AT, [("a/x.py", "M" if n else "A", ODD)]) for n in range(32)]
)  # 1 of 32 is 3.125: round() to even
def test_any_small_history_gives_the_expected_tables(facts: Facts) -> None:
    with TemporaryDirectory() as folder:
        path = write_facts(Path(folder) / "small.jsonl.gz", facts)
        url = f"sqlite:///{folder}/small.db"
        agrees(url, demo(path, url), expected(path))


def test_a_second_run_stores_nothing_and_prints_the_same(packaged: Path, told: Told) -> None:
    stored = everything_stored(told.url)
    again = demo(packaged, told.url)
    assert everything_stored(told.url) == stored
    assert again | {"seconds": 0} == told.result | {"seconds": 0}


def test_read_tables_rebuilt_from_the_events_are_equal_to_the_byte(told: Told) -> None:
    stored = everything_stored(told.url)
    with redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as exit_:
        main(["projector", "rebuild", "--db", told.url])
    assert exit_.value.code == 0
    assert everything_stored(told.url) == stored


def test_the_packaged_history_is_the_same_on_both_stores_to_the_bit(told_sqlite: Told, told_postgresql: Told) -> None:
    _same(told_sqlite, told_postgresql)


def test_another_history_is_the_same_on_both_stores_to_the_bit(other: Path, tmp_path: Path, pg_empty: str) -> None:
    one, two = [Told(url, demo(other, url)) for url in (f"sqlite:///{tmp_path / 'demo.db'}", pg_empty)]
    _same(one, two)


def _same(one: Told, other: Told) -> None:
    apart = {"seconds": 0, "db": ""}
    assert one.result | apart == other.result | apart
    left, right = read_tables(one.url), read_tables(other.url)
    for table in TABLES:
        assert [exact(row) for row in left[table]] == [exact(row) for row in right[table]], table


def test_histories_share_a_database_and_its_demo_user(other: Path, tmp_path: Path, url: str) -> None:
    more = write_facts(tmp_path / "more.jsonl.gz", random_facts(12))
    first, second = demo(more, url), demo(other, url)
    assert events_in(url) == first["events"] + second["events"] - 1  # the user is created once
    agrees(url, second, expected(other))
    again = demo(more, url)
    agrees(url, again, expected(more))
    assert again | {"seconds": 0} == first | {"seconds": 0}


def test_a_demo_user_who_was_there_before_is_reused(other: Path, url: str) -> None:
    with connect(url) if url.startswith("sqlite:") else _migrated(url) as tiu:
        user = tiu.execute(CreateUser(username="demo", email="d@example.invalid", password_hash=PHC, occurred_at=AT))
    project = demo(other, url)["project"]
    tables = read_tables(url)
    assert [row["id"] for row in tables["users"]] == [user.id]
    assert [(row["id"], row["user_id"]) for row in tables["projects"]] == [(UUID(project["id"]), user.id)]


def _migrated(url: str) -> Tiu:
    migrate_up(url)
    return connect(url)


@pytest.mark.long
def test_a_large_history_gives_the_same_expected_tables_on_both_stores(tmp_path: Path, pg_empty: str) -> None:
    made = random_facts(5, revisions=1_600, changes=7_500, paths=many_paths(300, 24))
    assert sum(len(fact["files"]) for fact in made) == 7_500
    facts, sqlite = write_facts(tmp_path / "large.jsonl.gz", made), f"sqlite:///{tmp_path / 'large.db'}"
    want = expected(facts)
    told = [Told(url, demo(facts, url)) for url in (sqlite, pg_empty)]
    for each in told:
        agrees(*each, want)
    _same(*told)


def _tiu(folder: Path, *arguments: str) -> str:
    """Run the installed command in `folder`, with no setting that names a database."""
    command = shutil.which("tiu", path=sysconfig.get_path("scripts"))
    assert command, "the package is not installed"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DB_") and k != "SQLITE_PATH"}
    done = subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_command_makes_a_database_of_its_own(packaged: Path, tmp_path: Path) -> None:
    result = json.loads(_tiu(tmp_path, "demo", "--json"))
    path = Path(result["db"].removeprefix("sqlite:///"))
    agrees(f"sqlite:///{tmp_path / path}", result, expected(packaged))


def test_the_installed_command_prints_the_numbers_for_people(other: Path, tmp_path: Path) -> None:
    printed = _tiu(tmp_path, "demo", "--facts", str(other), "--db", "sqlite:///people.db")
    newest = expected(other).newest_report
    for shown in ("other", f"{newest.numbers.real:.1f}", f"{newest.numbers.fake:.1f}", f"{newest.issues.total()}"):
        assert shown in printed
    assert "people.db" in printed.replace("\n", "")  # a narrow terminal cuts lines
