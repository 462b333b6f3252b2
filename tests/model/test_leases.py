"""Candidates for a lease in any order: who takes it, gives it up, stands still, wakes; and who may write then."""

from __future__ import annotations

from contextlib import ExitStack, closing
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from claude_tiu.infrastructure.errors import CheckpointMoved, LeaseLost
from claude_tiu.infrastructure.leases import Lease
from claude_tiu.infrastructure.read_side import leases_of
from claude_tiu.infrastructure.read_store import Checkpoint
from claude_tiu.infrastructure.settings import Settings
from tests.support.stores import Backend, SQLiteBackend, new_backend

CANDIDATES = 3
numbers = st.integers(0, CANDIDATES - 1)
names = count()


def run_out(backend: Backend, name: str) -> None:
    """Let the time of a tenure pass."""
    if isinstance(backend, SQLiteBackend):
        path = backend.path
        path.with_name(f"{path.stem}.{name}{path.suffix}-lock").write_text(f"{0:020.6f}\n", encoding="utf-8")
    else:
        backend.on_events("UPDATE leases SET expires_at = 'epoch' WHERE name = ?", name)


def machine(backend: Backend) -> type[RuleBasedStateMachine]:
    events, reads = backend.events(), backend.reads()
    leases = leases_of(events, reads, Settings.model_construct(projector_lease_seconds=600.0))
    listeners = [events.listen() for _ in range(CANDIDATES)]

    class Machine(RuleBasedStateMachine):
        """`holder` and `fence` are the model: whose tenure it is, and its number."""

        def __init__(self) -> None:
            super().__init__()
            self.name = f"machine-{next(names)}"
            self.leases: list[Lease] = [leases.candidate(self.name, listener) for listener in listeners]
            self.still: set[int] = set()
            self.holder: int | None = None
            self.fence = 0
            self.ran_out = False
            self.last: Checkpoint | None = None

        @rule(number=numbers)
        def acquire(self, number: int) -> None:
            if number in self.still or self.leases[number].fence is not None:
                return
            free = self.holder is None or self.ran_out
            assert self.leases[number].acquire() == free
            if free:
                self.holder, self.ran_out = number, False
                self.fence += 1
            assert self.leases[number].fence == (self.fence if free else None)

        @precondition(lambda self: self.holder is not None)
        @rule()
        def stand_still(self) -> None:
            """The process of the holder is stopped, for as long as its tenure lasts."""
            assert self.holder is not None
            self.leases[self.holder]._ended.set()
            self.still.add(self.holder)
            run_out(backend, self.name)
            self.ran_out = True

        @rule(number=numbers)
        def wake(self, number: int) -> None:
            """It writes what it was about to write, and finds out whose tenure it is."""
            if number not in self.still:
                return
            self.still.remove(number)
            self.write(number)
            lease = self.leases[number]
            assert lease.fence
            still_its = lease._renew(lease._candidate, lease.fence)
            assert still_its == (self.holder == number)
            if still_its:
                self.ran_out = False
                lease.keep()
            else:
                lease._lost = True
                with pytest.raises(LeaseLost):
                    lease.keep()
                lease.give_up()

        @rule(number=numbers)
        def give_up(self, number: int) -> None:
            if number in self.still:
                return
            self.leases[number].give_up()
            if self.holder == number:
                self.holder, self.ran_out = None, False

        @rule(number=numbers)
        def write(self, number: int) -> None:
            """A batch that was read under the tenure that a candidate believes in."""
            fence = self.leases[number].fence
            if fence is None:
                return
            before = self.last._replace(fence=fence) if self.last else None
            position = before.position + 1 if before else 1
            after = Checkpoint(1, events.epoch, position, bytes(32), 1, fence)
            try:
                reads.apply(self.name, before, [], after)
                written = True
            except CheckpointMoved:
                written = False
            assert written == (fence == self.fence)
            if written:
                self.last = after

        @rule()
        def look(self) -> None:
            found = leases.holder(self.name)
            assert (found.fence if found else 0) == self.fence
            assert bool(found and found.active) == (self.holder is not None and not self.ran_out)

        def teardown(self) -> None:
            for lease in self.leases:
                lease.give_up()

    return Machine


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_lease_is_of_one_at_a_time_and_fences_the_others_out(name: str, request: pytest.FixtureRequest) -> None:
    place = request.getfixturevalue("tmp_path") / "tiu.db" if name == "sqlite" else request.getfixturevalue("pg_url")
    with ExitStack() as made:
        backend = made.enter_context(new_backend(name, place))
        made.enter_context(closing(backend))
        run_state_machine_as_test(machine(backend), settings=settings(max_examples=25, stateful_step_count=30))
