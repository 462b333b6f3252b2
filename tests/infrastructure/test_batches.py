"""Batches of events, as a projector reads, folds and writes them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from claude_tiu.domain.user import UserCreated
from claude_tiu.infrastructure import projector as module
from claude_tiu.infrastructure.errors import ProjectionFailed
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.postgresql import event_store as postgresql_event_store
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from claude_tiu.infrastructure.sqlite import event_store as sqlite_event_store
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import EVENTS, store_history
from tests.support.stores import Backend, PostgreSQLBackend, append, event


@pytest.fixture
def projector(events: EventStore, reads: ReadStore) -> Projector:
    return Projector(events, reads, READ_MODEL)


def test_batches_that_end_by_their_bytes_follow_each_other(
    events: EventStore, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next is read, and the last is written, while one is folded."""
    store_history(events)
    for reading in (module, sqlite_event_store, postgresql_event_store):
        monkeypatch.setattr(reading, "READ_BYTES", 1_000)
    batches: list[int] = []
    assert projector.hurry(progress=batches.append) == EVENTS
    assert len(batches) > 3


def test_only_where_a_server_writes_a_thread_waits_for_it(
    events: EventStore, projector: Projector, backend: Backend
) -> None:
    store_history(events)
    named: list[str] = []
    projector.hurry(progress=lambda _: named.extend(thread.name for thread in threading.enumerate()))
    assert named
    assert any("projector-io" in name for name in named) is isinstance(backend, PostgreSQLBackend)


def test_what_does_not_decode_is_found_where_it_means_nothing_too(events: EventStore, reads: ReadStore) -> None:
    store_history(events)
    append(events, event(topic="task.started.v1", state=b"not JSON"))
    of_users = replace(READ_MODEL, handlers={UserCreated: READ_MODEL.handlers[UserCreated]})
    projector = Projector(events, reads, of_users)
    with pytest.raises(ProjectionFailed):
        projector.catch_up()
    assert projector.position == EVENTS
