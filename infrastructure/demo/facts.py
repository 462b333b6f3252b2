"""A facts file: what changed in a code base from revision to revision, and what a validator would have found in it.

gzip JSON Lines, one revision a line, in the order in which they happened; `at` may repeat, or fall:

    {"revision": "9.2.0", "at": "2026-10-27T20:42:46Z",
     "files": [{"path": "src/a.py", "status": "A" | "M" | "D",
                "size": bytes, "sha256": "hex", "findings": [{"line": 1, "type": "placeholder" | "empty_function"}]}]}

A file of status D has neither size, sha256 nor findings. Fields that are not named here are passed over.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ...domain.errors import TiuError
from ...domain.values import FilePath, LineNumber, Name, Timestamp

PACKAGED = "pytest-releases.jsonl.gz"
MAX_LINE_BYTES = 64 << 20
MAX_FILE_BYTES = 1 << 30  # unpacked: a small gzip file can hold any number of lines
MAX_FAULTS_SHOWN = 20


class BadFacts(TiuError):
    """A facts file that cannot be read, or holds a line that is no revision."""

    code: ClassVar[str] = "bad_facts"


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul_character", "Text should not contain NUL characters")
    return text


def _relative(path: str) -> str:
    if "" in path.split("/"):
        raise PydanticCustomError("path", "A path should be relative, and name a file: no empty part")
    return path


Text = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_storable)]
Path_ = Annotated[Text, AfterValidator(_relative)]
FILE_PATH = TypeAdapter[str](FilePath)
TASK_NAME = TypeAdapter[str](Name)


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Finding(Model):
    """Something unfinished in a file; `line` counts from 1."""

    line: LineNumber
    type: Literal["empty_function", "placeholder"]


class Deletion(Model):
    """A file that is gone."""

    path: Path_
    status: Literal["D"]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return ()


class Change(Model):
    """A file as a revision made it; size in bytes."""

    path: Path_
    status: Literal["A", "M"]
    size: Annotated[int, Strict(), Field(ge=0)]
    sha256: Annotated[str, Strict(), Field(pattern=r"^[0-9a-fA-F]{64}$")]
    findings: tuple[Finding, ...]

    @model_validator(mode="after")
    def _can_be_reported(self) -> Self:
        """Its path fits an issue, its directory's name a task."""
        if is_python(self.path):
            _check(TASK_NAME, directory_of(self.path), "The directory")
            if self.findings:
                _check(FILE_PATH, self.path, "The path of a file with findings")
        return self


class Revision(Model):
    """A commit or a release, and the files that it touched."""

    revision: Text
    at: Timestamp
    files: tuple[Annotated[Change | Deletion, Field(discriminator="status")], ...]


@dataclass(frozen=True)
class Facts:
    """A facts file that was read whole, and found good: at least one revision."""

    name: str
    """The project's: the file's, up to its first "-" or "."."""
    sha256: str
    """Of the file as it lies there, packed."""
    revisions: list[Revision]


def is_python(path: str) -> bool:
    return path.endswith(".py")


def directory_of(path: str) -> str:
    """Return the first two components of a path's directory: the name of its task."""
    return "/".join(path.split("/")[:-1][:2]) or "(root)"


def _check(adapter: TypeAdapter[str], text: str, what: str) -> None:
    try:
        adapter.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise PydanticCustomError("path", "{what}: {reason}", {"what": what, "reason": reason}) from None


def packaged_facts() -> Facts:
    """Return the facts that come with this package."""
    with files(__package__).joinpath(PACKAGED).open("rb") as stream:
        return _read(stream, PACKAGED, PACKAGED)


def read_facts(path: Path) -> Facts:
    """Return the facts of a file. Raises BadFacts, naming the line and all that is wrong with it."""
    try:
        with path.open("rb") as stream:
            return _read(stream, path.name, str(path))
    except OSError as error:
        raise BadFacts(f"{path}: {error.strerror or error}", path=path) from None


def _read(stream: IO[bytes], file_name: str, where: str) -> Facts:
    name = _project_name(file_name, where)
    packed = Digested(stream)
    revisions = [_revision(line, number, where) for number, line in enumerate(_lines(packed, where), 1)]
    if not revisions:
        raise BadFacts(f"{where}: holds no revision", path=where)
    return Facts(name, packed.digest.hexdigest(), revisions)


def _project_name(file_name: str, where: str) -> str:
    name = file_name.replace(".", "-").partition("-")[0]
    try:
        return TASK_NAME.validate_python(name)
    except ValidationError:
        raise BadFacts(
            f"{where}: a project is named after the file, up to its first '-' or '.', and {name!a} is no name",
            path=where,
        ) from None


class Digested:
    """A stream that keeps the SHA-256 of what was read from it: it is read once, so it may be a pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data

    def seek(self, offset: int, /) -> int:
        raise io.UnsupportedOperation("seek")


def _lines(packed: Digested, where: str) -> Iterator[bytes]:
    """Yield the unpacked lines. Raises BadFacts where the file is no gzip file, is cut off, or is too long."""
    count = total = 0
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as unpacked:
            while line := unpacked.readline(MAX_LINE_BYTES + 1):
                count, total = count + 1, total + len(line)
                if len(line) > MAX_LINE_BYTES:
                    raise BadFacts(
                        f"{where}: line {count}: longer than {MAX_LINE_BYTES >> 20} MiB", path=where, line=count
                    )
                if total > MAX_FILE_BYTES:
                    raise BadFacts(f"{where}: line {count}: more than {MAX_FILE_BYTES >> 30} GiB so far", path=where)
                yield line
    except EOFError:
        raise BadFacts(f"{where}: truncated: it ends after line {count}, in the middle", path=where) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        what = "not a gzip file" if count == 0 else f"damaged after line {count}"
        raise BadFacts(f"{where}: {what} ({error})", path=where) from None


def _revision(line: bytes, number: int, where: str) -> Revision:
    try:
        return Revision.model_validate_json(line)
    except ValidationError as error:
        faults = [_shown(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False, include_input=False)]
    shown = "; ".join(faults[:MAX_FAULTS_SHOWN])
    more = f"; and {len(faults) - MAX_FAULTS_SHOWN} more" if len(faults) > MAX_FAULTS_SHOWN else ""
    raise BadFacts(f"{where}: line {number}: {shown}{more}", path=where, line=number, faults=faults)


def _shown(location: tuple[int | str, ...], message: str) -> str:
    """Return a fault with its dotted field; the status that pydantic puts behind a file's number is no field."""
    field = ".".join(str(part) for depth, part in enumerate(location) if depth != 2)
    return f"{field}: {message}" if field else message
