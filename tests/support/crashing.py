"""A PostgreSQL server that can be killed and started again, with what it has on disk."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.support.patience import AGAIN_SECONDS, PATIENCE
from tests.support.postgres_server import temporary_server


class CrashingServer:
    """A server of `temporary_server`; nothing is on its disk that it was not made to write there."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url) as connection:
            ((folder,),) = connection.execute("SHOW data_directory").fetchall()
        self._folder = Path(folder)
        program, *options = shlex.split((self._folder / "postmaster.opts").read_text())
        self._pg_ctl = Path(program).with_name("pg_ctl")
        self._options = shlex.join(options[options.index("-c") :])

    def crash(self) -> None:
        """Kill the server and its sessions: what only they knew is gone."""
        self._call("-m", "immediate", "stop")

    def start(self) -> None:
        self._call("-l", str(self._folder.parent / "server.log"), "-o", self._options, "start")

    def require(self) -> None:
        """See to it that the server is there: one that met a disk it could not write to may have ended itself, or be
        about to, or be on its way back."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=10).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise
                if "No such file" in str(error) or "refused" in str(error):
                    with suppress(subprocess.CalledProcessError):  # the one before is still ending
                        self.start()
            time.sleep(AGAIN_SECONDS)

    def pids(self) -> list[int]:
        """Return the processes of the server."""
        first = int((self._folder / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def _call(self, *arguments: str) -> None:
        owner = self._folder.stat().st_uid
        subprocess.run(
            [self._pg_ctl, "-D", self._folder, "-w", *arguments],
            check=True,
            cwd=self._folder.parent,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner if os.geteuid() == 0 else None,
        )


@contextmanager
def crashing_server(bindir: Path, *options: str, folder: Path | None = None) -> Iterator[CrashingServer]:
    """Start a server that writes nothing to its disk by itself before long: only what a commit waits for.

    `options` and `folder` are those of `temporary_server`.
    """
    lasting = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
    lazy = ("wal_writer_delay=10s", "checkpoint_timeout=1h")
    with temporary_server(bindir, *lasting, *lazy, *options, folder=folder) as url:
        yield CrashingServer(url)
