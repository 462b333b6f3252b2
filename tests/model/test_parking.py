"""Any history with poison anywhere: once what is parked was mended and tried again, or discarded, the tables are those
that a rebuild makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from random import Random
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu import Command, DiscardParkedEvents, Refused
from claude_tiu.domain.retention import RETENTION_ID
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.model.machine import batch_sizes
from tests.model.stores import PostgreSQL, SQLite, Store
from tests.support.keeping import KINDS, PASSES, Move, drawn, history
from tests.support.poison import Poisoned

moves = st.builds(Move, st.sampled_from(KINDS), st.integers(0, 1_000), st.sampled_from(PASSES))


class Act(NamedTuple):
    """What somebody does after a part of the history: to which of what is parked, or poison."""

    kind: str
    which: int


ACTS = ("poison", "poison", "mend", "retry", "retry", "discard", "discard first")
acts = st.builds(Act, st.sampled_from(ACTS), st.integers(0, 1_000))
two_sizes = st.lists(batch_sizes, min_size=2, max_size=2)


class Play:
    """A history, in as many parts as there are acts; each part is projected before the next act."""

    def __init__(self, store: Store, sizes: Sequence[int]) -> None:
        self.store = store
        self.poisoned = Poisoned()
        self.happened: Counter[str] = Counter()
        self._projector = self.projector(sizes[0])

    def projector(self, batch_size: int) -> Projector:
        return self.poisoned.projector(self.store.tiu.events, self.store.tiu._reads, batch_size=batch_size)

    def play(self, commands: Sequence[Command], acts: Sequence[Act]) -> None:
        parts = len(acts) + 1
        for number in range(parts):
            for command in commands[number * len(commands) // parts : (number + 1) * len(commands) // parts]:
                with suppress(Refused):
                    self.store.tiu.execute(command)
            if number < len(acts):
                self._act(acts[number])
            self._projector.catch_up()
            self.happened.update(unit.kind for unit in self._projector.parked())

    def _act(self, act: Act) -> None:
        if act.kind == "poison":
            events = self.store.tiu.events.read(self._projector.position, 1_000)
            wanted = [
                row.position for row in events if row.stream_id != RETENTION_ID
            ]  # that is tried by rebuilds alone
            self.poisoned.at.update(wanted[act.which % len(wanted) :][:1] if wanted else [])
            return
        self._projector.catch_up()
        if act.kind == "mend":
            self.poisoned.at.difference_update(sorted(self.poisoned.at)[act.which % 2 :][:1])
            return
        parked = self._projector.parked()
        if not parked:
            return
        unit = parked[act.which % len(parked)]
        if act.kind == "retry":
            self._projector.ask_retry([unit.unit_id])
            self._projector.step()
        else:
            last = unit.position if act.kind == "discard first" else self._projector.position
            self.store.tiu.execute(
                DiscardParkedEvents(
                    unit_id=unit.unit_id, first_position=unit.position, last_position=last, reason="made up"
                )
            )
        self.happened[act.kind] += 1

    def mend_all(self) -> None:
        """What then stays parked lacks a row that was discarded."""
        self.poisoned.at.clear()
        self._projector.ask_retry([])
        self._projector.catch_up()
        while self._projector.step():
            pass

    def made_anew(self, batch_size: int) -> dict[str, dict[UUID, str]]:
        self.store.tiu._reads.reset(READ_MODEL)
        self.projector(batch_size).catch_up()
        return self.rows()

    def rows(self) -> dict[str, dict[UUID, str]]:
        """Every row of every table; of what is parked, its place alone."""
        reads, found = self.store.tiu._reads, dict[str, dict[UUID, str]]()
        for table in READ_MODEL.tables:
            keys = [UUID(str(row[table.key])) for row in self.store.raw(table.name)]
            rows = {key: dict(reads.row(table, key) or {}) for key in keys}
            for row in rows.values() if table.name == "parked_units" else ():
                del row["since"], row["reason"], row["retry"]
            found[table.name] = {key: repr(row) for key, row in rows.items()}
        return found


@given(st.lists(moves, max_size=30), st.lists(acts, min_size=1, max_size=6), two_sizes)
def test_what_was_mended_and_tried_again_is_as_if_it_had_never_waited(
    drawn: list[Move], acts: list[Act], sizes: list[int]
) -> None:
    with closing(SQLite()) as store:
        play = Play(store, sizes)
        play.play(history(drawn), acts)
        play.mend_all()
        live = play.rows()
        assert play.made_anew(sizes[1]) == live


@given(st.lists(moves, max_size=20), st.lists(acts, min_size=1, max_size=5), two_sizes)
def test_tables_in_which_units_wait_are_made_again_the_same_while_nothing_is_mended(
    drawn: list[Move], acts: list[Act], sizes: list[int]
) -> None:
    """Whatever was tried again and discarded before; but for what was mended since it was parked, and not tried."""
    acts = [act for act in acts if act.kind != "mend"]
    with closing(SQLite()) as store:
        play = Play(store, sizes)
        play.play(history(drawn), acts)
        live = play.rows()
        assert play.made_anew(sizes[1]) == live


SEEDS = (1, 2, 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_stores_hold_the_same(pg_server: str, pg_template: str, seed: int) -> None:
    dice = Random(seed)
    acts = [Act(dice.choice(ACTS), dice.randrange(1_000)) for _ in range(20)]
    with closing(SQLite()) as one, closing(PostgreSQL(pg_server, pg_template)) as other:
        found = []
        for store in (one, other):
            play = Play(store, [7])
            play.play(history(drawn(seed, 120)), acts)
            assert play.happened.keys() >= {"project", "retry"}
            play.mend_all()
            found.append(play.rows())
            assert play.made_anew(50) == found[-1]
        assert found[0].keys() == found[1].keys()
        for table, rows in found[0].items():
            assert {*rows} == {*found[1][table]}, table


def test_such_histories_have_all_that_they_are_about() -> None:
    """Or the tests above would show little."""
    happened: Counter[str] = Counter()
    for seed in range(12):
        dice = Random(seed)
        acts = [Act(dice.choice(ACTS), dice.randrange(1_000)) for _ in range(20)]
        with closing(SQLite()) as store:
            play = Play(store, [7])
            play.play(history(drawn(seed, 60)), acts)
            happened += play.happened
    assert min(happened[what] for what in ("project", "user", "agent", "retry", "discard", "discard first")) >= 2, (
        happened
    )
