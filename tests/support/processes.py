"""Processes that are killed: clients and projectors, forked off a server that has imported all they need."""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from claude_tiu.infrastructure.cli import main
from tests.support.ledger import Ledger
from tests.support.load import serve
from tests.support.patience import PATIENCE


@cache
def context() -> ForkServerContext:
    """Return what makes processes, and pipes to them."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["claude_tiu", "claude_tiu.infrastructure.cli"])
    return made


class Killable:
    """A process of ours. A context manager: it is gone afterwards."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tiu-")
        self._dump = Path(self._folder.name) / "stacks"
        self.process: BaseProcess = context().Process(target=_run, args=(str(self._dump), work, arguments), daemon=True)
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def stacks(self) -> str:
        """Return what its threads are doing: for the message of a test that waits in vain."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(0.5)
        return f"{type(self).__name__} {self.pid}\n{self._dump.read_text()}"

    def send(self, number: signal.Signals) -> float:
        """Send a signal, and return when that was."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return time.monotonic()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal (by default SIGKILL), and wait for the process to end."""
        self.send(number)
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "it does not end"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join(PATIENCE)
        self._folder.cleanup()


def _run(dump: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Do the work of a process that tells its threads' stacks when it is asked (SIGUSR1)."""
    with open(dump, "w", encoding="utf-8") as file:  # noqa: PTH123 - a text file
        faulthandler.register(signal.SIGUSR1, file)
        work(*arguments)


class Client(Killable):
    """A service that executes commands (tests.support.load); what it tells comes into a ledger."""

    def __init__(
        self, url: str, ledger: Ledger, seed: int, *, threads: int = 2, project: bool = False, pace: float = 0.0
    ) -> None:
        self.name = f"client {seed}"
        self._ledger = ledger
        self.projects = project
        self.leaks: list[str] = []
        self.open: set[Any] = set()
        """The units that were sent, and not answered."""
        self.ready = threading.Event()
        self.sent, self.answered, self.failed = threading.Event(), threading.Event(), threading.Event()
        ours, theirs = context().Pipe()
        self._channel = ours
        super().__init__(serve, url, theirs, seed, threads, project, pace)
        theirs.close()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._take(*self._channel.recv())

    def _take(self, what: str, *rest: Any) -> None:
        match what:
            case "ready":
                self.ready.set()
            case "leaked":
                self.leaks.append(rest[0])
            case "sent":
                self._ledger.sent(*rest)
                self.open.add(rest[0])
                self.sent.set()
            case "failed":
                if rest[0] is not None:
                    self._ledger.failed(*rest)
                self.failed.set()
            case "answered" | "refused":
                try:
                    (self._ledger.answered if what == "answered" else self._ledger.refused)(*rest)
                except AssertionError as error:
                    self.leaks.append(str(error))
                self.open.discard(rest[0])
                self.answered.set()

    def go(self, going: bool) -> None:
        """Pause it (what it has sent comes to its end), or let it go on."""
        with suppress(OSError):
            self._channel.send(going)

    def wait_for(self, event: threading.Event) -> None:
        """Wait for something new: `ready`, `sent`, `answered` or `failed`."""
        deadline = time.monotonic() + PATIENCE
        while not event.wait(0.1):
            assert not self.leaks, self.leaks
            assert self.process.is_alive(), f"{self.name} ended with {self.process.exitcode}"
            assert time.monotonic() < deadline, f"{self.name} does nothing any more"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        super().kill(number)
        self._listening.join(PATIENCE)  # what it had told is read to its end

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._listening.join(PATIENCE)
        self._channel.close()


def run_projector(url: str, output: Connection, errors: Connection, lease: float, prepare: Callable[[], None]) -> None:
    """Be `tiu projector run`."""
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    os.environ["PROJECTOR_LEASE_SECONDS"] = str(lease)
    prepare()
    main(["projector", "run", "--json", "--db", url])


def nothing() -> None:
    """Prepare nothing."""


class Lines:
    """What a process writes to a stream, line by line."""

    def __init__(self) -> None:
        self._pipe, self.theirs = context().Pipe(duplex=False)

    def next(self) -> str:
        """Return the next line, which must come before long; what there is of it, where the process has ended."""
        line = b""
        while not line.endswith(b"\n"):
            assert self._pipe.poll(PATIENCE), f"it says nothing behind {line!r}"
            if not (read := os.read(self._pipe.fileno(), 1)):
                break
            line += read
        return line.decode()

    def rest(self) -> str:
        """Return what a process has written that has ended."""
        return os.read(self._pipe.fileno(), 1 << 16).decode()

    def close(self) -> None:
        self._pipe.close()


class ProjectorProcess(Killable):
    """`tiu projector run` in a process of its own, prepared by `prepare` in it; a lease is of so many seconds."""

    def __init__(self, url: str, *, lease: float = 10.0, prepare: Callable[[], None] = nothing) -> None:
        self._output, self._errors = Lines(), Lines()
        super().__init__(run_projector, url, self._output.theirs, self._errors.theirs, lease, prepare)
        self._output.theirs.close()
        self._errors.theirs.close()

    def told(self) -> Any:
        """Return what it prints next: that it is active, or that it stands by."""
        line = self._output.next()
        assert line, f"a projector ended: {self._errors.rest()}"
        return json.loads(line)

    def complaint(self) -> str:
        """Return the next line that it writes to standard error."""
        return self._errors.next()

    def require_runs(self) -> None:
        assert self.process.is_alive(), f"a projector ended: {self._errors.rest()}"

    def wait_until_stopped(self) -> float:
        """Wait until it stands still, and return when that was."""
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            assert time.monotonic() < deadline, "it does not stand still"
            time.sleep(0.002)
        return time.monotonic()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._output.close()
        self._errors.close()
