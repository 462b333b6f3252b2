"""How long a test waits for what must come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from claude_tiu import StoreUnavailable

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds."""
AGAIN_SECONDS = 0.02


def patiently(ask: Callable[[], T]) -> T:
    """Ask until the store can be reached: connections of the test's own are cut too."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_SECONDS)
