"""Facts files: what is read of a good one; what is said of a bad one, before anything is stored."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import claude_tiu.infrastructure.demo.facts as module
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.demo.facts import BadFacts, directory_of, packaged_facts, read_facts

SHA = "0" * 64


def revision(*files: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"revision": "1.0", "at": "2020-01-01T00:00:00+00:00", "files": list(files)} | fields


def change(path: str = "a/b.py", **fields: Any) -> dict[str, Any]:
    return {"path": path, "status": "A", "size": 1, "sha256": SHA, "findings": []} | fields


def found(line: Any = 1, kind: Any = "placeholder") -> dict[str, Any]:
    return {"line": line, "type": kind}


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


GOOD = revision(change())


def lines(*values: Any) -> bytes:
    return b"".join(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n" for value in values)


def written(folder: Path, content: bytes, name: str = "toy-history.jsonl.gz") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def packed(folder: Path, *values: Any) -> Path:
    return written(folder, gzip.compress(lines(*values)))


def test_the_packaged_facts_are_136_revisions() -> None:
    facts = packaged_facts()
    assert facts.name == "pytest"
    assert (len(facts.revisions), sum(len(one.files) for one in facts.revisions)) == (136, 2426)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    gone = {"path": "a/b.py", "status": "D"}
    path = packed(tmp_path, revision(change(findings=[found(3)])), revision(gone, at="2019-12-31T23:00:00-02:00"))
    facts = read_facts(path)
    assert (facts.name, facts.sha256) == ("toy", sha256(path.read_bytes()).hexdigest())
    first, second = facts.revisions
    assert [(one.line, one.type) for one in first.files[0].findings] == [(3, "placeholder")]
    assert (second.files[0].status, second.files[0].findings) == ("D", ())
    assert second.at == datetime(2020, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        revision(),
        revision(change("a/b.py"), change("a/b.py")),
        revision(change("README")),
        revision(change("x" * 300 + "/notes.txt", findings=[])),
        revision(change("a/" + "x" * 1200 + ".py")),
        revision(change("a/" + "x" * 1200 + ".txt", findings=[found()])),
        revision(change("ä/\U0001f600.py", findings=[found()])),
        revision(change(), author="somebody"),
        revision({"path": "a.py", "status": "D", "findings": []}),
        lines(GOOD).rstrip(),
    ],
)
def test_what_the_format_allows_is_read(tmp_path: Path, line: Any) -> None:
    assert len(read_facts(packed(tmp_path, GOOD, line)).revisions) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\n", "Invalid JSON"),
        (b"{\n", "Invalid JSON"),
        (b"[]\n", "valid dictionary|an object"),
        (b"null\n", "valid dictionary|an object"),
        (b"\xff\xfe\n", "Invalid JSON"),
        (b'{"revision": "\\ud800", "at": "2020-01-01T00:00:00Z", "files": []}\n', "Invalid JSON"),
        (b'{"revision": "\xff", "at": "2020-01-01T00:00:00Z", "files": []}\n', "Invalid JSON"),
        (b"[" * 100_000 + b"\n", "Invalid JSON"),
        (without(GOOD, "revision"), "revision: Field required"),
        (without(GOOD, "at"), "at: Field required"),
        (without(GOOD, "files"), "files: Field required"),
        (revision(revision=3), "revision: "),
        (revision(revision="a\0"), "revision: .*NUL"),
        (revision(at="2020-01-01T00:00:00"), "at: .*timezone"),
        (revision(at="2020-13-01T00:00:00Z"), "at: "),
        (revision(at="1899-12-31T00:00:00Z"), "at: Time should lie in the years 1900 to 2999"),
        (revision(at=1577836800), "at: .*ISO 8601"),
        (revision(files={}), "files: "),
        (revision("a.py"), r"files\.0: "),  # type: ignore[arg-type]
        (revision(change(), change(status="R")), r"files\.1: .*'A'"),
        (revision(without(change(), "status")), r"files\.0: .*status"),
        (revision(without(change(), "path")), r"files\.0\.path: Field required"),
        (revision(without(change(), "size")), r"files\.0\.size: Field required"),
        (revision(without(change(), "sha256")), r"files\.0\.sha256: Field required"),
        (revision(without(change(), "findings")), r"files\.0\.findings: Field required"),
        (revision(change("")), r"files\.0\.path: "),
        (revision(change("/a.py")), r"files\.0\.path: A path should be relative"),
        (revision(change("a\0.py")), r"files\.0\.path: .*NUL"),
        (revision({"path": "a\0.py", "status": "D"}), r"files\.0\.path: .*NUL"),
        (revision(change(size=-1)), r"files\.0\.size: "),
        (revision(change(size=1.5)), r"files\.0\.size: "),
        (revision(change(sha256="0")), r"files\.0\.sha256: "),
        (revision(change(findings=[found(0)])), r"files\.0\.findings\.0\.line: "),
        (revision(change(findings=[found(2**31)])), r"files\.0\.findings\.0\.line: "),
        (revision(change(findings=[found("1")])), r"files\.0\.findings\.0\.line: "),
        (revision(change(findings=[found(True)])), r"files\.0\.findings\.0\.line: "),
        (revision(change(findings=[found(1), found(2, "typo")])), r"files\.0\.findings\.1\.type: "),
        (revision(change("a/" + "x" * 1000 + ".py", findings=[found()])), r"files\.0: .*path.*1000 characters"),
        (revision(change("a/" + "\U0001f600" * 600 + ".py", findings=[found()])), r"files\.0: .*path.*2000 bytes"),
        (revision(change("x" * 256 + "/a.py")), r"files\.0: .*directory.*255 characters"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: Any, said: str) -> None:
    with pytest.raises(BadFacts, match=rf"toy-history\.jsonl\.gz: line 3: .*({said})") as error:
        read_facts(packed(tmp_path, GOOD, GOOD, line, GOOD))
    assert error.value.details["line"] == 3
    assert len(error.value.details["faults"]) == 1
    assert "\n" not in str(error.value)


def test_all_faults_of_a_line_are_named(tmp_path: Path) -> None:
    bad = revision(change(size=-1, findings=[found(0, "x")]), change(status="?"), revision=1)
    with pytest.raises(BadFacts) as error:
        read_facts(packed(tmp_path, bad))
    fields = [fault.partition(":")[0] for fault in error.value.details["faults"]]
    assert fields == ["revision", "files.0.size", "files.0.findings.0.line", "files.0.findings.0.type", "files.1"]
    assert all(fault in str(error.value) for fault in error.value.details["faults"])


def test_of_very_many_faults_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    bad = revision(change(findings=[found(0)] * 1_000))
    with pytest.raises(BadFacts, match=r"and 980 more$") as error:
        read_facts(packed(tmp_path, bad))
    assert len(error.value.details["faults"]) == 1_000


def test_a_line_that_is_too_long_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1 << 20)
    with pytest.raises(BadFacts, match="line 2: longer than 1 MiB"):
        read_facts(packed(tmp_path, GOOD, b"\0" * (5 << 20)))


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(lines(GOOD)) * 3)
    with pytest.raises(BadFacts, match="line 4: more than"):
        read_facts(packed(tmp_path, *[GOOD] * 1000))


def absent(folder: Path) -> Path:
    return folder / "toy.gz"


def a_folder(folder: Path) -> Path:
    (folder / "toy.gz").mkdir()
    return folder / "toy.gz"


def truncated(folder: Path) -> Path:
    content = gzip.compress(lines(*[revision(change(sha256=sha256(bytes([n])).hexdigest())) for n in range(200)]))
    return written(folder, content[: len(content) // 2])


def without_its_trailer(folder: Path) -> Path:
    return written(folder, gzip.compress(lines(GOOD, GOOD))[:-8])


def with_a_wrong_checksum(folder: Path) -> Path:
    content = bytearray(gzip.compress(lines(GOOD, GOOD)))
    content[-8] ^= 1
    return written(folder, bytes(content))


def damaged(folder: Path) -> Path:
    content = gzip.compress(lines(GOOD, GOOD))
    return written(folder, content[:12] + b"\xff" * 8 + content[20:])


BAD_FILES: list[tuple[Callable[[Path], Path], str]] = [
    (absent, "No such file"),
    (a_folder, "Is a directory"),
    (truncated, r"truncated: it ends after line \d+"),
    (without_its_trailer, "truncated: it ends after line 2"),
    (with_a_wrong_checksum, "damaged after line 2"),
    (damaged, "damaged|not a gzip file"),
    (lambda folder: written(folder, lines(GOOD)), "not a gzip file"),
    (lambda folder: written(folder, gzip.compress(lines(GOOD)) + b"more"), "damaged after line 1"),
    (lambda folder: written(folder, b""), "holds no revision"),
    (lambda folder: packed(folder), "holds no revision"),
    (lambda folder: packed(folder, GOOD, b"{}\n"), "line 2: revision: Field required; at: .*; files: "),
    (lambda folder: written(folder, gzip.compress(lines(GOOD)), "-.gz"), "'' is no name"),
]


@pytest.mark.parametrize(("make", "said"), BAD_FILES)
def test_a_bad_file_is_one_clear_line_and_stores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], said: str
) -> None:
    path, database = make(tmp_path), tmp_path / "demo.db"
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--facts", str(path), "--db", f"sqlite:///{database}"])
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (1, "")
    assert re.fullmatch(rf"tiu: .*{re.escape(str(path))}: .*({said}).*\n", printed.err)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("path", "directory"),
    [("a.py", "(root)"), ("a/b.py", "a"), ("a/b/c.py", "a/b"), ("a/b/c/d.py", "a/b"), (".py/x", ".py")],
)
def test_a_task_is_the_first_two_components_of_a_directory(path: str, directory: str) -> None:
    assert directory_of(path) == directory
