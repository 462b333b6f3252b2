"""A database under load from processes of its own, and what must hold whatever happens to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random
from uuid import UUID

import pytest
from _pytest.mark.structures import ParameterSet

from claude_tiu import Tiu, WaitTimeout, connect
from tests.support.faults import LONG
from tests.support.ledger import NONE, Faults, Ledger
from tests.support.load import begun
from tests.support.patience import PATIENCE, patiently
from tests.support.processes import Client, ProjectorProcess

PACE = 0.002
"""Seconds: how long each thread of a client rests between units, so that logs that are replayed are not long."""


def forms(short: int, long: int = 10, rounds: int = 20) -> list[ParameterSet]:
    """Return how often a fault is made, and a seed: of the default form, and of each round of the long one."""
    return [pytest.param(short, 1), *(pytest.param(long, 2 + number, marks=LONG) for number in range(rounds))]


class Arena:
    """Clients and projectors on a database. A context manager: all of them are gone afterwards."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.dice = url, Random(seed)
        self.ledger = Ledger()
        self.clients: list[Client] = []
        self.projectors: list[ProjectorProcess] = []
        self._processes = ExitStack()
        self._started = 0
        self._seed = seed
        with connect(url, project=False) as tiu:
            for commands in begun():
                tiu.execute_all(commands)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def add_client(
        self, *, threads: int = 2, project: bool = False, url: str | None = None, pace: float = PACE
    ) -> Client:
        """Start a client; it finds the database at another `url`, if one is given, and rests for `pace` seconds between
        two units of a thread."""
        self._started += 1
        seed = self._seed * 1_000 + self._started
        client = self._processes.enter_context(
            Client(url or self.url, self.ledger, seed, threads=threads, project=project, pace=pace)
        )
        self.clients.append(client)
        return client

    def add_projector(self) -> ProjectorProcess:
        """Start a projector, and wait until it is at work."""
        with self.paused():  # until it has caught up, it does not say so
            projector = self._processes.enter_context(ProjectorProcess(self.url))
            projector.told()
        self.projectors.append(projector)
        return projector

    def wait_until_all_work(self) -> None:
        """Wait until each client has had another answer."""
        for client in self.clients:
            client.answered.clear()
        for client in self.clients:
            client.wait_for(client.answered)

    def wait_until_all_have_failed(self) -> None:
        """Wait until each client has had another error."""
        for client in self.clients:
            client.failed.clear()
        for client in self.clients:
            client.wait_for(client.failed)

    def pids(self) -> list[int]:
        return [process.pid for process in (*self.clients, *self.projectors)]

    def wait_until_recovered(self, tiu: Tiu) -> None:
        """Wait until each client has had another answer, and the read tables have all that was acknowledged by then."""
        self.wait_until_all_work()
        self.wait_for_tables(tiu)

    def recover(self, since: float, *, check: bool = True, anew: bool = False) -> tuple[float, Faults]:
        """Wait until all goes on by itself after a fault that ended at `since`; return how many seconds that took, and,
        if it is to be checked, what is not as it was acknowledged: retries get the answers that were given before."""
        with patiently(lambda: connect(self.url, project=False)) as tiu:
            self.wait_until_recovered(tiu)
            seconds = time.monotonic() - since
            if not check:
                return seconds, NONE
            with self.paused():
                self.retry_answered(tiu, 5)
                return seconds, self.check(tiu, anew=anew)

    def kill_a_client(self, among: Sequence[Client] = ()) -> tuple[Client, float]:
        """Kill a client (of some, or all) at a random moment amid its work; return it, and when that was."""
        victim = self.dice.choice(among or self.clients)
        victim.wait_for(victim.answered)  # it is connected, and at work
        self._wait_until_amid_work(victim)
        self.clients.remove(victim)
        killed = time.monotonic()
        victim.kill()
        return victim, killed

    def _wait_until_amid_work(self, client: Client) -> None:
        """Wait for a moment after it has sent something that is not answered by then, as far as is known."""
        deadline = time.monotonic() + PATIENCE
        while True:
            client.sent.clear()
            client.wait_for(client.sent)
            time.sleep(self.dice.expovariate(300))
            if client.open:
                return
            assert time.monotonic() < deadline, f"{client.name} is always answered at once"

    def kill_a_projector(self, tiu: Tiu, among: Sequence[ProjectorProcess] = ()) -> float:
        """Kill a projector (of some, or all) at any moment, the active one if it is of them; return when that was."""
        time.sleep(self.dice.uniform(0, 0.1))
        holder, victims = patiently(tiu.holder), among or self.projectors
        active = [projector for projector in victims if holder and projector.pid == holder.pid]
        victim = self.dice.choice(active or victims)
        self.projectors.remove(victim)
        killed = time.monotonic()
        victim.kill()
        return killed

    def retry(self, tiu: Tiu, unit_ids: Sequence[UUID]) -> None:
        """Send units again, as a client would that does not know what became of them."""
        units = self.ledger.units()
        for unit_id in unit_ids:
            self.ledger.answered(unit_id, patiently(partial(tiu.execute_all, units[unit_id].commands)))

    def retry_answered(self, tiu: Tiu, count: int) -> None:
        """Send some units again that were answered: they get their first answers."""
        units = self.ledger.units()
        answered = [unit_id for unit_id, unit in units.items() if unit.answers]
        self.retry(tiu, self.dice.sample(answered, min(count, len(answered))))

    def wait_for_tables(self, tiu: Tiu) -> None:
        """Wait until the read tables have all that was acknowledged by now."""
        position = self.ledger.acknowledged()
        try:
            patiently(lambda: tiu.wait_for(position, PATIENCE))
        except WaitTimeout as timeout:
            for projector in self.projectors:
                projector.require_runs()
            said = [process.stacks() for process in (*self.projectors, *self.clients)]
            raise AssertionError("\n".join([str(timeout), *said])) from None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let clients come to the end of what they have sent, and send no more meanwhile."""
        for client in self.clients:
            client.go(False)
        deadline = time.monotonic() + PATIENCE
        while any(client.open for client in self.clients if client.process.is_alive()):
            assert time.monotonic() < deadline, "a client is not answered"
            time.sleep(0.002)
        try:
            yield
        finally:
            for client in self.clients:
                client.answered.clear()
                client.go(True)

    def require_nobody_leaked(self) -> None:
        """No client has had another answer than was told before, or an error that is not one of ours."""
        assert [leak for client in self.clients for leak in client.leaks] == []

    def check(self, tiu: Tiu, *, anew: bool = False) -> Faults:
        """Return what is not as it was acknowledged; the read tables must be what the log makes, and nothing parked."""
        self.require_nobody_leaked()
        for projector in self.projectors:
            projector.require_runs()
        self.wait_for_tables(tiu)
        faults = self.ledger.check(tiu.events, anew=anew)
        report = tiu.verify()
        assert report.equal, report
        assert tiu.parked() == []
        return faults
