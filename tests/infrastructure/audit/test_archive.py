"""The archive that an audit bundle is: any zip tool opens it, and not one bit of it may be otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.infrastructure.audit.bundle import archive
from claude_tiu.infrastructure.audit.bundle.archive import Archive, ArchiveWriter, new_file
from claude_tiu.infrastructure.errors import BundleUnreadable, ExportRefused, FileExists

CONTENTS = {"first.jsonl": [b'{"a":1}', b"{}"], "empty.jsonl": [], "last.jsonl": ["straße".encode()]}


def written(path: Path, contents: dict[str, list[bytes]] = CONTENTS) -> bytes:
    """Write an archive, and return its bytes."""
    with new_file(path) as file:
        writer = ArchiveWriter(file, path)
        for name, lines in contents.items():
            with writer.member(name):
                for line in lines:
                    writer.write_line(line)
        writer.finish()
    return path.read_bytes()


def read(path: Path, names: Sequence[str] = tuple(CONTENTS)) -> dict[str, list[bytes]]:
    with Archive(path, names) as opened:
        return {name: list(opened.lines(name)) for name in names}


def refused(path: Path, names: Sequence[str] = tuple(CONTENTS)) -> str:
    with pytest.raises(BundleUnreadable) as caught:
        read(path, names)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "a.zip")
    assert read(tmp_path / "a.zip") == CONTENTS


def test_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a.zip") == written(tmp_path / "b.zip")


def test_any_zip_tool_opens_it(tmp_path: Path) -> None:
    written(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert found.testzip() is None
        assert found.namelist() == [*CONTENTS, "sha256"]
        assert found.read("last.jsonl") == "straße\n".encode()
    if unzip := shutil.which("unzip"):
        assert subprocess.run([unzip, "-tq", tmp_path / "a.zip"], check=False, capture_output=True).returncode == 0


def test_its_digest_is_that_of_every_byte_before_it(tmp_path: Path) -> None:
    """As sha256sum would say: `head -c N FILE | sha256sum`."""
    import hashlib

    data = written(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        covered = data[: found.getinfo("sha256").header_offset]
        assert found.read("sha256").decode().strip() == hashlib.sha256(covered).hexdigest()
    with Archive(tmp_path / "a.zip", tuple(CONTENTS)) as opened:
        assert opened.digest == hashlib.sha256(covered).hexdigest()


def test_any_bit_that_is_flipped_is_noticed(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "a.zip"))
    other = tmp_path / "b.zip"
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        other.write_bytes(data)
        refused(other)
        data[bit // 8] ^= 1 << bit % 8


@given(st.data())
def test_what_is_cut_added_moved_or_put_in_twice_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    whole = written(folder / "a.zip")
    places = st.integers(0, len(whole))
    start, end, at = data.draw(places), data.draw(places), data.draw(places)
    piece = data.draw(st.sampled_from([b"", b"\0", b"PK", whole[min(start, end) : max(start, end)], whole]))
    changed = whole[:start] + piece + whole[at:]
    (folder / "b.zip").write_bytes(changed)
    if changed == whole:
        assert read(folder / "b.zip") == CONTENTS
    else:
        refused(folder / "b.zip")


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("other names", ("first.jsonl", "empty.jsonl", "lost.jsonl")),
        ("fewer", ("first.jsonl",)),
        ("another order", tuple(CONTENTS)[::-1]),
    ],
)
def test_members_under_other_names_than_are_known_are_refused(what: str, names: Sequence[str], tmp_path: Path) -> None:
    """So no path leads out of a folder, no name stands twice, and nothing is carried along unseen."""
    written(tmp_path / "a.zip")
    refused(tmp_path / "a.zip", names)


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_another_tool_is_refused(tmp_path: Path, packed: int) -> None:
    """With the same members; packed ones, that may be a bomb, are not unpacked."""
    written(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as ours, zipfile.ZipFile(tmp_path / "b.zip", "w", packed) as theirs:
        for name in ours.namelist():
            theirs.writestr(name, ours.read(name))
    assert "not as it was written" in refused(tmp_path / "b.zip")


@pytest.mark.parametrize("data", [b"", b"PK", b"hello" * 1_000, b"PK\x03\x04" + bytes(1_000), bytes(10_000)])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    assert "no bundle" in refused(tmp_path / "a.zip") or data.startswith(b"PK\x03")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "cannot open" in refused(tmp_path / "none.zip")
    refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe")


def test_a_line_that_is_too_long_is_neither_written_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a.zip", {"first.jsonl": [b"x" * 99]})
    monkeypatch.setattr(archive, "MAX_LINE", 50)
    with pytest.raises(ExportRefused, match="longer than a bundle can hold"):
        written(tmp_path / "b.zip", {"first.jsonl": [b"x" * 99]})
    assert not (tmp_path / "b.zip").exists()
    assert "too long" in refused(tmp_path / "a.zip", ["first.jsonl"])
    written(tmp_path / "c.zip", {"first.jsonl": [b"x" * 49]})
    assert read(tmp_path / "c.zip", ["first.jsonl"]) == {"first.jsonl": [b"x" * 49]}


def test_more_than_a_zip_can_hold_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", archive.CHUNK + 1_000)
    with pytest.raises(ExportRefused, match="would hold more"):
        written(tmp_path / "a.zip", {"first.jsonl": [b"x" * 99] * 20})
    assert not (tmp_path / "a.zip").exists()


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(FileExists, match="nothing is overwritten"):
        written(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    written(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="cannot make"):
        written(tmp_path / "none" / "a.zip")
