"""A reader that follows the log in a process of its own: it passes nothing over, and sees nothing twice."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from multiprocessing.connection import Connection

from claude_tiu import StoreUnavailable
from claude_tiu.infrastructure.event_hash import NO_EVENT
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.tiu import open_events
from tests.support.patience import AGAIN_SECONDS, patiently

BATCH = 500
WAIT_SECONDS = 0.5


def follow(url: str, channel: Connection) -> None:
    """Be the reader: it tells the position up to which it has seen every event once, or what it saw instead."""
    logging.disable()
    with (
        closing(patiently(lambda: open_events(database(url, Settings()), Settings()))) as events,
        closing(patiently(events.listen)) as listener,
    ):
        position, seen = 0, NO_EVENT
        while True:
            try:
                found = events.read(position, BATCH)
                if not found:
                    listener.wait(WAIT_SECONDS)
            except StoreUnavailable:
                time.sleep(AGAIN_SECONDS)
                continue
            for event in found:
                if event.position != position + 1 or event.previous_hash != seen:
                    channel.send(f"behind {position} came {event.position}")
                    return
                position, seen = event.position, event.hash
            if found:
                channel.send(position)
