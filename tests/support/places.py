"""A live database and a folder, in which the commands of docs/how-to/back-up.md are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import WRITE_SIDE, EventRow
from tests.docs.blocks import DOCS, Block, environment, section_of
from tests.support.postgres_server import database_url, find_clients, new_database
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

PAGE = DOCS / "how-to" / "back-up.md"


class Place(ABC):
    """A live database, and the folder in which the page's commands are run on it."""

    kept: str
    """What the backups are called."""
    printed: str
    """By the commands of the last restore."""
    complaint = ""
    """What the commands say on standard error, as a pattern."""

    def __init__(self, live: Backend, folder: Path, name: str, **more: str) -> None:
        self.live = live
        self.folder = folder
        self.environment = environment() | more
        self.back_ups = section_of(PAGE, f"Back up {name}")
        self.restores = section_of(PAGE, f"Restore {name}")
        self.dump_keys, self.make_master_key, self.keep_list, self.forget_again = section_of(PAGE, "Keys")

    def attempt(self, block: Block, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a block in a process of its own."""
        start = {"sh": ["sh", "-c"], "python": [sys.executable, "-W", "error", "-c"]}[block.language]
        return subprocess.run(
            [*start, block.text],
            check=False,
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run(self, block: Block, **more: str) -> str:
        """Run a block, which must succeed and complain of nothing else; return what it printed."""
        ended = self.attempt(block, **more)
        assert ended.returncode == 0, f"{PAGE.name}, line {block.line}: {ended.stderr}"
        assert re.fullmatch(self.complaint, ended.stderr), f"{PAGE.name}, line {block.line}"
        return ended.stdout

    def back_up(self) -> None:
        self.run(self.back_ups[0])

    def backups(self) -> list[Path]:
        """The backups that there are, the newest last."""
        return sorted(self.folder.glob(self.kept))

    @abstractmethod
    def restore(self) -> Backend:
        """Restore the last backup, into a new database."""

    @abstractmethod
    def restore_below_the_read_tables(self) -> None:
        """Put the events of the last backup in the place of the live ones, and leave the read tables: a mistake."""


class SQLitePlace(Place):
    kept = "events-*.db"

    def restore(self) -> Backend:
        (block,) = self.restores
        self.printed = self.run(block)
        return SQLiteBackend(self.folder / "restored.db")

    def restore_below_the_read_tables(self) -> None:
        self.live.close()
        for name in ("app.db", "app.db-wal", "app.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.copyfile(self.backups()[-1], self.folder / "app.db")


class PostgreSQLPlace(Place):
    kept = "events-*.dump"

    def back_up(self) -> None:
        super().back_up()
        self.run(self.dump_keys)

    def __init__(self, live: Backend, folder: Path, server: str, databases: ExitStack) -> None:
        self.clients = find_clients(server)
        path = os.pathsep.join([str(self.clients), environment()["PATH"]])
        super().__init__(live, folder, "PostgreSQL", DB=live.url, PATH=path)
        self._server = server
        self._databases = databases

    def restore(self, dumps: str = "events-*", *, keys: bool = True) -> Backend:
        url = database_url(self._server, self._databases.enter_context(new_database(self._server, "restored")))
        (block,) = self.restores
        text = block.text.replace("events-*", dumps)
        if not keys:
            text = re.sub(r"^pg_restore .*keys-\*.*\n", "", text, flags=re.MULTILINE)
            assert text.count("pg_restore") == 1
        self.printed = self.run(block._replace(text=text), NEW=url)
        return PostgreSQLBackend(url)

    def restore_below_the_read_tables(self) -> None:
        self.live.on_events("ALTER TABLE events DISABLE TRIGGER USER")
        events = ("events", "reservations", *WRITE_SIDE)  # the keys stay: they are of later than the events
        self.live.on_events(f"TRUNCATE {', '.join(events)}")
        tables = ("--data-only", *(f"--table={name}" for name in events))
        dump = self.backups()[-1]
        subprocess.run([self.clients / "pg_restore", *tables, f"--dbname={self.live.url}", dump], check=True)
        self.live.on_events("ALTER TABLE events ENABLE TRIGGER USER")


def rows_of(backend: Backend) -> list[EventRow]:
    with closing(backend.events()) as events:
        return list(events.read_rows(0, 1_000_000))


def assert_chained(rows: Sequence[EventRow]) -> None:
    """Every position is there once, and every hash is that of its row and of the one before."""
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    previous = NO_EVENT
    for row in rows:
        assert row.previous_hash == previous
        assert row.hash == event_hash(previous, *row[:-2])
        previous = row.hash
