"""What modules remember: put back to what it was, as when a process starts again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

CONTAINERS = (dict, list, set)
PLAIN = (int, float, str, bytes, tuple, frozenset, type(None))


class Memory:
    """What the modules of some functions hold now: numbers, texts and containers of their own, and cached answers."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        names = {getattr(function, "__module__", None) for function in functions}
        modules = [sys.modules[name] for name in names if name in sys.modules and not name.startswith("claude_tiu.")]
        self._spaces = [vars(module) for module in modules]
        self._held = [
            {name: _copy(value) for name, value in space.items() if _is_held(name, value)} for space in self._spaces
        ]

    def put_back(self) -> None:
        """Let the modules hold what they held, in the same containers."""
        for space, held in zip(self._spaces, self._held, strict=True):
            for name, value in held.items():
                if isinstance(value, CONTAINERS):
                    _refill(space[name], _copy(value))
                else:
                    space[name] = value
            for value in list(space.values()):
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()


def _is_held(name: str, value: Any) -> bool:
    return not name.startswith("__") and isinstance(value, (*CONTAINERS, *PLAIN))


def _copy(value: Any) -> Any:
    """Return a container with copies of the containers in it; whatever else is in it is taken to stay as it is."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return deepcopy(value) if isinstance(value, set) else value


def _refill(container: Any, value: Any) -> None:
    if container == value:
        return
    container.clear()
    if isinstance(container, list):
        container.extend(value)
    else:
        container.update(value)
