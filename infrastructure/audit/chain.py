"""The check of the hash chain, and of the log against its seals; and the seal that a checked log is given.

A chain that holds proves nothing by itself: whoever may write the table can make it anew behind any change. What is
proved is relative to a seal that was kept elsewhere, up to its position.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from ..errors import BadSeal, LogTampered
from ..event_store import EventStore
from .findings import Finding, are, findings_of, hashes_changed_by
from .seals import Seal, SealingKey
from .walk import Walk

LISTED = 100
"""How many findings a report lists."""

Where = Literal["elsewhere", "store"]


@dataclass(frozen=True, slots=True)
class SealFound:
    """A seal, and whether the log has the hashes that it was made of; `key` is the public key, in hexadecimal."""

    number: int
    kept: Where
    epoch: UUID
    position: int
    sealed_at: datetime
    key: str
    holds: bool


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check found: the first `findings` of `count`.

    Up to position `proved` the log is what a seal kept elsewhere says; up to `sealed`, what a seal of the store says,
    which whoever changed the one may have changed too. Behind that, only the chain was checked.
    """

    epoch: UUID
    events: int
    head: bytes
    root: bytes
    seals: Sequence[SealFound]
    proved: int
    sealed: int
    count: int
    findings: Sequence[Finding]


def check_chain(
    events: EventStore, kept: Sequence[Seal] = (), *, keys: Collection[bytes] = (), listed: int = LISTED
) -> ChainReport:
    """Check every event, and every seal: those of the store, and those `kept` elsewhere.

    Where seals are kept elsewhere or `keys` (public ones) are given, the store's seals must be of these keys. Raises
    BadSeal where one that was kept is not genuine.
    """
    if false := [seal for seal in kept if not seal.is_genuine]:
        raise BadSeal(f"seal {false[0].statement.number} is not genuine: its signature is not that of its key")
    stored, found = _stored_seals(events.seals())
    trusted = {*keys, *(seal.statement.key for seal in kept)}
    ours = [seal for seal in kept if seal.statement.epoch == events.epoch]
    walk = Walk(seal.statement.position for seal in (*ours, *stored))
    for rows in events.encoded_rows():
        walk.take(rows)
    found += _of_seals(stored, ours, trusted)
    found += [_other_log(seal, events) for seal in (*kept, *stored) if seal.statement.epoch != events.epoch]
    found = [*findings_of(walk), *found]
    seals = [*_compared(kept, "elsewhere", events.epoch, walk), *_compared(stored, "store", events.epoch, walk)]
    believed = [seal for seal in seals if not trusted or bytes.fromhex(seal.key) in trusted]
    found += _not_as_sealed([seal for seal in seals if seal.epoch == events.epoch], believed, walk)
    odd = min((finding.first for finding in found if finding.of_events), default=walk.position + 1)
    intact = max(odd - 1, 0)
    return ChainReport(
        epoch=events.epoch,
        events=walk.tree.size,
        head=walk.head,
        root=walk.tree.root,
        seals=seals,
        proved=min(intact, _reach(believed, "elsewhere")),
        sealed=min(intact, _reach(believed, "store")),
        count=len(found),
        findings=found[:listed],
    )


def seal_log(events: EventStore, key: SealingKey, now: datetime) -> Seal:
    """Check the log, store a seal over all its events, and return it. What it covers is on disk.

    Raises LogTampered where anything was found, BadSeal where there is no event.
    """
    report = check_chain(events)
    if report.findings:
        raise LogTampered(f"the log is not sealed: {report.findings[0].said}", report=report)
    if not report.events:
        raise BadSeal("the log is empty: there is nothing to seal")
    events.flush()
    with events.exclusive() as held:
        before = [Seal.parse(text) for _, text in held.seals()[-1:]]
        seal = key.sign(
            epoch=events.epoch,
            position=report.events,
            head=report.head,
            root=report.root,
            before=before[0] if before else None,
            sealed_at=now,
        )
        held.add_seal(seal.statement.number, seal.text)
    return seal


def _stored_seals(rows: Iterable[tuple[int, str]]) -> tuple[list[Seal], list[Finding]]:
    """Return the genuine seals of the store, and what is wrong with the others."""
    seals, found = [], []
    for number, text in rows:
        try:
            seal = Seal.parse(text)
        except BadSeal:
            seal = None
        if seal is None or not seal.is_genuine or seal.statement.number != number:
            found.append(Finding("seal_changed", number, number, f"seal {number} of the store is not what was signed"))
        else:
            seals.append(seal)
    changed = {finding.first for finding in found}
    numbers = {seal.statement.number for seal in seals} | changed
    for number in range(1, max(numbers, default=0)):
        if number not in numbers:
            found.append(Finding("seal_removed", number, number, f"seal {number} of the store is gone"))
    return seals, found


def _of_seals(stored: Sequence[Seal], kept: Sequence[Seal], trusted: Collection[bytes]) -> Iterator[Finding]:
    """What is wrong with the store's seals among each other, and beside those kept elsewhere."""
    by_number = {seal.statement.number: seal for seal in stored}
    replaced = set()
    for number, seal in by_number.items():
        before = by_number.get(number - 1)
        if before is not None and seal.statement.previous != before.digest:
            replaced.add(number - 1)
        if trusted and seal.statement.key not in trusted:
            replaced.add(number)
    for seal in kept:
        number = seal.statement.number
        if number not in by_number and number > max(by_number, default=0):
            yield Finding(
                "seal_removed", number, number, f"seal {number} is kept elsewhere, and the store has it no more"
            )
        elif number in by_number and by_number[number].digest != seal.digest:
            replaced.add(number)
    for number in sorted(replaced):
        key = by_number[number].statement.key.hex()
        yield Finding("seal_replaced", number, number, f"seal {number} of the store is another now, of the key {key}")


def _other_log(seal: Seal, events: EventStore) -> Finding:
    number, epoch = seal.statement.number, seal.statement.epoch
    said = f"this is another log than seal {number} is of: its epoch is {events.epoch}, not {epoch}"
    return Finding("replaced", 1, seal.statement.position, said)


def _compared(seals: Iterable[Seal], kept: Where, epoch: UUID, walk: Walk) -> Iterator[SealFound]:
    for seal in seals:
        said = seal.statement
        holds = said.epoch == epoch and walk.heads.get(said.position) == (said.head, said.root)
        yield SealFound(said.number, kept, said.epoch, said.position, said.sealed_at, said.key.hex(), holds)


def _not_as_sealed(seals: Sequence[SealFound], believed: Sequence[SealFound], walk: Walk) -> Iterator[Finding]:
    """What the seals find that the rows do not tell: a log that was cut, or a chain that was made anew."""
    end = walk.position
    broken = sorted((seal for seal in seals if not seal.holds), key=lambda seal: seal.position)
    if broken and (reach := broken[-1].position) > end:
        yield Finding("cut", end + 1, reach, f"{are(end + 1, reach)} cut from the end of the log")
    told = hashes_changed_by(walk.wrong)
    if broken and (reach := broken[0].position) <= end and not any(position <= reach for position in told):
        first = max((seal.position for seal in believed if seal.holds and seal.position < reach), default=0) + 1
        said = f"{are(first, reach)} not as sealed: something was changed, and the chain made anew behind it"
        yield Finding("rewritten", first, reach, said)


def _reach(seals: Iterable[SealFound], kept: Where) -> int:
    """Return how far the log is what the seals say that are kept there."""
    return max((seal.position for seal in seals if seal.kept == kept and seal.holds), default=0)
