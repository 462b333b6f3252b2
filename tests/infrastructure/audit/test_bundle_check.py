"""Checking an audit bundle: one bit is too many, and no more is said than is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tiu import CreateProject, connect
from claude_tiu.infrastructure.audit.bundle.check import check_bundle
from claude_tiu.infrastructure.audit.bundle.export import export
from claude_tiu.infrastructure.audit.bundle.form import LOG
from claude_tiu.infrastructure.audit.replay import last_flushed
from tests.support.bundling import ANOTHERS, KEY, Made, found, made_in, refused, said_by, seal_at, values_of
from tests.support.every_table import PROJECT
from tests.support.history import create_user, uid
from tests.support.stores import new_backend


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_in(tmp_path_factory.mktemp("made")) as made:
        yield made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one event, which is sealed."""
    folder = tmp_path_factory.mktemp("small")
    with new_backend("sqlite", folder / "tiu.db") as backend:
        with connect(backend.url, project=False) as tiu:
            user = tiu.execute(create_user(user_id=uid("somebody"))).id
            tiu.execute(CreateProject(project_id=uid("small"), user_id=user, name="Small"))
        events = backend.events()
        export(events, seal_at(events, [2], KEY), uid("small"), folder / "small.zip")
    assert check_bundle(folder / "small.zip").holds
    return folder / "small.zip"


def test_one_bit_flipped_in_any_byte_fails_the_check(small: Path, tmp_path: Path) -> None:
    """Exhaustive over the bytes; which bit of each changes from byte to byte."""
    data = bytearray(small.read_bytes())
    path = tmp_path / "flipped.zip"
    for index in range(len(data)):
        data[index] ^= 1 << index * 5 % 8
        path.write_bytes(data)
        refused(path)
        data[index] ^= 1 << index * 5 % 8
    path.write_bytes(data)
    assert check_bundle(path).holds


@settings(max_examples=300)
@given(bits=st.sets(st.integers(0, 2**30), min_size=1, max_size=3))
def test_whichever_bits_are_flipped_the_check_fails(made: Made, bits: set[int]) -> None:
    data = bytearray(made.path.read_bytes())
    for bit in {bit % (len(data) * 8) for bit in bits}:
        data[bit // 8] ^= 1 << bit % 8
    path = made.path.with_name("flipped.zip")
    path.write_bytes(data)
    refused(path)


@given(data=st.data())
def test_whatever_is_cut_off_added_or_put_in_twice_the_check_fails(made: Made, data: st.DataObject) -> None:
    whole = made.path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    at = data.draw(st.integers(0, len(whole)))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:at] + b"\0" + whole[at:],
                whole[:start] + whole[end:] if start < end else whole[:-1],
                whole[:at] + whole[start:end] + whole[at:] if start < end else whole + whole,
            ]
        )
    )
    path = made.path.with_name("changed.zip")
    path.write_bytes(changed)
    refused(path)


def test_a_bundle_holds_and_says_what_it_proves(made: Made) -> None:
    report = check_bundle(made.path)
    assert report.holds
    assert (report.events, report.sealed, report.known, report.rows) == (56, 53, 0, 35)
    assert (report.project_id, report.position, report.epoch) == (PROJECT, last_flushed(made.events), made.events.epoch)
    assert report.seal is not None
    assert (report.seal.number, report.seal.position, report.seal.key) == (3, 85, KEY.public.hex())
    proved, left = " ".join(report.proves), " ".join(report.leaves_open)
    assert report.digest in proved
    assert f"with the key {KEY.public.hex()}" in proved
    assert "53 of them stood so among the first 85 of the log when seal 3 was signed" in proved
    assert "anybody can make up a log, a key, and such a file" in left
    assert "the 3 events that no seal covers" in left
    assert "That nothing was left out" in left
    assert "is true" in left


def test_a_key_that_was_kept_says_who_signed(made: Made) -> None:
    report = check_bundle(made.path, keys=[ANOTHERS.public, KEY.public])
    assert (report.holds, report.key_known, report.known) == (True, True, 0)
    assert "with the key that you know" in " ".join(report.proves)
    left = " ".join(report.leaves_open)
    assert "anybody can make up" not in left
    assert "whoever has that key has not signed another history" in left


def test_a_seal_that_was_kept_says_what_has_not_changed_since(made: Made) -> None:
    positions = [event["position"] for event in values_of(made.members()[LOG])]
    for seal in made.seals:
        until = seal.statement.position
        known = sum(position <= until for position in positions)
        report = check_bundle(made.path, seals=[seal])
        assert (report.holds, report.known) == (True, known)
        assert f"{known} of them are under a seal that you have kept" in " ".join(report.proves)
        assert ("came after the seal that you have kept" in " ".join(report.leaves_open)) is (until < 85)
    assert check_bundle(made.path, seals=made.seals).known == 53


def test_a_bundle_without_a_seal_says_that_it_has_none(made: Made, tmp_path: Path) -> None:
    export(made.events, [], PROJECT, tmp_path / "a.zip")
    report = check_bundle(tmp_path / "a.zip")
    assert (report.holds, report.seal, report.sealed) == (True, None, 0)
    assert "seal" not in " ".join(report.proves)
    assert "the 56 events that no seal covers" in " ".join(report.leaves_open)


def test_it_needs_no_key_of_a_person(made: Made) -> None:
    assert not [event for event in values_of(made.members()[LOG]) if event["key_id"]]


def test_a_key_that_did_not_sign_it_is_told(made: Made) -> None:
    said = found(check_bundle(made.path, keys=[ANOTHERS.public]))
    assert said == f"seal 3 was signed with the key {KEY.public.hex()}, which is not one that was given"


def test_a_key_for_what_nobody_signed_is_told(made: Made, tmp_path: Path) -> None:
    export(made.events, [], PROJECT, tmp_path / "a.zip")
    assert "nothing is signed" in found(check_bundle(tmp_path / "a.zip", keys=[KEY.public]))


def test_a_kept_seal_of_another_history_is_told(made: Made) -> None:
    other = KEY.sign(**said_by(made.seals[1], root=bytes(32)), before=made.seals[0])
    assert "seal 2 in here is not the one that was kept elsewhere" in found(check_bundle(made.path, seals=[other]))


def test_a_kept_seal_of_another_log_is_told(made: Made) -> None:
    other = KEY.sign(**said_by(made.seals[1], epoch=uid("another")), before=made.seals[0])
    assert "is of another log" in found(check_bundle(made.path, seals=[other]))


def test_a_kept_seal_that_is_newer_asks_for_a_newer_bundle(made: Made, tmp_path: Path) -> None:
    export(made.events, made.seals, PROJECT, tmp_path / "a.zip", position=50)
    said = found(check_bundle(tmp_path / "a.zip", seals=[made.seals[2]]))
    assert "covers 85 events, more than any seal in here: export the project again" in said


def test_a_kept_seal_that_is_between_those_in_here_is_told(made: Made) -> None:
    other = KEY.sign(**said_by(made.seals[1], position=49), before=made.seals[2])
    assert "is not in here: nothing shows that this log continues it" in found(check_bundle(made.path, seals=[other]))


def test_a_kept_seal_that_is_false_is_told(made: Made) -> None:
    false = replace(made.seals[1], signature=bytes(64))
    assert "kept elsewhere, 2, was not signed with the key that it names" in found(
        check_bundle(made.path, seals=[false])
    )
