"""setuptools' build backend, with archives that hold nothing of where, when or by whom they were built.

The same tree gives the same sdist and wheel, bit for bit: names in order, one time (SOURCE_DATE_EPOCH, else the
earliest that a ZIP can hold), no owner, and modes without the builder's umask.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - all other hooks are setuptools' own

EARLIEST = 315_532_800
"""1980-01-01, in seconds since 1970."""


def _moment() -> int:
    return max(int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)), EARLIEST)


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build a wheel, as PEP 517 has it."""
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    path = Path(wheel_directory, name)
    path.write_bytes(_zip(path))
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Build an sdist, as PEP 517 has it."""
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    path = Path(sdist_directory, name)
    path.write_bytes(_tar(path))
    return name


def _zip(path: Path) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name, time.gmtime(_moment())[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o100644 << 16
            new.writestr(entry, old.read(name))
    return made.getvalue()


def _tar(path: Path) -> bytes:
    made = io.BytesIO()
    with (
        tarfile.open(path) as old,
        gzip.GzipFile(fileobj=made, mode="wb", filename="", mtime=_moment()) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.size, entry.linkname = member.type, member.size, member.linkname
            entry.mtime, entry.mode = _moment(), 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(entry, old.extractfile(member) if member.isreg() else None)
    return made.getvalue()
