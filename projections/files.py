"""project_files: one row a file. A deleted one keeps its row, without the content; created again, it has the same row.

The hash, size, score and metadata of a deleted file's row are those that it last had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain.messages import Event, Recorded
from ..domain.project_file import (
    STATUS_AFTER,
    ContentEvent,
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
)
from .projection import Change, Handler, Insert, Rows, Update
from .tables import PROJECT_FILES


def file_created(recorded: Recorded, event: FileCreated, rows: Rows) -> Iterator[Change]:
    yield Insert(
        PROJECT_FILES.name,
        {
            "id": recorded.stream_id,
            "project_id": event.project_id,
            "file_path": event.file_path,
            "metadata": event.metadata,
            "created_at": event.occurred_at,
            **_content(event),
            **_status(event),
        },
    )


def content_replaced(recorded: Recorded, event: FileRevived | FileModified, rows: Rows) -> Iterator[Change]:
    metadata = {} if event.metadata is None else {"metadata": event.metadata}
    yield Update(PROJECT_FILES.name, recorded.stream_id, {**_content(event), **metadata, **_status(event)})


def file_checked(recorded: Recorded, event: FileValidated | FileValidationFailed, rows: Rows) -> Iterator[Change]:
    values = {"validation_score": event.validation_score, **_status(event)}
    yield Update(PROJECT_FILES.name, recorded.stream_id, values)


def file_deleted(recorded: Recorded, event: FileDeleted, rows: Rows) -> Iterator[Change]:
    yield Update(PROJECT_FILES.name, recorded.stream_id, {"content": None, **_status(event)})


def _content(event: ContentEvent) -> dict[str, Any]:
    """New content, which nobody has validated yet."""
    return {
        "content": event.content(),
        "content_hash": event.content_hash,
        "size_bytes": event.size_bytes,
        "validation_score": 0.0,
    }


def _status(event: Event) -> dict[str, Any]:
    return {"status": STATUS_AFTER[type(event)], "updated_at": event.occurred_at}


HANDLERS: dict[type, Handler] = {
    FileCreated: file_created,
    FileRevived: content_replaced,
    FileModified: content_replaced,
    FileValidated: file_checked,
    FileValidationFailed: file_checked,
    FileDeleted: file_deleted,
}
