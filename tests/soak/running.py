"""A soak: mixed load for a long time, while processes are killed and connections cut, and what is held is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from claude_tiu import AddTask, CreateProject, Tiu, connect
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.postgresql.connections import MAX_POOL_SIZE
from tests.soak.measuring import Bound, Series, files, memory, memory_of_all
from tests.support.arena import Arena
from tests.support.crashing import CrashingServer
from tests.support.faults import record
from tests.support.history import USER, uid
from tests.support.ledger import NONE, Faults
from tests.support.patience import PATIENCE, patiently
from tests.support.postgres_server import database_url, find_bindir, new_database, temporary_server
from tests.support.processes import Killable, context
from tests.support.stores import PostgreSQLBackend, sqlite_at
from tests.support.tail import follow

CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
UNIT = 500
MEMORY, COUNT, EVENTS = Bound(0.10, 8.0), Bound(0.10, 2.0), Bound(1.0, 500.0)


@dataclass(frozen=True)
class Plan:
    """How long, and how much of what."""

    seconds: float
    clients: int = 3
    projectors: int = 2
    pace: float = 0.1
    """How long, in seconds, each of a client's threads rests between two units."""
    kill_every: float = 10.0
    """Between two kills half as many to one and a half as many seconds go by."""
    sample_every: float = 5.0
    warm_up: float = 0.0
    """For so many seconds it goes on, kills and all, before anything is measured."""
    tasks: int = 0
    """How many there are before it begins."""
    samples: int = 0
    """It goes on beyond its time, on a slow machine, until there are so many, and something was killed."""
    seed: int = 1


@dataclass
class Outcome:
    """What a soak came to."""

    store: str
    plan: Plan
    series: list[Series]
    faults: Faults = NONE
    killed: dict[str, int] = field(default_factory=dict)
    commands: int = 0
    events: int = 0
    """Of those that were there before it began, none."""
    errors: int = 0
    """How many times a client was told that the store cannot be reached."""
    seconds: list[float] = field(default_factory=list)
    """From each kill until the tables had all that was acknowledged by then."""


class Place:
    """A database, and what its server holds."""

    def __init__(self, url: str, server: CrashingServer | None, backend: PostgreSQLBackend | None) -> None:
        self.url, self.server, self.backend = url, server, backend


@contextmanager
def place(store: str, folder: Path) -> Iterator[Place]:
    """Give a new database, durable as one in production, its files in a folder."""
    if store == "sqlite":
        yield Place(sqlite_at(folder / "soak.db").url, None, None)
        return
    bindir = find_bindir()
    assert bindir is not None, "no PostgreSQL: install the test extra, or put pg_ctl on PATH"
    lasting = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_wal_size=256MB")
    with temporary_server(bindir, *lasting, folder=folder) as server, new_database(server, "soak") as name:
        url = database_url(server, name)
        migrate_up(url)
        yield Place(url, CrashingServer(server), PostgreSQLBackend(url))


class Tail(Killable):
    """A reader that follows the log."""

    def __init__(self, url: str) -> None:
        self._channel, theirs = context().Pipe(duplex=False)
        self.position = 0
        super().__init__(follow, url, theirs)
        theirs.close()

    def look(self) -> int:
        """Return up to where it has seen every event once."""
        while self._channel.poll():
            told = self._channel.recv()
            assert isinstance(told, int), told
            self.position = told
        return self.position


class Soak:
    """One run. The first client, the first projector and the reader live through it: theirs is what is measured."""

    def __init__(self, where: Place, arena: Arena, plan: Plan, tiu: Tiu, tail: Tail, outcome: Outcome) -> None:
        self._place, self._arena, self._plan, self._tiu, self._tail = where, arena, plan, tiu, tail
        self._outcome = outcome
        self._kills: dict[str, Callable[[], None]] = {
            "a client": self._kill_client,
            "a projector": self._kill_projector,
        }
        if where.backend:
            self._kills["connections"] = self._cut_connections

    def run(self) -> None:
        self._fill_pools()
        started = kill = time.monotonic()
        sample = started + self._plan.warm_up
        kill += self._plan.kill_every
        end = started + self._plan.warm_up + self._plan.seconds
        while (now := time.monotonic()) < end or not self._is_enough():
            if now >= kill:
                self._kill()
                kill = time.monotonic() + self._plan.kill_every * self._arena.dice.uniform(0.5, 1.5)
            if now >= sample:
                self._sample()
                sample += self._plan.sample_every
            time.sleep(0.02)

    def _is_enough(self) -> bool:
        series = self._outcome.series
        return not self._plan.samples or bool(
            self._outcome.killed and series and len(series[0].samples) >= self._plan.samples
        )

    def _fill_pools(self) -> None:
        """Each time that connections are cut, those that come meanwhile may let a pool make one more, up to its bound:
        those of the processes that are measured come to it before."""
        if self._place.backend:
            for _ in range(MAX_POOL_SIZE):
                self._place.backend.terminate_connections()
                self._arena.wait_until_recovered(self._tiu)

    def _kill(self) -> None:
        what, do = self._arena.dice.choice([*self._kills.items()])
        killed = time.monotonic()
        do()
        self._arena.wait_for_tables(self._tiu)
        self._outcome.seconds.append(time.monotonic() - killed)
        self._outcome.killed[what] = self._outcome.killed.get(what, 0) + 1
        while len(self._arena.clients) < self._plan.clients:
            self._arena.add_client(pace=self._plan.pace)
        while len(self._arena.projectors) < self._plan.projectors:
            self._arena.add_projector()

    def _kill_client(self) -> None:
        victim, _ = self._arena.kill_a_client(self._arena.clients[1:])
        self._arena.retry(self._tiu, sorted(victim.open))

    def _kill_projector(self) -> None:
        self._arena.kill_a_projector(self._tiu, self._arena.projectors[1:])

    def _cut_connections(self) -> None:
        assert self._place.backend
        self._place.backend.terminate_connections(share=self._arena.dice.choice((0.3, 1.0)))

    def _sample(self) -> None:
        client, projector = self._arena.clients[0], self._arena.projectors[0]
        last = patiently(self._tiu.lag)
        values: dict[str, float] = {}
        for name, pid in (("client", client.pid), ("projector", projector.pid), ("reader", self._tail.pid)):
            values |= {f"memory of the {name}": memory(pid), f"files of the {name}": files([pid])}
        values |= {"lag of the tables": last.behind, "lag of the reader": last.last_position - self._tail.look()}
        if self._place.server and self._place.backend:
            pids = self._place.server.pids()
            ((connections,),) = self._place.backend.on_events(CONNECTIONS)
            values |= {
                "connections": connections,
                "memory of the server": memory_of_all(pids),
                "files of the server": files(pids),
            }
        if not self._outcome.series:
            self._outcome.series += [Series(name, *_unit_of(name)) for name in values]
        for series in self._outcome.series:
            series.add(values[series.name])


def _unit_of(name: str) -> tuple[str, Bound]:
    if name.startswith("memory"):
        return "MiB", MEMORY
    return ("events", EVENTS) if name.startswith("lag") else ("", COUNT)


def add_tasks(tiu: Tiu, count: int) -> None:
    """Make a project of so many tasks."""
    project = uid("project of many tasks")
    tiu.execute(CreateProject(project_id=project, user_id=USER, name="Many tasks"))
    for first in range(0, count, UNIT):
        unit = [AddTask(project_id=project, name=f"Task {number}") for number in range(first, min(first + UNIT, count))]
        tiu.execute_all(unit)


def soak(store: str, plan: Plan) -> Outcome:
    """Run a soak; what is lost or doubled is in its outcome, anything else that must not be is raised."""
    outcome = Outcome(store, plan, [])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tiu-soak-")))
        folder.chmod(0o755)  # a server that root starts belongs to another user
        where = stack.enter_context(place(store, folder))
        arena = stack.enter_context(Arena(where.url, plan.seed))
        tiu = stack.enter_context(connect(where.url, project=False))
        add_tasks(tiu, plan.tasks)
        before = tiu.lag().last_position
        arena.add_projector()  # the one that is measured: it is active, and remembers what is there
        for number in range(plan.clients):
            arena.add_client(project=number == 1, pace=plan.pace)
        for _ in range(plan.projectors - 1):
            arena.add_projector()
        tail = stack.enter_context(Tail(where.url))
        arena.wait_until_recovered(tiu)
        Soak(where, arena, plan, tiu, tail, outcome).run()
        with arena.paused():
            outcome.faults = arena.check(tiu, anew=True)
            last = tiu.lag().last_position
            outcome.events = last - before
            deadline = time.monotonic() + PATIENCE
            while tail.look() < last:
                assert time.monotonic() < deadline, f"the reader has seen {tail.position} events of {last}"
                time.sleep(0.05)
    units = arena.ledger.units().values()
    outcome.commands = sum(len(unit.commands) for unit in units if unit.answers)
    outcome.errors = sum(len(unit.errors) for unit in units)
    record("soak", store, tried=sum(outcome.killed.values()), **outcome.faults.counts(), seconds=outcome.seconds)
    return outcome
