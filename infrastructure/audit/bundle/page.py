"""The HTML report of a bundle that holds: made of the bundle alone, so whoever has that can make it again."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from ....domain.project import ProjectArchived, ProjectRestored
from ....projections.parking import READ_MODEL_PARKING
from ...errors import BundleUnreadable
from ...event_store import EventRow
from ...parking import LeftOut, known_of
from ...queries import ProjectRow, Queries
from ..history import HistoryEntry, Teller
from ..replay import replay
from ..report import Proofs, Report, html
from ..story import story_of
from .archive import Archive, new_file
from .check import CheckReport
from .form import LOG, MEMBERS, event_of
from .rows import BundleLog

MOVES = {ProjectArchived.topic, ProjectRestored.topic}
"""They move a project's rows between the read tables and the archive, which no query asks: the report leaves them where
they are, and takes the status from their last."""


def write_page(checked: CheckReport, path: Path) -> None:
    """Write the HTML report of a bundle into a new file. Raises FileExists, ExportRefused, and what `page` raises."""
    text = page(checked).encode()
    with new_file(path) as file:
        file.write(text)


def page(checked: CheckReport) -> str:
    """Return the HTML report of a bundle, as it was checked. Raises BundleUnreadable where it does not hold, or is
    another one by now."""
    with Archive(Path(checked.file), MEMBERS) as archive:
        if archive.digest != checked.digest or not checked.holds:
            raise archive.unreadable("it does not hold, or is not the bundle that was checked: there is no page of it")
        return html(_report(archive, checked))


def _report(archive: Archive, checked: CheckReport) -> Report:
    """Every event was looked at before: none can fail now."""

    def rows() -> Iterator[EventRow]:
        return map(event_of, archive.lines(LOG))

    log = BundleLog(lambda: (row for row in rows() if row.topic not in MOVES), checked.epoch, checked.position)
    with (
        tempfile.TemporaryDirectory(prefix="tiu-report-") as folder,
        replay(log, Path(folder) / "rows.db", indexed=False) as replayed,
    ):
        read, id_ = Queries(replayed.reads), checked.project_id
        project = read.project(id_)
        if project is None:
            raise BundleUnreadable(f"{checked.file}: it has no row of its project", path=checked.file)
        left_out = known_of(replayed.reads, READ_MODEL_PARKING).left_out.values()
        return Report(
            project=_as_moved(project, rows(), left_out),
            position=checked.position,
            recorded_at=max(row.recorded_at for row in rows()),
            tasks=read.tasks(id_),
            real=read.metrics(id_, "real_progress"),
            fake=read.metrics(id_, "fake_progress"),
            validations=read.reports(id_),
            issues=read.open_issues(id_),
            story=story_of(_told(rows(), id_)),
            proofs=Proofs(_facts(checked), checked.proves, checked.leaves_open),
        )


def _as_moved(project: ProjectRow, rows: Iterator[EventRow], left_out: Collection[LeftOut]) -> ProjectRow:
    """Return a project's row as its last undiscarded event leaves it, if that has archived or restored it."""
    discarded = [(one.first_position, one.last_position) for one in left_out if one.unit_id == project.id]
    own = (row for row in rows if row.stream_id == project.id)
    kept = (row.topic for row in own if not any(first <= row.position <= last for first, last in discarded))
    last = next(iter(deque(kept, maxlen=1)), None)
    if last == ProjectRestored.topic:
        return replace(project, status="active", completed_at=None)
    return replace(project, status="archived") if last == ProjectArchived.topic else project


def _told(rows: Iterator[EventRow], project_id: UUID) -> Iterator[HistoryEntry]:
    teller = Teller(_Nothing())
    return (teller.tell(row) for row in rows if row.project_id == project_id)


class _Nothing:
    """What a bundle has besides its events, for whoever tells of them. Satisfies `Streams`."""

    def keys(self, person_ids: Collection[UUID]) -> dict[UUID, bytes]:
        return {}

    def read_rows_of_stream(self, stream_id: UUID, after: int, limit: int) -> list[EventRow]:
        """Every stream is told from its first event on; what came before is not looked up again."""
        return []


def _facts(checked: CheckReport) -> list[tuple[str, str]]:
    facts = [
        ("File", Path(checked.file).name),
        ("SHA-256", checked.digest),
        ("Log", str(checked.epoch)),
        ("Position", f"{checked.position:,}"),
        ("Events", f"{checked.events:,} in {checked.streams:,} streams"),
        ("Rows", f"{checked.rows:,}"),
    ]
    if (seal := checked.seal) is None:
        return [*facts, ("Seal", "none")]
    return [
        *facts,
        ("Events under a seal", f"{checked.sealed:,}"),
        ("Seal", f"{seal.number}, over {seal.position:,} events, {seal.sealed_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Root", seal.root),
        ("Signed with", seal.key),
    ]
