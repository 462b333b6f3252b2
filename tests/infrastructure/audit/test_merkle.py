"""Merkle trees against the vectors that Certificate Transparency publishes, and against the RFC's definition."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.infrastructure.audit import merkle

# The leaves, roots and proofs of the project certificate-transparency (merkle_tree_test.cc, merkle_test.py).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = {  # (index, size): the proof
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
GROWTHS = {  # (old size, size): the proof
    (1, 1): [],
    (1, 8): INCLUSIONS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

ENTRIES = st.lists(st.binary(max_size=3), min_size=1, max_size=70, unique=True)


def root_by_definition(entries: Sequence[bytes]) -> bytes:
    """MTH, as RFC 6962 (section 2.1) writes it down."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return sha256(b"\x01" + root_by_definition(entries[:half]) + root_by_definition(entries[half:])).digest()


def in_hex(proof: Sequence[bytes]) -> list[str]:
    return [hash_.hex() for hash_ in proof]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_that_are_published(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_proofs_of_inclusion_are_those_that_are_published(index: int, size: int) -> None:
    root, proofs = merkle.prove_inclusion(LEAVES, size, [index])
    assert root.hex() == ROOTS[size]
    assert in_hex(proofs[index]) == INCLUSIONS[index, size]
    assert merkle.includes(root, size, index, LEAVES[index], proofs[index])


@pytest.mark.parametrize(("old_size", "size"), GROWTHS)
def test_proofs_of_consistency_are_those_that_are_published(old_size: int, size: int) -> None:
    root, proof = merkle.prove_consistency(LEAVES, old_size, size)
    assert root.hex() == ROOTS[size]
    assert in_hex(proof) == GROWTHS[old_size, size]
    assert merkle.extends(bytes.fromhex(ROOTS[old_size]), old_size, root, size, proof)


@given(ENTRIES, st.data())
def test_a_tree_that_grows_in_batches_of_any_size_has_the_root_of_the_definition(
    entries: list[bytes], data: st.DataObject
) -> None:
    tree, grown = merkle.Tree(), 0
    while grown < len(entries):
        more = data.draw(st.integers(1, len(entries) - grown))
        tree.extend(entries[grown : grown + more])
        grown += more
        assert tree.size == grown
        assert tree.root == root_by_definition(entries[:grown])


@given(ENTRIES)
def test_every_entry_is_proved_and_no_other_is_by_its_proof(entries: list[bytes]) -> None:
    size = len(entries)
    root, proofs = merkle.prove_inclusion(iter(entries), size, range(size))
    assert root == root_by_definition(entries)
    for index, proof in proofs.items():
        assert merkle.includes(root, size, index, entries[index], proof)
        assert not merkle.includes(root, size, index, entries[index] + b"other", proof)
        others = {*range(size)} - {index}
        assert not any(merkle.includes(root, size, other, entries[index], proof) for other in others)
        assert not merkle.includes(root, size, index, entries[index], [*proof, merkle.EMPTY])
        assert not merkle.includes(root, size, index, entries[index], proof[:-1]) or not proof
        assert not merkle.includes(merkle.EMPTY, size, index, entries[index], proof)


@given(ENTRIES, st.data())
def test_a_tree_is_proved_to_have_grown_and_one_that_was_changed_is_not(
    entries: list[bytes], data: st.DataObject
) -> None:
    size = len(entries)
    old_size = data.draw(st.integers(1, size))
    old_root = root_by_definition(entries[:old_size])
    root, proof = merkle.prove_consistency(iter(entries), old_size, size)
    assert root == root_by_definition(entries)
    assert merkle.extends(old_root, old_size, root, size, proof)
    changed = data.draw(st.integers(0, old_size - 1))
    others = [*entries[:changed], entries[changed] + b"other", *entries[changed + 1 :]]
    other_root, other_proof = merkle.prove_consistency(others, old_size, size)
    assert not merkle.extends(old_root, old_size, other_root, size, other_proof)
    assert not merkle.extends(old_root, old_size, other_root, size, proof)
    assert not merkle.extends(root_by_definition(others[:old_size]), old_size, root, size, proof)
    assert not merkle.extends(old_root, old_size, root, size, [*proof, merkle.EMPTY])


@pytest.mark.parametrize("index", [-1, 8])
def test_an_entry_that_the_tree_does_not_have_cannot_be_proved(index: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 7"):
        merkle.prove_inclusion(LEAVES, 8, [index])
    assert not merkle.includes(bytes.fromhex(ROOTS[8]), 8, index, LEAVES[0], [])


def test_a_tree_of_more_entries_than_there_are_cannot_be_proved() -> None:
    with pytest.raises(ValueError, match="there are 8 entries, not 9"):
        merkle.prove_inclusion(LEAVES, 9, [0])
    with pytest.raises(ValueError, match="from 1 to 8"):
        merkle.prove_consistency(LEAVES, 9, 8)
    assert not merkle.extends(bytes.fromhex(ROOTS[8]), 8, bytes.fromhex(ROOTS[5]), 5, [])


def test_a_large_tree_keeps_no_more_than_a_hash_a_level() -> None:
    tree = merkle.Tree()
    for _ in range(100):
        tree.extend([bytes(32)] * 1_000)
    assert tree.size == 100_000
    assert len(tree._open) == 17
    assert not tree.nodes
