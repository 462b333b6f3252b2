"""Seals and proofs, offline: what they say, in which bytes, and that nothing of them can be changed unnoticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.infrastructure.audit import merkle
from claude_tiu.infrastructure.audit.seals import Inclusion, Seal, SealingKey, continues, has_event
from claude_tiu.infrastructure.errors import BadSeal

KEY = SealingKey(bytes(range(32)))
EPOCH = UUID(int=7)
AT = datetime(2026, 11, 28, 12, 30, 0, 5, tzinfo=UTC)

GOLDEN = (
    '{"epoch":"00000000-0000-0000-0000-000000000007","format":"claude-tiu.seal.v1",'
    '"head":"0101010101010101010101010101010101010101010101010101010101010101",'
    '"key":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","number":1,"position":3,"previous":null,'
    '"root":"0202020202020202020202020202020202020202020202020202020202020202",'
    '"sealed_at":"2026-11-28T12:30:00.000005Z","signature":"%s"}'
)
"""What was printed once must be read for ever."""


def sign(key: SealingKey = KEY, before: Seal | None = None, **values: Any) -> Seal:
    """A seal of a log of three events that nobody has."""
    said: dict[str, Any] = {"epoch": EPOCH, "position": 3, "head": b"\1" * 32, "root": b"\2" * 32, "sealed_at": AT}
    return key.sign(**said | values, before=before)


def sealed_log(size: int, entries: list[bytes] | None = None) -> tuple[list[bytes], Seal]:
    """The hashes of a log, and its seal."""
    entries = entries or [bytes([number]) * 32 for number in range(size)]
    return entries, sign(position=size, head=entries[size - 1], root=merkle.root_of(entries[:size]))


def test_a_seal_is_one_line_of_text_that_never_changes() -> None:
    seal = sign()
    assert seal.text == GOLDEN % seal.signature.hex()
    assert len(seal.text) < 700
    assert Seal.parse(seal.text) == seal
    assert seal.is_genuine


def test_a_seal_is_checked_with_ed25519_and_json_alone() -> None:
    data = json.loads(sign().text)
    signature = bytes.fromhex(data.pop("signature"))
    signed = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(data["key"])).verify(signature, signed)


def test_a_seal_is_read_however_its_json_was_laid_out() -> None:
    seal = sign()
    laid_out = json.dumps(dict(reversed(json.loads(seal.text).items())), indent=4)
    assert Seal.parse(laid_out.encode()) == seal
    assert Seal.parse(laid_out).digest == seal.digest


def test_the_time_of_a_seal_is_in_utc() -> None:
    assert sign(sealed_at=AT.astimezone(timezone(timedelta(hours=5)))) == sign()


def test_a_seal_names_the_one_before_it() -> None:
    first = sign()
    second = sign(before=first, position=5)
    assert (first.statement.number, first.statement.previous) == (1, None)
    assert (second.statement.number, second.statement.previous) == (2, first.digest)
    assert Seal.parse(second.text) == second


@pytest.mark.parametrize("field", ["number", "epoch", "position", "head", "root", "previous", "sealed_at", "key"])
def test_whatever_is_changed_in_a_seal_it_is_not_genuine_any_more(field: str) -> None:
    seal = sign(before=sign())
    others: dict[str, Any] = {
        "epoch": UUID(int=8),
        "sealed_at": AT + timedelta(microseconds=1),
        "number": 9,
        "position": 9,
        "key": SealingKey(bytes(32)).public,
    }
    changed = replace(seal, statement=replace(seal.statement, **{field: others.get(field, b"\3" * 32)}))
    assert changed != seal
    assert not changed.is_genuine
    assert not Seal.parse(changed.text).is_genuine


@given(st.integers(0, 64 * 8 - 1))
def test_a_signature_with_another_bit_is_false(bit: int) -> None:
    seal = sign()
    number = int.from_bytes(seal.signature) ^ (1 << bit)
    assert not replace(seal, signature=number.to_bytes(64)).is_genuine


def test_a_key_that_is_no_point_of_the_curve_makes_no_seal_genuine() -> None:
    seal = sign()
    for key in (bytes(32), b"\xff" * 32, b"\2" + bytes(31)):
        assert not replace(seal, statement=replace(seal.statement, key=key)).is_genuine


@pytest.mark.parametrize(
    "change",
    [
        {"format": "claude-tiu.seal.v2"},
        {"number": 0},
        {"number": True},
        {"position": 3.0},
        {"position": 2**63},
        {"head": "01"},
        {"head": "GG" * 32},
        {"root": "AB" * 32},
        {"root": None},
        {"previous": ""},
        {"epoch": "0" * 32},
        {"epoch": 7},
        {"sealed_at": "2026-11-28"},
        {"sealed_at": "0001-01-01T00:00:00+14:00"},
        {"key": [1]},
        {"signature": "00"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_text_of_another_form_is_no_seal(change: dict[str, Any]) -> None:
    with pytest.raises(BadSeal, match="not a seal"):
        Seal.parse(json.dumps(json.loads(sign().text) | change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "1", "{", "[" * 100_000, b"\xff", b"\x00"], ids=ascii)
def test_what_is_no_json_object_is_no_seal(text: str | bytes) -> None:
    with pytest.raises(BadSeal, match="not a seal"):
        Seal.parse(text)


@pytest.mark.parametrize("field", json.loads(GOLDEN % ""))
def test_a_seal_without_one_of_its_fields_is_no_seal(field: str) -> None:
    data = json.loads(sign().text)
    del data[field]
    with pytest.raises(BadSeal, match="not a seal"):
        Seal.parse(json.dumps(data))


def test_a_sealing_key_is_32_bytes_in_base64_and_shows_itself_nowhere() -> None:
    key = SealingKey.new()
    assert SealingKey.parse(key.secret_text + "\n").public == key.public != SealingKey.new().public
    assert key.secret_text not in repr(key) + str(vars(key))
    for text in ("", "abc", key.secret_text[:-4], key.secret_text + "AAAA", "é"):
        with pytest.raises(ValueError, match="a sealing key is 32 bytes in base64") as raised:
            SealingKey.parse(text)
        assert raised.value.__cause__ is None
        assert not text or text not in str(raised.value)


def test_a_key_signs_as_the_standard_has_it() -> None:
    """Test 1 of RFC 8032 (section 7.1): the key; that the signature is Ed25519's is the library's to hold."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert SealingKey(secret).public.hex() == public
    assert sign(SealingKey(secret)).statement.key.hex() == public


def test_an_event_under_a_seal_is_proved_by_its_hash_and_a_few_more() -> None:
    entries, seal = sealed_log(11)
    _, paths = merkle.prove_inclusion(entries, 11, range(11))
    for index, path in paths.items():
        proof = Inclusion(index + 1, 11, tuple(path))
        assert Inclusion.parse(json.loads(json.dumps(proof.plain))) == proof
        assert has_event(seal, entries[index], proof)
        assert not has_event(seal, b"\x99" * 32, proof)
        assert not has_event(seal, entries[index], replace(proof, position=index + 2))
        assert not has_event(seal, entries[index], replace(proof, size=12))
        assert not has_event(sealed_log(10)[1], entries[index], proof)
    assert not has_event(seal, entries[0], Inclusion(0, 11, ()))


@pytest.mark.parametrize(
    "plain",
    [
        None,
        {},
        {"position": 1, "size": 1},
        {"position": 0, "size": 1, "path": []},
        {"position": 1, "size": 1, "path": ["00"]},
        {"position": 1, "size": 1, "path": [7]},
        {"position": 1, "size": 1, "path": ["AB" * 32]},
        {"position": 1, "size": 1, "path": [], "more": 1},
    ],
    ids=str,
)
def test_json_of_another_form_is_no_proof(plain: Any) -> None:
    with pytest.raises(BadSeal, match="not a proof of inclusion"):
        Inclusion.parse(plain)


def test_a_seal_continues_an_older_one_of_the_same_log_alone() -> None:
    entries, seal = sealed_log(11)
    _, older = sealed_log(4, entries)
    _, path = merkle.prove_consistency(entries, 4, 11)
    proof = tuple(path)
    assert continues(seal, older, proof)
    assert not continues(older, seal, proof)
    assert not continues(seal, sign(position=4, root=older.statement.root, epoch=UUID(int=8)), proof)
    assert not continues(seal, sign(position=4), proof)
    assert not continues(seal, older, proof[:-1])
