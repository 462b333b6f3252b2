"""The names of spans and of their attributes, and what each says: docs/reference/observability.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LINKS = 32
"""To how many traces a batch is linked at most: those of its first events."""
SEVERAL = "commands"
"""What stands for the types of commands in the name of their span, where there are several."""

COMMAND = "tiu.command"
COMMANDS = "tiu.commands"
OUTCOME = "tiu.outcome"
REFUSAL = "tiu.refusal"
ATTEMPTS = "tiu.attempts"
STREAM = "tiu.stream"
POSITION = "tiu.position"
APPEND_SECONDS = "tiu.append.seconds"
APPEND_UNITS = "tiu.append.units"
PROJECTION = "tiu.projection"
FIRST_POSITION = "tiu.first_position"
LAST_POSITION = "tiu.last_position"
EVENTS = "tiu.events"
SWAPPED = "tiu.swapped"
SUBSCRIPTION = "tiu.subscription"
TOPIC = "tiu.topic"
DONE = "tiu.done"
ERROR = "error.type"
DATABASE = "db.system.name"
OPERATION = "db.operation.name"
COLLECTION = "db.collection.name"
BATCH_SIZE = "db.operation.batch.size"
MESSAGING = "messaging.system"
DESTINATION = "messaging.destination.name"
CONSUMER = "messaging.consumer.group.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGES = "messaging.batch.message_count"
MESSAGE = "messaging.message.id"

ATTRIBUTES = {
    COMMAND: "the command's type; of several commands a list of their types",
    COMMANDS: "how many commands were executed as one unit, where it is not one",
    OUTCOME: "`accepted`, `repeated` (stored before), `refused`, `contended` or `failed`",
    REFUSAL: "the code of the error by which it was refused",
    ATTEMPTS: "how often it was decided, where more than once",
    STREAM: "the id that the (last) command was answered; the delivered event's stream",
    POSITION: "the position that the (last) command was answered; the delivered event's",
    APPEND_SECONDS: "how long its append took, with what it waited for others",
    APPEND_UNITS: "how many units were stored in the same transaction, where those of others were too",
    PROJECTION: "whose batch, or tables",
    FIRST_POSITION: "where the batch begins",
    LAST_POSITION: "where it ends",
    EVENTS: "of how many events the tables were made",
    SWAPPED: "whether they were put in place",
    SUBSCRIPTION: "the subscription's name",
    TOPIC: "the delivered event's topic",
    DONE: "whether the next delivery was asked for; else this one comes again",
    ERROR: "the error's code, else its class",
    DATABASE: "`postgresql` or `sqlite`",
    OPERATION: "`append`",
    COLLECTION: "`events`",
    BATCH_SIZE: "how many units were stored in one transaction",
    MESSAGING: "`claude_tiu`",
    DESTINATION: "`events`",
    CONSUMER: "the projection, or the subscription",
    OPERATION_TYPE: "`process`",
    MESSAGES: "how many events the batch has",
    MESSAGE: "the delivered event's id",
}


class Kind(NamedTuple):
    """A kind of span: what it is of, and which attributes it may have."""

    says: str
    attributes: tuple[str, ...]


_OF_COMMANDS = (COMMAND, COMMANDS, OUTCOME, REFUSAL, ATTEMPTS, STREAM, POSITION, APPEND_SECONDS, APPEND_UNITS, ERROR)
_OF_BATCHES = (PROJECTION, FIRST_POSITION, LAST_POSITION, MESSAGING, DESTINATION, CONSUMER, OPERATION_TYPE, MESSAGES)
SPANS = {
    "execute COMMAND": Kind(
        f"A command, or several as one unit (`execute {SEVERAL}`), in the span that is current where it is executed.",
        _OF_COMMANDS,
    ),
    "append events": Kind(
        "A transaction that stores what several callers brought, in the span of the command whose thread does it; and "
        "one that stores what belongs to no command.",
        (DATABASE, OPERATION, COLLECTION, BATCH_SIZE, ERROR),
    ),
    "process PROJECTION": Kind(
        f"A batch of a projector, linked to the first {LINKS} traces that its events come from.",
        (*_OF_BATCHES, ERROR),
    ),
    "deliver SUBSCRIPTION": Kind(
        "An event, from its being handed out until the next is asked for: in the trace that it comes from, if it comes "
        "from one. Commands that are executed meanwhile get its correlation.",
        (SUBSCRIPTION, TOPIC, POSITION, STREAM, MESSAGING, DESTINATION, CONSUMER, OPERATION_TYPE, MESSAGE, DONE),
    ),
    "rebuild PROJECTION": Kind("A rebuild.", (PROJECTION, EVENTS, SWAPPED, ERROR)),
}
"""By name; its last word, in capitals, stands for others."""

Attributes = dict[str, str | int | float | bool | Sequence[str]]
