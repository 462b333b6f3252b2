"""A database in which programs of concurrent clients run one after the other, read along and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import NamedTuple

from claude_tiu import ExpireClaims, Tiu, connect
from claude_tiu.infrastructure.write_side import rebuild_write_side
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.ledger import Ledger
from tests.support.concurrent.clients import WAYS, Clients, Seen, Tail, Worker, call, read_log
from tests.support.concurrent.linearisable import Call, Entry, Verdict, check, told
from tests.support.concurrent.programs import Program, renamed
from tests.support.faults import record
from tests.support.history import START
from tests.support.stores import Backend

ALONE = -1
"""The client that gives what stands before a program, and clears up behind it."""


class Run(NamedTuple):
    """What a program came to."""

    start: int
    """The position behind which it stored."""
    before: list[Call]
    calls: list[Call]
    """Those of its clients."""
    behind: Call
    log: list[Entry]
    verdict: Verdict

    @property
    def text(self) -> str:
        """The faults, and the whole history."""
        return "\n".join([*self.verdict.faults, told([*self.before, *self.calls, self.behind], self.log)])


class Arena:
    """Programs run in it each with ids of their own; what they have stored is kept count of."""

    def __init__(self, tiu: Tiu, clients: Clients) -> None:
        self._tiu, self._clients = tiu, clients
        self._position = tiu.events.max_notification_id() or 0
        self.runs: list[Run] = []
        self._stored: list[Call] = []
        """Every call that stored anything, in the order of the log."""

    def record(self, kind: str, store: str) -> None:
        """Note how many calls clients have made at once, and what came of what they were told."""
        calls = [call for run in self.runs for call in run.calls]
        stored = {entry.position for run in self.runs for entry in run.log}
        answers = {answer for call in calls if isinstance(call.outcome, list) for answer in call.outcome}
        lost = sum(answer.position not in stored for answer in answers)
        explained = sum(run.verdict.after.position - run.start for run in self.runs)
        record(kind, store, tried=len(calls), lost=lost, doubled=max(0, len(stored) - explained))

    def run(self, program: Program, delays: Sequence[int] = ()) -> Run:
        """Run a program, its clients so many nanoseconds late, and judge what they were told and what they stored.

        The history goes on where the last ended; claims that are left are expired behind it, since they are due in any
        project.
        """
        mine = renamed(program, f"p{len(self.runs)}")
        before = [call(self._tiu, ALONE, unit) for unit in mine.before]
        calls = self._clients.run(mine.clients, delays)
        late = START + timedelta(days=100)
        behind = call(self._tiu, ALONE, [ExpireClaims(occurred_at=late, attempts_limit=1)])
        log = read_log(self._tiu.events, self._position)
        verdict = check([*before, *calls, behind], log, Ledger(self._position))
        run = Run(self._position, before, calls, behind, log, verdict)
        self._position += len(log)
        self._stored += verdict.stored
        self.runs.append(run)
        return run

    def assert_as_one_at_a_time(self, backend: Backend, twin: Backend) -> None:
        """What all clients have left is what comes of their stored calls, made one after the other in an empty
        database: every event, and every row of every read table. The write-side tables are as the events make them."""
        with closing(connect(twin.url, project=False)) as alone:
            for one in self._stored:
                alone.execute_all(one.unit)
            for tiu in (alone, self._tiu):
                tiu.projector.catch_up()
            assert [_said(entry) for entry in read_log(alone.events, 0)] == [_said(entry) for entry in self._log()]
        assert backend.rows(READ_MODEL) == twin.rows(READ_MODEL)
        live = self._tiu.events.write_side()
        rebuild_write_side(self._tiu.events)
        assert self._tiu.events.write_side() == live

    def _log(self) -> list[Entry]:
        return read_log(self._tiu.events, 0)

    def assert_seen_whole(self, seen: Sequence[Seen]) -> None:
        """A reader saw every event once, in the order of the log, and nothing else."""
        log = [(entry.stream_id, entry.version, entry.position) for entry in self._log()]
        assert list(seen) == log
        assert [position for _, _, position in seen] == list(range(1, len(log) + 1))


def _said(entry: Entry) -> tuple[object, ...]:
    """What an event is and where, without the id of its command, which may be of nobody's choice."""
    return entry.position, entry.stream_id, entry.version, entry.project_id, entry.event


@contextmanager
def arena(backend: Backend, twin: Backend, way: str, workers: Sequence[Worker]) -> Iterator[Arena]:
    """An arena on an empty database, with a reader in a thread and one in a process following all that is stored.

    Where what runs in it ends well, all that was stored is compared with what one client alone would have stored in
    `twin`, and with what the readers saw.
    """
    reader = workers[-1]
    with ExitStack() as opened:
        tiu = opened.enter_context(connect(backend.url, project=False))
        opened.callback(reader.ask, "close")
        clients = opened.enter_context(WAYS[way](backend.url, workers))
        made = Arena(tiu, clients)
        reader.ask("tail", backend.url)
        tail = Tail(backend.events(), notified=True)
        try:
            yield made
        finally:
            last = tiu.events.max_notification_id() or 0
            seen = [tail.end(last), reader.ask("end", last)]
        for one in seen:
            made.assert_seen_whole(one)
        made.assert_as_one_at_a_time(backend, twin)
