"""A disk that can be filled: a small tmpfs of its own where this user may mount one, else limits on files."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.processes import Killable

MEBIBYTE = 1 << 20


class SmallDisk(ABC):
    """A folder, and how to leave it no space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def fill(self, pids: Sequence[int]) -> None:
        """Leave no space, to the processes `pids` at the least."""

    @abstractmethod
    def free(self) -> None:
        """Give the space back."""


class SmallFileSystem(SmallDisk):
    """A file system of its own: a ballast fills it."""

    def fill(self, pids: Sequence[int]) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in (MEBIBYTE, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass

    def free(self) -> None:
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


class LimitedFiles(SmallDisk):
    """No file of the processes may be written to: to them the disk is full (it says EFBIG, not ENOSPC)."""

    _limited: Sequence[int] = ()
    _user = 0

    def fill(self, pids: Sequence[int]) -> None:
        self._limited, self._user = pids, Path(f"/proc/{pids[0]}").stat().st_uid
        self._limit(0)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        """By a process of their own user: else it takes a privilege."""
        with Killable(limit, self._limited, size, self._user) as limiting:
            limiting.process.join()
            assert limiting.process.exitcode == 0


def limit(pids: Sequence[int], size: int, user: int) -> None:
    """Let processes write their files up to a size only. Those that have ended meanwhile do not count."""
    if user != os.geteuid():
        os.setuid(user)
    for pid in pids:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_disk(mebibytes: int, *, mount: bool = True) -> Iterator[SmallDisk]:
    """Give a disk of some size; where nothing may be mounted, or shall be, a folder whose users can be limited."""
    with tempfile.TemporaryDirectory(prefix="tiu-disk-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mounted = mount and _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=755", "tmpfs", name)
        try:
            yield SmallFileSystem(folder) if mounted else LimitedFiles(folder)
        finally:
            if mounted:
                assert _run("umount", name) or _run("umount", "-l", name)


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
