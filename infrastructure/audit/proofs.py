"""Proofs from a store's log: that a seal covers an event, that it continues an older seal. seals.py checks them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..errors import BadSeal
from ..event_store import EventStore
from . import merkle
from .seals import Inclusion, Seal

BATCH = 10_000


def prove_events(events: EventStore, seal: Seal, positions: Collection[int]) -> dict[int, Inclusion]:
    """Return the proof of each position that a seal covers its event: `has_event` checks it, with the event's hash.

    The log's hashes are read once, whatever the number of positions; none of them stays in memory. Raises BadSeal where
    the seal is another store's, the log is not what was sealed, or a position is not under the seal.
    """
    size = seal.statement.position
    if outside := [position for position in positions if not 1 <= position <= size]:
        raise BadSeal(f"event {outside[0]} is not under this seal: it covers 1 to {size}", position=outside[0])
    _require_ours(events, seal)
    try:
        root, paths = merkle.prove_inclusion(_hashes(events), size, [position - 1 for position in positions])
    except ValueError:
        raise _not_as_sealed(seal) from None
    if root != seal.statement.root:
        raise _not_as_sealed(seal)
    return {index + 1: Inclusion(index + 1, size, tuple(path)) for index, path in paths.items()}


def prove_growth(events: EventStore, older: Seal, seal: Seal) -> tuple[bytes, ...]:
    """Return the proof that the log of a seal begins with that of an older one: `continues` checks it.

    Raises BadSeal where a seal is another store's, the log is not what was sealed, or the second is the older one.
    """
    return prove_growths(events, [older], seal)[0]


def prove_growths(events: EventStore, older: Sequence[Seal], seal: Seal) -> list[tuple[bytes, ...]]:
    """Do what `prove_growth` does for several older seals; the log's hashes are read once."""
    for one in (*older, seal):
        _require_ours(events, one)
    size = seal.statement.position
    old_sizes = [one.statement.position for one in older]
    if later := [old_size for old_size in old_sizes if old_size > size]:
        raise BadSeal(f"the seal of {size} events cannot continue that of {later[0]}")
    try:
        root, proofs = merkle.prove_consistencies(_hashes(events), old_sizes, size)
    except ValueError:
        raise _not_as_sealed(seal) from None
    for one, old_size in zip(older, old_sizes, strict=True):
        if not merkle.extends(one.statement.root, old_size, root, size, proofs[old_size]):
            raise _not_as_sealed(one)
    if root != seal.statement.root:
        raise _not_as_sealed(seal)
    return [tuple(proofs[old_size]) for old_size in old_sizes]


def _hashes(events: EventStore) -> Iterator[bytes]:
    after = 0
    while batch := events.read_hashes(after, BATCH):
        yield from batch
        after += len(batch)


def _require_ours(events: EventStore, seal: Seal) -> None:
    if seal.statement.epoch != events.epoch:
        raise BadSeal(
            f"seal {seal.statement.number} is of another log: of epoch {seal.statement.epoch}, not {events.epoch}",
            number=seal.statement.number,
        )


def _not_as_sealed(seal: Seal) -> BadSeal:
    number = seal.statement.number
    return BadSeal(f"the log is not what seal {number} sealed: `tiu audit chain` says where", number=number)
