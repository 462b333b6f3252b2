"""Subscribers of tests: what one is delivered up to the end of the log, and one that follows it in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from claude_tiu import AddTask, Delivery, Subscription, Tiu
from tests.support.history import PROJECT, uid

NAME = "mails"


def add(tiu: Tiu, *names: str) -> None:
    """Tasks, each in a commit of its own."""
    for name in names:
        tiu.execute(AddTask(task_id=uid(name), project_id=PROJECT, name=name))


def positions(tiu: Tiu, name: str = NAME, **asked: Any) -> list[int]:
    """What is delivered up to the end of the log."""
    return [delivery.position for delivery in tiu.subscribe(name, **asked, until_end=True)]


class Following:
    """A subscriber in a thread of its own; `seen` are the positions that it was given."""

    def __init__(
        self, tiu: Tiu, name: str = NAME, body: Callable[[Delivery[Any]], object] = bool, **asked: Any
    ) -> None:
        self.subscription: Subscription[Any] = tiu.subscribe(name, **asked)
        self.seen: list[int] = []
        self.error: Exception | None = None
        self._body = body
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for delivery in self.subscription:
                self.seen.append(delivery.position)
                self._body(delivery)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        self.subscription.stop()
        self._thread.join(60)
        assert self.ended()
