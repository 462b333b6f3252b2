"""The seals of a bundle: whether they are genuine, continue each other, and fit what was kept of the log elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..seals import Seal, continues
from .findings import Findings

SealAndGrowth = tuple[Seal, tuple[bytes, ...]]


class SealsCheck:
    """The seals of a bundle of the log `epoch`, in its order."""

    def __init__(self, found: Sequence[SealAndGrowth], epoch: UUID, findings: Findings) -> None:
        self.seals = [seal for seal, _ in found]
        self._findings = findings
        for seal, growth in found:
            self._check(seal, growth, epoch)
        for before, seal in zip(self.seals, self.seals[1:], strict=False):
            self._check_order(before, seal)

    @property
    def last(self) -> Seal | None:
        """The seal under which events are proved."""
        return self.seals[-1] if self.seals else None

    @property
    def heads(self) -> dict[int, bytes]:
        """The hashes that events at some positions must have."""
        return {seal.statement.position: seal.statement.head for seal in self.seals}

    def _check(self, seal: Seal, growth: tuple[bytes, ...], epoch: UUID) -> None:
        number = seal.statement.number
        if not seal.is_genuine:
            self._findings.add(f"seal {number} was not signed with the key that it names")
        if seal.statement.epoch != epoch:
            self._findings.add(f"seal {number} is of another log: of epoch {seal.statement.epoch}")
        last = self.seals[-1]
        proved = not growth if seal is last else continues(last, seal, growth)
        if not proved:
            self._findings.add(f"nothing shows that seal {last.statement.number} continues seal {number}")

    def _check_order(self, before: Seal, seal: Seal) -> None:
        old, new = before.statement, seal.statement
        if new.number <= old.number or new.position < old.position:
            self._findings.add(f"seal {new.number} does not come after seal {old.number}")
        elif new.number == old.number + 1 and new.previous != before.digest:
            self._findings.add(f"seal {new.number} names another seal before it than seal {old.number}")

    def known_by_seals(self, kept: Sequence[Seal]) -> int:
        """Return up to which position the log is known by seals that were kept elsewhere, 0 where there is none."""
        return max((self._known_by(seal) for seal in kept), default=0)

    def _known_by(self, kept: Seal) -> int:
        said = kept.statement
        if not kept.is_genuine:
            self._findings.add(f"the seal kept elsewhere, {said.number}, was not signed with the key that it names")
            return 0
        for seal in self.seals:
            ours = seal.statement
            if (ours.epoch, ours.position, ours.root) == (said.epoch, said.position, said.root):
                return said.position
        self._findings.add(self._why_unknown(kept))
        return 0

    def _why_unknown(self, kept: Seal) -> str:
        said = kept.statement
        if self.seals and said.epoch != self.seals[-1].statement.epoch:
            return f"the seal kept elsewhere, {said.number}, is of another log: of epoch {said.epoch}"
        if not self.seals or said.position > self.seals[-1].statement.position:
            return (
                f"the seal kept elsewhere, {said.number}, covers {said.position} events, more than any seal in here: "
                "export the project again, as it stands now"
            )
        if any(seal.statement.number == said.number for seal in self.seals):
            return f"seal {said.number} in here is not the one that was kept elsewhere"
        return f"the seal kept elsewhere, {said.number}, is not in here: nothing shows that this log continues it"

    def require_key(self, keys: Sequence[bytes]) -> bool:
        """Return whether the last seal was signed with one of these keys; where it was not, that is found wrong."""
        if not keys:
            return False
        if self.last is None:
            self._findings.add("no seal is in here, so nothing is signed with the key that was given")
            return False
        if self.last.statement.key not in keys:
            number, key = self.last.statement.number, self.last.statement.key.hex()
            self._findings.add(f"seal {number} was signed with the key {key}, which is not one that was given")
            return False
        return True
