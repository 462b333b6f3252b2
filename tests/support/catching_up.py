"""A projector that catches up again and again in a process of its own, until it is killed."""

from __future__ import annotations

import logging
from contextlib import closing
from multiprocessing.connection import Connection
from random import Random

from claude_tiu import Tiu
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.tiu import open_stores
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.load import begun, new_id, stories


def fill(tiu: Tiu, units: int) -> None:
    """Store a backlog."""
    for commands in begun():
        tiu.execute_all(commands)
    dice = Random(units)
    told = stories(dice)
    commands = next(told)
    for _ in range(units):
        commands = told.send(tiu.execute_all([one.model_copy(update={"command_id": new_id(dice)}) for one in commands]))


def catch_up_for_ever(url: str, channel: Connection, batch_size: int) -> None:
    """Be the projector; it says when it begins."""
    logging.disable()
    events, reads = open_stores(database(url, Settings()), Settings())
    with closing(events), closing(reads):
        projector = Projector(events, reads, READ_MODEL, batch_size=batch_size)
        channel.send("ready")
        while True:
            projector.catch_up()
            projector.reset()
