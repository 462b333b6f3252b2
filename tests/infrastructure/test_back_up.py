"""Backing up and restoring, by the very commands of docs/how-to/back-up.md."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import psycopg
import pytest

from claude_tiu import (
    CheckpointRefused,
    Command,
    CreateFile,
    NotUnique,
    Refused,
    connect,
)
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.cli.running import done, refused
from tests.docs.blocks import blocks_of, section_of
from tests.support.flows import flows
from tests.support.history import EVENTS, PROJECT, START, create_user, history, store_history, uid
from tests.support.patience import PATIENCE
from tests.support.places import PAGE, Place, PostgreSQLPlace, SQLitePlace, assert_chained, rows_of
from tests.support.poison import tables_of as without_time_of_parking
from tests.support.postgres_server import database_url
from tests.support.stores import Backend, append, event


def tables_of(backend: Backend) -> dict[str, list[tuple[str, ...]]]:
    """Every row of the read tables; the repr tells doubles and types apart to the bit."""
    return {name: [tuple(map(repr, row)) for row in rows] for name, rows in backend.tables(READ_MODEL).items()}


def project(backend: Backend) -> int:
    """Bring the read tables up to date."""
    with closing(backend.events()) as events, closing(backend.reads()) as reads:
        return Projector(events, reads, READ_MODEL).catch_up()


def execute(backend: Backend, commands: Sequence[Command]) -> None:
    """Execute commands one by one; what the rules refuse is left out."""
    with closing(backend.events()) as events:
        executor = Executor(events)
        for command in commands:
            with suppress(Refused):
                executor.execute([command])


def fill(backend: Backend) -> None:
    """Store events of every kind of aggregate, and project them."""
    store_history(backend.events())
    execute(backend, flows(1))
    execute(backend, [CreateFile(project_id=PROJECT, file_path="a.py", content="Ünïcödé ☃\n'\\")])
    project(backend)


def test_what_is_restored_equals_the_original_row_by_row(place: Place) -> None:
    fill(place.live)
    place.back_up()
    with closing(place.restore()) as restored:
        assert rows_of(restored) == rows_of(place.live)
        assert place.printed.splitlines()[-1].startswith(f"{len(rows_of(restored))} events projected; ")
        for table in ("store", "reservations"):
            everything = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert restored.on_events(everything) == place.live.on_events(everything) != []
        tables = tables_of(restored)
        assert tables == tables_of(place.live)
        assert {"projects", "validation_issues", "step_executions", "project_files", "project_state"} <= {
            name for name, rows in tables.items() if rows
        }


def test_a_dump_of_everything_brings_the_read_tables_along(postgresql_place: PostgreSQLPlace) -> None:
    place = postgresql_place
    fill(place.live)
    place.run(place.back_ups[1])
    with closing(place.restore("whole-*", keys=False)) as restored:
        assert place.printed.splitlines()[-1].startswith("0 events projected; ")
        assert rows_of(restored) == rows_of(place.live)
        assert tables_of(restored) == tables_of(place.live)
        done("projector", "rebuild", "--db", restored.url)
        assert tables_of(restored) == tables_of(place.live)


def test_what_was_parked_is_parked_again_and_what_was_discarded_stays_left_out(place: Place) -> None:
    fill(place.live)
    with connect(place.live.url) as tiu:
        given_up, waiting = uid("given up"), uid("waiting")
        append(tiu.events, event(given_up, topic="nobody.knows.v1"))
        append(tiu.events, event(waiting, topic="nobody.knows.v1", project_id=PROJECT))
        tiu.wait_for(tiu.execute(create_user("linus")))
        tiu.wait_for(tiu.discard_parked(given_up, "of a trial"))
        assert [(unit.unit_id, unit.kind) for unit in tiu.parked()] == [(PROJECT, "project")]
        tiu.execute(CreateFile(project_id=PROJECT, file_path="b.py", content="waits"))
    place.back_up()
    backed_up = datetime.now(UTC)
    place.complaint = r"(parked the project .* \(nobody\.knows\.v1\): .*\n)?"
    with closing(place.restore()) as restored, connect(restored.url, project=False) as tiu:
        assert without_time_of_parking(restored) == without_time_of_parking(place.live)
        assert restored.on_reads("SELECT count(*) FROM left_out_events") == [(1,)]
        (unit,) = tiu.parked()
        assert (unit.unit_id, unit.since > backed_up) == (PROJECT, True)


@contextmanager
def commands_being_stored(live: Backend, given: list[Command]) -> Iterator[None]:
    """Execute commands without end, each as soon as the one before it is answered; `given` is told of them."""
    stop = threading.Event()

    def work() -> None:
        with closing(live.events()) as events:
            executor = Executor(events)
            while not stop.is_set():
                name = f"user{len(given)}"
                ids = {"user_id": uid(name), "command_id": uid(f"create {name}")}
                given.append(create_user(name, occurred_at=START, **ids))
                executor.execute([given[-1]])

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def grows(given: list[Command]) -> bool:
    """Whether more commands are being stored."""
    before, deadline = len(given), time.monotonic() + PATIENCE
    while len(given) < before + 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    return len(given) >= before + 5


def test_a_backup_while_commands_are_stored_holds_the_log_up_to_a_position(place: Place) -> None:
    given = history()
    execute(place.live, given)
    with commands_being_stored(place.live, given):
        assert grows(given)
        before = len(given)
        place.back_up()
        during = len(given) - before
        assert grows(given)
    assert during > 0
    project(place.live)
    with closing(place.restore()) as restored:
        original, rows = rows_of(place.live), rows_of(restored)
        assert before - 1 <= len(rows) < len(original)
        assert rows == original[: len(rows)]
        assert_chained(rows)

        execute(restored, given)  # again, as after a real loss: what the log holds is not stored twice
        project(restored)

        assert len(rows_of(restored)) == len(original)
        assert_chained(rows_of(restored))
        assert tables_of(restored) == tables_of(place.live)


def test_a_restored_database_takes_commands_and_tells_of_them(place: Place) -> None:
    commands = history()
    first = store_history(place.live.events(), commands)
    place.back_up()
    with closing(place.restore()) as restored, connect(restored.url) as tiu:
        assert tiu.execute(commands[-1]) == first
        with pytest.raises(NotUnique):
            tiu.execute(create_user("ada"))
        answer = tiu.execute(create_user("grace"))
        assert answer.position == EVENTS + 1
        tiu.wait_for(answer)
        assert tiu.read.user_id("grace") == answer.id
        with closing(restored.events().listen()) as listener:
            append(restored.events(), event())
            began = time.monotonic()
            listener.wait(4 * PATIENCE)
            assert time.monotonic() - began < PATIENCE
        assert_chained(rows_of(restored))
        with pytest.raises((psycopg.Error, sqlite3.Error), match="immutable"):
            restored.on_events("UPDATE events SET topic = ?", "x")


def test_a_backup_is_its_owners_alone(place: Place) -> None:
    place.back_up()
    made = [path for path in place.folder.glob("*-*Z.*") if path.is_file()]
    assert [path.stat().st_mode & 0o077 for path in made] == [0] * (1 if isinstance(place, SQLitePlace) else 2)


def test_a_run_that_fails_leaves_the_backups_that_there_are(place: Place) -> None:
    names = [place.kept.replace("*", f"20200101T00{number:02}00Z") for number in range(40)]
    for name in names:
        (place.folder / name).write_text("good")
    kept = place.backups()
    if isinstance(place, SQLitePlace):
        block = place.back_ups[0]._replace(text=place.back_ups[0].text.replace("app.db", "missing.db"))
        failed = place.attempt(block)
    else:
        failed = place.attempt(place.back_ups[0], DB=database_url(place.live.url, "missing"))
    assert failed.returncode != 0
    assert place.backups() == kept

    place.back_up()

    assert len(place.backups()) == 30
    assert [path.name for path in place.backups()[:-1]] == names[-29:]


def test_the_dump_leaves_out_what_is_made_from_events_and_nothing_else(postgresql_place: PostgreSQLPlace) -> None:
    """A table that is new has its place, on the page's list or in the dump."""
    place = postgresql_place
    text = place.back_ups[0].text.partition("pg_dump")[0]
    listed = place.run(place.back_ups[0]._replace(text=f'{text}echo "$made_from_events"'))
    pattern = listed.strip().replace("*", ".*")
    tables = {name for (name,) in place.live.on_events("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    left_out = {name for name in tables if re.fullmatch(pattern, name)}
    assert left_out == {"checkpoints", *(table.name for table in READ_MODEL.tables)}
    assert tables - left_out >= {
        "events",
        "personal_keys",
        "store",
        "reservations",
        "schema_migrations",
        "migration_rollbacks",
    }


def test_vacuum_into_copies_a_sqlite_file_too(sqlite_place: SQLitePlace) -> None:
    place = sqlite_place
    execute(place.live, history())
    project(place.live)
    place.live.on_events("VACUUM INTO ?", str(place.folder / "events-20260301T120000Z.db"))
    with closing(place.restore()) as restored:
        assert restored.on_events("PRAGMA journal_mode") == [("delete",)]
        assert restored.on_events("PRAGMA journal_mode = WAL") == [("wal",)]
        assert rows_of(restored) == rows_of(place.live)
        assert tables_of(restored) == tables_of(place.live)


class TestReadTablesNewerThanTheRestoredEvents:
    """They are refused, wherever they are used, with what to do; nothing is written."""

    AT_BACKUP = 20

    @pytest.fixture
    def mixed(self, place: Place) -> Backend:
        execute(place.live, history()[: self.AT_BACKUP])
        place.back_up()
        execute(place.live, history())
        assert project(place.live) == EVENTS
        place.restore_below_the_read_tables()
        assert len(rows_of(place.live)) == self.AT_BACKUP
        return place.live

    def assert_refused(self, backend: Backend) -> None:
        before = tables_of(backend)
        why = f"longer or another history .*{EVENTS}.*: run `tiu projector rebuild`"
        for verb in (("projector", "status"), ("projector", "run", "--once"), ("projector", "run")):
            assert re.search(why, refused(*verb, "--db", backend.url))
        with connect(backend.url, project=False) as tiu:
            for use in (tiu.lag, tiu.projector.step, lambda: tiu.wait_for(1)):
                with pytest.raises(CheckpointRefused, match=why):
                    use()
        with connect(backend.url) as tiu, pytest.raises(CheckpointRefused, match=why):
            tiu.wait_for(EVENTS + 1)
        assert tables_of(backend) == before

    def rebuild(self, backend: Backend) -> None:
        done("projector", "rebuild", "--db", backend.url)
        assert done("projector", "status", "--db", backend.url, "--json").json["behind"] == 0

    def test_are_refused(self, mixed: Backend) -> None:
        self.assert_refused(mixed)
        self.rebuild(mixed)
        execute(mixed, history())
        project(mixed)
        assert len(rows_of(mixed)) == EVENTS

    @pytest.mark.parametrize("beyond", [0, 5])
    def test_are_refused_when_the_log_has_grown_to_their_position_again(self, mixed: Backend, beyond: int) -> None:
        """By other events, and so with other hashes."""
        others = [create_user(f"other{number}") for number in range(EVENTS - self.AT_BACKUP + beyond)]
        execute(mixed, others)
        assert len(rows_of(mixed)) == EVENTS + beyond
        self.assert_refused(mixed)
        self.rebuild(mixed)
        assert len(tables_of(mixed)["users"]) == 1 + len(others)

    def test_are_refused_when_the_very_same_commands_have_come_again(self, mixed: Backend) -> None:
        """The rows would be the same; that cannot be seen."""
        live = tables_of(mixed)
        execute(mixed, history())
        self.assert_refused(mixed)
        self.rebuild(mixed)
        assert tables_of(mixed) == live


def test_every_block_of_the_page_is_run() -> None:
    headings = ("Back up PostgreSQL", "Restore PostgreSQL", "Back up SQLite", "Restore SQLite", "Keys")
    assert [block for heading in headings for block in section_of(PAGE, heading)] == blocks_of(PAGE)
