"""What a checked bundle proves, and what it does not, in sentences: no more than was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import NamedTuple

from ....projections.read_model import READ_MODEL
from .form import About


@dataclass(frozen=True, slots=True)
class SealedBy:
    """The last seal of a bundle: the one that its events are proved under."""

    number: int
    position: int
    sealed_at: datetime
    root: str
    """Of the Merkle tree over the events that it covers, in hexadecimal."""
    key: str
    """The public key that signed it, in hexadecimal."""


class Counts(NamedTuple):
    """Of a bundle's events, streams and rows; see CheckReport."""

    events: int
    streams: int
    sealed: int
    known: int
    rows: int


def what_it_proves(
    about: About, digest: str, counts: Counts, seal: SealedBy | None, *, key_known: bool
) -> tuple[str, ...]:
    """Return what is shown by a bundle in which nothing was found wrong."""
    return tuple(_proved(about, digest, counts, seal, key_known))


def _proved(about: About, digest: str, counts: Counts, seal: SealedBy | None, key_known: bool) -> Iterator[str]:
    yield f"Every bit of the file is as it was written: its SHA-256 is {digest}."
    yield (
        f"Each of the {counts.events:,} events is the whole row that its hash was made of. No stream of the project "
        "lacks one in front of the last that is in here."
    )
    if seal and counts.sealed:
        yield (
            f"{counts.sealed:,} of them stood so among the first {seal.position:,} of the log when seal {seal.number} "
            f"was signed, at {seal.sealed_at:%Y-%m-%d %H:%M:%SZ} by its own account, with "
            f"{'the key that you know' if key_known else f'the key {seal.key}'}."
        )
    if counts.known:
        yield f"{counts.known:,} of them are under a seal that you have kept: nobody has changed them since then."
    yield (
        f"The {counts.rows:,} rows are what these events come to, replayed by claude-tiu "
        f"{version('claude-tiu')} ({READ_MODEL.name}, version {READ_MODEL.version})."
    )


def what_it_leaves_open(about: About, counts: Counts, seal: SealedBy | None, *, key_known: bool) -> tuple[str, ...]:
    """Return what is not shown by it."""
    return tuple(_open(about.position, counts, seal, key_known))


def _open(position: int, counts: Counts, seal: SealedBy | None, key_known: bool) -> Iterator[str]:
    if seal and not key_known and not counts.known:
        yield (
            "Who signed: anybody can make up a log, a key, and such a file of them. Give the public key or a seal that "
            "you have kept elsewhere (--public-key, --seal)."
        )
    elif seal and not counts.known:
        yield (
            "That whoever has that key has not signed another history before or since: that takes a seal that you have "
            "kept (--seal)."
        )
    elif late := counts.sealed - counts.known:
        yield f"That {late:,} sealed events are as they were at first: they came after the seal that you have kept."
    if unsealed := counts.events - counts.sealed:
        yield (
            f"Anything of the {unsealed:,} events that no seal covers, but that each fits its hash: whoever has the "
            "log could still have changed them."
        )
    yield (
        f"That nothing was left out up to position {position}: a whole stream of the project, the last events of "
        "one, or what discards some, would not be missed. The store that it came from can show that: an export as of "
        "the same position has the same events."
    )
    yield "That what the events tell is true: only that it was recorded."
