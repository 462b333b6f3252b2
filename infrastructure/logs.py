"""What stands in a log message beside its text, as fields of the record: for programs that read logs."""

from __future__ import annotations

from ..domain.errors import TiuError

PREFIX = "tiu_"
FIELDS = {
    "event": "what happened, under a name that stays",
    "error": "the error's code, else its class",
    "projection": "the name of the projection; of a lease of a subscription, `subscription.` and its name",
    "subscription": "the name of the subscription",
    "position": "of the event in the log",
    "topic": "of the event",
    "unit_id": "what is parked: a project, a person, or a stream",
    "fence": "the number of the tenure",
    "sessions": "how many sessions were ended",
    "observer": "the class of the observer",
}
"""Whatever a message may have, without its prefix: never a payload, or what is a person's own."""


def fields(event: str, *, error: BaseException | None = None, **values: object) -> dict[str, str | int]:
    """Return the `extra` of a log call."""
    found: dict[str, object] = {"event": event, **values}
    if error is not None:
        found["error"] = error_type(error)
    return {PREFIX + name: value if isinstance(value, int) else str(value) for name, value in found.items()}


def error_type(error: BaseException) -> str:
    """Return a name for a kind of error, of which there are few: our own errors' code, else the class."""
    return error.code if isinstance(error, TiuError) else type(error).__qualname__
