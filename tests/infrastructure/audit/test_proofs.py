"""Proofs from a store's log, on both stores: of single events, and that a log has only grown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from claude_tiu import ForgetUser
from claude_tiu.infrastructure.audit import merkle, proofs
from claude_tiu.infrastructure.audit.seals import Seal, SealingKey, continues, has_event
from claude_tiu.infrastructure.errors import BadSeal
from claude_tiu.infrastructure.event_hash import event_hash
from claude_tiu.infrastructure.event_store import EventRow, EventStore
from claude_tiu.infrastructure.executor import Executor
from tests.support.history import USER, create_user, store_history
from tests.support.stores import Backend, append, event

KEY = SealingKey(bytes(32))


def sealed(events: EventStore, through: int | None = None) -> Seal:
    """A seal of the log, as anyone could make it from the rows."""
    rows = events.read_rows(0, 1_000)[:through]
    root = merkle.root_of([row.hash for row in rows])
    at = datetime(2026, 11, 28, tzinfo=UTC)
    return KEY.sign(epoch=events.epoch, position=len(rows), head=rows[-1].hash, root=root, before=None, sealed_at=at)


def hash_of(row: EventRow) -> bytes:
    return event_hash(row.previous_hash, *row[:-2])


def test_every_event_is_proved_from_its_row(events: EventStore) -> None:
    store_history(events)
    seal = sealed(events)
    rows = events.read_rows(0, 1_000)
    found = proofs.prove_events(events, seal, [row.position for row in rows])
    assert list(found) == [row.position for row in rows]
    for row in rows:
        assert has_event(seal, hash_of(row), found[row.position])
        changed = row._replace(actor="somebody else")
        assert not has_event(seal, hash_of(changed), found[row.position])


def test_a_proof_stays_as_it_is_while_the_log_grows(events: EventStore) -> None:
    store_history(events)
    seal = sealed(events)
    before = proofs.prove_events(events, seal, [1, 7])
    append(events, event())
    assert proofs.prove_events(events, seal, [1, 7]) == before


def test_a_later_seal_is_proved_to_continue_an_earlier_one(events: EventStore) -> None:
    store_history(events)
    older, seal = sealed(events, 20), sealed(events)
    proof = proofs.prove_growth(events, older, seal)
    assert continues(seal, older, proof)
    assert not continues(seal, sealed(events, 19), proof)


def test_several_seals_are_proved_to_be_continued_at_once(events: EventStore) -> None:
    store_history(events)
    older, seal = [sealed(events, size) for size in (1, 2, 3, 8, 20, 20)], sealed(events)
    together = proofs.prove_growths(events, older, seal)
    assert together == [proofs.prove_growth(events, one, seal) for one in older]
    assert all(continues(seal, one, proof) for one, proof in zip(older, together, strict=True))
    with patch.object(events, "read_hashes", wraps=events.read_hashes) as read:
        assert proofs.prove_growths(events, [], seal) == []
        assert proofs.prove_growths(events, older, seal) == together
    assert [call.args[0] for call in read.call_args_list].count(0) == 2


def test_forgetting_a_user_breaks_no_proof(events: EventStore) -> None:
    executor = Executor(events)
    executor.execute([create_user(user_id=USER)])
    seal = sealed(events)
    (row,) = events.read_rows(0, 10)
    before = proofs.prove_events(events, seal, [1])
    executor.execute([ForgetUser(user_id=USER)])
    assert events.keys([USER]) == {}
    assert proofs.prove_events(events, seal, [1]) == before
    assert has_event(seal, hash_of(events.read_rows(0, 1)[0]), before[1])
    assert events.read_rows(0, 1) == [row]
    assert continues(sealed(events), seal, proofs.prove_growth(events, seal, sealed(events)))


@pytest.mark.parametrize("position", [0, -1, 21])
def test_an_event_that_a_seal_does_not_cover_is_not_proved(events: EventStore, position: int) -> None:
    store_history(events)
    with pytest.raises(BadSeal, match=f"event {position} is not under this seal: it covers 1 to 20"):
        proofs.prove_events(events, sealed(events, 20), [1, position])


def test_a_seal_of_another_log_proves_nothing_of_this(backend: Backend) -> None:
    events = backend.events()
    store_history(events)
    seal = sealed(events)
    backend.new_identity()
    other = backend.events()
    with pytest.raises(BadSeal, match="seal 1 is of another log"):
        proofs.prove_events(other, seal, [1])
    with pytest.raises(BadSeal, match="seal 1 is of another log"):
        proofs.prove_growth(other, sealed(other, 5), seal)


def test_a_log_that_is_not_what_was_sealed_proves_nothing(events: EventStore) -> None:
    store_history(events)
    seal, older = sealed(events), sealed(events, 20)
    said: dict[str, Any] = {
        "epoch": events.epoch,
        "head": seal.statement.head,
        "before": None,
        "sealed_at": seal.statement.sealed_at,
    }
    wrong = KEY.sign(position=seal.statement.position, root=bytes(32), **said)
    longer = KEY.sign(position=seal.statement.position + 1, root=seal.statement.root, **said)
    wrong_older = KEY.sign(position=20, root=bytes(32), **said)
    for bad in (wrong, longer):
        with pytest.raises(BadSeal, match="not what seal 1 sealed"):
            proofs.prove_events(events, bad, [1])
        with pytest.raises(BadSeal, match="not what seal 1 sealed"):
            proofs.prove_growth(events, older, bad)
    with pytest.raises(BadSeal, match="not what seal 1 sealed"):
        proofs.prove_growth(events, wrong_older, seal)
    with pytest.raises(BadSeal, match="cannot continue"):
        proofs.prove_growth(events, seal, older)


def test_hashes_are_read_in_order_and_no_more_than_asked_for(events: EventStore) -> None:
    store_history(events)
    hashes = [row.hash for row in events.read_rows(0, 1_000)]
    assert events.read_hashes(0, 1_000) == hashes
    assert events.read_hashes(3, 2) == hashes[3:5]
    assert events.read_hashes(len(hashes), 10) == []
