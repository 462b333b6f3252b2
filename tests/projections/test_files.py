"""project_files: a file's row follows its events; a deleted one's stays, and is revived."""

from __future__ import annotations

from typing import Any

import pytest

from claude_tiu.domain.messages import Event
from claude_tiu.domain.project_file import (
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
    compressed,
    file_id,
    measured,
)
from tests.domain.given import AT, PROJECT_ID
from tests.projections.telling import Changes, Told, minutes

PATH = "src/parser.py"
FILE_ID = file_id(PROJECT_ID, PATH)
HASH, SIZE = measured("pass\n")


def held(text: str) -> dict[str, Any]:
    return {"content_zlib": compressed(text), **measured(text)._asdict()}


CREATED = FileCreated(occurred_at=AT, project_id=PROJECT_ID, file_path=PATH, metadata={"lang": "py"}, **held("pass\n"))
ROW = {
    "id": FILE_ID,
    "project_id": PROJECT_ID,
    "file_path": PATH,
    "content": "pass\n",
    "content_hash": HASH,
    "size_bytes": SIZE,
    "status": "created",
    "validation_score": 0.0,
    "metadata": {"lang": "py"},
    "created_at": AT,
    "updated_at": AT,
}


def told(*events: Event) -> dict[str, Any]:
    """The file's row after these events, the n-th n minutes after AT; each changes that row and nothing else."""
    tables = Told().with_project()
    for number, event in enumerate(events):
        changes = tables.tell(event.model_copy(update={"occurred_at": minutes(number)}), FILE_ID)
        assert changes.keys() == {"project_files"}
    return tables.tables["project_files"][FILE_ID]


def test_a_file_begins_created_with_a_score_of_0() -> None:
    assert Told().with_project().tell(CREATED, FILE_ID) == {"project_files": Changes([ROW])}


@pytest.mark.parametrize(
    ("event", "status", "score"),
    [
        (FileValidated(occurred_at=AT, validation_score=87.5), "validated", 87.5),
        (FileValidationFailed(occurred_at=AT, validation_score=12.5), "failed_validation", 12.5),
    ],
)
def test_a_validation_gives_a_status_and_a_score(event: Event, status: str, score: float) -> None:
    changed = {"status": status, "validation_score": score, "updated_at": minutes(1)}
    assert told(CREATED, event) == ROW | changed


@pytest.mark.parametrize("metadata", [None, {}, {"lang": "js"}])
def test_modifying_replaces_the_content_and_resets_the_score(metadata: dict[str, Any] | None) -> None:
    validated = FileValidated(occurred_at=AT, validation_score=87.5)
    hash_, size = measured("return 7\n")
    assert told(CREATED, validated, FileModified(occurred_at=AT, metadata=metadata, **held("return 7\n"))) == ROW | {
        "content": "return 7\n",
        "content_hash": hash_,
        "size_bytes": size,
        "status": "modified",
        "validation_score": 0.0,
        "metadata": {"lang": "py"} if metadata is None else metadata,
        "updated_at": minutes(2),
    }


def test_what_is_known_by_hash_alone_has_no_content() -> None:
    binary = FileModified(occurred_at=AT, metadata=None, content_zlib=None, content_hash="ab" * 32, size_bytes=5 << 20)
    row = told(CREATED, binary)
    assert (row["content"], row["content_hash"], row["size_bytes"]) == (None, "ab" * 32, 5 << 20)


def test_a_deleted_file_keeps_its_row_without_the_content() -> None:
    validated = FileValidated(occurred_at=AT, validation_score=87.5)
    assert told(CREATED, validated, FileDeleted(occurred_at=AT)) == ROW | {
        "content": None,
        "status": "deleted",
        "validation_score": 87.5,
        "updated_at": minutes(2),
    }


def test_created_again_it_has_the_same_row_and_the_time_at_which_that_was_made() -> None:
    revived = FileRevived(occurred_at=AT, metadata={"new": True}, **held(""))
    hash_, _ = measured("")
    validated = FileValidated(occurred_at=AT, validation_score=87.5)
    assert told(CREATED, validated, FileDeleted(occurred_at=AT), revived) == ROW | {
        "content": "",
        "content_hash": hash_,
        "size_bytes": 0,
        "metadata": {"new": True},
        "updated_at": minutes(3),
    }
