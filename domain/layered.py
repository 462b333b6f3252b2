"""Mappings that never change, and of which the next one, with one more item, is quick to make.

States are shared: by the cache, and by decisions that are made at once. So `evolve` never changes one, and where it
copied a whole dict at each event, the time to load a stream would grow with the square of its length. In a Layered, new
items stand in a small layer above the many: that layer alone is copied, until it goes down into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

SMALL = 32
"""Up to so many items a dict is copied as quickly as anything."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def having(items: Mapping[Key, Value], key: Key, value: Value) -> Mapping[Key, Value]:
    """Return `items` with one more, or with another value for its key; they stay as they are.

    Of n items the copying is of the order of √n, over many calls.
    """
    if not isinstance(items, Layered):
        return {**items, key: value} if len(items) < SMALL else Layered(items, {key: value})
    recent = {**items.recent, key: value}
    if len(recent) ** 2 < len(items.many):
        return Layered(items.many, recent)
    return Layered({**items.many, **recent}, {})


class Layered(Mapping[Key, Value]):
    """Equal to a dict of the same items, and in the same order: that in which their keys first came.

    An item of `recent` stands for one of the same key in `many`. Nobody may change either.
    """

    __slots__ = ("many", "recent")

    def __init__(self, many: Mapping[Key, Value], recent: Mapping[Key, Value]) -> None:
        self.many = many
        self.recent = recent

    def __getitem__(self, key: Key) -> Value:
        return self.recent[key] if key in self.recent else self.many[key]

    def get(self, key: Key, default: Any = None) -> Any:  # the inherited one raises and catches
        return self.recent[key] if key in self.recent else self.many.get(key, default)

    def __iter__(self) -> Iterator[Key]:
        return chain(self.many, (key for key in self.recent if key not in self.many))

    def __len__(self) -> int:
        return len(self.many) + sum(key not in self.many for key in self.recent)

    def __repr__(self) -> str:
        return repr(dict(self))
