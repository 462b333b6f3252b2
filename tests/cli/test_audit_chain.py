"""`tiu audit seal` and `tiu audit chain`: what they say, as JSON and in words, and what keys and seals they take."""

from __future__ import annotations

import json
import resource
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from claude_tiu.infrastructure.audit.seals import Seal, SealingKey
from tests.cli.running import done, refused, tiu
from tests.support.stores import Backend, append, event
from tests.support.tampering import KEY, MIDDLE, OTHER_KEY, remove, sealed_history, without_triggers

CHAIN, SEAL = ("audit", "chain"), ("audit", "seal")


@pytest.fixture
def key(here: Path) -> Path:
    """A file that holds the sealing key of the tests."""
    file = here / "key"
    file.touch(mode=0o600)
    file.write_text(KEY.secret_text)
    return file


def kept(seals: list[Seal], name: str = "kept.jsonl") -> Path:
    """A file of seals, in the folder at hand."""
    file = Path(name)
    file.write_text("\n".join(seal.text for seal in seals) + "\n\n")
    return file


def words(out: str) -> str:
    return " ".join(out.split())


def test_a_new_key_is_made_in_a_file_that_is_its_owners_alone(here: Path) -> None:
    ran = done(*SEAL, "--new-key", "key")
    file = here / "key"
    made = SealingKey.parse(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.public.hex() in ran.out
    assert made.secret_text not in ran.out + ran.err
    again = done(*SEAL, "--new-key", "other", "--json").json
    assert again == {"file": "other", "public_key": SealingKey.parse((here / "other").read_text()).public.hex()}


def test_a_key_is_never_written_over(key: Path) -> None:
    assert "File exists" in refused(*SEAL, "--new-key", key)
    assert SealingKey.parse(key.read_text()).public == KEY.public


def test_a_key_that_finds_no_space_is_told_in_a_line_and_leaves_nothing(here: Path) -> None:
    """A file that may not grow is as a disk that is full."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        complaint = refused(*SEAL, "--new-key", "key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert "cannot write key" in complaint
    assert not (here / "key").exists()


def test_the_log_is_sealed_and_proved_by_the_line_that_was_printed(db: Backend, key: Path, here: Path) -> None:
    append(db.events(), event())
    printed = done(*SEAL, "--key", key, "--db", db.url, "--json").out
    seal = Seal.parse(printed)
    assert printed == seal.text + "\n"
    assert (seal.is_genuine, seal.statement.key, seal.statement.epoch) == (True, KEY.public, db.events().epoch)
    (here / "seal").write_text(printed)
    append(db.events(), event())

    report = done(*CHAIN, "--seal", "seal", "--db", db.url, "--json").json

    through = seal.statement.position
    assert (report["events"], report["proved"], report["sealed"]) == (through + 1, through, through)
    assert (report["count"], report["findings"]) == (0, [])
    assert [(one["number"], one["kept"], one["holds"]) for one in report["seals"]] == [
        (1, "elsewhere", True),
        (1, "store", True),
    ]
    assert report["seals"][0]["key"] == KEY.public.hex()
    assert tiu(*CHAIN, "--seal", "-", "--db", db.url, "--json", stdin=printed.encode()).json == report


def test_a_seal_is_printed_in_words_and_written_to_a_file(db: Backend, key: Path, here: Path) -> None:
    append(db.events(), event())
    ran = done(*SEAL, "--key", key, "--out", "seal", "--db", db.url)
    text = (here / "seal").read_text()
    assert ran.lines[-1] + "\n" == text
    assert KEY.public.hex() in ran.out
    assert Seal.parse(text).is_genuine
    assert "is there already" in refused(*SEAL, "--key", key, "--out", "seal", "--db", db.url)
    assert len(db.events().seals()) == 1


def test_the_key_may_be_a_setting(db: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    append(db.events(), event())
    assert "there is no sealing key" in refused(*SEAL, "--db", db.url)
    monkeypatch.setenv("SEALING_KEY", KEY.secret_text)
    assert Seal.parse(done(*SEAL, "--db", db.url, "--json").out).statement.key == KEY.public
    monkeypatch.setenv("SEALING_KEY", "c2hvcnQ=")
    told = refused(*SEAL, "--db", db.url)
    assert "SEALING_KEY" in told
    assert "c2hvcnQ=" not in told


@pytest.mark.parametrize("text", ["", "short", b64encode(bytes(31)).decode(), "é", KEY.secret_text[:-1] + "!"])
def test_a_file_that_holds_no_key_is_refused_and_not_repeated(db: Backend, here: Path, text: str) -> None:
    (here / "bad").touch(mode=0o600)
    (here / "bad").write_text(text, encoding="utf-8")
    told = refused(*SEAL, "--key", "bad", "--db", db.url)
    assert "holds no sealing key" in told
    assert not text or text not in told


def test_a_key_that_others_may_read_is_refused(db: Backend, key: Path) -> None:
    key.chmod(0o640)
    assert "chmod 600" in refused(*SEAL, "--key", key, "--db", db.url)
    assert "cannot read" in refused(*SEAL, "--key", "nowhere", "--db", db.url)


def test_a_new_key_seals_nothing(here: Path) -> None:
    assert "call it without" in refused(*SEAL, "--new-key", "new", "--key", "old")
    assert not (here / "new").exists()


def test_tampering_is_told_with_the_status(db: Backend, key: Path, here: Path) -> None:
    seals = sealed_history(db)
    file = kept(seals)
    without_triggers(db)
    remove()(db)

    ran = tiu(*CHAIN, "--seal", file, "--db", db.url, "--json")
    assert (ran.status, ran.err) == (1, "")
    assert [(one["kind"], one["first"]) for one in ran.json["findings"]] == [("removed", MIDDLE)]
    proved = seals[0].statement.position
    assert ran.json["proved"] == proved, "up to the last seal before what is missing"
    ran = tiu(*CHAIN, "--seal", file, "--db", db.url)
    assert (ran.status, ran.err) == (1, "")
    assert f"event {MIDDLE} is not there" in words(ran.out)
    assert f"Proved: events 1 to {proved} " in words(ran.out)
    assert f"event {MIDDLE} is not there" in refused(*SEAL, "--key", key, "--db", db.url)


def test_what_is_not_proved_is_told_as_such(db: Backend, here: Path) -> None:
    first, second = sealed_history(db)
    through = second.statement.position

    assert "Nothing is proved without a seal kept elsewhere" in words(done(*CHAIN, "--db", db.url).out)
    told = words(done(*CHAIN, "--seal", kept([first, second]), "--db", db.url).out)
    assert f"Proved: events 1 to {through} are what a seal kept elsewhere says." in told
    assert f"Not sealed elsewhere: events {through + 1} to {through + 3}" in told
    told = words(done(*CHAIN, "--seal", kept([first]), "--db", db.url).out)
    assert f"Not sealed elsewhere: events {first.statement.position + 1} to {through + 3}" in told


def test_a_public_key_says_whose_seals_the_database_may_hold(db: Backend, here: Path) -> None:
    sealed_history(db)
    done(*CHAIN, "--public-key", KEY.public.hex(), "--db", db.url)
    ran = tiu(*CHAIN, "--public-key", OTHER_KEY.public.hex(), "--db", db.url, "--json")
    assert ran.status == 1
    assert {one["kind"] for one in ran.json["findings"]} == {"seal_replaced"}
    for text in ("", "abc", "zz" * 32, "00" * 31):
        assert "64 hexadecimal digits" in refused(*CHAIN, "--public-key", text, "--db", db.url)


def test_a_file_that_holds_no_seal_is_refused_by_its_line(db: Backend, here: Path) -> None:
    first, second = sealed_history(db)
    Path("empty").touch()
    assert "empty holds no seal" in refused(*CHAIN, "--seal", "empty", "--db", db.url)
    Path("bad").write_text(first.text + "\n{}\n")
    assert "bad, line 2: not a seal" in refused(*CHAIN, "--seal", "bad", "--db", db.url)
    forged = json.loads(second.text) | {"position": 1}
    Path("forged").write_text(json.dumps(forged))
    assert "seal 2 is not genuine" in refused(*CHAIN, "--seal", "forged", "--db", db.url)
    assert "cannot read" in refused(*CHAIN, "--seal", "nowhere", "--db", db.url)
