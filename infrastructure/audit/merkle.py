"""Merkle trees as RFC 6962 defines them (section 2.1; RFC 9162 keeps the definition), with SHA-256.

A tree stands over entries in order. Its root changes with any of them; that one entry is in it, or that a tree has only
grown since it was smaller, is proved by a few hashes: about as many as the size has binary digits. Entries are read
once, in order, and only the hashes that are wanted stay in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

BATCH = 8_192
EMPTY = sha256(b"").digest()
"""The root of a tree without entries."""

Range = tuple[int, int]
"""A subtree, by its entries: from the first, counted from 0, up to but without the second."""
Node = tuple[int, int]
"""A subtree that is full: its level, and its place in that from the left. It has 2 ** level entries."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry, as it stands in the tree."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows: of its hashes it keeps one a level, and those of `kept` nodes."""

    def __init__(self, kept: Iterable[Node] = ()) -> None:
        self.size = 0
        self.nodes: dict[Node, bytes] = {}
        """The hashes of the kept nodes that are full by now."""
        self._open: list[bytes | None] = []  # of each level, the last node where its sibling is not there yet
        self._kept: dict[int, list[int]] = {}
        for level, index in sorted(set(kept)):
            self._kept.setdefault(level, []).append(index)

    def extend(self, entries: Sequence[bytes]) -> None:
        """Add entries, all levels of them at once."""
        hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
        first = self.size
        self.size += len(hashes)
        level = 0
        while hashes:
            if level == len(self._open):
                self._open.append(None)
            self._keep(level, first, hashes)
            if (before := self._open[level]) is not None:
                hashes.insert(0, before)
                first -= 1
            self._open[level] = hashes.pop() if len(hashes) % 2 else None
            pairs = iter(hashes)
            hashes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            first //= 2
            level += 1

    def _keep(self, level: int, first: int, hashes: Sequence[bytes]) -> None:
        wanted = self._kept.get(level, [])
        for index in wanted[bisect_left(wanted, first) : bisect_right(wanted, first + len(hashes) - 1)]:
            self.nodes[level, index] = hashes[index - first]

    @property
    def root(self) -> bytes:
        return _folded([hash_ for hash_ in reversed(self._open) if hash_ is not None]) if self.size else EMPTY


def _folded(hashes: Sequence[bytes]) -> bytes:
    """Return the hash above full subtrees that stand beside each other, each smaller than the one to its left."""
    *rest, folded = hashes
    for hash_ in reversed(rest):
        folded = node_hash(hash_, folded)
    return folded


def root_of(entries: Iterable[bytes]) -> bytes:
    """Return the root of the tree over entries."""
    return _grown(entries).root


def prove_inclusion(
    entries: Iterable[bytes], size: int, indices: Collection[int]
) -> tuple[bytes, dict[int, list[bytes]]]:
    """Return the root of the tree over the first `size` entries, and by index the proof that the entry is in it.

    The entries are read once, whatever the number of proofs. Raises ValueError where there are fewer entries, or an
    index is not below `size`.
    """
    if any(not 0 <= index < size for index in indices):
        raise ValueError(f"an entry's index is from 0 to {size - 1}")
    paths = {index: _path(index, 0, size) for index in indices}
    root, hashes = _hashes(entries, size, {range_ for path in paths.values() for range_ in path})
    return root, {index: [hashes[range_] for range_ in path] for index, path in paths.items()}


def prove_consistency(entries: Iterable[bytes], old_size: int, size: int) -> tuple[bytes, list[bytes]]:
    """Return the root of the tree over the first `size` entries, and the proof that it begins with that over the first
    `old_size`.

    Raises ValueError where there are fewer entries, or `old_size` is not from 1 to `size`.
    """
    root, proofs = prove_consistencies(entries, [old_size], size)
    return root, proofs[old_size]


def prove_consistencies(
    entries: Iterable[bytes], old_sizes: Collection[int], size: int
) -> tuple[bytes, dict[int, list[bytes]]]:
    """Do what `prove_consistency` does for several older trees; the entries are read once."""
    if any(not 0 < old_size <= size for old_size in old_sizes):
        raise ValueError(f"an older tree has from 1 to {size} entries")
    paths = {old_size: _growth(old_size, 0, size, whole=True) for old_size in old_sizes}
    root, hashes = _hashes(entries, size, {range_ for path in paths.values() for range_ in path})
    return root, {old_size: [hashes[range_] for range_ in path] for old_size, path in paths.items()}


def includes(root: bytes, size: int, index: int, entry: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether a proof shows that the tree of a root and size has the entry at an index (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, hash_ = index, size - 1, leaf_hash(entry)
    for beside in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            hash_ = node_hash(beside, hash_)
            while not place % 2 and place:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, beside)
        place, last = place >> 1, last >> 1
    return last == 0 and hash_ == root


def extends(old_root: bytes, old_size: int, root: bytes, size: int, proof: Sequence[bytes]) -> bool:
    """Return whether a proof shows that a tree begins with an older one (RFC 9162, 2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == root
    if not 0 < old_size < size or not proof:
        return False
    hashes = list(proof) if old_size & (old_size - 1) else [old_root, *proof]  # a power of 2 is a node of the tree
    place, last = old_size - 1, size - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while not place % 2 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _path(index: int, start: int, end: int) -> list[Range]:
    """Return the subtrees beside the way from an entry up to the root: PATH of RFC 6962."""
    if end - start == 1:
        return []
    split = start + _half(end - start)
    if index < split:
        return [*_path(index, start, split), (split, end)]
    return [*_path(index, split, end), (start, split)]


def _growth(old_end: int, start: int, end: int, *, whole: bool) -> list[Range]:
    """Return the subtrees that make both the older tree and the newer: SUBPROOF of RFC 6962."""
    if old_end == end:
        return [] if whole else [(start, end)]
    split = start + _half(end - start)
    if old_end <= split:
        return [*_growth(old_end, start, split, whole=whole), (split, end)]
    return [*_growth(old_end, split, end, whole=False), (start, split)]


def _half(size: int) -> int:
    """Return the largest power of 2 that is smaller than a size."""
    return 1 << ((size - 1).bit_length() - 1)


def _hashes(entries: Iterable[bytes], size: int, ranges: Collection[Range]) -> tuple[bytes, dict[Range, bytes]]:
    """Return the root over the first `size` entries, and the hashes of subtrees."""
    full = {range_: _full_nodes(*range_) for range_ in ranges}
    tree = _grown(islice(entries, size), {node for nodes in full.values() for node in nodes})
    if tree.size < size:
        raise ValueError(f"there are {tree.size} entries, not {size}")
    return tree.root, {range_: _folded([tree.nodes[node] for node in nodes]) for range_, nodes in full.items()}


def _full_nodes(start: int, end: int) -> list[Node]:
    """Return the full subtrees that a subtree consists of: each is smaller than the one to its left."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _grown(entries: Iterable[bytes], kept: Iterable[Node] = ()) -> Tree:
    tree = Tree(kept)
    for batch in _batches(entries):
        tree.extend(batch)
    return tree


def _batches(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(entries)
    while batch := list(islice(rest, BATCH)):
        yield batch
