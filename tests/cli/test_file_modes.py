"""Whatever the umask: files that hold events, keys or rows are made as their owner's alone, and folders too."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import connect
from tests.cli.running import done, json_lines, tiu
from tests.cli.story import PROJECT, STORY
from tests.support.stores import SQLiteBackend

PUBLIC = {"seal.json"}
"""A seal is to be given to others."""


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{path} {stat.S_IMODE(path.stat().st_mode):o}"
        for path in sorted(folder.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name not in PUBLIC
    ]


@pytest.mark.parametrize("mask", [0o000, 0o022], ids=oct)
def test_no_verb_makes_a_file_that_others_may_read(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("SQLITE_PATH", "data/app.db")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    seen: list[str] = []
    made: list[str] = []

    def looked_at(path: Any, *arguments: Any, **named: Any) -> None:
        """Before a temporary folder goes, it is looked at."""
        made.extend(str(one) for one in Path(path).rglob("*"))
        seen.extend(open_to_others(Path(path).parent))
        removing(path, *arguments, **named)

    removing = shutil.rmtree
    monkeypatch.setattr(tempfile._shutil, "rmtree", looked_at)  # type: ignore[attr-defined]
    with umask(mask):
        with connect() as keeps_its_files_open:
            done("apply", "-", stdin=json_lines(STORY))
            assert {path.name for path in (here / "data").iterdir()} >= {"app.db", "app.db-wal", "app.db-shm"}
            seen += open_to_others(here)
            done("audit", "seal", "--new-key", "key")
            done("audit", "seal", "--key", "key", "--out", "seal.json")
            done("audit", "as-of", "--position", 5, "--out", "as-of.db")
            done("audit", "as-of", "--position", 5)
            done("audit", "verify")
            done("audit", "export", "--project", PROJECT, "--out", "bundle.zip")
            done("projector", "rebuild")
            assert keeps_its_files_open.get(UUID(PROJECT))
        done("migrate", "down")
        done("migrate", "up")
        done("migrate", "up", "--db", f"sqlite:///{here / 'another.db'}")
    assert seen + open_to_others(here) == []
    assert {path.name for path in here.iterdir()} == {
        *("data", "key", "seal.json", "as-of.db", "bundle.zip", "bundle.html", "another.db", "another.read-1.db")
    }
    assert any(path.endswith("replayed.db") for path in made)


def test_what_is_made_is_never_open_for_a_moment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made open and closed to others afterwards."""
    opened: list[tuple[str, int]] = []
    real = os.open

    def noted(path: Any, flags: int, mode: int = 0o777, **named: Any) -> int:
        if flags & os.O_CREAT and str(here) in str(Path(str(path)).absolute()):
            opened.append((Path(str(path)).name, mode))
        return real(path, flags, mode, **named)

    monkeypatch.setattr(os, "chmod", None)
    monkeypatch.setattr(os, "fchmod", None)
    monkeypatch.setattr(os, "open", noted)
    monkeypatch.setenv("SQLITE_PATH", "data/app.db")
    with umask(0), connect():
        done("apply", "-", stdin=json_lines(STORY))
        done("audit", "export", "--project", PROJECT, "--out", "bundle.zip")
    assert {mode for _, mode in opened} == {0o600}
    assert {name for name, _ in opened} >= {"app.db", "app.read-1.db", "bundle.zip", "bundle.html"}


class TestDoctor:
    def test_a_file_that_others_may_read_is_told_and_left_as_it_is(self, sqlite: SQLiteBackend) -> None:
        sqlite.path.chmod(0o640)
        report = tiu("doctor", "--json", "--db", sqlite.url)
        assert report.status == 1
        assert f"{sqlite.path}: others than its owner may read it (mode 640)" in report.json["database"]["problem"]
        assert stat.S_IMODE(sqlite.path.stat().st_mode) == 0o640
        sqlite.path.chmod(0o600)
        assert tiu("doctor", "--json", "--db", sqlite.url).json["database"]["problem"] is None

    def test_so_is_the_file_of_the_read_tables(self, sqlite: SQLiteBackend) -> None:
        sqlite.read_path.chmod(0o666)
        problem = tiu("doctor", "--json", "--db", sqlite.url).json["database"]["problem"]
        assert f"{sqlite.read_path}: others than its owner may read and write it (mode 666)" in problem
