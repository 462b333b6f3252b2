"""The events of a bundle: whether each is the row that its hash says, stands where it must, and was sealed."""

from __future__ import annotations

from collections.abc import Iterator

from ....domain.agent import AGENT
from ....domain.errors import TiuError
from ....domain.parking import PARKING
from ....domain.registry import aggregate_of
from ....domain.retention import RETENTION
from ....domain.workflow import WORKFLOW
from ...event_hash import NO_EVENT
from ...event_store import EventRow
from ..seals import Inclusion, has_event
from .check_seals import SealsCheck
from .findings import Findings
from .form import About, hash_of

WHOLE = {WORKFLOW.name, RETENTION.name}
"""Streams outside the project that are in a bundle from their first event on."""
IN_PART = {AGENT.name, PARKING.name}
"""Those of which some events are; the first, too, but of what is discarded."""


class EventsCheck:
    """Goes through the events of a bundle once, in order; memory grows with the number of streams alone."""

    def __init__(self, about: About, seals: SealsCheck, proofs: Iterator[Inclusion], findings: Findings) -> None:
        self._about = about
        self._seal = seals.last
        self._heads = {**seals.heads, about.position: about.head}
        self._proofs = proofs
        self._proof = next(proofs, None)
        self._findings = findings
        self._last: EventRow | None = None
        self._versions: dict[int, int] = {}
        self.count = 0
        self.sealed = 0
        """How many events are proved to be in the log of the last seal."""
        self.topics: set[str] = set()

    @property
    def streams(self) -> int:
        return len(self._versions)

    def take(self, row: EventRow) -> None:
        """Look at the next event."""
        self.count += 1
        self.topics.add(row.topic)
        hash_ = hash_of(row)
        if hash_ != row.hash:
            self._found(row, "its row does not have the hash that stands beside it")
        self._check_place(row)
        self._check_stream(row)
        self._check_proof(row, hash_)
        self._last = row

    def end(self) -> None:
        """Look at what was not there."""
        if self._about.project_id.int not in self._versions:
            self._findings.add(f"no event of the project {self._about.project_id} itself is in here")
        if self._proof is not None:
            self._findings.add(f"there is a proof of event {self._proof.position}, and no such event")

    def _found(self, row: EventRow, what: str) -> None:
        self._findings.add(f"event {row.position} ({row.topic}): {what}")

    def _check_place(self, row: EventRow) -> None:
        last = self._last
        if last is not None and row.position <= last.position:
            self._found(row, f"it does not stand behind event {last.position}")
        elif row.position > self._about.position:
            self._found(row, f"it stands behind position {self._about.position}, as of which the bundle is")
        if last is not None and row.recorded_at < last.recorded_at:
            self._found(row, "it was recorded before the event in front of it")
        before = NO_EVENT if row.position == 1 else last.hash if last and row.position == last.position + 1 else None
        if before is not None and row.previous_hash != before:
            self._found(row, "it does not continue the chain")
        if self._heads.get(row.position, row.hash) != row.hash:
            self._found(row, "its hash is not the one that a seal, or the bundle's head, names")

    def _check_stream(self, row: EventRow) -> None:
        key = row.stream_id.int
        before = self._versions.get(key, 0)
        whole = begun = row.project_id is not None
        if row.project_id not in (None, self._about.project_id):
            self._found(row, "it is of another project")
        elif row.project_id is None:
            kind = _kind_of(row.topic)
            whole = kind in WHOLE
            if kind not in WHOLE | IN_PART:
                self._found(row, "it is of none of those that a bundle tells of")
            begun = before > 0 or kind == PARKING.name
        if row.version != before + 1 and (whole or row.version <= before or not begun):
            self._found(row, f"version {row.version} of its stream comes after version {before}")
        self._versions[key] = row.version

    def _check_proof(self, row: EventRow, hash_: bytes) -> None:
        if self._seal is None or row.position > self._seal.statement.position:
            return
        proof = self._proof
        if proof is None or proof.position != row.position:
            self._found(row, "it is said to be sealed, and has no proof")
            return
        self._proof = next(self._proofs, None)
        if has_event(self._seal, hash_, proof):
            self.sealed += 1
        else:
            self._found(row, f"it is not in the log that seal {self._seal.statement.number} has sealed")


def _kind_of(topic: str) -> str | None:
    try:
        return aggregate_of(topic).name
    except TiuError:
        return None
