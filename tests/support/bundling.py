"""Audit bundles to check: of logs that are sealed, and forged as somebody would who knows their form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import DiscardParkedEvents, RecordMetric, connect
from claude_tiu.infrastructure.audit import merkle
from claude_tiu.infrastructure.audit.bundle.archive import Archive, ArchiveWriter, new_file
from claude_tiu.infrastructure.audit.bundle.check import CheckReport, check_bundle
from claude_tiu.infrastructure.audit.bundle.export import export
from claude_tiu.infrastructure.audit.bundle.form import (
    ABOUT,
    LOG,
    MEMBERS,
    PROOFS,
    ROWS,
    SCHEMAS,
    About,
    event_line,
    event_of,
    hash_of,
    line,
    schema_lines,
)
from claude_tiu.infrastructure.audit.bundle.rows import BundleLog, rows_of
from claude_tiu.infrastructure.audit.seals import Seal, SealingKey
from claude_tiu.infrastructure.errors import BundleUnreadable
from claude_tiu.infrastructure.event_store import EventRow, EventStore
from tests.support.every_table import PROJECT, tell_all
from tests.support.stores import new_backend

SEALED_AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
Members = dict[str, list[bytes]]
Forge = Callable[[Members], None]
KEY, ANOTHERS = (SealingKey(bytes([number]) * 32) for number in (1, 2))


@dataclass(frozen=True)
class Made:
    """A bundle of all that a log has of a project, sealed at 20, 50 and 85; and the log's seals.

    Its last event discards the one before it.
    """

    path: Path
    events: EventStore
    seals: list[Seal]

    def members(self) -> Members:
        return members_of(self.path)


@contextmanager
def made_in(folder: Path) -> Iterator[Made]:
    with new_backend("sqlite", folder / "tiu.db") as backend:
        tell_all(backend)
        with connect(backend.url, project=False) as tiu:
            at = tiu.execute(RecordMetric(project_id=PROJECT, metric_name="velocity", value=7.5)).position
            tiu.execute(DiscardParkedEvents(unit_id=PROJECT, first_position=at, last_position=at, reason="made up"))
        events = backend.events()
        seals = seal_at(events, [20, 50, 85], KEY)
        export(events, seals, PROJECT, folder / "bundle.zip")
        yield Made(folder / "bundle.zip", events, seals)


def refused(path: Path) -> str:
    """Check what is no bundle, and return the error."""
    with pytest.raises(BundleUnreadable) as caught:
        check_bundle(path)
    return str(caught.value)


def found(report: CheckReport) -> str:
    """Return what was found wrong, which must be something."""
    assert not report.holds
    assert report.proves == ()
    assert report.found >= len(report.findings) > 0
    return "\n".join(report.findings)


def seal_at(events: EventStore, positions: Sequence[int], key: SealingKey) -> list[Seal]:
    """Return seals of a log at some positions, each after the one before."""
    seals: list[Seal] = []
    for position in positions:
        hashes = events.read_hashes(0, position)
        root = merkle.root_of(hashes)
        before = seals[-1] if seals else None
        seals.append(
            key.sign(
                epoch=events.epoch, position=position, head=hashes[-1], root=root, before=before, sealed_at=SEALED_AT
            )
        )
    return seals


def members_of(path: Path) -> Members:
    """Return the lines of a bundle, by member."""
    with Archive(path, MEMBERS) as archive:
        return {name: list(archive.lines(name)) for name in MEMBERS}


def write(path: Path, members: Members) -> Path:
    """Write a bundle of any lines, with the right digest."""
    with new_file(path) as file:
        writer = ArchiveWriter(file, path)
        for name in MEMBERS:
            with writer.member(name):
                for text in members[name]:
                    writer.write_line(text)
        writer.finish()
    return path


def edited(text: bytes, **values: Any) -> bytes:
    """Return a line of JSON with other values of some keys."""
    return line(json.loads(text) | values)


def rehashed(members: Members, change: Callable[[EventRow], EventRow]) -> None:
    """Change the events of a bundle as somebody would who knows how their hashes are made."""
    before: EventRow | None = None
    for number, text in enumerate(members[LOG]):
        row = change(event_of(text))
        if before is not None and row.position == before.position + 1:
            row = row._replace(previous_hash=before.hash)
        row = row._replace(hash=hash_of(row))
        members[LOG][number] = event_line(row)
        before = row


def values_of(texts: Sequence[bytes]) -> list[Any]:
    return [json.loads(text) for text in texts]


def of_project(tables: dict[str, list[Any]], project_id: UUID, workflows: set[UUID]) -> dict[str, list[Any]]:
    """Return the rows of a whole read side that are a project's own, and of the workflows that were run in it."""

    def archived(name: str) -> list[Any]:
        return tables[name] + tables[f"{name}_archive"]

    tasks = {row["id"] for row in archived("tasks") if row["project_id"] == project_id}
    reports = {row["id"] for row in archived("validation_reports") if row["project_id"] == project_id}
    own: dict[str, Callable[[Any], bool]] = {
        "projects": lambda row: row["id"] == project_id,
        "task_dependencies": lambda row: row["task_id"] in tasks,
        "agent_assignments": lambda row: row["task_id"] in tasks,
        "validation_issues": lambda row: row["validation_report_id"] in reports,
        "workflows": lambda row: row["id"] in workflows,
        "workflow_steps": lambda row: row["workflow_id"] in workflows,
    }
    for name in ("tasks", "project_files", "validation_reports", "progress_metrics", "step_executions"):
        own[name] = lambda row: row["project_id"] == project_id
    return {
        name: [row for row in rows if own[name.removesuffix("_archive")](row)]
        for name, rows in tables.items()
        if name.removesuffix("_archive") in own
    }


def said_by(seal: Seal, **values: Any) -> dict[str, Any]:
    said = seal.statement
    names = ("epoch", "position", "head", "root", "sealed_at")
    return {name: getattr(said, name) for name in names} | values


def change_event(position: int, /, **values: Any) -> Forge:
    def forge(members: Members) -> None:
        index = event_at(members, position)
        members[LOG][index] = edited(members[LOG][index], **values)

    return forge


def event_at(members: Members, position: int) -> int:
    return next(i for i, event in enumerate(values_of(members[LOG])) if event["position"] == position)


def drop_event(position: int) -> Forge:
    def forge(members: Members) -> None:
        del members[LOG][event_at(members, position)]
        members[PROOFS] = [proof for proof in members[PROOFS] if json.loads(proof)["position"] != position]

    return forge


def change_about(**values: Any) -> Forge:
    def forge(members: Members) -> None:
        members[ABOUT] = [edited(members[ABOUT][0], **values)]

    return forge


def remake_rows(members: Members) -> None:
    rows = [event_of(text) for text in members[LOG]]
    about = About.parse(members[ABOUT][0])
    made = list(rows_of(BundleLog(lambda: iter(rows), about.epoch, about.position)))
    members[ROWS] = [text for _, text in made]
    members[SCHEMAS] = list(schema_lines({row.topic for row in rows}, {table for table, _ in made}))
