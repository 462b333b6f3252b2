"""Candidate projectors as processes of their own, of which one is active: `tiu projector run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Self
from uuid import UUID, uuid4

from claude_tiu import AddTask, Answer, ClaimProgress, CreateProject, StartTask, Tiu, connect
from claude_tiu.domain.messages import Command
from tests.support.history import create_user

PATIENCE = 60.0
MAIN = "import sys; from claude_tiu.infrastructure.cli import main; main(sys.argv[1:])"

STOPS_ITSELF = """
import os, signal, sys, time
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.errors import CheckpointMoved
from claude_tiu.infrastructure.projected import Projected
write, position, stopped = Projected.write, int(sys.argv.pop(1)), []
def late(self, before, steps, after):
    if after.position < position or stopped:
        return write(self, before, steps, after)
    stopped.append(position)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1)  # it takes effect on all threads, a moment later
    try:
        write(self, before, steps, after)
    except CheckpointMoved:
        print("refused", file=sys.stderr)
        raise
    print("written", file=sys.stderr)
Projected.write = late
main(sys.argv[1:])
"""
"""Stands still when it is about to write what has an event at a position, and goes on to write it when it is woken."""


class Candidate:
    """A process; a context manager: it is gone afterwards."""

    def __init__(self, url: str, *, lease: float = 10.0, program: str = MAIN, arguments: Sequence[object] = ()) -> None:
        command = [sys.executable, "-c", program, *map(str, arguments), "projector", "run", "--json", "--db", url]
        environment = os.environ | {"PROJECTOR_LEASE_SECONDS": str(lease)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, encoding="utf-8")
        self.pid = self.process.pid

    def told(self) -> dict[str, Any]:
        """Return what it prints next: that it is active, or that it stands by."""
        assert self.process.stdout
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def complaint(self) -> str:
        """Return what it writes next to standard error."""
        assert self.process.stderr
        return self.process.stderr.readline()

    def send(self, number: signal.Signals) -> float:
        """Send a signal, and return when that was."""
        self.process.send_signal(number)
        return time.monotonic()

    def kill(self) -> float:
        """Kill it, and return when it was dead."""
        self.process.kill()
        self.process.wait(PATIENCE)
        return time.monotonic()

    def wait_until_stopped(self) -> float:
        """Wait until it stands still, and return when that was."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something to be so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def holder(tiu: Tiu) -> int | None:
    """Return the process that is active."""
    found = tiu.holder()
    return found.pid if found and found.active else None


def work(project: UUID, number: int) -> list[Command]:
    """A task that is started, and claims progress."""
    task = uuid4()
    claims = [ClaimProgress(task_id=task, claimed=claimed) for claimed in (10, 30 + number % 50)]
    return [AddTask(task_id=task, project_id=project, name=f"Task {number}"), StartTask(task_id=task), *claims]


class Load:
    """A writer in a thread of its own, until it is told to stop; `last` is what was acknowledged last."""

    def __init__(self, tiu: Tiu) -> None:
        self._tiu = tiu
        self._stop = Event()
        self.last: Answer = tiu.execute(create_user())
        self._project = tiu.execute(CreateProject(user_id=self.last.id, name="Load")).id
        self._thread = Thread(target=self._write)

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            number += 1
            self.last = self._tiu.execute_all(work(self._project, number))[-1]

    def stop(self) -> int:
        """Return the position of the last event."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self.last.position

    def one(self) -> Answer:
        """Execute one command; for while nothing else is."""
        return self._tiu.execute(AddTask(project_id=self._project, name="One"))

    def start(self) -> None:
        self._thread.start()


@contextmanager
def observer(url: str) -> Iterator[tuple[Tiu, Load]]:
    """Give a connection that does not project, and a writer that is not started."""
    with connect(url, project=False) as tiu:
        load = Load(tiu)
        try:
            yield tiu, load
        finally:
            load.stop()
