"""Writing an audit bundle: what a log has of one project, what proves it, and the rows that follow from it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from ....projections.read_model import READ_MODEL
from ...errors import InvalidQuery
from ...event_store import EventRow, EventStore
from ..proofs import prove_events, prove_growths
from ..replay import last_flushed
from ..seals import Seal
from .archive import ArchiveWriter, new_file
from .form import (
    ABOUT,
    LOG,
    MAX_SEALS,
    PROOFS,
    ROWS,
    SCHEMAS,
    SEALS,
    About,
    event_line,
    event_of,
    line,
    schema_lines,
    seal_line,
)
from .rows import BundleLog, rows_of
from .selection import events_of_project

PROVED_AT_ONCE = 20_000
"""For how many events proofs are in memory at once; for each such part, the log's hashes are read."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What a bundle was written of."""

    file: str
    digest: str
    """The SHA-256 that stands in the bundle, in hexadecimal: whoever was told it knows this bundle from any other."""
    project_id: UUID
    position: int
    events: int
    sealed: int
    """How many of the events the last seal covers."""
    seal: int | None
    """The number of that seal, where there is one."""
    rows: int


def export(
    events: EventStore, seals: Sequence[Seal], project_id: UUID, path: Path, *, position: int | None = None
) -> ExportReport:
    """Write the bundle of a project as of a position, or of now, into a new file; `seals` are the log's, in order.

    The same log, with the same seals, gives the same bytes. Raises NotFound, InvalidQuery, FileExists,
    ExportRefused, ProjectionFailed, and BadSeal where the log is not what was sealed.
    """
    last = last_flushed(events)
    position = last if position is None else position
    if not 0 < position <= last:
        raise InvalidQuery(f"position {position}: the log has the positions 1 to {last}")
    selected = events_of_project(events, project_id, position)
    with new_file(path) as file:
        bundle = _Bundle(events, ArchiveWriter(file, path), _about(events, project_id, position), path)
        return bundle.write(selected, covering(seals, position))


def _about(events: EventStore, project_id: UUID, position: int) -> About:
    head = events.hash_at(position)
    assert head is not None  # noqa: S101 - positions have no gap
    return About(project_id, position, head, events.epoch, version("claude-tiu"), READ_MODEL.name, READ_MODEL.version)


class _Bundle:
    """A bundle that is being written."""

    def __init__(self, events: EventStore, writer: ArchiveWriter, about: About, path: Path) -> None:
        self._events = events
        self._writer = writer
        self._about = about
        self._path = path
        self._positions = array("q")
        self._topics: set[str] = set()

    def write(self, selected: Iterator[EventRow], seals: Sequence[Seal]) -> ExportReport:
        self._write(ABOUT, [self._about.line])
        self._write(LOG, self._noted(selected))
        last = seals[-1] if seals else None
        sealed = [position for position in self._positions if last and position <= last.statement.position]
        self._write(PROOFS, self._proofs(last, sealed) if last else ())
        self._write(SEALS, self._seals(seals) if last else ())
        tables: set[str] = set()
        rows = self._write(ROWS, self._rows(tables))
        self._write(SCHEMAS, schema_lines(self._topics, tables))
        return ExportReport(
            file=str(self._path),
            digest=self._writer.finish(),
            project_id=self._about.project_id,
            position=self._about.position,
            events=len(self._positions),
            sealed=len(sealed),
            seal=last.statement.number if last else None,
            rows=rows,
        )

    def _write(self, name: str, lines: Iterable[bytes]) -> int:
        """Write a member, and return how many lines it has."""
        count = 0
        with self._writer.member(name):
            for text in lines:
                self._writer.write_line(text)
                count += 1
        return count

    def _noted(self, selected: Iterator[EventRow]) -> Iterator[bytes]:
        for row in selected:
            self._positions.append(row.position)
            self._topics.add(row.topic)
            yield event_line(row)

    def _proofs(self, seal: Seal, positions: Sequence[int]) -> Iterator[bytes]:
        for start in range(0, len(positions), PROVED_AT_ONCE):
            some = positions[start : start + PROVED_AT_ONCE]
            proofs = prove_events(self._events, seal, some)
            yield from (line(proofs[position].plain) for position in some)

    def _seals(self, seals: Sequence[Seal]) -> Iterator[bytes]:
        *older, last = seals
        yield from map(seal_line, older, prove_growths(self._events, older, last))
        yield seal_line(last, ())

    def _rows(self, tables: set[str]) -> Iterator[bytes]:
        """What is read back is what was written: the rows follow from the bundle alone."""
        log = BundleLog(lambda: map(event_of, self._writer.lines(LOG)), self._about.epoch, self._about.position)
        for table, text in rows_of(log):
            tables.add(table)
            yield text


def covering(seals: Sequence[Seal], position: int) -> Sequence[Seal]:
    """Return the seals of a log up to the first that covers a position, or all where none does yet."""
    covers = next((index for index, seal in enumerate(seals) if seal.statement.position >= position), len(seals) - 1)
    return seals[: covers + 1][-MAX_SEALS:]
