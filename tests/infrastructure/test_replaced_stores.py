"""A projector whose store is another, an older or a diverged one refuses, when it starts and while it runs; doing what
it says mends that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from claude_tiu import CheckpointRefused, StoreReplaced, Tiu, connect
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.history import EVENTS, create_user, store_history
from tests.support.patience import PATIENCE
from tests.support.rebuilding import rebuild
from tests.support.stores import Backend, SQLiteBackend, append, copy_sqlite, event
from tests.support.tampering import without_triggers


def older(backend: Backend, to: int = EVENTS - 5) -> None:
    """The events as a backup had them."""
    without_triggers(backend)
    backend.on_events("DELETE FROM events WHERE position > ?", to)


def grown_again(backend: Backend) -> None:
    """The events as a backup had them, and others behind them, beyond where the tables stand."""
    older(backend)
    store_history(backend.events(), [create_user(f"other{number}") for number in range(9)])


def diverged(backend: Backend) -> None:
    """Another last event than the one that was projected, and no more of them."""
    older(backend, EVENTS - 1)
    store_history(backend.events(), [create_user("other")])


def another(backend: Backend) -> None:
    backend.on_events("UPDATE store SET epoch = ?", uuid4())


CASES: dict[str, tuple[Callable[[Backend], None], str]] = {
    "another": (another, "another event store: run `tiu projector rebuild`"),
    "older": (older, f"a longer or another history .*position {EVENTS}.*: run `tiu projector rebuild`"),
    "grown again": (grown_again, f"a longer or another history .*position {EVENTS}.*: run `tiu projector rebuild`"),
    "diverged": (diverged, f"a longer or another history .*position {EVENTS}.*: run `tiu projector rebuild`"),
}
each_case = pytest.mark.parametrize(("replace", "said"), CASES.values(), ids=CASES.keys())


def projector(backend: Backend) -> Projector:
    return Projector(backend.events(), backend.reads(), READ_MODEL)


def projected(backend: Backend) -> dict[str, list[tuple[object, ...]]]:
    """Store the history, project it, and return the tables."""
    store_history(backend.events())
    projector(backend).catch_up()
    return backend.tables(READ_MODEL)


@each_case
def test_at_the_start_it_is_refused_and_mended_by_what_is_said(
    backend: Backend, replace: Callable[[Backend], None], said: str
) -> None:
    tables = projected(backend)
    replace(backend)
    for use in (projector(backend).step, projector(backend).catch_up, projector(backend).lag):
        with pytest.raises(CheckpointRefused, match=said):
            use()
    with connect(backend.url) as tiu, pytest.raises(CheckpointRefused, match=said):
        tiu.wait_for(EVENTS + 1, PATIENCE)
    assert backend.tables(READ_MODEL) == tables
    rebuild(backend, accept=True)
    with connect(backend.url) as tiu:
        answer = tiu.execute(create_user("afterwards"))
        tiu.wait_for(answer, PATIENCE)
        assert tiu.verify().equal


@pytest.mark.parametrize(
    ("replace", "said"), [CASES["grown again"], CASES["diverged"]], ids=["grown again", "diverged"]
)
def test_what_comes_next_shows_it_to_one_that_is_at_work(
    backend: Backend, replace: Callable[[Backend], None], said: str
) -> None:
    """No poll is needed for that, and none of what came is written."""
    running, tables = projector(backend), projected(backend)
    running.catch_up()
    replace(backend)
    append(backend.events(), event())
    with pytest.raises(CheckpointRefused, match=said):
        running.step()
    assert backend.tables(READ_MODEL) == tables


def has_stopped(tiu: Tiu) -> Exception:
    """Return what a connection's projector has stopped at, which must come soon."""
    deadline = time.monotonic() + PATIENCE
    while tiu.projector.failure is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return tiu.projector.failure


@each_case
def test_one_that_runs_and_has_nothing_to_do_notices_it(
    backend: Backend, replace: Callable[[Backend], None], said: str
) -> None:
    with connect(backend.url) as tiu:
        answer = store_history(tiu.events)
        tiu.wait_for(answer, PATIENCE)
        tables = backend.tables(READ_MODEL)
        replace(backend)
        failure = has_stopped(tiu)
        if replace is another:
            assert isinstance(failure, StoreReplaced)
            assert "connect anew" in str(failure)
        else:
            assert isinstance(failure, CheckpointRefused)
        with pytest.raises(type(failure)):
            tiu.wait_for(EVENTS + 20, PATIENCE)
        holder = tiu.holder()
        assert holder is not None
        assert not holder.active, "it has given its lease up"
    assert backend.tables(READ_MODEL) == tables


def test_a_file_that_was_replaced_under_an_open_connection_is_noticed(sqlite: SQLiteBackend, tmp_path: Path) -> None:
    """The connection still has the old one open, which nobody else sees."""
    store_history(sqlite.events())
    with closing(copy_sqlite(sqlite, tmp_path / "backup.db")) as backup, connect(sqlite.url) as tiu:
        tiu.wait_for(EVENTS, PATIENCE)
        os.replace(backup.path, sqlite.path)  # noqa: PTH105 - the call whose effect is meant
        failure = has_stopped(tiu)
    assert isinstance(failure, StoreReplaced)
    assert "connect anew" in str(failure)
