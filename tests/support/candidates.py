"""Candidate projectors, of which one is active, and what they project: a writer whose commands are kept count of."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from uuid import UUID, uuid4

from claude_tiu import AddTask, Answer, ClaimProgress, CreateProject, StartTask, Tiu, connect
from claude_tiu.domain.messages import Command
from claude_tiu.infrastructure.comparison import EVERY_ROW
from claude_tiu.infrastructure.errors import CheckpointMoved
from claude_tiu.infrastructure.projected import Projected
from claude_tiu.infrastructure.read_store import Checkpoint
from claude_tiu.projections.fold import Step
from tests.support.history import create_user
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE


def stops_itself(position: int) -> None:
    """Let this process stand still when it is about to write what has the event at a position, and go on to write it
    when it is woken."""
    write = Projected.write
    stopped: list[int] = []

    def late(self: Projected, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        if after.position < position or stopped:
            write(self, before, steps, after)
            return
        stopped.append(position)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(1)  # it takes effect on all threads, a moment later
        try:
            write(self, before, steps, after)
        except CheckpointMoved:
            sys.stderr.write("refused\n")
            raise
        sys.stderr.write("written\n")

    Projected.write = late  # type: ignore[method-assign]


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
        self._ledger = Ledger()
        self.last = self._execute(create_user())
        self._project = self._execute(CreateProject(user_id=self.last.id, name="Load")).id
        self._thread = Thread(target=self._write)

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            number += 1
            self.last = self._execute(*work(self._project, number))

    def _execute(self, *commands: Command) -> Answer:
        unit_id = uuid4()
        named = [command.model_copy(update={"command_id": uuid4()}) for command in commands]
        self._ledger.sent(unit_id, named)
        answers = self._tiu.execute_all(named)
        self._ledger.answered(unit_id, answers)
        return answers[-1]

    def counts(self) -> dict[str, int]:
        """Return how much of what was acknowledged is lost or doubled: of commands in the log, and of rows in the
        tables, which have come to its end."""
        found = self._ledger.check(self._tiu.events).counts()
        report = self._tiu.verify(limit=EVERY_ROW)
        assert report.position == self.last.position, "there is more to come, or more than was acknowledged"
        for table in report.differences:
            besides = sum(row.column is None and row.replayed == "missing" for row in table.first)
            found["doubled"] += besides
            found["lost"] += table.rows - besides
        return found

    def stop(self) -> int:
        """Return the position of the last event."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self.last.position

    def one(self) -> Answer:
        """Execute one command; for while nothing else is."""
        self.last = self._execute(AddTask(project_id=self._project, name="One"))
        return self.last

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
