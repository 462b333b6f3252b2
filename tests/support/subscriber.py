"""A subscriber in a process of its own, that is killed: it notes what it does, outside the database or in it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from claude_tiu import Delivery, StoreUnavailable, connect

NAME = "killed"
TABLE = "CREATE TABLE noted (key TEXT NOT NULL, position INTEGER NOT NULL)"


def subscribe(url: str, channel: Connection, exactly_once: bool, notes: str, seed: int) -> None:
    """Go on until killed. At least once: a line of the file `notes` for each delivery, as a mail would be sent; exactly
    once: a row of `noted`."""
    logging.disable()
    dice = Random(seed)
    try:
        with connect(url, project=False) as tiu, Path(notes).open("a", encoding="utf-8") as file:
            channel.send("ready")
            for delivery in tiu.subscribe(NAME):
                try:
                    if exactly_once:
                        delivery.transact(lambda connection, delivery=delivery: _note(connection, delivery))  # type: ignore[misc]
                    else:
                        file.write(f"{delivery.position} {delivery.idempotency_key}\n")
                        file.flush()
                except StoreUnavailable:
                    continue
                channel.send(delivery.position)
                time.sleep(dice.expovariate(2_000))
    except (EOFError, OSError):  # the parent is gone
        os._exit(0)


def _note(connection: Any, delivery: Delivery[Any]) -> None:
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    values = [str(delivery.idempotency_key), delivery.position]
    connection.execute(f"INSERT INTO noted (key, position) VALUES ({mark}, {mark})", values)
