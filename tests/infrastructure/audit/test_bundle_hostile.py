"""Bundles whose digest is right, and whose lines are not: one clear error, whatever stands in them."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tiu.infrastructure.audit.bundle import archive
from claude_tiu.infrastructure.audit.bundle import check as bundle_check
from claude_tiu.infrastructure.audit.bundle import export as bundle_export
from claude_tiu.infrastructure.audit.bundle.check import check_bundle
from claude_tiu.infrastructure.audit.bundle.export import export
from claude_tiu.infrastructure.audit.bundle.form import ABOUT, LOG, PROOFS, ROWS, SEALS, event_line, event_of, hash_of
from claude_tiu.infrastructure.errors import BundleUnreadable
from tests.support.bundling import (
    Made,
    Members,
    change_about,
    change_event,
    found,
    made_in,
    members_of,
    refused,
    values_of,
    write,
)
from tests.support.every_table import PROJECT
from tests.support.history import uid


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_in(tmp_path_factory.mktemp("made")) as made:
        yield made


HOSTILE: dict[str, tuple[str, bytes]] = {
    "no JSON": (LOG, b"nonsense"),
    "an empty line": (LOG, b""),
    "a list": (LOG, b"[]"),
    "an empty object": (LOG, b"{}"),
    "another's form of JSON": (LOG, b'{"a": 1}'),
    "nested without end": (LOG, b"[" * 1_000_000),
    "nested within a bound": (LOG, b"[" * 150 + b"]" * 150),
    "a long number": (LOG, b"9" * 100_000),
    "no number": (ROWS, b'{"row":{},"table":"projects"}'),
    "no UTF-8": (LOG, b"\xff\xfe"),
    "half a character": (ROWS, b'"\\ud800"'),
    "an unknown table": (ROWS, b'{"row":{"id":"1"},"table":"users; DROP TABLE users"}'),
    "a row that is a list": (ROWS, b'{"row":[],"table":"projects"}'),
    "no proof": (PROOFS, b'{"path":["00"],"position":1,"size":5}'),
    "a proof of a huge position": (PROOFS, b'{"path":[],"position":99999999999999999999,"size":5}'),
    "no seal": (SEALS, b'{"growth":[],"seal":{}}'),
    "a seal that is a list": (SEALS, b'{"growth":[],"seal":[]}'),
    "two that say what it is": (ABOUT, b"{}"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_is_not_as_it_is_written_is_one_clear_error(
    made: Made, tmp_path: Path, what: str, first: bool
) -> None:
    name, text = HOSTILE[what]
    members = made.members()
    members[name].insert(0 if first else len(members[name]), text)
    said = refused(write(tmp_path / "a.zip", members))
    assert name in said
    assert "\n" not in said


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32))
def test_whatever_stands_in_it_there_is_a_report_or_one_clear_error(made: Made, seed: int) -> None:
    """Bytes of a line changed at random, and the digest made right again."""
    choice = random.Random(seed)
    members = made.members()
    name = choice.choice([name for name in members if members[name]])
    index = choice.randrange(len(members[name]))
    text = bytearray(members[name][index])
    for _ in range(choice.randrange(1, 4)):
        text[choice.randrange(len(text))] = choice.choice(b'0123456789abcdefnul{}[]":,-.e \\\xff')
    changed = bytes(text).replace(b"\n", b" ")
    members[name][index] = changed
    path = made.path.with_name("fuzzed.zip")
    path.unlink(missing_ok=True)
    write(path, members)
    try:
        report = check_bundle(path)
    except BundleUnreadable:
        return
    assert report.holds is (changed == made.members()[name][index]) or name == ABOUT


def test_what_it_says_of_itself_is_told_as_that(made: Made, tmp_path: Path) -> None:
    """With which code it was made, and that there was nothing more up to its position."""
    members = made.members()
    change_about(code="9.9.9", position=99, head="00" * 32)(members)
    report = check_bundle(write(tmp_path / "a.zip", members))
    assert (report.holds, report.code, report.position) == (True, "9.9.9", 99)
    assert "9.9.9" not in " ".join(report.proves)
    assert "That nothing was left out up to position 99" in " ".join(report.leaves_open)


EVENTS_OF_TYPES: dict[str, dict[str, Any]] = {
    "a position that is true": {"position": True},
    "a position of 0": {"position": 0},
    "a position that is text": {"position": "12"},
    "a position beyond 64 bits": {"position": 2**64},
    "a stream of upper case": {"stream_id": str(uid("x")).upper()},
    "a stream in braces": {"stream_id": f"{{{uid('x')}}}"},
    "a topic that is none": {"topic": None},
    "a time without an offset": {"recorded_at": "2026-03-01T12:00:00.000000"},
    "a time of another form": {"recorded_at": "2026-03-01T12:00:00Z"},
    "a short hash": {"hash": "00"},
    "a hash of upper case": {"hash": "AB" * 32},
    "an actor that is a number": {"actor": 7},
    "a column more": {"more": 1},
    "two bodies": {"state_hex": "00"},
}


@pytest.mark.parametrize("what", EVENTS_OF_TYPES)
def test_an_event_of_another_form_is_one_clear_error(made: Made, tmp_path: Path, what: str) -> None:
    members = made.members()
    change_event(12, **EVENTS_OF_TYPES[what])(members)
    assert "not an event as it is written" in refused(write(tmp_path / "a.zip", members))


def test_a_bundle_of_a_later_format_says_so(made: Made, tmp_path: Path) -> None:
    members = made.members()
    change_about(format="claude-tiu.bundle.v2")(members)
    assert "of the format 'claude-tiu.bundle.v2', which this version does not know" in refused(
        write(tmp_path / "a.zip", members)
    )


def test_a_bundle_that_says_nothing_is_refused(made: Made, tmp_path: Path) -> None:
    members = made.members()
    members[ABOUT] = []
    assert "bundle.json should be one line" in refused(write(tmp_path / "a.zip", members))


def test_an_empty_bundle_proves_nothing(made: Made, tmp_path: Path) -> None:
    """A file that only says of which project it is."""
    members: Members = {name: [] for name in made.members()} | {ABOUT: made.members()[ABOUT]}
    assert "no event of the project" in found(check_bundle(write(tmp_path / "a.zip", members)))


def test_an_event_of_a_user_has_no_place_in_it(made: Made, tmp_path: Path) -> None:
    members = made.members()
    (row,) = made.events.read_rows(0, 1)
    assert row.topic == "user.created.v1"
    members[LOG].insert(0, event_line(row))
    assert "of none of those that a bundle tells of" in found(check_bundle(write(tmp_path / "a.zip", members)))


def test_the_hash_of_every_row_is_made_anew(made: Made) -> None:
    for text in made.members()[LOG]:
        row = event_of(text)
        assert hash_of(row) == row.hash
        assert hash_of(row._replace(recorded_at=row.recorded_at + timedelta(microseconds=1))) != row.hash


def test_a_line_without_an_end_fills_no_memory(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = made.members()
    members[LOG].insert(20, b'"' + b"x" * 20_000_000 + b'"')
    path = write(tmp_path / "a.zip", members)
    del members
    monkeypatch.setattr(archive, "MAX_LINE", 100_000)
    tracemalloc.start()
    try:
        assert "a line of events.jsonl is too long" in refused(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_more_seals_than_a_bundle_has_are_refused(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_check, "MAX_SEALS", 2)
    assert "there are more than 2 seals in it" in refused(made.path)


def test_of_more_seals_than_a_bundle_has_the_last_are_exported(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_export, "MAX_SEALS", 2)
    export(made.events, made.seals, PROJECT, tmp_path / "a.zip")
    assert [seal["seal"]["number"] for seal in values_of(members_of(tmp_path / "a.zip")[SEALS])] == [2, 3]
    assert check_bundle(tmp_path / "a.zip", seals=made.seals[1:]).holds
