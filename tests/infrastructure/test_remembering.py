"""A projector that remembers next to nothing of its private tables comes to the same rows as one that remembers all."""

from __future__ import annotations

from functools import partial

import pytest

from claude_tiu.infrastructure import projected
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.running_state import RunningState
from tests.support.history import EVENTS, store_history
from tests.support.stores import Backend


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_forgotten_is_read_again(
    backend: Backend, events: EventStore, monkeypatch: pytest.MonkeyPatch, batch_size: int, at_once: bool
) -> None:
    """One batch after the other, and while the next is folded that is written: it is not stored when that is asked."""
    store_history(events)
    Projector(backend.events(), backend.reads(), READ_MODEL).catch_up()
    tables = backend.rows(READ_MODEL)
    backend.reads().reset(READ_MODEL)
    monkeypatch.setattr(projected, "RunningState", partial(RunningState, limit=1))
    projector = Projector(backend.events(), backend.reads(), READ_MODEL, batch_size=batch_size)
    if at_once:
        assert projector.hurry() == EVENTS
    while projector.step():
        pass
    assert backend.rows(READ_MODEL) == tables
