"""Checking an audit bundle: offline, with nothing but the file, and what its reader has kept of the log elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from ....projections.read_model import READ_MODEL
from ...errors import ProjectionFailed
from ..seals import Seal
from .archive import Archive
from .check_events import EventsCheck
from .check_rows import compare
from .check_seals import SealsCheck
from .findings import Findings
from .form import (
    ABOUT,
    LOG,
    MAX_SEALS,
    MEMBERS,
    PROOFS,
    ROWS,
    SCHEMAS,
    SEALS,
    About,
    event_of,
    proof_of,
    schema_lines,
    seal_of,
)
from .rows import BundleLog, rows_of
from .telling import Counts, SealedBy, what_it_leaves_open, what_it_proves

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of a bundle has come to."""

    file: str
    digest: str
    """The SHA-256 that stands in it, and that its bytes have."""
    project_id: UUID
    position: int
    """As of which position of the log it is, by its own account."""
    epoch: UUID
    code: str
    """The version of claude-tiu that made it, by its own account."""
    events: int
    streams: int
    rows: int
    """How many of its rows follow from its events."""
    sealed: int
    """How many events are proved to be in the log under the last seal."""
    known: int
    """How many of these are under a seal that was kept elsewhere."""
    seal: SealedBy | None
    key_known: bool
    """Whether it was signed with a key that was kept elsewhere."""
    findings: tuple[str, ...]
    """What is wrong, up to a bound."""
    found: int
    """In how many places something is wrong."""
    proves: tuple[str, ...]
    """What is shown, where nothing is wrong; one sentence each."""
    leaves_open: tuple[str, ...]
    """What is not."""

    @property
    def holds(self) -> bool:
        return self.found == 0


def check_bundle(path: Path | str, *, keys: Sequence[bytes] = (), seals: Sequence[Seal] = ()) -> CheckReport:
    """Check a bundle. `keys` are public keys, `seals` seals of its log, that were kept where its maker had no hand in.

    No database and no setting is asked. Raises BundleUnreadable where the file is no bundle, or a single bit of it is
    not as it was written.
    """
    with Archive(Path(path), MEMBERS) as archive:
        return _Check(archive, keys, seals).run()


class _Check:
    def __init__(self, archive: Archive, keys: Sequence[bytes], kept: Sequence[Seal]) -> None:
        self._archive = archive
        self._keys = keys
        self._kept = kept
        self._findings = Findings()
        self._about = self._read_about()
        self._seals = SealsCheck(self._read_seals(), self._about.epoch, self._findings)

    def _read_about(self) -> About:
        found = list(self._values(ABOUT, About.parse))
        if len(found) != 1:
            raise self._archive.unreadable(f"{ABOUT} should be one line")
        return found[0]

    def _read_seals(self) -> list[tuple[Seal, tuple[bytes, ...]]]:
        found = []
        for seal in self._values(SEALS, seal_of):
            found.append(seal)
            if len(found) > MAX_SEALS:
                raise self._archive.unreadable(f"there are more than {MAX_SEALS} seals in it")
        return found

    def _values(self, name: str, parse: Callable[[bytes], Value]) -> Iterator[Value]:
        """Yield the values of a member's lines. Raises BundleUnreadable for one that is not what it should be."""
        for number, text in enumerate(self._archive.lines(name), 1):
            try:
                value = parse(text)
            except ValueError as error:
                raise self._archive.unreadable(f"{name}, line {number}: {error}") from None
            yield value

    def run(self) -> CheckReport:
        events = EventsCheck(self._about, self._seals, self._values(PROOFS, proof_of), self._findings)
        known_to = self._seals.known_by_seals(self._kept)
        known = 0
        for row in self._values(LOG, event_of):
            events.take(row)
            known += row.position <= known_to
        events.end()
        key_known = self._seals.require_key(self._keys)
        rows = self._check_rows(events.topics)
        counts = Counts(events.count, events.streams, events.sealed, known, rows)
        return self._report(counts, key_known)

    def _report(self, counts: Counts, key_known: bool) -> CheckReport:
        about, digest, last = self._about, self._archive.digest, self._seals.last
        seal = None if last is None else _sealed_by(last)
        wrong = self._findings.count > 0
        return CheckReport(
            file=str(self._archive.path),
            digest=digest,
            project_id=about.project_id,
            position=about.position,
            epoch=about.epoch,
            code=about.code,
            **counts._asdict(),
            seal=seal,
            findings=tuple(self._findings.told),
            found=self._findings.count,
            key_known=key_known,
            proves=() if wrong else what_it_proves(about, digest, counts, seal, key_known=key_known),
            leaves_open=() if wrong else what_it_leaves_open(about, counts, seal, key_known=key_known),
        )

    def _check_rows(self, topics: set[str]) -> int:
        """Return how many rows follow from the events; none is looked at where these are not what they should be."""
        made_by = (self._about.projection, self._about.projection_version)
        if made_by != (READ_MODEL.name, READ_MODEL.version):
            self._findings.add(
                f"its rows were made by version {made_by[1]} of {made_by[0]!a}, this is version {READ_MODEL.version} "
                f"of {READ_MODEL.name}: check it with claude-tiu {self._about.code!a}"
            )
        if self._findings.count:
            return 0
        log = BundleLog(lambda: self._values(LOG, event_of), self._about.epoch, self._about.position)
        try:
            with closing(rows_of(log)) as made:
                same, tables = compare(self._archive.lines(ROWS), made, self._findings)
        except ProjectionFailed as error:
            self._findings.add(f"no rows follow from its events: {error}")
            return 0
        except ValueError as error:
            raise self._archive.unreadable(f"{ROWS}: {error}") from None
        self._check_schemas(topics, tables)
        return same

    def _check_schemas(self, topics: set[str], tables: set[str]) -> None:
        pairs = zip_longest(self._archive.lines(SCHEMAS), schema_lines(topics, tables))
        if any(given != ours for given, ours in pairs):
            self._findings.add(
                f"its schemas are not those of this code, claude-tiu {version('claude-tiu')}: it says that it was made "
                f"by claude-tiu {self._about.code!a}"
            )


def _sealed_by(seal: Seal) -> SealedBy:
    said = seal.statement
    return SealedBy(said.number, said.position, said.sealed_at, said.root.hex(), said.key.hex())
