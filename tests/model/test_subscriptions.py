"""Consumers of one subscription in any order: what is appended, consumed, cut off, taken over and moved."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from claude_tiu import CheckpointMoved, InvalidSubscription, LeaseLost, TransactionRefused
from claude_tiu.infrastructure import consumer as consuming
from claude_tiu.infrastructure.consumer import Consumer, Taken
from claude_tiu.infrastructure.consumers import Consumers, subscriptions_of
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.infrastructure.subscribing import wanted
from tests.support.history import create_user
from tests.support.stores import Backend, SQLiteBackend, new_backend

CONSUMERS = 2
numbers = st.integers(0, CONSUMERS - 1)
names = count()
WANTED, OTHER = "user.created.v1", "user.role_changed.v1"


def run_out(backend: Backend, name: str) -> None:
    """Let the time of a tenure pass."""
    if isinstance(backend, SQLiteBackend):
        path = backend.path
        lock = path.with_name(f"{path.stem}.subscription.{name}{path.suffix}-lock")
        lock.write_text(f"{0:020.6f}\n", encoding="utf-8")
    else:
        backend.on_events("UPDATE subscription_leases SET expires_at = 'epoch' WHERE name = ?", f"subscription.{name}")


def machine(backend: Backend) -> type[RuleBasedStateMachine]:
    events = backend.events()
    executor = Executor(events)
    subscriptions = subscriptions_of(events, Settings.model_construct(projector_lease_seconds=600.0))
    operator = Consumers(events, subscriptions)
    users = count()

    class Machine(RuleBasedStateMachine):
        """The model: `effects` are the events that were acted on, in the database (`exact`) or outside (`done`); `due`
        is from where on they must be. What is between the checkpoint and there may be done again."""

        def __init__(self) -> None:
            super().__init__()
            self.name = f"machine-{next(names)}"
            self.first = (events.max_notification_id() or 0) + 1
            self.end = self.first - 1
            self.passed = self.end
            """Up to where an operator has skipped: what is before may be missed."""
            self.moved = self.rewound = False
            self.done: list[int] = []
            self.consumers: list[Consumer | None] = [None] * CONSUMERS
            self.handed: list[Taken | None] = [None] * CONSUMERS
            self.holder: int | None = None

        def _consumer(self, number: int) -> Consumer:
            found = self.consumers[number]
            if found is None:
                found = Consumer(events, subscriptions, wanted(self.name, None, self.first, until_end=True))
                found.open()
                self.consumers[number] = found
            found._until = self.end
            return found

        @rule(many=st.integers(1, 4))
        def append(self, many: int) -> None:
            made = [create_user(f"u{next(users)}") for _ in range(many)]
            answers = executor.execute(made)
            self.end = answers[-1].position

        @precondition(lambda self: self.end >= self.first)
        @rule(number=numbers)
        def consume(self, number: int) -> None:
            """Ask for the next: what was handed out is done. Whoever is not the holder gets nothing."""
            if self.holder is not None and self.holder != number:
                return  # it would stand by until the other is gone
            consumer = self._consumer(number)
            if (handed := self.handed[number]) is not None:
                self.done.append(handed.row.position)
            self.handed[number] = taken = consumer.next()
            self.holder = number if consumer.active else None
            stands = self._stands()
            if taken is None:
                assert stands == self.end
                assert self.rewound or {*range(self.passed + 1, self.end + 1)} <= {*self.done}
            else:
                before = [position for position in self.done if position < taken.row.position]
                expected = max([self.passed, *before], default=self.passed)
                assert self.rewound or taken.row.position <= expected + 1, "none is left out"
                assert self.moved or stands < taken.row.position, (
                    "what was read before somebody moved it may still come"
                )

        @rule(number=numbers, fails=st.booleans())
        def transact(self, number: int, fails: bool) -> None:
            consumer, taken = self.consumers[number], self.handed[number]
            if consumer is None or taken is None:
                return

            def work(connection: Any) -> None:
                mark = "?" if isinstance(backend, SQLiteBackend) else "%s"
                values = [self.name, taken.row.position]
                connection.execute(f"INSERT INTO exact (name, position) VALUES ({mark}, {mark})", values)
                if fails:
                    raise ZeroDivisionError

            stands = self._stands()
            try:
                consumer.transact(taken.row, work)
                assert not fails
                assert self.holder == number, "who was taken over from writes nothing"
                assert self._stands() == taken.row.position
                self.done.append(taken.row.position)
            except ZeroDivisionError:
                assert fails
                assert self._stands() == stands
            except (LeaseLost, CheckpointMoved, TransactionRefused):
                assert self._stands() == stands
            self.handed[number] = None

        @rule(number=numbers)
        def crash(self, number: int) -> None:
            """As `kill -9`: nothing more is stored, and its lock is gone."""
            consumer = self.consumers[number]
            if consumer is None:
                return
            consumer._loaded = False
            consumer.close()
            self.consumers[number] = self.handed[number] = None
            if self.holder == number:
                self.holder = None

        @rule(number=numbers)
        def break_off(self, number: int) -> None:
            """As a loop that breaks off: what was handed out is not done, what was done before is stored."""
            consumer = self.consumers[number]
            if consumer is None:
                return
            consumer.close()
            self.consumers[number] = self.handed[number] = None
            if self.holder == number:
                self.holder = None

        @precondition(lambda self: self.holder is not None)
        @rule()
        def stand_still(self) -> None:
            """The holder's process is stopped; another may take over, and it goes on later."""
            assert self.holder is not None
            consumer = self.consumers[self.holder]
            assert consumer is not None
            assert consumer._lease is not None
            consumer._lease._ended.set()
            run_out(backend, self.name)
            other = 1 - self.holder
            still = self.holder
            self.holder = None
            self.consume(other)
            late = self.handed[still]
            if late is not None:
                self.transact(still, False)
            self.crash(still)

        @rule(part=st.integers(0, 1_000), back=st.booleans())
        def move(self, part: int, back: bool) -> None:
            """An operator skips or rewinds, whoever is at work."""
            if subscriptions.find(self.name) is None:
                return
            stands = self._stands()
            to = self.first - 1 + part % (self.end - self.first + 2)
            try:
                (operator.rewind if back else operator.skip)(self.name, to)
            except InvalidSubscription:
                assert to >= stands if back else to <= stands
                return
            self.moved = True
            if back:
                self.rewound = True
                backend.on_events("DELETE FROM exact WHERE name = ? AND position > ?", self.name, to)
            else:
                self.passed = max(self.passed, to)
            assert self._stands() == to

        def _stands(self) -> int:
            found = subscriptions.find(self.name)
            return self.first - 1 if found is None else found.mark.position

        def teardown(self) -> None:
            for number in range(CONSUMERS):
                self.end_of(number)
            if self.end >= self.first:
                last = Consumer(events, subscriptions, wanted(self.name, None, self.first, until_end=True))
                last.open()
                while (taken := last.next()) is not None:
                    self.done.append(taken.row.position)
                last.close()
                assert self._stands() == self.end
                assert {*range(self.passed + 1, self.end + 1)} <= {*self.done}, "nothing was missed"
            exact = backend.on_events("SELECT position FROM exact WHERE name = ?", self.name)
            assert len(exact) == len({*exact}), "nothing was doubled"

        def end_of(self, number: int) -> None:
            if (consumer := self.consumers[number]) is not None:
                consumer.close()

    return Machine


@pytest.mark.parametrize("examples", [5, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])])
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_whatever_happens_to_its_consumers_nothing_is_missed_or_doubled(
    name: str, examples: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "SAVE_EVERY", 2)
    monkeypatch.setattr(consuming, "PAGE", 2)
    monkeypatch.setattr(consuming, "WINDOW", 3)
    monkeypatch.setattr(consuming, "POLL_SECONDS", 0)
    place = request.getfixturevalue("tmp_path") / "tiu.db" if name == "sqlite" else request.getfixturevalue("pg_url")
    with new_backend(name, place) as backend:
        backend.on_events("CREATE TABLE exact (name TEXT NOT NULL, position INTEGER NOT NULL)")
        run_state_machine_as_test(machine(backend), settings=settings(max_examples=examples, stateful_step_count=25))
