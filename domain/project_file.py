"""A project's file: what agents make, and validation looks at.

A file is a project and a path, taken as it is given: its stream is found from both. Text of up to 1 MiB is kept in the
events, compressed; larger or binary content is known by its hash and size alone.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from .aggregate import Aggregate, require_status
from .dependency_graph import graph_id
from .errors import AlreadyExists, NotFound
from .messages import Command, Event, given
from .name_ids import uuid5
from .project_metrics import metrics_id
from .project_state import NOT_ARCHIVED, Project, require_project
from .values import MAX_CONTENT_BYTES, FilePath, FileText, JsonObject, Percent, Sha256, SizeInBytes

COMPRESSION_LEVEL = 6


def file_id(project_id: UUID, file_path: str) -> UUID:
    """Return the stream, and the row's id, of a file: uuid5 of its project and path.

    Those of the two paths which would be the project's dependency graph and its metrics are made once more.
    """
    stream = uuid5(project_id, file_path)
    return uuid5(stream, file_path) if stream in (graph_id(project_id), metrics_id(project_id)) else stream


class Measure(NamedTuple):
    """What is known of any content: its SHA-256 (64 hex digits), and its size in bytes."""

    content_hash: str
    size_bytes: int


def measured(content: str) -> Measure:
    """Return the measure of a text, in UTF-8."""
    data = content.encode()
    return Measure(sha256(data).hexdigest(), len(data))


def compressed(content: str) -> str:
    """Return a text as events hold it: UTF-8, compressed by zlib, written in base64."""
    return b64encode(zlib.compress(content.encode(), COMPRESSION_LEVEL)).decode()


def decompressed(content_zlib: str) -> str:
    """Return the text that `compressed` was given. Never makes more than 1 MiB of it.

    Raises ValueError for what `compressed` did not make.
    """
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(b64decode(content_zlib, validate=True), MAX_CONTENT_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"a file's content does not decompress: {error}") from None
    if len(data) > MAX_CONTENT_BYTES:
        raise ValueError(f"a file's content is longer than {MAX_CONTENT_BYTES} bytes")
    if not stream.eof or stream.unused_data:
        raise ValueError("a file's content does not end where it should")
    return data.decode()


class FileCommand(Command):
    """The base of the commands to a file: it is named by its project and its path."""

    reads: ClassVar = ("project_id",)

    project_id: UUID
    file_path: FilePath


class ContentCommand(FileCommand):
    """The base of the commands that give a file its content: as text, or by hash and size alone."""

    content: FileText | None = None
    content_hash: Sha256 | None = Field(default=None, validate_default=True)
    size_bytes: SizeInBytes | None = Field(default=None, validate_default=True)

    @field_validator("content_hash", "size_bytes")
    @classmethod
    def _of_the_content(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        if "content" not in info.data:  # it is at fault itself
            return value
        content = info.data["content"]
        if content is None and value is None:
            raise PydanticCustomError("missing", "Field required where no content is given")
        if content is not None and value is not None and value != getattr(measured(content), given(info.field_name)):
            raise PydanticCustomError("not_the_contents", "Input should be that of the content, or be left out")
        return value

    def measure(self) -> Measure:
        """Return the hash and size, computed where content is given."""
        if self.content is not None:
            return measured(self.content)
        return Measure(given(self.content_hash), given(self.size_bytes))


class CreateFile(ContentCommand):
    """Create a file of an active project, or create a deleted one anew.

    Give its `content`, or `content_hash` and `size_bytes` alone where it is binary or over 1 MiB.
    """

    metadata: JsonObject = {}


class ModifyFile(ContentCommand):
    """Give a file other content: it is not validated any more, and its validation score is 0.

    Give its `content`, or `content_hash` and `size_bytes` alone. Metadata that is left out stays as it is.
    """

    metadata: JsonObject | None = None


class ValidateFile(FileCommand):
    """Declare a file valid, with the score (percent) that its validation gave it."""

    validation_score: Percent


class FailFileValidation(FileCommand):
    """Declare that a file did not pass its validation; the score (percent) is 0 where none is given."""

    validation_score: Percent = 0.0


class DeleteFile(FileCommand):
    """Delete a file. Its row stays, without the content; the same path may be created again."""


class ContentEvent(Event):
    """The base of the events that give a file its content."""

    content_zlib: str | None
    content_hash: str
    size_bytes: int

    def content(self) -> str | None:
        """Return the text; None where only its hash and size are known. Raises ValueError where it is damaged."""
        return None if self.content_zlib is None else decompressed(self.content_zlib)


class FileCreated(ContentEvent):
    topic: ClassVar = "project_file.created.v1"

    project_id: UUID
    file_path: str
    metadata: dict[str, Any]


class FileRevived(ContentEvent):
    topic: ClassVar = "project_file.revived.v1"

    metadata: dict[str, Any]


class FileModified(ContentEvent):
    topic: ClassVar = "project_file.modified.v1"

    metadata: dict[str, Any] | None
    """None where it stays as it is."""


class FileValidated(Event):
    topic: ClassVar = "project_file.validated.v1"

    validation_score: float


class FileValidationFailed(Event):
    topic: ClassVar = "project_file.validation_failed.v1"

    validation_score: float


class FileDeleted(Event):
    topic: ClassVar = "project_file.deleted.v1"


STATUS_AFTER: dict[type[Event], str] = {
    FileCreated: "created",
    FileRevived: "created",
    FileModified: "modified",
    FileValidated: "validated",
    FileValidationFailed: "failed_validation",
    FileDeleted: "deleted",
}
"""The status that each event gives a file."""

PRESENT = ("created", "modified", "validated", "failed_validation")
"""The statuses of a file that is not deleted."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    project_id: UUID
    file_path: str
    status: str


class Reads(Protocol):
    """What deciding on a file asks of other streams."""

    def project(self, project_id: UUID) -> Project | None: ...


def stream_of(command: FileCommand, reads: Reads) -> UUID:
    return file_id(command.project_id, command.file_path)


def decide(file: ProjectFile | None, command: FileCommand, reads: Reads) -> list[Event]:
    if isinstance(command, CreateFile):
        return [_create(file, command, reads)]
    id_ = file_id(command.project_id, command.file_path)
    if file is None:
        raise NotFound(
            f"project {command.project_id} has no file {_shown(command)}",
            project_id=command.project_id,
            file_path=command.file_path,
        )
    require_project(reads.project(command.project_id), command.project_id, NOT_ARCHIVED, command)
    require_status(f"file {_shown(command)}", id_, file.status, PRESENT, command)
    match command:
        case ModifyFile(metadata=metadata):
            return [FileModified(**_content(command), metadata=metadata)]
        case ValidateFile(validation_score=score):
            return [FileValidated(occurred_at=command.at, validation_score=score)]
        case FailFileValidation(validation_score=score):
            return [FileValidationFailed(occurred_at=command.at, validation_score=score)]
        case DeleteFile():
            return [FileDeleted(occurred_at=command.at)]
    raise TypeError(f"no command of a project file: {type(command).__name__}")


def _create(file: ProjectFile | None, command: CreateFile, reads: Reads) -> Event:
    require_project(reads.project(command.project_id), command.project_id, ("active",), command)
    if file is None:
        return FileCreated(
            **_content(command),
            project_id=command.project_id,
            file_path=command.file_path,
            metadata=command.metadata,
        )
    if file.status == "deleted":
        return FileRevived(**_content(command), metadata=command.metadata)
    raise AlreadyExists(
        f"project {command.project_id} has a file {_shown(command)} already",
        id=file_id(command.project_id, command.file_path),
        project_id=command.project_id,
        file_path=command.file_path,
    )


def _shown(command: FileCommand) -> str:
    """Return the path in plain characters, and shortened."""
    path = ascii(command.file_path)
    return path if len(path) <= 200 else f"{path[:200]}…"


def _content(command: ContentCommand) -> dict[str, Any]:
    """Return the fields that every event with content has."""
    text = command.content
    stored = None if text is None else compressed(text)
    return {"occurred_at": command.at, "content_zlib": stored, **command.measure()._asdict()}


def evolve(file: ProjectFile | None, event: Event) -> ProjectFile:
    status = STATUS_AFTER[type(event)]
    if isinstance(event, FileCreated):
        return ProjectFile(project_id=event.project_id, file_path=event.file_path, status=status)
    assert file is not None
    return replace(file, status=status)


PROJECT_FILE = Aggregate[ProjectFile](
    name="project_file",
    commands=(CreateFile, ModifyFile, ValidateFile, FailFileValidation, DeleteFile),
    events=tuple(STATUS_AFTER),
    decide=decide,
    evolve=evolve,
    project_of=lambda stream_id, file: file.project_id,
    stream_of=stream_of,
)
