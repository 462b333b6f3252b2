"""`tiu audit export` and `check`: a bundle is written where the database is, and checked where there is none."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import check_bundle, connect
from claude_tiu.infrastructure.audit.bundle.form import ROWS, line
from claude_tiu.infrastructure.audit.chain import seal_log
from claude_tiu.infrastructure.audit.seals import Seal, SealingKey
from tests.cli.running import contents, done, environment, folder, refused, script, tiu
from tests.cli.story import NOBODY, PROJECT
from tests.support.bundling import members_of, write
from tests.support.stores import Backend

KEY, ANOTHERS = (SealingKey(bytes([number]) * 32) for number in (1, 2))


def sealed(db: Backend) -> Seal:
    with closing(db.events()) as events:
        return seal_log(events, KEY, datetime(2026, 3, 2, tzinfo=UTC))


def exported(db: Backend, *more: object) -> Path:
    """Export the story's project into the folder at hand; return the file."""
    done("audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", db.url, *more)
    return Path("a.zip").absolute()


class TestExport:
    def test_writes_a_bundle_that_holds_and_changes_nothing(self, told: Backend) -> None:
        sealed(told)
        before = contents(told)
        ran = done("audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", told.url)
        assert contents(told) == before
        report = check_bundle(Path("a.zip"), keys=[KEY.public])
        assert report.holds
        assert ran.lines[0].startswith(f"a.zip: {report.events} events and {report.rows} rows as of position")
        assert f"{report.events} of the events are covered by seal 1" in ran.lines
        assert f"SHA-256 {report.digest}" in ran.lines

    def test_says_as_json_what_it_wrote(self, told: Backend) -> None:
        sealed(told)
        ran = done("audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", told.url, "--json")
        report = check_bundle("a.zip")
        assert ran.json["digest"] == report.digest
        assert (ran.json["file"], ran.json["project_id"], ran.json["seal"]) == ("a.zip", PROJECT, 1)
        assert (ran.json["events"], ran.json["sealed"]) == (report.events, report.sealed)

    def test_says_that_a_log_has_no_seal(self, told: Backend) -> None:
        ran = done("audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", told.url)
        assert "the log has no seal" in ran.out

    def test_is_as_of_a_position(self, told: Backend) -> None:
        exported(told, "--position", 5)
        assert check_bundle("a.zip").position == 5

    def test_is_the_same_from_python(self, told: Backend) -> None:
        sealed(told)
        exported(told)
        with connect(told.url) as tiu:
            tiu.export(UUID(PROJECT), "b.zip")
        assert Path("a.zip").read_bytes() == Path("b.zip").read_bytes()

    def test_writes_a_page_beside_it(self, told: Backend, here: Path) -> None:
        exported(told)
        assert sorted(folder(here)) == ["a.html", "a.zip"]
        assert b"<!doctype html>" in (here / "a.html").read_bytes().lower()
        more = ("--out", "b.zip", "--db", told.url)
        assert "as a page: c.html" in done("audit", "export", "--project", PROJECT, "--report", "c.html", *more).lines
        assert (
            done(
                "audit", "export", "--project", PROJECT, "--out", "d.zip", "--no-report", "--json", "--db", told.url
            ).json["report"]
            is None
        )
        assert sorted(folder(here)) == ["a.html", "a.zip", "b.zip", "c.html", "d.zip"]

    def test_the_page_overwrites_nothing_either(self, told: Backend, here: Path) -> None:
        (here / "a.html").write_text("mine")
        given = ("audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", told.url)
        assert "a.html is there already" in refused(*given)
        assert "needs a file of its own" in refused(*given, "--report", "a.zip")
        assert folder(here) == {"a.html": b"mine"}

    def test_overwrites_nothing(self, told: Backend, here: Path) -> None:
        exported(told)
        before = folder(here)
        assert "a.zip is there already: nothing is overwritten" in refused(
            "audit", "export", "--project", PROJECT, "--out", "a.zip", "--db", told.url
        )
        assert folder(here) == before

    def test_leaves_nothing_where_there_is_no_project(self, told: Backend, here: Path) -> None:
        out = ("--out", "a.zip", "--db", told.url)
        assert f"there was no project {NOBODY}" in refused("audit", "export", "--project", NOBODY, *out)
        assert "the log has the positions 1 to" in refused(
            "audit", "export", "--project", PROJECT, "--position", 9_999, *out
        )
        assert "cannot make none/a.zip: No such file or directory" in refused(
            "audit", "export", "--project", PROJECT, "--out", "none/a.zip", "--db", told.url
        )
        assert folder(here) == {}

    def test_is_called_with_a_project_and_a_file(self, told: Backend) -> None:
        refused("audit", "export", "--project", "x", "--out", "a.zip", "--db", told.url, status=2)
        refused("audit", "export", "--project", PROJECT, "--db", told.url, status=2)
        refused("audit", "export", "--out", "a.zip", "--db", told.url, status=2)


class TestCheck:
    def test_needs_no_database_and_no_setting_and_no_folder(self, told: Backend, tmp_path: Path) -> None:
        """In a process of its own, whose settings are all wrong, in an empty folder that may not be written to."""
        sealed(told)
        file = exported(told)
        told.close()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o555)
        wrong = {"DB_HOST": "nowhere.invalid", "DB_PORT": "x", "SQLITE_PATH": "/none/none.db", "MASTER_KEY": "none"}
        ran = subprocess.run(
            [script(), "audit", "check", file, "--public-key", KEY.public.hex()],
            cwd=elsewhere,
            env=environment() | wrong,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "It holds. It shows:" in ran.stdout
        assert folder(elsewhere) == {}

    def test_says_what_it_shows_and_what_not(self, told: Backend) -> None:
        sealed(told)
        ran = done("audit", "check", exported(told))
        shows, not_shown = " ".join(ran.out.split()).split("It does not show:")
        report = check_bundle("a.zip")
        for sentence in report.proves:
            assert f"- {sentence}" in shows
        for sentence in report.leaves_open:
            assert f"- {sentence}" in not_shown
        assert (len(report.proves), len(report.leaves_open)) == (4, 3)

    def test_says_as_json_what_it_found(self, told: Backend) -> None:
        seal = sealed(told)
        Path("seal.json").write_text(seal.text + "\n")
        found: Any = done("audit", "check", exported(told), "--seal", "seal.json", "--json").json
        assert found["holds"] is True
        assert found["known"] == found["sealed"] == found["events"] > 5
        assert found["seal"]["key"] == KEY.public.hex()
        assert found["findings"] == []

    def test_writes_the_same_page_as_the_export_did(self, told: Backend) -> None:
        file = exported(told)
        done("audit", "check", file, "--report", "b.html")
        assert Path("b.html").read_bytes() == Path("a.html").read_bytes()

    def test_writes_no_page_of_what_does_not_hold(self, told: Backend) -> None:
        sealed(told)
        key = ("--public-key", ANOTHERS.public.hex())
        assert tiu("audit", "check", exported(told), *key, "--report", "b.html").status == 1
        assert not Path("b.html").exists()

    def test_one_bit_is_too_many(self, told: Backend) -> None:
        file = exported(told)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 8
        file.write_bytes(data)
        assert "a.zip: not as it was written" in refused("audit", "check", file)

    def test_fails_where_somebody_else_signed(self, told: Backend) -> None:
        sealed(told)
        ran = tiu("audit", "check", exported(told), "--public-key", ANOTHERS.public.hex())
        assert (ran.status, ran.err) == (1, "")
        assert "It does not hold. Wrong in 1 place:" in ran.lines
        assert KEY.public.hex() in ran.out.replace("\n", "").replace(" ", "")
        assert "It shows" not in ran.out

    def test_fails_with_json_all_the_same(self, told: Backend) -> None:
        sealed(told)
        ran = tiu("audit", "check", exported(told), "--public-key", ANOTHERS.public.hex(), "--json")
        assert (ran.status, ran.err) == (1, "")
        assert (ran.json["holds"], ran.json["found"], len(ran.json["findings"])) == (False, 1, 1)

    def test_takes_several_keys_and_seals(self, told: Backend) -> None:
        first, second = sealed(told), sealed(told)
        Path("seals.jsonl").write_text(f"{first.text}\n\n{second.text}\n")
        keys = ("--public-key", ANOTHERS.public.hex(), "--public-key", KEY.public.hex())
        done("audit", "check", exported(told), *keys, "--seal", "seals.jsonl", "--seal", "seals.jsonl")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--public-key", "zz"), "--public-key: 64 hexadecimal digits"),
            (("--public-key", "00" * 31), "--public-key: 64 hexadecimal digits"),
            (("--seal", "none"), "cannot read none"),
            (("--seal", "text"), "text, line 1: not a seal"),
            (("--seal", "empty"), "empty holds no seal"),
        ],
    )
    def test_what_is_no_key_or_seal_is_told(self, options: tuple[str, str], said: str) -> None:
        Path("text").write_text("hello")
        Path("empty").write_text("\n")
        assert said in refused("audit", "check", "a.zip", *options)

    def test_what_is_no_bundle_is_told(self) -> None:
        assert "cannot open a.zip: No such file or directory" in refused("audit", "check", "a.zip")
        Path("b.zip").write_bytes(b"PK\x03\x04" + os.urandom(5_000))
        assert "b.zip: " in refused("audit", "check", "b.zip")
        assert "is no file" in refused("audit", "check", ".")

    def test_names_of_others_are_made_visible(self, told: Backend) -> None:
        """A name in a row may hold anything; what is printed of it does no harm."""
        members = members_of(exported(told))
        row = json.loads(members[ROWS][0])
        assert "\x1b" in row["row"]["name"]
        row["row"]["name"] += "\x1b[2J\u202e"
        members[ROWS][0] = line(row)
        ran = tiu("audit", "check", write(Path("b.zip"), members))
        assert ran.status == 1
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
