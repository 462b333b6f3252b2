"""An archive of which every bit counts: a zip of fixed form, that any zip tool opens and that one way alone writes.

Its members are stored as they are, under names and in an order that reader and writer know beforehand, without a time,
a comment or anything else that may be one thing or another. So the bytes follow from the contents. The last member,
`sha256`, is the digest of every byte before it; what follows it, the directory, follows from the members. Nothing is
unpacked, on the disk or in memory: a file is as large as what is read of it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from ...errors import BundleUnreadable, ExportRefused, FileExists

DIGEST = "sha256"
DIGEST_BYTES = 65
"""64 hexadecimal digits and the end of the line."""
MAX_BYTES = (1 << 32) - 1
"""Of an archive: its offsets have 32 bits."""
MAX_LINE = 32 << 20
"""Of a member that is read line by line, in bytes."""
CHUNK = 1 << 20

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION = 20  # of the zip format: stored members need no more
_MADE_ON = 3 << 8  # Unix, for the permissions below
_PERMISSIONS = (stat.S_IFREG | 0o600) << 16
_DATE = 33  # 1980-01-01, the first that there is


class Member(NamedTuple):
    """Where a member stands: `offset` is that of its header."""

    name: str
    offset: int
    size: int
    crc: int

    @property
    def start(self) -> int:
        return self.offset + _LOCAL.size + len(self.name)

    def header(self) -> bytes:
        """Return what stands before its contents."""
        name = self.name.encode()
        sizes = self.crc, self.size, self.size
        return _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, 0, _DATE, *sizes, len(name), 0) + name

    def entry(self) -> bytes:
        """Return its line of the directory."""
        name = self.name.encode()
        version, sizes = _MADE_ON | _VERSION, (self.crc, self.size, self.size)
        rest = len(name), 0, 0, 0, 0, _PERMISSIONS, self.offset
        return _CENTRAL.pack(b"PK\x01\x02", version, _VERSION, 0, 0, 0, _DATE, *sizes, *rest) + name


def _directory(members: Sequence[Member], offset: int) -> bytes:
    entries = b"".join(member.entry() for member in members)
    count = len(members)
    return entries + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(entries), offset, 0)


def _tail(members: Sequence[Member], offset: int, digest: str) -> bytes:
    """Return all that follows the members: the digest, as a member of its own, and the directory."""
    content = f"{digest}\n".encode()
    member = Member(DIGEST, offset, len(content), zlib.crc32(content))
    return member.header() + content + _directory([*members, member], member.start + len(content))


class ArchiveWriter:
    """Writes an archive into a new file, its members one after the other."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        """`file` is what `new_file` gave for `path`."""
        self._file = file
        self._path = path
        self._members: list[Member] = []
        self._size = 0
        self._crc = 0

    @contextmanager
    def member(self, name: str) -> Iterator[Self]:
        """Begin a member; what is written meanwhile are its contents. Raises ExportRefused."""
        offset = self._file.tell()
        self._file.write(Member(name, offset, 0, 0).header())
        self._size = self._crc = 0
        yield self
        member = Member(name, offset, self._size, self._crc)
        end = self._file.tell()
        self._file.seek(offset)
        self._file.write(member.header())
        self._file.seek(end)
        self._members.append(member)

    def write_line(self, line: bytes) -> None:
        """Write a line, which holds no end of line. Raises ExportRefused where it, or the file, is too long."""
        if len(line) >= MAX_LINE:
            raise ExportRefused(f"a line of {len(line)} bytes is longer than a bundle can hold ({MAX_LINE})")
        self._crc = zlib.crc32(b"\n", zlib.crc32(line, self._crc))
        self._size += len(line) + 1
        self._file.write(line + b"\n")
        if self._file.tell() > MAX_BYTES - CHUNK:
            raise ExportRefused(f"a bundle holds less than {MAX_BYTES >> 20} MiB: this one would hold more")

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member that was written."""
        (member,) = (member for member in self._members if member.name == name)
        self._file.flush()
        with self._path.open("rb") as file:
            yield from _lines(file, member)

    def finish(self) -> str:
        """Write what follows the members, see to it that all of it is on the disk, and return the digest."""
        end = self._file.tell()
        self._file.flush()
        self._file.seek(0)
        digest = sha256()
        while chunk := self._file.read(CHUNK):
            digest.update(chunk)
        self._file.write(_tail(self._members, end, digest.hexdigest()))
        self._file.flush()
        os.fsync(self._file.fileno())
        return digest.hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Give a new file, which is its owner's alone; nothing is left of it where anything is raised.

    Raises FileExists, or ExportRefused where none can be made.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except FileExistsError:
        raise FileExists(f"{path} is there already: nothing is overwritten", path=path) from None
    except (OSError, ValueError) as error:
        raise ExportRefused(f"cannot make {path}: {_reason(error)}", path=path) from None
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ExportRefused(f"cannot write {path}: {_reason(error)}", path=path) from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class Archive:
    """An archive whose every byte was read and found as it was written. A context manager.

    What is read of it comes from the file that was opened, whatever its name stands for by then.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Open an archive of these members. Raises BundleUnreadable where a single bit is not as it was written."""
        self.path = path
        self._file = _opened(path)
        try:
            self.members, self.digest = _read_through(self._file, names)
        except OSError as error:
            self._file.close()
            raise self.unreadable(f"cannot be read: {_reason(error)}") from None
        except _NotSo as error:
            self._file.close()
            raise self.unreadable(str(error)) from None

    def unreadable(self, why: str) -> BundleUnreadable:
        """Return the error that says why this file is no bundle."""
        return BundleUnreadable(f"{self.path}: {why}", path=self.path)

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member, without their ends. Raises BundleUnreadable where one is too long."""
        try:
            yield from _lines(self._file, self.members[name])
        except _NotSo as error:
            raise self.unreadable(str(error)) from None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _NotSo(Exception):
    """What makes a file no archive."""


def _lines(file: BinaryIO, member: Member) -> Iterator[bytes]:
    position, end = member.start, member.start + member.size
    while position < end:
        file.seek(position)  # several may be read at once
        line = file.readline(min(MAX_LINE, end - position))
        position += len(line)
        if not line.endswith(b"\n"):
            raise _NotSo(f"a line of {member.name} is too long, or has no end")
        yield line[:-1]


def _opened(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that nobody writes to would be waited for
    except (OSError, ValueError) as error:
        raise BundleUnreadable(f"cannot open {path}: {_reason(error)}", path=path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleUnreadable(f"{path} is no file", path=path)
    return os.fdopen(descriptor, "rb")


def _read_through(file: BinaryIO, names: Sequence[str]) -> tuple[dict[str, Member], str]:
    """Return the members and the digest of a file, each byte of which was looked at."""
    size = os.fstat(file.fileno()).st_size
    rest = size - len(_tail([Member(name, 0, 0, 0) for name in names], 0, "0" * 64))
    if rest < 0 or size > MAX_BYTES:
        raise _NotSo("no bundle: a bundle has another length")
    members = []
    digest = sha256()
    for name in names:
        member, header = _next_header(file, name, rest)
        digest.update(header)
        members.append(_read_member(file, member, digest.update))
    if file.tell() != rest:
        raise _NotSo("not as it was written: there is more in it than its members")
    if file.read() != _tail(members, rest, digest.hexdigest()):
        raise _NotSo("not as it was written: its contents do not have the digest that stands in it")
    return {member.name: member for member in members}, digest.hexdigest()


def _next_header(file: BinaryIO, name: str, rest: int) -> tuple[Member, bytes]:
    """Read the header of the member that must come next, and whose contents end at `rest` at the latest."""
    offset = file.tell()
    header = file.read(len(Member(name, 0, 0, 0).header()))
    if len(header) < _LOCAL.size or not header.startswith(b"PK"):
        raise _NotSo("no bundle, or cut short")
    crc, size = _LOCAL.unpack_from(header)[6:8]
    member = Member(name, offset, size, crc)
    if header != member.header() or member.start + size > rest:
        raise _NotSo(f"not as it was written: {name} does not begin at byte {offset}")
    return member, header


def _read_member(file: BinaryIO, member: Member, look: Callable[[bytes], object]) -> Member:
    """Read a member's contents, and let `look` have them."""
    crc, left = 0, member.size
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise _NotSo("cut short while it was read")
        look(chunk)
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    if crc != member.crc:
        raise _NotSo(f"not as it was written: {member.name} has another checksum")
    return member
