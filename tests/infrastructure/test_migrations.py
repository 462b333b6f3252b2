"""Migrating up and down, by the runner and the command line, on both stores."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import chain
from uuid import UUID, uuid4

import pytest

from claude_tiu import AddDependency, AddTask, ClaimProgress, CreateProject, CreateUser, StartTask, connect
from claude_tiu.domain.errors import TiuError
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.errors import (
    MigrationChanged,
    MigrationFailed,
    NoWayBack,
    SchemaTooNew,
    UnknownMigration,
)
from claude_tiu.infrastructure.settings import Database, database, load_settings
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.stores import VERSIONS, Backend, SQLiteBackend

ALL = tuple(VERSIONS)
READS = ALL[1:]

CATALOGUE = {
    "sqlite": "SELECT type, tbl_name, name, sql FROM sqlite_schema ORDER BY type, tbl_name, name",
    "postgresql": """
        SELECT 'column', table_name::text, column_name::text,
               concat_ws(' ', ordinal_position, data_type, character_maximum_length, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
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
    """,
}
"""Columns by their place, dropped ones left out."""

HASH = "$argon2id$v=19$m=65536,t=3$c2FsdHNhbHQ$aGFzaGhhc2g"

Rows = list[tuple[object, ...]]


def where(backend: Backend) -> Database:
    return database(backend.url, load_settings())


def catalogue(backend: Backend) -> dict[str, Rows]:
    statement = CATALOGUE[backend.name]
    return {"events": backend.on_events(statement), "reads": backend.on_reads(statement)}


def recorded(backend: Backend) -> list[str]:
    """What either table of records has, which must be the same."""

    def versions(table: str) -> list[str]:
        statement = f"SELECT version FROM {table}"
        ask: list[Callable[[str], Rows]] = [backend.on_events]
        if isinstance(backend, SQLiteBackend):
            ask.append(backend.on_reads)
        return sorted(str(row[0]) for row in chain.from_iterable(one(statement) for one in ask))

    assert versions("schema_migrations") == versions("migration_rollbacks")
    return versions("schema_migrations")


def work(backend: Backend) -> int:
    """Make a little history, with a project that never gets further; return its last position."""
    with connect(backend.url, project=False) as tiu:
        user = tiu.execute(CreateUser(username=f"u{uuid4()}", email=f"{uuid4()}@example.org", password_hash=HASH))
        project = tiu.execute(CreateProject(user_id=user.id, name="Billing"))
        first, second = (tiu.execute(AddTask(project_id=project.id, name=name)).id for name in ("Rates", "Invoices"))
        tiu.execute_all([AddDependency(task_id=second, depends_on_task_id=first), StartTask(task_id=first)])
        return tiu.execute(ClaimProgress(task_id=first, claimed=40)).position


def projected(backend: Backend) -> dict[str, Rows]:
    """Project all there is, and return the tables."""
    with connect(backend.url, project=False) as tiu:
        tiu.projector.catch_up()
    return backend.tables(READ_MODEL)


def rows_left(backend: Backend) -> dict[str, int]:
    """How many rows the read tables that there are hold, and the checkpoints, where there are any."""
    exists = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    }
    tables = {str(name) for (name,) in backend.on_reads(exists[backend.name])}
    ours = [table.name for table in READ_MODEL.tables] + ["checkpoints", "projects_search_ids"]
    counts = {name: backend.on_reads(f"SELECT count(*) FROM {name}")[0][0] for name in ours if name in tables}
    return {name: int(count) for name, count in counts.items() if count}


# Up and down


def test_up_down_up_gives_the_same_schema(backend: Backend) -> None:
    first, at = catalogue(backend), where(backend)

    assert migrations.down(at, to="001") == [*reversed(READS)]
    bare = catalogue(backend)
    assert migrations.up(at) == [*READS]

    assert catalogue(backend) == first
    assert migrations.down(at, to="001") == [*reversed(READS)]
    assert catalogue(backend) == bare
    assert {row[1] for row in bare["reads"]} & {table.name for table in READ_MODEL.tables} == set()


@pytest.mark.parametrize("version", READS)
def test_each_migration_is_undone_alone_and_made_again(backend: Backend, version: str) -> None:
    at = where(backend)
    below = ALL[ALL.index(version) - 1]
    migrations.down(at, to=version)
    there = catalogue(backend)

    assert migrations.down(at) == [version]
    assert recorded(backend) == [*ALL[: ALL.index(version)]]
    assert [step.version for step in migrations.status(at) if step.applied_at] == recorded(backend)
    assert catalogue(backend) != there
    assert migrations.up(at, through=version) == [version]

    assert catalogue(backend) == there
    assert migrations.down(at, to=below) == [version]


def test_up_goes_up_to_and_with_a_version_and_down_goes_down_to_it(backend: Backend) -> None:
    at = where(backend)

    assert migrations.down(at, to="4") == [*reversed(ALL[4:])]
    assert migrations.down(at, to="004") == []
    assert migrations.up(at, through="6") == ["005", "006"]
    assert migrations.up(at, through="003") == []
    assert migrations.up(at) == [*ALL[6:]]
    assert recorded(backend) == [*ALL]


@pytest.mark.parametrize("version", ["999", "-1", "first", ""])
def test_a_version_that_nobody_has_is_refused(backend: Backend, version: str) -> None:
    with pytest.raises(UnknownMigration, match="the last is"):
        migrations.up(where(backend), through=version)
    with pytest.raises(UnknownMigration, match="the last is"):
        migrations.down(where(backend), to=version)
    assert recorded(backend) == [*ALL]


def test_events_are_never_dropped(backend: Backend) -> None:
    work(backend)
    before = backend.on_events("SELECT hash FROM events ORDER BY position")

    with pytest.raises(NoWayBack, match="001"):
        migrations.down(where(backend), to="000")
    assert recorded(backend) == [*ALL]

    migrations.down(where(backend), to="001")
    with pytest.raises(NoWayBack, match="001"):
        migrations.down(where(backend))
    assert recorded(backend) == ["001"]
    assert backend.on_events("SELECT hash FROM events ORDER BY position") == before


def test_there_is_nothing_to_undo_where_nothing_was_done(sqlite: SQLiteBackend, pg_empty: str) -> None:
    absent = sqlite.path.with_name("absent.db")

    for url in (f"sqlite:///{absent}", pg_empty):
        assert migrations.down(database(url, load_settings())) == []
    assert not absent.exists()


# What the projector makes of it


@pytest.mark.parametrize("version", ["001", "003", "005", "006", "011"])
def test_down_empties_the_read_side_and_the_projector_fills_it_again(backend: Backend, version: str) -> None:
    last = work(backend)
    before = projected(backend)
    assert rows_left(backend)["tasks"] == 2

    migrations.down(where(backend), to=version)
    assert rows_left(backend) == {}
    migrations.up(where(backend))
    assert rows_left(backend) == {}

    assert projected(backend) == before
    with connect(backend.url, project=False) as tiu:
        assert tiu.lag().position == tiu.lag().last_position == last


def test_a_projector_that_was_running_starts_over(backend: Backend) -> None:
    work(backend)
    with connect(backend.url, project=False) as tiu:
        tiu.projector.catch_up()
        before = backend.tables(READ_MODEL)
        migrations.down(where(backend), to="007")
        migrations.up(where(backend))
        tiu.execute(CreateProject(user_id=UUID(str(before["users"][0][0])), name="Exports"))

        tiu.projector.catch_up()

    after = backend.tables(READ_MODEL)
    assert len(after["projects"]) == 2
    assert after["tasks"] == before["tasks"]


def test_the_checkpoint_of_another_projection_stays(backend: Backend) -> None:
    work(backend)
    projected(backend)
    backend.on_reads(
        "INSERT INTO checkpoints SELECT 'theirs', version, epoch, position, event_hash, generation, fence"
        " FROM checkpoints WHERE projection = 'read_model'"
    )

    migrations.down(where(backend), to="006")

    assert backend.on_reads("SELECT projection FROM checkpoints") == [("theirs",)]


# What was recorded is what counts


def record(backend: Backend, version: str, rollback: str) -> None:
    times = ("NOW()", "NOW()") if backend.name == "postgresql" else ("'2026-03-01'", "'2026-03-01'")
    backend.on_reads(f"INSERT INTO schema_migrations VALUES ('{version}', {times[0]}, 'the future', 'sum')")
    backend.on_reads(f"INSERT INTO migration_rollbacks VALUES ('{version}', '{rollback}', {times[1]})")


def test_what_newer_code_applied_is_undone_by_what_it_recorded(backend: Backend) -> None:
    backend.on_reads("CREATE TABLE future (id INTEGER)")
    record(backend, "900", "-- The future.\nDROP TABLE future;")
    with pytest.raises(SchemaTooNew):
        migrations.up(where(backend))

    assert migrations.down(where(backend), to=ALL[-1]) == ["900"]

    assert migrations.up(where(backend)) == []
    backend.on_reads("CREATE TABLE future (id INTEGER)")


def test_a_rollback_that_fails_leaves_everything(backend: Backend) -> None:
    work(backend)
    projected(backend)
    record(backend, "900", "DELETE FROM checkpoints;\nDROP TABLE nothing;")
    before = catalogue(backend), rows_left(backend)

    with pytest.raises(MigrationFailed, match=r"900 could not be undone, nothing of it was: .*nothing"):
        migrations.down(where(backend))

    assert (catalogue(backend), rows_left(backend)) == before
    assert recorded(backend) == [*ALL, "900"]


def test_a_migration_that_fails_leaves_everything(backend: Backend) -> None:
    migrations.down(where(backend), to="009")
    backend.on_reads("CREATE TABLE agent_metrics (id INTEGER)")
    before = catalogue(backend)

    with pytest.raises(MigrationFailed, match=r"010 could not be applied, nothing of it was: .*agent_metrics"):
        migrations.up(where(backend))

    assert catalogue(backend) == before
    assert recorded(backend) == [*ALL[:9]]


def test_a_migration_without_its_rollback_has_no_way_back(backend: Backend) -> None:
    backend.on_reads("DELETE FROM migration_rollbacks WHERE version = '010'")
    before = catalogue(backend)

    with pytest.raises(NoWayBack, match="010"):
        migrations.down(where(backend), to="007")

    assert catalogue(backend) == before


def test_an_edited_migration_is_noticed_and_can_be_undone_and_applied_anew(backend: Backend) -> None:
    backend.on_reads("UPDATE schema_migrations SET checksum = 'another' WHERE version = '011'")
    for ask in (migrations.up, migrations.status):
        with pytest.raises(MigrationChanged, match="011"):
            ask(where(backend))

    assert migrations.down(where(backend), to="010") == [*reversed(ALL[10:])]

    assert migrations.up(where(backend)) == [*ALL[10:]]


# Several at once


@pytest.mark.parametrize("moves", [("down",) * 4, ("up",) * 4, ("down", "up") * 2, ("one",) * 4])
def test_several_at_once_do_no_harm(backend: Backend, moves: tuple[str, ...]) -> None:
    first, at = catalogue(backend), where(backend)
    if moves[0] == "up":
        migrations.down(at, to="001")
    barrier = threading.Barrier(len(moves))
    done: list[str] = []
    errors: list[TiuError] = []

    def move(how: str) -> None:
        barrier.wait()
        try:
            done.extend(migrations.up(at) if how == "up" else migrations.down(at, to="001" if how == "down" else None))
        except TiuError as error:
            errors.append(error)

    threads = [threading.Thread(target=move, args=(how,)) for how in moves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert recorded(backend) == [*ALL[: len(recorded(backend))]]
    if len(set(moves)) == 1 and moves[0] != "one":
        assert sorted(done) == [*READS]
    migrations.up(at)
    assert catalogue(backend) == first


# The command line


def tiu(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["migrate", *arguments])
    out, err = capsys.readouterr()
    return int(str(exit_.value.code)), out, err


def test_the_command_line_goes_up_and_down(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    db = ("--db", backend.url)

    status, out, err = tiu(capsys, "down", "9", "--json", *db)
    assert (status, json.loads(out)["undone"], err) == (0, [*reversed(ALL[9:])], "")
    status, out, err = tiu(capsys, "up", "010", "--json", *db)
    assert (status, json.loads(out)["applied"], err) == (0, ["010"], "")
    status, out, err = tiu(capsys, "down", *db)
    assert (status, "undid 010" in " ".join(out.split()), err) == (0, True, "")
    status, out, err = tiu(capsys, "down", "9", *db)
    assert (status, "nothing to undo" in " ".join(out.split()), err) == (0, True, "")
    status, out, err = tiu(capsys, "up", *db)
    assert (status, f"applied {', '.join(ALL[9:])}" in " ".join(out.split()), err) == (0, True, "")


@pytest.mark.parametrize("arguments", [("down", "0"), ("down", "77"), ("up", "77")])
def test_what_cannot_be_done_is_one_line_and_a_status(
    backend: Backend, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    status, out, err = tiu(capsys, *arguments, "--db", backend.url)

    assert (status, out, err.count("\n"), err.startswith("tiu: ")) == (1, "", 1, True)
